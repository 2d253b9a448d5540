from __future__ import annotations

from itertools import pairwise
from random import Random

from meshp2p.config import lan
from meshp2p.gossip.antientropy import AntiEntropy
from meshp2p.gossip.pool import Pool
from meshp2p.ids import NodeId
from tests.unit.gossip.people import id_of

BOB, CAROL = id_of("bob"), id_of("carol")
LONG_AGO = -1_000.0


def those(*peers: NodeId) -> Pool:
    """Live members."""
    pool = Pool()
    for peer in peers:
        pool.add(peer)
    return pool


def watch() -> AntiEntropy:
    """As it is in a node that runs for long."""
    return AntiEntropy(lan(), Random(1), LONG_AGO)


def test_a_passing_difference_is_left_to_gossip() -> None:
    """While news travels, views differ; nobody transfers everything for that."""
    entropy = watch()

    assert not entropy.observe(BOB, theirs=1, ours=2, now=0.0)
    assert not entropy.observe(BOB, theirs=2, ours=2, now=1.0)
    assert not entropy.observe(BOB, theirs=1, ours=2, now=10.0)


def test_a_lasting_difference_is_mended_by_one_full_sync() -> None:
    """A hole in a view is closed a few seconds after it was noticed."""
    entropy = watch()
    entropy.observe(BOB, theirs=1, ours=2, now=0.0)
    again = entropy.ask_at

    assert again is not None
    assert lan().sync_patience <= again <= 1.5 * lan().sync_patience
    assert entropy.whom_to_ask(those(BOB, CAROL), again) == BOB
    assert entropy.observe(BOB, theirs=1, ours=2, now=again)
    assert entropy.ask_at is None


def test_a_difference_that_keeps_changing_waits_twice_as_long() -> None:
    """A busy mesh is given time, but not for ever."""
    entropy = watch()
    patience = lan().sync_patience
    entropy.observe(BOB, theirs=1, ours=2, now=0.0)

    assert not entropy.observe(BOB, theirs=3, ours=4, now=1.2 * patience)
    assert entropy.observe(BOB, theirs=5, ours=6, now=2.1 * patience)


def test_one_peer_is_doubted_at_a_time() -> None:
    """Many differing peers cause one full sync, not many."""
    entropy = watch()
    entropy.observe(BOB, theirs=1, ours=2, now=0.0)

    assert not entropy.observe(CAROL, theirs=1, ours=2, now=10.0)
    assert entropy.whom_to_ask(those(BOB, CAROL), 10.0) == BOB


def test_syncs_that_bring_nothing_become_rare() -> None:
    """Two views that cannot agree do not cost a full transfer every second."""
    entropy = watch()
    now, syncs = 0.0, []
    while now < 120.0:
        if entropy.observe(BOB, theirs=1, ours=2, now=now):
            syncs.append(now)
        now += 0.5
    gaps = [later - earlier for earlier, later in pairwise(syncs)]

    assert len(syncs) <= 8
    assert gaps[-1] >= 4 * gaps[0]


def test_a_silent_peer_is_not_asked_for_ever() -> None:
    """Whether a doubted peer is alive is not for this part to find out."""
    entropy = watch()
    entropy.observe(BOB, theirs=1, ours=2, now=0.0)
    asked = 0
    while (at := entropy.ask_at) is not None:
        asked += entropy.whom_to_ask(those(BOB, CAROL), at) == BOB

    assert asked == 4


def test_comparing_in_vain_is_followed_by_a_full_sync() -> None:
    """Sums can lie, and short entries leave something out: everything is the last resort."""
    entropy, now = watch(), 0.0
    asked: list[bool] = []
    while len(asked) < 4:
        if entropy.observe(BOB, theirs=1, ours=2, now=now):
            asked.append(entropy.wants_everything)
        now += 0.5

    assert asked == [False, True, False, True]


def test_a_newcomer_has_no_patience() -> None:
    """Who has only just come knows little, and compares whenever somebody knows otherwise."""
    entropy = AntiEntropy(lan(), Random(1), 0.0)

    assert entropy.observe(BOB, theirs=1, ours=2, now=0.1)
    assert not entropy.observe(CAROL, theirs=3, ours=4, now=0.101)  # the answer is under way
    assert entropy.observe(CAROL, theirs=3, ours=4, now=0.3)


def test_a_newcomer_asks_until_it_is_none_any_more() -> None:
    """Others come with it: whoever greeted it, who knows most, and anybody else are asked."""
    entropy = AntiEntropy(lan(), Random(1), 0.0)
    entropy.greeted(BOB, 0.0)
    asked, pauses = [], [0.0]
    while (at := entropy.ask_at) is not None and at < 2 * lan().sync_patience:
        asked.append(entropy.whom_to_ask(those(CAROL), at))
        pauses.append(at)
        entropy.observe(BOB, theirs=2, ours=2, now=at)

    assert asked == [BOB, CAROL] * (len(asked) // 2) + [BOB] * (len(asked) % 2)
    assert 4 <= len(asked) <= 10
    assert pauses[1] <= 0.2


def test_once_grown_up_it_leaves_equals_alone() -> None:
    """Where nothing happens, nobody is asked again and again for ever."""
    entropy = AntiEntropy(lan(), Random(1), 0.0)
    entropy.greeted(BOB, 0.0)
    now = 0.0
    while (at := entropy.ask_at) is not None:
        now = max(now, at)
        entropy.whom_to_ask(those(CAROL), now)
        for peer in (BOB, CAROL):
            entropy.observe(peer, theirs=2, ours=2, now=now)

    assert now < 4 * lan().sync_patience
