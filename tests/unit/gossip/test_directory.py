"""The index of members answers as a look at every one of them would, and faster."""

from __future__ import annotations

import cProfile
import pstats
import sys
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.events import CapabilityInfo, State
from meshp2p.gossip.member import Row
from meshp2p.gossip.record import DRAINING, UP, Record
from meshp2p.gossip.view import View
from meshp2p.gossip.wanted import Wanted
from meshp2p.ids import NodeId, matches
from tests.simulation.swim_world import START, swim_of

_BASE = swim_of("alice").own_record()
_NAMES = ("a", "a.b", "a.b.c", "a-b", "a.bc", "a_", "ab", "b", "b.a", "A.b", "a0", "z")
_PATTERNS = ("*", "a", "a.*", "a.b", "a.b.*", "b.*", "ab.*", "z", "z.*", "nobody", "A.*")
_STATES: tuple[State, ...] = ("alive", "alive", "suspect", "dead", "left")


def row_of(number: int, rng: Random) -> Row:
    """Somebody with a few capabilities, in whatever state."""
    assert _BASE is not None
    names = rng.sample(_NAMES, rng.randrange(4))
    infos = tuple(
        CapabilityInfo(name, handler=rng.random() < 0.7, tags={"lang": rng.choice("xy")})
        for name in names
    )
    body = attrs.evolve(
        _BASE.body,
        capabilities=infos,
        handle=rng.choice(("", "bob", "carol")),
        role=rng.choice(("worker", "monitor")),
    )
    state = rng.choice((UP, UP, DRAINING))
    line = attrs.evolve(_BASE.line, node_id=NodeId(number.to_bytes(16, "big")), state=state)
    record = attrs.evolve(_BASE, body=body, line=line)
    return Row(record=record, state=rng.choice(_STATES), joined_at=START, last_seen=START)


@pytest.mark.parametrize("seed", range(20))
def test_the_index_says_what_a_look_at_everybody_would(seed: int) -> None:
    """After many changes of records and states: for each pattern, state and filter."""
    rng = Random(seed)
    view = View(NodeId(bytes(16)))
    for number in range(1, 60):
        view.add(row_of(number, rng))
    for _ in range(200):
        row = rng.choice(list(view))
        new = row_of(int.from_bytes(row.id, "big"), rng)
        if rng.random() < 0.1:
            view.forget(row)
            view.add(new)
        else:
            view.change(row, record=new.record, state=new.state)
    directory = view.directory

    for pattern in _PATTERNS:
        live = [row for row in view if row.is_live]
        able = {
            row.id
            for row in live
            if any(matches(pattern, info.name) for info in row.record.body.capabilities)
        }
        assert len(directory.announcing(pattern)) == len(able)
        assert set(directory.announcing(pattern)) == able
        ready = {
            row.id
            for row in live
            if row.state == "alive"
            and row.takes_calls
            and any(
                matches(pattern, info.name) and info.handler
                for info in row.record.body.capabilities
            )
        }
        assert set(directory.ready(pattern, 0)) == ready
        assert set(directory.ready(pattern, len(ready))) == ready
        assert directory.ready(pattern, 10_000) == []
    for handle in ("bob", "carol"):
        named = {row.id for row in view if row.is_live and row.record.body.handle == handle}
        assert set(directory.called(handle)) == named


@pytest.mark.parametrize("seed", range(10))
def test_every_combination_of_filters_means_what_it_says(seed: int) -> None:
    """Whether or not the index helps, the members found are those that fit."""
    rng = Random(seed)
    swim = swim_of("alice")
    view = swim._parts.view  # noqa: SLF001  # filled by hand: records of strangers need no keys here
    for number in range(1, 80):
        view.add(row_of(number, rng))

    for _ in range(200):
        wanted = Wanted(
            pattern=rng.choice(_PATTERNS),
            state=rng.choice((*_STATES, "all")),
            handle=rng.choice((None, None, "bob", "nobody")),
            role=rng.choice((None, None, "monitor")),
            tags=rng.choice(({}, {}, {"lang": "x"})),
        )
        expected = {row.id for row in view if wanted.fits(row, row.state)}
        found = [member.id for member in swim.members(wanted)]
        assert set(found) == expected
        assert len(found) == len(expected)


def test_a_question_costs_as_much_as_its_answer_not_as_the_mesh() -> None:
    """One member in two thousand is found within a handful of steps."""

    def steps(members: int) -> int:
        swim, rng = swim_of("alice"), Random(1)
        view = swim._parts.view  # noqa: SLF001  # as above
        for number in range(1, members):
            row = row_of(number, rng)
            names = (CapabilityInfo("rare.thing" if number == 7 else f"own.{number}"),)
            body = attrs.evolve(row.record.body, capabilities=names)
            row.record = attrs.evolve(row.record, body=body)
            row.state = "alive"
            view.add(row)
        profile = cProfile.Profile()
        (member,) = profile.runcall(swim.members, Wanted(pattern="rare.*"))
        assert member.id == NodeId((7).to_bytes(16, "big"))
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # not in its stub

    assert steps(2_000) == steps(20) < 60


def test_a_member_is_shown_anew_when_anything_has_changed() -> None:
    """What members() gives is made once, and again with every change."""
    row = row_of(1, Random(1))
    row.state = "alive"
    before = row.shown()
    assert row.shown() is before

    for name, value in (("rtt", 0.5), ("load", 3), ("last_seen", START + 1), ("state", "suspect")):
        setattr(row, name, value)
        assert getattr(row.shown(), name) == value
    drained = attrs.evolve(row.record.line, state=DRAINING)
    row.record = attrs.evolve(row.record, line=drained)
    assert row.shown().draining
    assert not before.draining or before is not row.shown()


STEP = st.tuples(
    st.integers(1, 5), st.sampled_from(("alive", "suspect", "dead", "draining", "label", "gone"))
)


@given(steps=st.lists(STEP, max_size=30), asked=st.booleans())
def test_members_are_found_in_the_order_in_which_they_became_what_they_are(
    steps: list[tuple[int, str]], *, asked: bool
) -> None:
    """The healthy before the suspected, each by when its state last changed; one or many."""
    view, model = View(NodeId(bytes(16))), dict[NodeId, str]()
    for number, become in steps:
        record, state = _announcing(number, become)
        row = view.get(record.line.node_id)
        if become == "gone":
            if row is not None:
                view.forget(row)
                del model[row.id]
            continue
        if row is None:
            row = Row(record=record, state=state, joined_at=START, last_seen=START)
            view.add(row)
        else:
            view.change(row, record=record, state=state)
        if model.get(row.id) != become:  # whoever says the same again keeps its place
            model.pop(row.id, None)
            model[row.id] = become
        if asked:
            view.directory.find("x")

    def those(*wanted: str) -> list[NodeId]:
        return [node_id for node_id, state in model.items() if state in wanted]

    directory = view.directory
    well = those("alive", "label")
    assert directory.find("x") == [*well, *those("suspect")]
    assert directory.find("x", callable_only=True) == [*those("alive"), *those("suspect")]
    assert directory.by_handle("bob") == ([*well, *those("suspect")] or those("draining"))
    assert directory.announcing("x") == [*well, *those("suspect"), *those("draining")]
    assert directory.called("bob") == [*well, *those("suspect"), *those("draining")]
    assert directory.ready("x", 0) == those("alive")
    assert directory.capabilities() == (["x"] if set(model.values()) - {"dead"} else [])


@pytest.mark.parametrize("becomes", ["dead", "draining", "gone"])
def test_whoever_names_a_capability_twice_takes_it_from_nobody_else(becomes: str) -> None:
    """Its record is as it likes; what others can do is found for as long as they are there."""
    view = View(NodeId(bytes(16)))
    rows = [
        Row(record=record, state=state, joined_at=START, last_seen=START)
        for record, state in (_announcing(number, "alive") for number in (1, 2))
    ]
    bob, mallory = rows
    twice = mallory.record.body.capabilities * 2
    body = attrs.evolve(mallory.record.body, capabilities=twice)
    mallory.record = attrs.evolve(mallory.record, body=body)
    for row in rows:
        view.add(row)

    record, state = _announcing(2, becomes)
    if becomes == "gone":
        view.forget(mallory)
    else:
        view.change(mallory, record=record, state=state)

    directory = view.directory
    assert directory.find("x") == directory.ready("x", 1) == [bob.id]
    assert directory.capabilities("*") == ["x"]
    view.forget(bob)
    assert directory.capabilities("*") == (["x"] if becomes == "draining" else [])


def _announcing(number: int, become: str) -> tuple[Record, State]:
    """Somebody who can do x, or says so, or does not want to."""
    assert _BASE is not None
    tools = (CapabilityInfo("x", handler=become != "label"),)
    line = attrs.evolve(
        _BASE.line,
        node_id=NodeId(number.to_bytes(16, "big")),
        state=DRAINING if become == "draining" else UP,
    )
    body = attrs.evolve(_BASE.body, handle="bob", capabilities=tools)
    state: State = "suspect" if become == "suspect" else "dead" if become == "dead" else "alive"
    return attrs.evolve(_BASE, body=body, line=line), state


def _seldom(row: Row) -> list[object]:
    return [dict(row.heard), row.accusation, row.clone, row.by_stream, row.pulled_at]


def test_few_members_are_accused_and_only_they_pay_for_it() -> None:
    """What is seldom known of a member comes and goes, and is nobody else's."""
    bob, carol = row_of(1, Random(1)), row_of(2, Random(1))
    nothing = _seldom(carol)
    fresh = sys.getsizeof(bob._seldom)  # noqa: SLF001  # its cost is the promise
    assert nothing[:4] == [{}, None, None, False]

    bob.hear(carol.id, 7)
    bob.hear(bob.id, 8)
    bob.hear(carol.id, 9)
    bob.accusation, bob.clone, bob.by_stream, bob.pulled_at = b"signed", (1, 2), True, 3.0

    assert _seldom(bob) == [{carol.id: 9, bob.id: 8}, b"signed", (1, 2), True, 3.0]
    assert _seldom(carol) == nothing

    bob.acquit()
    assert _seldom(bob) == [{}, None, (1, 2), True, 3.0]
    bob.clone, bob.by_stream, bob.pulled_at = None, False, carol.pulled_at
    assert _seldom(bob) == nothing
    assert sys.getsizeof(bob._seldom) == fresh  # noqa: SLF001  # as above
