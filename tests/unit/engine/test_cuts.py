"""Batches of changes: when they end, and that they hide nothing."""

from __future__ import annotations

from math import inf

import attrs
import pytest

from meshp2p.engine.cuts import Cuts
from meshp2p.events import Cut, Member, MemberEvent, MemberEventName
from meshp2p.ids import NodeId
from meshp2p.wire import limits

BOB = Member(
    id=NodeId(b"bob".ljust(16)),
    handle="bob",
    namespace="default",
    role="worker",
    capabilities=(),
    addresses=(),
    state="alive",
)
CAROL = attrs.evolve(BOB, id=NodeId(b"carol".ljust(16)), handle="carol")


def event(name: MemberEventName, member: Member = BOB) -> MemberEvent:
    """Something became of somebody."""
    return MemberEvent(name, member)


def taken(cuts: Cuts, now: float) -> Cut | None:
    """What has ended by then."""
    return cuts.take(now, view_hash=42, alive=3)


def test_a_batch_ends_when_nothing_changed_for_a_window() -> None:
    """Not with the first event, and not before the window is over."""
    cuts = Cuts(0.5)
    assert cuts.ends == inf
    assert taken(cuts, 100.0) is None

    cuts.note(event("member.failed"), 1.0)
    cuts.note(event("member.failed", CAROL), 1.4)

    assert cuts.ends == pytest.approx(1.9)
    assert taken(cuts, 1.8) is None
    cut = taken(cuts, 1.9)
    assert cut is not None
    assert [each.member.handle for each in cut.events] == ["bob", "carol"]
    assert (cut.view_hash, cut.alive, cut.name) == (42, 3, "members")
    assert cuts.ends == inf


def test_a_death_and_a_return_within_one_batch_are_both_told() -> None:
    """In their order: nobody takes a new life for the old one."""
    cuts = Cuts(0.5)
    story: list[MemberEventName] = ["member.suspected", "member.failed", "member.returned"]
    for number, name in enumerate(story):
        cuts.note(event(name), number * 0.1)

    cut = taken(cuts, 5.0)

    assert cut is not None
    assert [each.name for each in cut.events] == story


def test_a_mesh_that_never_settles_is_told_of_all_the_same() -> None:
    """After ten windows at the latest."""
    cuts, now = Cuts(0.5), 0.0
    while now < cuts.ends:
        cuts.note(event("member.updated"), now)
        now += 0.1

    assert 5.0 <= now < 5.2
    assert taken(cuts, now) is not None


def test_a_batch_is_bounded() -> None:
    """One that is full ends at once."""
    cuts = Cuts(0.5)
    for _ in range(limits.MAX_CUT):
        cuts.note(event("member.updated"), 1.0)

    assert cuts.ends == 1.0
    cut = taken(cuts, 1.0)
    assert cut is not None
    assert len(cut.events) == limits.MAX_CUT
