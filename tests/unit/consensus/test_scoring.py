"""Which bid wins, and that everybody would find the same one."""

from __future__ import annotations

from collections import Counter

import attrs

from meshp2p.consensus.scoring import BidTerms, Policy, rank
from meshp2p.ids import NodeId


@attrs.frozen
class Entry:
    """A bid, as far as scoring is concerned."""

    bidder: NodeId
    terms: BidTerms


ALICE, BOB, CAROL = (NodeId(name.ljust(16, b"-")) for name in (b"alice", b"bob", b"carol"))
TASK = bytes(32)


def best(*entries: Entry, policy: Policy | None = None) -> NodeId:
    """Who wins."""
    return rank(entries, policy or Policy(), TASK, 1)[0][1]


def test_the_cheaper_the_idler_the_quicker_the_better_wins() -> None:
    """All else equal, each virtue alone decides."""
    plain = BidTerms(price=10, eta_ms=100, load=3, quality_ppm=500_000, confidence_ppm=500_000)
    plain = attrs.evolve(plain, match_ppm=500_000)
    for virtue in (
        {"price": 9},
        {"eta_ms": 90},
        {"load": 2},
        {"quality_ppm": 600_000},
        {"confidence_ppm": 600_000},
        {"match_ppm": 600_000},
    ):
        better = attrs.evolve(plain, **virtue)
        assert best(Entry(ALICE, plain), Entry(BOB, better), Entry(CAROL, plain)) == BOB, virtue


def test_silence_about_time_earns_half() -> None:
    """Better than being slow, worse than being the quickest."""
    silent, quick, slow = BidTerms(), BidTerms(eta_ms=100), BidTerms(eta_ms=1_000)
    ranked = [
        bidder
        for _, bidder in rank(
            [Entry(ALICE, silent), Entry(BOB, quick), Entry(CAROL, slow)], Policy(), TASK, 1
        )
    ]
    assert ranked == [BOB, ALICE, CAROL]


def test_only_what_the_policy_weighs_counts() -> None:
    """An owner who cares for price alone gets the cheapest."""
    price_only = Policy(match=0, load=0, price=1, eta=0, quality=0, confidence=0)
    cheap = BidTerms(price=1, quality_ppm=0, load=99)
    assert best(Entry(ALICE, BidTerms(price=2)), Entry(BOB, cheap), policy=price_only) == BOB


def test_ties_are_broken_by_chance_that_all_can_repeat() -> None:
    """Over many tasks each of two equal bidders wins about half; order of arrival is nothing."""
    entries = [Entry(ALICE, BidTerms()), Entry(BOB, BidTerms())]
    winners = Counter(
        rank(entries, Policy(), task.to_bytes(32, "big"), 1)[0][1] for task in range(400)
    )
    assert 150 < winners[ALICE] < 250
    assert rank(entries, Policy(), TASK, 1) == rank(entries[::-1], Policy(), TASK, 1)


def test_scores_stay_within_a_million() -> None:
    """The worst bid and the best that can be written down."""
    terms = [
        BidTerms(),
        BidTerms(eta_ms=1),
        BidTerms(price=2**53 - 1, eta_ms=2**53 - 1, quality_ppm=0, confidence_ppm=0),
    ]
    entries = [Entry(NodeId(bytes([n]) * 16), term) for n, term in enumerate(terms)]
    assert all(0 <= score <= 1_000_000 for score, _ in rank(entries, Policy(), TASK, 1))


def test_the_owners_own_score_decides_alone() -> None:
    """It is given the whole bid, its bidder included."""
    entries = [Entry(ALICE, BidTerms(price=5)), Entry(BOB, BidTerms(price=1))]
    ranked = rank(entries, Policy(), TASK, 1, lambda bid: bid.terms.price)
    assert ranked == [(5, ALICE), (1, BOB)]
