"""How much agreement decides, and how ballots are counted."""

from __future__ import annotations

import pytest

from meshp2p.consensus.ballot import CastBallot, Proposal
from meshp2p.consensus.envelope import PPM
from meshp2p.consensus.quorum import MAJORITY, Rule, count, default_faulty
from tests.simulation.consensus_world import CHEAP, elector_of, identity_of, proposal_of

PEOPLE = ("alice", "bob", "carol", "dave", "erin")


def rule(weight: int, **changes: int) -> Rule:
    """A rule for so much weight, all else by default."""
    facts = {
        "faulty": default_faulty(weight),
        "threshold_ppm": MAJORITY,
        "participation_ppm": 0,
    }
    return Rule(weight=weight, **(facts | changes))


@pytest.mark.parametrize(
    ("members", "faulty", "needed"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 1, 3), (5, 1, 4), (7, 2, 5), (10, 3, 7)],
)
def test_defaults_are_those_of_the_table(members: int, faulty: int, needed: int) -> None:
    """A third may vote twice, and two outcomes still cannot both be certified."""
    assert default_faulty(members) == faulty
    assert rule(members).needed == needed


@pytest.mark.parametrize("weight", range(1, 40))
def test_two_outcomes_would_need_more_than_the_faulty_weight_twice(weight: int) -> None:
    """Twice the needed weight exceeds W + F, whatever threshold was asked for."""
    for threshold in (0, MAJORITY, 700_000, PPM):
        assert 2 * rule(weight, threshold_ppm=threshold).needed > weight + default_faulty(weight)


def test_a_high_threshold_raises_what_is_needed() -> None:
    """Two thirds of ten members are seven, all of them ten."""
    assert rule(10, faulty=0, threshold_ppm=666_667).needed == 7
    assert rule(10, faulty=0, threshold_ppm=PPM).needed == 10


def test_trusting_everyone_makes_three_of_five_enough() -> None:
    """With the default of one faulty member four are needed."""
    assert (rule(5).needed, rule(5, faulty=0).needed) == (4, 3)


def weighing(*weights: int) -> Proposal:
    """A vote between yes and no among people of these weights."""
    electors = [
        elector_of(identity_of(name, CHEAP), weight)
        for name, weight in zip(PEOPLE, weights, strict=False)
    ]
    return proposal_of("alice", electors=tuple(electors))


def ballot(name: str, *choice: int, rationale: str = "") -> CastBallot:
    """Somebody's ballot."""
    identity = identity_of(name, CHEAP)
    draft = CastBallot(
        pid=bytes(32),
        elector=identity.node_id,
        journal_id=identity.journal_id,
        choice=choice,
        rationale=rationale,
    )
    return CastBallot.read_untrusted(draft.sign(CHEAP, identity.node_private, bytes(16)))


def test_weights_are_counted_not_heads() -> None:
    """One elector of weight three outvotes two of weight one."""
    tally = count(weighing(3, 1, 1), [ballot("alice", 0), ballot("bob", 1), ballot("carol", 1)])
    assert tally.by_option == {0: 3, 1: 2}
    assert tally.winner(rule(5, faulty=0)) == 0


def test_whoever_signs_two_ballots_counts_for_neither() -> None:
    """Both are evidence; the member is listed as spoiled."""
    tally = count(weighing(1, 1), [ballot("alice", 0), ballot("alice", 1), ballot("bob", 1)])
    assert tally.by_option == {0: 0, 1: 1}
    assert tally.spoiled == {identity_of("alice", CHEAP).node_id}


def test_two_rationales_for_one_option_are_two_ballots() -> None:
    """What differs was signed twice, even if the option is the same."""
    tally = count(weighing(1, 1), [ballot("alice", 0), ballot("alice", 0, rationale="because")])
    assert tally.cast == 0


def test_the_same_ballot_twice_counts_once() -> None:
    """A repeated delivery is no second vote."""
    assert count(weighing(1, 1), [ballot("bob", 1), ballot("bob", 1)]).by_option == {0: 0, 1: 1}


def test_abstaining_is_an_answer_but_casts_nothing() -> None:
    """It helps no option, and it does not help to reach the quorum."""
    tally = count(weighing(1, 1, 1), [ballot("alice", 0), ballot("bob", 0), ballot("carol")])
    assert (tally.cast, len(tally.heard)) == (2, 3)
    assert tally.winner(rule(3)) == 0
    assert tally.winner(rule(3, participation_ppm=PPM)) is None


def test_a_vote_ends_when_no_option_can_win_any_more() -> None:
    """Two to one with one elector left can be decided by two of three, not by all."""
    tally = count(weighing(1, 1, 1, 1), [ballot("alice", 0), ballot("bob", 0), ballot("carol", 1)])
    assert tally.can_still_decide(rule(4), outstanding=1)
    assert not tally.can_still_decide(rule(4), outstanding=0)
    assert not tally.can_still_decide(rule(4, threshold_ppm=PPM), outstanding=1)
    assert not tally.can_still_decide(rule(4, participation_ppm=PPM), outstanding=0)
