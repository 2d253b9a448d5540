from __future__ import annotations

from itertools import pairwise
from random import Random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.events import CapabilityInfo, State
from meshp2p.gossip.member import Row
from meshp2p.gossip.record import DRAINING, Record
from meshp2p.gossip.rows import Crowd
from meshp2p.gossip.timers import Timers
from meshp2p.gossip.view import View
from meshp2p.ids import NodeId
from meshp2p.wire import limits
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import id_of, signed_line

ME = id_of("zoe")
TOOLS = (CapabilityInfo("code.review"), CapabilityInfo("gpu", handler=False))


def record_of(name: str) -> Record:
    """What somebody says of itself."""
    record = swim_of(name, capabilities=TOOLS).own_record()
    assert record is not None
    return record


RECORDS = [record_of(name) for name in ("alice", "bob", "carol", "dave", "erin")]


def row_of(record: Record, state: State = "alive") -> Row:
    """A member in some state."""
    return Row(record=record, state=state, joined_at=0.0, last_seen=0.0)


def view_of(*rows: Row) -> View:
    """A view that lists these."""
    view = View(ME)
    for row in rows:
        view.add(row)
    return view


@given(st.permutations(range(5)), st.lists(st.tuples(st.integers(0, 4), st.booleans())))
def test_equal_views_have_equal_hashes(order: list[int], deaths: list[tuple[int, bool]]) -> None:
    """However two nodes came to know the same things, their hashes are the same."""
    final = dict(deaths)
    direct = view_of(
        *(row_of(one, "dead" if final.get(i) else "alive") for i, one in enumerate(RECORDS))
    )
    detour = view_of(*(row_of(RECORDS[number]) for number in order))
    for number, dies in deaths:
        row = detour.get(RECORDS[number].line.node_id)
        assert row is not None
        detour.change(row, state="dead" if dies else "alive")

    assert detour.hash == direct.hash
    assert detour.population == direct.population


def test_a_death_a_departure_and_a_new_version_each_change_the_hash() -> None:
    """Whatever should be the same everywhere is in the hash; a suspicion is not."""
    hashes = set()
    for state in ("alive", "dead", "left"):
        hashes.add(view_of(row_of(RECORDS[0], state)).hash)
    newer = attrs.evolve(RECORDS[0], line=signed_line("alice", RECORDS[0].line, seq=9))
    hashes.add(view_of(row_of(newer)).hash)

    assert len(hashes) == 4
    assert view_of(row_of(RECORDS[0], "suspect")).hash == view_of(row_of(RECORDS[0])).hash


def test_capabilities_are_found_alive_first_and_never_among_the_dead() -> None:
    """A call prefers the healthy, falls back to the suspected, and spares the dead."""
    states: tuple[State, ...] = ("suspect", "alive", "dead", "left", "alive")
    rows = [row_of(one, state) for one, state in zip(RECORDS, states, strict=True)]
    directory = view_of(*rows).directory

    assert directory.find("code.review") == [rows[1].id, rows[4].id, rows[0].id]
    assert directory.by_handle("alice") == [rows[0].id]
    assert directory.by_handle("carol") == []
    assert directory.find("nobody.can") == []


def test_a_label_is_found_but_never_called() -> None:
    """Announcing a label without handler attracts no calls."""
    directory = view_of(row_of(RECORDS[0])).directory

    assert directory.find("gpu") == [RECORDS[0].line.node_id]
    assert directory.find("gpu", callable_only=True) == []
    assert directory.capabilities("code.*") == ["code.review"]


def test_whoever_drains_gets_no_new_calls() -> None:
    """A draining member keeps its handle and gives up its capabilities."""
    drains = attrs.evolve(RECORDS[0], line=signed_line("alice", RECORDS[0].line, state=DRAINING))
    directory = view_of(row_of(drains)).directory

    assert directory.find("code.review") == []
    assert directory.by_handle("alice") == [drains.line.node_id]


def test_the_departed_are_forgotten_when_their_lines_expire() -> None:
    """Tombstones end; the dead are still tried again, since they may only be away."""
    left, dead = row_of(RECORDS[0], "left"), row_of(RECORDS[1], "dead")
    view = view_of(left, dead, row_of(RECORDS[2]))
    unix = UNIX + START + 8_000

    assert view.expired(UNIX + START, 300.0, Random(1), 10) == []
    for row in view.expired(unix, 300.0, Random(1), 10):
        view.forget(row)

    assert [row.id for row in view] == [RECORDS[2].line.node_id]
    assert view.hash == view_of(row_of(RECORDS[2])).hash
    assert view.draw_lost(Random(1)) is dead
    assert view.lost(left.id) is None


CROWD = [row_of(one) for one in RECORDS]
STEPS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["look", "dead", "alive", "gone"])))


@given(STEPS)
def test_a_list_held_in_common_is_everybodys_own(steps: list[tuple[int, str]]) -> None:
    """Whatever one node learns of members that many know, the others keep their own opinion."""
    crowd = Crowd.of(CROWD)
    shared, others, own = view_of(), view_of(), view_of(*(row_of(one) for one in RECORDS))
    shared.begin_with(crowd)
    others.begin_with(crowd)
    for number, step in steps:
        for view in (shared, own):
            row = view.get(RECORDS[number].line.node_id)
            if row is None:
                continue
            if step == "gone":
                view.forget(row)
            elif step != "look":
                row.rtt = 0.1
                view.change(row, state="dead" if step == "dead" else "alive")

    assert told(shared) == told(own)
    assert told(others) == told(view_of(*(row_of(one) for one in RECORDS)))
    assert all(row.state == "alive" and row.rtt is None for row in CROWD)


def told(view: View) -> list[object]:
    """All that a view answers, in no particular order."""
    members = sorted((row.id, row.state, row.rtt or 0.0) for row in view)
    buckets = [sorted(row.id for row in view.bucket(number)) for number in range(128)]
    found = sorted(view.directory.find("code.review"))
    return [members, buckets, found, view.hash, view.sums, sorted(view.live), len(view)]


def test_one_of_a_crowd_keeps_its_own_row() -> None:
    """This node is one of those that all know, and does not probe itself."""
    view = View(RECORDS[0].line.node_id)
    mine = row_of(RECORDS[0])
    view.add(mine)
    view.begin_with(Crowd.of(CROWD))

    assert view.get(mine.id) is mine
    assert mine.id not in view.live
    assert len(view) == len(list(view)) == 5
    assert view.population == 5
    assert [row.id for row in view].count(mine.id) == 1


def test_lost_members_have_a_limit() -> None:
    """A mesh that once was large does not fill the memory of who is left."""
    view = View(ME)
    for number in range(limits.MAX_LOST + 5):
        line = attrs.evolve(RECORDS[0].line, node_id=NodeId(number.to_bytes(16, "big")))
        row = row_of(attrs.evolve(RECORDS[0], line=line), "dead")
        view.add(row)
        view.forget(row)

    remembered = [view.lost(n.to_bytes(16, "big")) for n in range(limits.MAX_LOST + 5)]
    assert sum(row is not None for row in remembered) == limits.MAX_LOST
    assert remembered[0] is None


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100) | st.none())))
def test_a_timer_is_due_once_at_its_latest_setting(
    steps: list[tuple[int, float | None]],
) -> None:
    """Moving or cancelling a deadline leaves nothing of the old one behind."""
    timers, model = Timers(), dict[int, float]()
    for key, at in steps:
        if at is None:
            timers.cancel(key)
            model.pop(key, None)
        else:
            timers.set(key, at)
            model[key] = at
    due = []
    while (popped := timers.pop_due(1_000.0)) is not None:
        due.append(popped)

    assert sorted(due, key=str) == sorted(model, key=str)
    rounded = [model[key] for key in due if isinstance(key, int)]
    assert all(a <= b + 1e-6 for a, b in pairwise(rounded))
