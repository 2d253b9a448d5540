"""Whether an auction was fair, judged by somebody who was not there."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from meshp2p.consensus import AwardData, Bid, PlacedBid, Transcript
from meshp2p.consensus.award import AcceptanceNote, AwardNote
from meshp2p.consensus.envelope import sign
from meshp2p.consensus.scoring import Policy, rank
from meshp2p.errors import WireError
from tests.simulation.consensus_world import CHEAP, World, identity_of, mesh_of

ROOT = mesh_of(CHEAP).root_public


def auctioned(score: Callable[[object], int] | None = None) -> Transcript:
    """Alice has auctioned work off; bob, carol and dave have bid, the cheapest last."""
    world = World("alice", "bob", "carol", "dave")
    world["alice"].bidder = lambda _: None
    for price, name in enumerate(("dave", "carol", "bob")):
        world[name].bidder = lambda _, price=price: Bid(price=price)  # type: ignore[misc]
    number = world.auction("alice", score=score)
    world.run_for(2)
    award = world["alice"].finished[number].value
    assert isinstance(award, AwardData)
    return award.transcript


FAIR = auctioned()


def test_nothing_is_wrong_with_a_fair_auction() -> None:
    """All signatures hold, all signers are members, and the best bid won."""
    assert FAIR.findings(ROOT, crypto=CHEAP) == ()
    assert Transcript.from_bytes_untrusted(FAIR.to_bytes()) == FAIR


def test_without_a_root_the_signers_are_unknown() -> None:
    """As with certificates; and another mesh's root vouches for nobody."""
    assert "signers unknown" in FAIR.findings(None, crypto=CHEAP)[0]
    assert FAIR.findings(mesh_of(CHEAP, "other").root_public, crypto=CHEAP)


def test_leaving_out_a_bid_shows() -> None:
    """The award names the root of all bids that were ranked."""
    for left_out in range(3):
        bids = FAIR.bids[:left_out] + FAIR.bids[left_out + 1 :]
        assert attrs.evolve(FAIR, bids=bids).findings(ROOT, crypto=CHEAP)


@pytest.mark.parametrize(
    ("true_score", "finding"), [(True, "past the better bid"), (False, "misstates a score")]
)
def test_awarding_past_a_better_bid_shows(true_score: bool, finding: str) -> None:  # noqa: FBT001
    """Alice gives the work to carol, who accepts; every signature is genuine."""
    alice, friend = identity_of("alice", CHEAP), identity_of("carol", CHEAP)
    fair = AwardNote.read_untrusted(FAIR.awards[0])
    bids = [PlacedBid.read_untrusted(bid) for bid in FAIR.bids]
    (bid,) = (bid for bid in bids if bid.bidder == friend.node_id)
    unfair = attrs.evolve(fair, winner=bid.bidder, bid=bid.hash, price=bid.terms.price)
    ranking = rank(bids, Policy(), fair.task_id, fair.epoch)
    score = next(score for score, bidder in ranking if bidder == friend.node_id)
    unfair = attrs.evolve(unfair, score=score if true_score else fair.score)
    group_id = alice.keys.group_id
    award = sign(CHEAP, alice.node_private, "award", group_id, unfair.to_fields())
    note = AcceptanceNote(
        task_id=fair.task_id,
        epoch=fair.epoch,
        winner=friend.node_id,
        award=AwardNote.read_untrusted(award).hash,
    )
    acceptance = sign(CHEAP, friend.node_private, "accept", group_id, note.to_fields())
    record = attrs.evolve(FAIR, awards=(award,), acceptance=acceptance)
    (found,) = record.findings(ROOT, crypto=CHEAP)
    assert finding in found


def test_a_score_of_the_owners_own_shows() -> None:
    """It may be fine, but nobody else can repeat it."""
    (finding,) = auctioned(lambda _: 7).findings(ROOT, crypto=CHEAP)
    assert "as it liked" in finding


def test_a_forged_statement_shows() -> None:
    """Of whichever kind."""
    damage = bytes([FAIR.acceptance[-1] ^ 1])
    forged = attrs.evolve(FAIR, acceptance=FAIR.acceptance[:-1] + damage)
    assert "accept" in forged.findings(ROOT, crypto=CHEAP)[0]
    assert attrs.evolve(FAIR, people={}).findings(ROOT, crypto=CHEAP)
    assert attrs.evolve(FAIR, announcement=b"?" * 99).findings(ROOT, crypto=CHEAP)


def test_an_auction_without_award_shows() -> None:
    """An acceptance of nothing proves nothing."""
    assert attrs.evolve(FAIR, awards=()).findings(ROOT, crypto=CHEAP)


def test_a_transcript_has_one_form() -> None:
    """Nothing can be added to it."""
    with pytest.raises(WireError):
        Transcript.from_bytes_untrusted(FAIR.to_bytes() + b"\0")
