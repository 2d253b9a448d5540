"""Calling a vote, and being an elector in one."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from meshp2p.config import lan
from meshp2p.consensus import Answer, Ask, Finished, Output, Participant, Run, VoteCall, VoteResult
from meshp2p.consensus.ballot import CastBallot, Elector, Proposal
from meshp2p.consensus.elector import BALLOTS
from meshp2p.consensus.vote import CALL
from meshp2p.effects import Persist
from meshp2p.errors import StateUnusable, Undecided, UsageError
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.wire import codec
from tests.simulation.consensus_world import (
    CHEAP,
    REAL,
    UNIX,
    World,
    elector_of,
    identity_of,
    mesh_of,
    proposal_of,
)

FIVE = ("alice", "bob", "carol", "dave", "erin")
NOW = 50.0
ALICE, BOB = (identity_of(name, CHEAP) for name in ("alice", "bob"))


def world_that_says(**opinions: str | None) -> World:
    """People with an opinion each; None abstains."""
    world = World(*opinions)
    for name, option in opinions.items():
        answer = None if option is None else [option, 800_000, f"{name} thinks so"]
        world[name].voter = lambda _, answer=answer: answer  # type: ignore[misc]
    return world


def outcome(world: World, **rules: Any) -> VoteResult | Undecided:  # noqa: ANN401
    """How alice's vote ends within ten seconds."""
    number = world.vote("alice", **rules)
    world.run_for(10)
    finished = world["alice"].finished[number]
    assert isinstance(finished.value, VoteResult) or isinstance(finished.error, Undecided)
    return finished.value or finished.error  # type: ignore[return-value]  # just checked


def test_a_majority_decides_and_can_prove_it() -> None:
    """The caller gets the choice, who said what, and a certificate."""
    result = outcome(world_that_says(alice="yes", bob="yes", carol="no"))
    assert isinstance(result, VoteResult)
    assert result.choice == "yes"
    assert result.confidence == pytest.approx(0.8)
    root = mesh_of(CHEAP).root_public
    assert result.certificate.verify(root, crypto=CHEAP).outcome == "yes"
    assert {b.handle: b.option for b in result.ballots}.items() >= {
        "alice": "yes",
        "bob": "yes",
    }.items()


def test_three_to_two_is_undecided_while_one_member_may_vote_twice() -> None:
    """Five electors tolerate one traitor by default, so four must agree."""
    world = world_that_says(alice="yes", bob="yes", carol="yes", dave="no", erin="no")
    undecided = outcome(world)
    assert isinstance(undecided, Undecided)
    assert undecided.needed == 4
    assert undecided.tally["no"] == 2  # then it was hopeless


def test_three_to_two_decides_if_everyone_is_trusted() -> None:
    """`faulty=0` is the caller's word that nobody votes twice."""
    world = world_that_says(alice="yes", bob="yes", carol="yes", dave="no", erin="no")
    result = outcome(world, faulty=0)
    assert isinstance(result, VoteResult)
    assert result.choice == "yes"


def test_abstaining_does_not_fill_the_quorum() -> None:
    """Two of three agree, but the quorum asks for all to cast a ballot."""
    undecided = outcome(world_that_says(alice="yes", bob="yes", carol=None), quorum_ppm=1_000_000)
    assert isinstance(undecided, Undecided)
    assert undecided.missing == ()  # carol has answered


def test_a_hopeless_vote_ends_at_once() -> None:
    """One to one cannot be decided: nobody waits for the deadline."""
    world = world_that_says(alice="yes", bob="no")
    number = world.vote("alice", closes_in=3_600.0)
    world.run_for(1)
    assert isinstance(world["alice"].finished[number].error, Undecided)


def test_a_decided_vote_does_not_wait_for_the_slow() -> None:
    """Four of five agree; the fifth is away and is not waited for."""
    world = world_that_says(alice="yes", bob="yes", carol="yes", dave="yes", erin="no")
    world.crash(world["erin"])
    number = world.vote("alice", closes_in=3_600.0)
    world.run_for(1)
    assert world["alice"].finished[number].error is None


def test_silence_is_never_taken_for_an_answer() -> None:
    """With two of three away the vote stays undecided, and says who is missing."""
    world = world_that_says(alice="yes", bob="yes", carol="yes")
    for name in ("bob", "carol"):
        world.crash(world[name])
    undecided = outcome(world)
    assert isinstance(undecided, Undecided)
    assert {"bob", "carol"} <= set(undecided.missing)
    assert "no" not in undecided.tally


def test_weights_decide() -> None:
    """Bob is outvoted by alice alone if she weighs three."""
    world = world_that_says(alice="yes", bob="no", carol="no")
    electors = [
        elector_of(world[name].identity, weight)
        for name, weight in (("alice", 3), ("bob", 1), ("carol", 1))
    ]
    result = outcome(world, electors=electors, faulty=0)
    assert isinstance(result, VoteResult)
    assert result.choice == "yes"


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({"options": ("yes",)}, "options"),
        ({"options": ("yes", "yes")}, "options"),
        ({"options": ("yes", "n" * 300)}, "256 bytes"),
        ({"electors": []}, "electorate"),
        ({"faulty": 2}, "faulty"),
        ({"threshold_ppm": 1_000_001}, "1000000"),
        ({"method": "schulze"}, "schulze"),
    ],
)
def test_a_vote_that_cannot_be_is_refused_in_words(rules: dict[str, Any], names: str) -> None:
    """Before anything is signed or sent."""
    world = World("alice", "bob")
    with pytest.raises(UsageError, match=names):
        world.vote("alice", **rules)
    assert world["alice"].disk == {}


def test_a_vote_given_up_before_its_call_is_sent_never_is() -> None:
    """Nobody has heard of it, nobody will, and its record goes."""
    world = world_that_says(alice="yes", bob="yes", carol="no")
    alice, asked = world["alice"], list[str]()
    world["bob"].voter = lambda call: asked.append(call.question)
    number = world.vote("alice")
    assert alice.node is not None
    alice.node.cancel(number)
    world.pump(alice)
    world.run_for(10)
    assert asked == []
    assert number not in alice.finished
    assert alice.disk == {}


def test_a_vote_given_up_while_electors_think_stands() -> None:
    """Their ballots are promises, so they are counted."""
    world = world_that_says(alice="yes", bob="yes", carol="yes")
    alice, given_up = world["alice"], list[int]()

    def give_up(_call: VoteCall) -> object:
        assert alice.node is not None
        assert number not in alice.finished
        alice.node.cancel(number)
        given_up.append(number)
        return ["yes"]

    world["bob"].voter = give_up
    number = world.vote("alice", faulty=1)
    world.run_for(10)
    assert given_up == [number]
    result = alice.finished[number].value
    assert isinstance(result, VoteResult)
    assert len(result.ballots) == 3


# -- One elector, step by step


@attrs.define
class Bench:
    """Bob's node alone on a bench, asked by alice."""

    identity: NodeIdentity = BOB
    stored: dict[tuple[str, bytes], bytes] = attrs.field(factory=dict)
    node: Participant = attrs.field(init=False)
    tickets: itertools.count[int] = attrs.field(factory=itertools.count)

    def __attrs_post_init__(self) -> None:
        """Start with what is stored."""
        numbers = itertools.count(1)
        self.node = Participant(
            lan(),
            self.identity,
            Trust(CHEAP, self.identity.keys),
            CHEAP,
            bytes,
            lambda: next(numbers),
            self.stored,
            lambda _: None,
        )

    def ask(self, call: bytes, unix: float = UNIX, peer: str = "alice") -> list[Output]:
        """Deliver a call to vote."""
        ticket, alice = next(self.tickets), identity_of(peer, CHEAP)
        self.node.receive_ask(ticket, alice.node_id, CALL, call, now=NOW, unix=unix)
        return self.node.outputs()

    def decide(self, outputs: list[Output], answer: object, status: int = 0) -> list[Output]:
        """Let bob's voter answer what it was asked."""
        (run,) = (output for output in outputs if isinstance(output, Run))
        self.node.receive_outcome(run.number, status, codec.pack(answer), now=NOW)
        return self.node.outputs()

    def persisted(self, outputs: list[Output], *, ok: bool = True) -> list[Output]:
        """Let the disk finish."""
        (persist,) = (output for output in outputs if isinstance(output, Persist))
        if ok:
            for record in persist.records:
                assert record.value is not None
                self.stored[record.table, record.key] = record.value
        self.node.receive_persisted(persist.token, ok=ok, now=NOW)
        return self.node.outputs()


def call_of(*names: str, signer: str = "alice", **changes: Any) -> bytes:  # noqa: ANN401
    """Alice's signed call to these people."""
    private = identity_of(signer, CHEAP).node_private
    return proposal_of(*names, **changes).sign(CHEAP, private, mesh_of(CHEAP).group_id)


def refusal(outputs: list[Output]) -> str:
    """Why the only output refuses."""
    (answer,) = outputs
    assert isinstance(answer, Answer)
    assert answer.status == 1
    return answer.body.decode()


def ballot(outputs: list[Output]) -> CastBallot:
    """The ballot that the only output brings."""
    (answer,) = outputs
    assert isinstance(answer, Answer)
    assert answer.status == 0
    return CastBallot.read_untrusted(answer.body)


CALLED = call_of("alice", "bob", "carol")


def test_a_ballot_leaves_only_after_it_is_on_disk() -> None:
    """Until the disk has answered, nothing is said."""
    bench = Bench()
    deciding = bench.decide(bench.ask(CALLED), ["yes"])
    assert [type(output) for output in deciding] == [Persist]
    assert ballot(bench.persisted(deciding)).choice == (0,)


def test_a_ballot_that_could_not_be_written_is_not_sent() -> None:
    """The caller hears why; asked again, the same ballot is written again."""
    bench = Bench()
    deciding = bench.decide(bench.ask(CALLED), ["yes"])
    assert "disk" in refusal(bench.persisted(deciding, ok=False))
    again = bench.ask(CALLED)
    assert [type(output) for output in again] == [Persist]
    assert ballot(bench.persisted(again)).choice == (0,)


def test_asked_twice_an_elector_gives_the_same_bytes() -> None:
    """Its voter is not asked again."""
    bench = Bench()
    first = bench.persisted(bench.decide(bench.ask(CALLED), ["yes"]))
    assert ballot(bench.ask(CALLED)).statement == ballot(first).statement


def test_a_restart_does_not_change_a_vote() -> None:
    """The journal remembers; the voter, who would now say no, is not asked."""
    bench = Bench()
    first = bench.persisted(bench.decide(bench.ask(CALLED), ["yes"]))
    assert ballot(Bench(stored=bench.stored).ask(CALLED)).statement == ballot(first).statement


def test_an_abstention_is_a_ballot_too() -> None:
    """Signed, written, never changed: it fills the same slot."""
    bench = Bench()
    first = bench.persisted(bench.decide(bench.ask(CALLED), None))
    assert ballot(first).choice == ()
    assert ballot(Bench(stored=bench.stored).ask(CALLED)).choice == ()


def test_a_damaged_journal_stops_the_node() -> None:
    """Who has forgotten how it voted must not vote."""
    with pytest.raises(StateUnusable):
        Bench(stored={(BALLOTS, bytes(32)): b"rubbish"})


@pytest.mark.parametrize("answer", [["maybe"], ["yes", 2_000_000], 7, ["yes", 1, "x" * 5_000]])
def test_a_voter_that_answers_nonsense_signs_nothing(answer: object) -> None:
    """It may be asked again."""
    bench = Bench()
    assert "voter" in refusal(bench.decide(bench.ask(CALLED), answer))
    assert [type(output) for output in bench.ask(CALLED)] == [Run]


def test_a_voter_that_raises_signs_nothing() -> None:
    """An exception is no abstention."""
    bench = Bench()
    assert "voter failed" in refusal(bench.decide(bench.ask(CALLED), ["E", "e", None], status=1))


@pytest.mark.parametrize("skew", [-301.0, 301.0])
def test_a_call_with_a_wrong_clock_is_refused(skew: float) -> None:
    """Credentials are judged by the call's clock, so it must be right."""
    assert "clock" in refusal(Bench().ask(CALLED, unix=UNIX + skew))
    assert [type(output) for output in Bench().ask(CALLED, unix=UNIX + skew * 0.9)] == [Run]


def test_who_is_no_elector_does_not_vote() -> None:
    """Nor does the same node with another journal: it has forgotten how it voted."""
    assert "no elector" in refusal(Bench(identity_of("mallory", CHEAP)).ask(CALLED))
    wiped = attrs.evolve(identity_of("bob", CHEAP), journal_id=bytes(16))
    assert "no elector" in refusal(Bench(wiped).ask(CALLED))


def test_a_node_without_a_journal_neither_votes_nor_calls() -> None:
    """After a restart it could say the opposite."""
    ephemeral = attrs.evolve(identity_of("bob", CHEAP), may_promise=False)
    bench = Bench(ephemeral)
    assert "journal" in refusal(bench.ask(CALLED))
    with pytest.raises(UsageError, match="ephemeral"):
        bench.node.votes.call(1, "?", ["a", "b"], [], closes_in=1, now=NOW, unix=UNIX)


def test_a_call_that_somebody_else_signed_is_refused() -> None:
    """Forged, or passed on by another member."""
    forged = call_of("alice", "bob", "carol", signer="mallory")
    assert "forged" in refusal(Bench().ask(forged))
    assert "somebody else" in refusal(Bench().ask(CALLED, peer="carol"))


@pytest.mark.parametrize(
    "changes", [{"mesh_id": bytes(16)}, {"namespace": "other"}, {"shared": False}]
)
def test_a_call_of_another_mesh_is_refused(changes: dict[str, Any]) -> None:
    """Also one that hides that all members hold the root's key."""
    assert "another mesh" in refusal(Bench().ask(call_of("alice", "bob", **changes)))


def test_an_electorate_of_strangers_is_refused() -> None:
    """Every elector must be a member; a few invented ones would decide anything."""
    proposal = Proposal.read_untrusted(CALLED)
    outsider = identity_of("mallory", CHEAP, "other mesh")
    stranger = Elector(
        node_key=outsider.node_public,
        journal_id=outsider.journal_id,
        chain=proposal.electors[0].chain,
    )
    call = call_of("alice", "bob", electors=(*proposal.electors, stranger))
    assert "not a vote of members" in refusal(Bench().ask(call))


def test_a_large_electorate_is_examined_in_portions() -> None:
    """64 chains would take 5 ms; other traffic gets its turn in between."""
    names = ["alice", "bob", *(f"member-{n}" for n in range(62))]
    bench = Bench()
    asked = bench.ask(call_of(*names))
    assert asked == []
    steps, now = 0, NOW
    while not asked:
        steps, now = steps + 1, bench.node.next_deadline()
        bench.node.receive_deadline(now=now)
        assert bench.node.next_deadline() > now
        asked = bench.node.outputs()
    assert steps >= 64 // 32
    assert isinstance(asked[0], Run)


def test_old_ballots_are_forgotten_but_never_contradicted() -> None:
    """A clock that is set back finds the call refused, not a second ballot."""
    bench = Bench()
    bench.persisted(bench.decide(bench.ask(CALLED), ["yes"]))
    later = call_of("alice", "bob", wall=int(UNIX) + 7_200)
    outputs = bench.ask(later, unix=UNIX + 7_200)
    (sweep,) = (output for output in outputs if isinstance(output, Persist))
    pid = Proposal.read_untrusted(CALLED).pid
    assert (BALLOTS, pid, None) in [(r.table, r.key, r.value) for r in sweep.records]
    assert "older than what this node remembers" in refusal(bench.ask(CALLED))
    swept = {(r.table, r.key): r.value for r in sweep.records if r.value}
    assert "older" in refusal(Bench(stored=swept).ask(CALLED))


def test_the_voter_is_told_what_it_is_about() -> None:
    """Question, options, who asks, how long there is."""
    (run,) = Bench().ask(CALLED)
    assert isinstance(run, Run)
    assert run.method == "?vote"
    body = codec.unpack_untrusted(run.body)
    assert type(body) is list
    assert VoteCall.from_body(body) == VoteCall(
        question="ship it?",
        options=("yes", "no"),
        caller="alice",
        method="plurality",
        closes_in=5.0,
    )


# -- One caller, step by step


def calling(identity: NodeIdentity = ALICE) -> tuple[Participant, list[Output]]:
    """Alice has just called a vote with bob."""
    bench = Bench(identity)
    people = [elector_of(identity), elector_of(identity_of("bob", CHEAP))]
    bench.node.votes.call(77, "?", ["yes", "no"], people, closes_in=5, now=NOW, unix=UNIX)
    return bench.node, bench.node.outputs()


def test_a_call_leaves_only_after_it_is_on_disk() -> None:
    """And if the disk fails, the user hears of it and nobody else does."""
    node, (persist,) = calling()
    assert isinstance(persist, Persist)
    node.receive_persisted(persist.token, ok=True, now=NOW)
    assert {type(output) for output in node.outputs()} == {Ask}
    node, (persist,) = calling()
    assert isinstance(persist, Persist)
    node.receive_persisted(persist.token, ok=False, now=NOW)
    (finished,) = node.outputs()
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, StateUnusable)


def test_forged_ballots_are_counted_and_ignored() -> None:
    """Somebody else's valid ballot is no better."""
    node, (persist,) = calling()
    assert isinstance(persist, Persist)
    node.receive_persisted(persist.token, ok=True, now=NOW)
    asks = [output for output in node.outputs() if isinstance(output, Ask)]
    pid = Proposal.read_untrusted(asks[0].body).pid
    mallory = identity_of("mallory", CHEAP)
    bob = identity_of("bob", CHEAP)
    forged = CastBallot(pid=pid, elector=bob.node_id, journal_id=bob.journal_id, choice=(0,)).sign(
        CHEAP, mallory.node_private, bob.keys.group_id
    )
    genuine = CastBallot(pid=pid, elector=bob.node_id, journal_id=bob.journal_id, choice=(0,)).sign(
        CHEAP, bob.node_private, bob.keys.group_id
    )
    to_bob = next(ask for ask in asks if ask.to == bob.node_id)
    to_self = next(ask for ask in asks if ask.to != bob.node_id)
    node.receive_answer(to_bob.token, 0, forged, lost=False, now=NOW)
    node.receive_answer(to_self.token, 0, genuine, lost=False, now=NOW)
    (closed, finished) = node.outputs()
    assert isinstance(closed, Persist)
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, Undecided)
    assert (node.votes.rejected, finished.error.tally) == (2, {})


def test_an_elector_known_to_be_dead_is_not_waited_for() -> None:
    """Gossip says so; the vote of two cannot be decided by one."""
    node, (persist,) = calling()
    assert isinstance(persist, Persist)
    node.receive_persisted(persist.token, ok=True, now=NOW)
    node.outputs()
    node.member_lost(identity_of("bob", CHEAP).node_id)
    assert Finished in [type(output) for output in node.outputs()]


def test_with_real_keys_it_is_the_same() -> None:
    """The whole way once with Ed25519, up to a certificate that the default verifier accepts."""
    world = World(*FIVE[:3], crypto=REAL)
    for host in world.hosts.values():
        host.voter = lambda _: ["yes"]
    number = world.vote("alice")
    world.run_for(5)
    result = world["alice"].finished[number].value
    assert isinstance(result, VoteResult)
    assert result.certificate.verify(mesh_of(REAL).root_public).outcome == "yes"


def test_a_vote_ends_in_time_though_the_disk_never_answers() -> None:
    """Undecided, not silence; and an answer of the disk that comes later changes nothing."""
    bench = Bench()
    electors = [elector_of(BOB)]
    bench.node.votes.call(7, "ship it?", ["yes", "no"], electors, closes_in=1.0, now=NOW, unix=UNIX)
    (persist,) = bench.node.outputs()
    assert isinstance(persist, Persist)
    bench.node.receive_deadline(now=NOW + 1.0)
    (finished,) = (output for output in bench.node.outputs() if isinstance(output, Finished))
    assert isinstance(finished.error, Undecided)
    bench.node.receive_persisted(persist.token, ok=True, now=NOW + 2.0)
    assert not [output for output in bench.node.outputs() if isinstance(output, Ask)]
