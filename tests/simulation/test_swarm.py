"""Swarms: what is drawn, what is run, and what is left of a plan that fails."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

import attrs
import pytest

from meshp2p.effects import Effect, Persist, SendDatagram
from meshp2p.engine import Engine
from meshp2p.ids import Address, Seconds
from meshp2p.simulation import World, faults, latency, links
from meshp2p.simulation.faults import Loss, Schedule, Timed
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.menu import MENU
from meshp2p.simulation.shrink import shrink
from meshp2p.simulation.swarm import Outcome, Plan, draw_plan, run_plan, run_seed


class Hasty(Engine):
    """Says what it promises before the disk has it."""

    def effects(self) -> list[Effect]:
        """Every write seems to be done at once."""
        effects = super().effects()
        for effect in effects:
            if isinstance(effect, Persist):
                self.receive_persisted(effect.token, ok=True, now=self._core.now)
        return effects + (super().effects() if effects else [])


class Fragile(Engine):
    """Falls over datagrams that come twice."""

    def receive_datagram(self, data: bytes, source: Address, *, now: Seconds) -> None:
        """As a bug in a parser would."""
        seen = self.__dict__.setdefault("seen", set())
        if data in seen:
            raise IndexError("list index out of range")
        seen.add(data)
        super().receive_datagram(data, source, now=now)


class Chatterbox(Engine):
    """Answers a datagram with another one, for ever."""

    def receive_datagram(self, data: bytes, source: Address, *, now: Seconds) -> None:
        """Back with it."""
        super().receive_datagram(data, source, now=now)
        self._core.emit(SendDatagram(source, data))


class Frozen(Engine):
    """Always wants to be called at once."""

    def next_deadline(self) -> Seconds:
        """In the past."""
        return 0.0


# --- drawing ---------------------------------------------------------------------------


def test_every_kind_of_fault_is_drawn_and_most_runs_leave_most_out() -> None:
    """As swarm testing wants it."""
    drawn: Counter[str] = Counter()
    kinds: list[int] = []
    for seed in range(1_000):
        there = {type(each.fault).__name__ for each in draw_plan(seed).schedule.faults}
        drawn.update(there)
        kinds.append(len(there))
    assert len(drawn) == len(MENU)
    assert min(drawn.values()) > 30
    assert 0 in kinds
    assert max(kinds) == 5


def test_a_plan_prints_as_the_code_that_makes_it() -> None:
    """What failed can be pasted into a test."""
    names: dict[str, Any] = {
        **vars(faults),
        **vars(latency),
        "Plan": Plan,
        "Schedule": Schedule,
        "Timed": Timed,
        "Conditions": links.Conditions,
        "inf": inf,
    }
    for seed in range(200):
        plan = draw_plan(seed)
        assert eval(repr(plan), names) == plan  # noqa: S307  # that is the promise


# --- running ---------------------------------------------------------------------------


def test_a_run_tells_what_came_of_it() -> None:
    """How long, how much, and what happened."""
    outcome = run_seed(0)
    assert outcome.violation is None
    assert outcome.simulated_seconds > outcome.plan.hostile
    assert outcome.events > 100
    assert outcome.coverage["work.answered"] > 0


def test_an_engine_that_breaks_a_promise_is_found() -> None:
    """The violation names the promise, the member, the moment and the seed."""
    broken = _first_violation(Hasty)
    assert broken.nodes
    assert broken.at > 0
    assert f"seed {broken.seed}" in str(broken)
    assert run_seed(broken.seed, make_engine=Hasty).violation is not None
    assert run_seed(broken.seed).violation is None


def test_an_exception_that_leaves_an_engine_is_a_violation() -> None:
    """It says which, and where it came from."""
    broken = _first_violation(Fragile)
    assert broken.name == "no error"
    assert "IndexError('list index out of range') in receive_datagram" in broken.text
    assert isinstance(broken.__cause__, IndexError)


@pytest.mark.parametrize(
    ("engine", "name"), [(Chatterbox, "endless"), (Frozen, "deadlines")], ids=["talks", "spins"]
)
def test_a_run_without_end_is_ended(engine: type[Engine], name: str) -> None:
    """Nothing hangs: neither what never rests nor what stops the clock."""
    broken = run_seed(0, make_engine=engine, most_steps=5_000).violation
    assert broken is not None
    assert broken.name == name


def test_a_world_in_which_time_stands_still_stops() -> None:
    """Something goes round in circles at one moment."""
    world = World()

    def again() -> None:
        world.after(0.0, again)

    again()
    with pytest.raises(Violation, match="time stands still"):
        world.run_for(1.0)


def _first_violation(engine: type[Engine]) -> Violation:
    for seed in range(40):
        violation = run_seed(seed, make_engine=engine).violation
        if violation is not None:
            return violation
    raise AssertionError("nothing was found")


# --- shrinking --------------------------------------------------------------------------


def _plan_with(*timed: Timed) -> Plan:
    quiet = links.Conditions()
    return attrs.evolve(draw_plan(1), schedule=Schedule(timed), conditions=quiet)


def test_a_failing_plan_is_shrunk_to_what_it_takes() -> None:
    """Of twelve faults the one that duplicates is left, and only a moment of it."""
    plan = _plan_with(
        *(Timed(float(n), Loss(0.01 * n), 5.0 + n) for n in range(1, 12)),
        Timed(1.0, faults.Duplicate(0.5, latency.Constant(0.5)), 9.0),
    )
    violation = run_plan(plan, make_engine=Fragile).violation
    assert violation is not None
    shrunk = shrink(plan, violation, run=lambda plan: run_plan(plan, make_engine=Fragile))
    (left,) = shrunk.plan.schedule.faults
    assert isinstance(left.fault, faults.Duplicate)
    assert left.until - left.at < 4.0
    assert shrunk.violation.name == violation.name
    assert shrunk.runs < 40


def test_what_needs_two_faults_keeps_both() -> None:
    """And whatever fails in another way does not count."""

    def run(plan: Plan) -> Outcome:
        kinds = {each.fault.kind for each in plan.schedule.faults}
        name = "both" if kinds >= {"loss", "mtu"} else "other" if "mtu" in kinds else ""
        broken = Violation("broken", name=name) if name else None
        return Outcome(
            seed=1,
            plan=plan,
            violation=broken,
            coverage=Counter(),
            simulated_seconds=0.0,
            events=0,
            trace_hash="",
        )

    plan = _plan_with(
        *(Timed(0.0, Loss(0.1), 8.0) for _ in range(5)),
        *(Timed(0.0, faults.Mtu(500), 8.0) for _ in range(5)),
        *(Timed(0.0, faults.Stall("alice"), 8.0) for _ in range(5)),
    )
    shrunk = shrink(plan, Violation("broken", name="both"), run=run)
    assert sorted(each.fault.kind for each in shrunk.plan.schedule.faults) == ["loss", "mtu"]


def test_what_needs_no_fault_is_shrunk_to_none() -> None:
    """Then it is the seed's ordinary day that fails."""
    broken = _first_violation(Hasty)
    plan = draw_plan(broken.seed)
    shrunk = shrink(plan, broken, run=lambda plan: run_plan(plan, make_engine=Hasty), budget=10.0)
    assert len(shrunk.plan.schedule.faults) <= len(plan.schedule.faults)
    assert shrunk.violation.name == broken.name
