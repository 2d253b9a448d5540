"""Swarms: what is drawn, what is run, and what is left of a plan that fails."""

from __future__ import annotations

from collections import Counter
from math import inf
from random import Random
from typing import Any

import attrs
import pytest

from meshp2p.config import for_profile, loopback
from meshp2p.effects import Effect, Persist, SendDatagram
from meshp2p.engine import Engine
from meshp2p.ids import Address, Seconds
from meshp2p.simulation import Agent, Handler, World, faults, latency, links
from meshp2p.simulation.accuser import Accuse
from meshp2p.simulation.coverage import SELDOM
from meshp2p.simulation.faults import Loss, Schedule, Timed
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.haste import hurry
from meshp2p.simulation.menu import MENU
from meshp2p.simulation.outsiders import Outsider
from meshp2p.simulation.perjurer import Perjure
from meshp2p.simulation.shrink import shrink
from meshp2p.simulation.swarm import NAMES, Outcome, Plan, draw_plan, run_plan, run_seed
from meshp2p.simulation.workload import LONGEST, Errand, Workload


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
    offered = {type(entry.dish(Random(1), NAMES)).__name__ for entry in MENU.values()}
    assert set(drawn) == offered
    assert min(drawn.values()) > 30
    assert 0 in kinds
    assert max(kinds) <= 6  # five, and the founder's end


def test_frequent_kinds_are_drawn_more_often() -> None:
    """Small packets break more than most: half of all paths have a limit of their own."""
    drawn = Counter(
        kind
        for seed in range(1_000)
        for kind in {type(each.fault).__name__ for each in draw_plan(seed).schedule.faults}
    )
    assert drawn["Mtu"] > 1.4 * drawn["Bandwidth"]


def test_less_than_a_third_lies() -> None:
    """One of four or more, and now and then two of seven: that is what votes count on."""
    liars = Counter(
        (len(plan.names), len(plan.liars)) for plan in map(draw_plan, range(2_000)) if plan.liars
    )
    assert all(3 * number < nodes for nodes, number in liars)
    assert {nodes for nodes, number in liars if number == 1} == {4, 5, 6, 7}
    assert liars[7, 2] > 10


def test_troubles_often_come_together() -> None:
    """Two faults of different kinds in one moment: a stall while packets are lost, say."""
    together = 0
    for seed in range(300):
        at = Counter(each.at for each in draw_plan(seed).schedule.faults)
        together += max(at.values(), default=0) > 1
    assert 60 < together < 240


def test_whoever_comes_back_is_told_of_somebody_who_surely_stays() -> None:
    """A node that starts knows its seeds alone: without one it would stay alone for ever."""
    few = 0
    for seed in range(3_000):
        plan = draw_plan(seed)
        stays = set(plan.names) - {name for name, until in ends(plan) if until >= plan.hostile}
        returns = [name for name, until in ends(plan) if until < plan.hostile]
        told = set(plan.names[: plan.told])
        assert not returns or stays & told or plan.told >= len(plan.names)
        assert list(plan.starts) == sorted(plan.starts)
        few += plan.told == 1
    assert few > 1_000


def ends(plan: Plan) -> list[tuple[str, Seconds]]:
    """Who goes, and until when; who crashes again and again may be down at the end as well."""
    gone: list[tuple[str, Seconds]] = []
    for each in plan.schedule.faults:
        match each.fault:
            case faults.CrashAtWrite(node):
                gone += [(node, each.at), (node, inf)]
            case faults.Crash(node) | faults.Leave(node):
                gone.append((node, each.until))
            case _:
                pass
    return gone


def test_some_meshes_lose_for_ever_the_node_that_all_were_told_of() -> None:
    """After all have joined, and then nobody else comes back either."""
    founderless = 0
    for seed in range(1_000):
        plan = draw_plan(seed)
        crashes = [each for each in plan.schedule.faults if isinstance(each.fault, faults.Crash)]
        if plan.told > 1 or not any(each.fault == crash_of(plan, each) for each in crashes):
            continue
        founderless += 1
        assert min(each.at for each in plan.schedule.faults) >= max(plan.starts) + 2.0
        assert all(until == inf for _, until in ends(plan))
    assert 80 < founderless < 200


def crash_of(plan: Plan, timed: Timed) -> faults.Fault | None:
    """The founder's end, if that is what this is."""
    fault = timed.fault
    mine = isinstance(fault, faults.Crash) and fault.node == plan.names[0] and timed.until == inf
    return fault if mine else None


def test_a_plan_prints_as_the_code_that_makes_it() -> None:
    """What failed can be pasted into a test."""
    names: dict[str, Any] = {
        **vars(faults),
        **vars(latency),
        "Accuse": Accuse,
        "Perjure": Perjure,
        "Outsider": Outsider,
        "Plan": Plan,
        "Schedule": Schedule,
        "Timed": Timed,
        "Conditions": links.Conditions,
        "inf": inf,
    }
    for seed in range(200):
        plan = draw_plan(seed)
        assert eval(repr(plan), names) == plan  # noqa: S307  # that is the promise


def test_some_meshes_are_in_a_hurry_and_nothing_else_of_them_differs() -> None:
    """Keys and leases of hours last for seconds, so that a run sees several of each."""
    plans = [attrs.evolve(draw_plan(seed), cramped=False) for seed in range(1_000)]
    assert 100 < sum(plan.hurried for plan in plans) < 200
    for plan in plans[:50]:
        quick, usual = (attrs.evolve(plan, hurried=hurried).config for hurried in (True, False))
        assert usual == for_profile(plan.profile)
        assert quick.rekey_after < usual.rekey_after
        assert quick.line_validity + quick.clock_tolerance < plan.hostile + 3.0
        assert quick.probe_interval == usual.probe_interval


# --- running ---------------------------------------------------------------------------


def test_a_run_tells_what_came_of_it() -> None:
    """How long, how much, and what happened."""
    outcome = run_seed(0)
    assert outcome.violation is None
    assert outcome.simulated_seconds > outcome.plan.hostile
    assert outcome.events > 100
    assert outcome.coverage["work.answered"] > 0


def test_a_mesh_with_little_room_refuses_calls_and_is_of_use_again_in_the_calm() -> None:
    """Two run and two wait; whoever comes then is told so, and may ask again later."""
    assert 100 < sum(draw_plan(seed).cramped for seed in range(1_000)) < 200
    plans = [attrs.evolve(draw_plan(seed), cramped=True, rate=32.0) for seed in range(3)]
    outcomes = [run_plan(plan) for plan in plans]
    assert [outcome.violation for outcome in outcomes] == [None] * 3
    assert sum(outcome.coverage["overloaded"] for outcome in outcomes) > 0


def test_what_is_done_once_an_hour_happens_in_a_hurried_mesh() -> None:
    """New keys of datagrams and streams, and leases: also what those had who are gone by then."""
    usual = _plan_with(Timed(4.0, faults.Crash("alice"), inf))
    quick = attrs.evolve(usual, hurried=True)
    assert not set(SELDOM) & set(+run_plan(usual).coverage)
    hurried = run_plan(quick)
    assert hurried.violation is None
    assert all(hurried.coverage[kind] > 0 for kind in SELDOM)


def test_a_node_that_has_ended_leaves_what_it_has_counted() -> None:
    """A crash does not undo that keys were changed."""
    world = World(3, hurry(loopback()))
    alice, bob = world.join("alice", "bob")
    world.run_for(5.0)
    before = world.covered
    world.crash(alice)
    world.crash(bob)
    assert min(before["rekey.datagram"], before["renewal"]) > 0
    assert {kind: before[kind] for kind in SELDOM} == {
        kind: world.coverage[kind] for kind in SELDOM
    }


def test_a_run_ends_soon_after_its_last_errand() -> None:
    """Nobody waits for what is done, or for the answers of those who are gone."""
    plan = _plan_with(Timed(1.0, faults.Crash("alice"), inf))
    quiet = run_plan(plan)
    assert quiet.violation is None
    assert quiet.coverage["work.answered"] > 0
    assert quiet.simulated_seconds < plan.hostile + LONGEST


def test_the_calm_lasts_as_long_as_what_kept_packets_back() -> None:
    """Whoever was cut off hears only then that connections were closed; nobody is judged before."""
    plan = _plan_with()
    cut = Timed(0.5, faults.Cut((("*", "alice"),)), plan.hostile)
    quiet, echoing = run_plan(plan), run_plan(attrs.evolve(plan, schedule=Schedule((cut,))))
    assert quiet.violation is None
    assert echoing.violation is None
    assert quiet.simulated_seconds < plan.hostile + 2.5
    assert echoing.simulated_seconds > 2 * plan.hostile - 1.0


def test_a_run_waits_for_whoever_was_believed_by_wrong_clocks_only() -> None:
    """Its credential is of a time that is still to come, and it looks once a minute."""
    plan = attrs.evolve(
        _plan_with(
            Timed(1.706, faults.ClockJump("alice", by=600.0), 4.348),
            Timed(1.881, faults.CrashAtWrite("bob", 0.002, 0.1, "wiped", 1), 4.274),
            Timed(2.111, faults.ClockJump("bob", by=600.0), 4.861),
            Timed(5.633, faults.ClockJump("carol", by=600.0), 5.847),
        ),
        seed=15_210,
        names=NAMES[:3],
        starts=(0.334, 0.447, 1.322),
        told=3,
        profile="loopback",
        hostile=7.25,
        rate=1.0,
    )
    ended = run_plan(plan)
    assert ended.violation is None
    assert ended.simulated_seconds > 60.0


def test_a_run_waits_for_whoever_knows_nobody_any_more() -> None:
    """The first one left, and was back at once without its disk: it is the others' seed."""
    left = Timed(0.7, faults.Leave("alice"), 2.0)
    lost = Timed(0.7, faults.Crash("alice", silent=True, disk="unsynced_lost"), inf)
    ended = run_plan(attrs.evolve(_plan_with(left, lost), profile="loopback", hostile=3.0))
    assert ended.violation is None
    assert ended.simulated_seconds > 20.0


def test_a_run_waits_for_errands_that_take_long() -> None:
    """A call that is under way when the calm begins ends before it is judged."""
    world = World(3)
    slow = Agent({"add": Handler(function=lambda a, b: a + b, takes=4.0)})
    alice, _ = world.start("alice"), world.start("bob", agent=slow)
    world.run_until_quiet()
    workload = Workload(world)
    workload.plan((Errand(world.elapsed, "alice", "add", "bob", 1, "", 5.0, cancelled=False),))
    began = world.now
    world.run_for(0.5)
    workload.finish()
    assert 5.0 <= world.now - began < 6.0
    assert world.coverage["work.failed"] == 0
    workload.check()
    assert world.coverage["work.answered"] == 1
    assert alice.engine.stats()["calls_open"] == 0


def test_a_run_waits_for_work_that_nobody_waits_for() -> None:
    """Who asked has crashed, and its helper still works: no handler runs when rest is judged."""
    world = World(3)
    slow = Agent({"add": Handler(function=lambda a, b: a + b, takes=4.0)})
    alice, bob = world.start("alice"), world.start("bob", agent=slow)
    world.run_until_quiet()
    workload = Workload(world)
    workload.plan((Errand(world.elapsed, "alice", "add", "bob", 1, "", 5.0, cancelled=False),))
    world.run_for(0.5)
    world.crash(alice, silent=True)
    assert bob.engine.stats()["handlers_running"] == 1
    workload.finish()
    assert bob.engine.stats()["handlers_running"] == 0


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
    """All start at once and know each other: whatever was drawn, who crashes is not missed."""
    plan, quiet = draw_plan(1), links.Conditions()
    return attrs.evolve(
        plan,
        starts=(0.0,) * len(plan.names),
        told=len(plan.names),
        schedule=Schedule(timed),
        conditions=quiet,
        outsiders=(),
    )


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
        return _outcome(plan, broken)

    plan = _plan_with(
        *(Timed(0.0, Loss(0.1), 8.0) for _ in range(5)),
        *(Timed(0.0, faults.Mtu(500), 8.0) for _ in range(5)),
        *(Timed(0.0, faults.Stall("alice"), 8.0) for _ in range(5)),
    )
    shrunk = shrink(plan, Violation("broken", name="both"), run=run)
    assert sorted(each.fault.kind for each in shrunk.plan.schedule.faults) == ["loss", "mtu"]


def test_what_comes_after_the_violation_is_dropped_at_once() -> None:
    """It had no part in it: one run shows that, however many such faults there are."""
    tried: list[int] = []

    def run(plan: Plan) -> Outcome:
        faulty = plan.schedule.faults
        tried.append(len(faulty))
        broken = Violation("broken", name="early", at=2.0) if _at(faulty, 1.0) else None
        return _outcome(plan, broken)

    plan = _plan_with(
        Timed(1.0, Loss(0.1), inf), *(Timed(3.0 + n, Loss(0.2), inf) for n in range(8))
    )
    shrunk = shrink(plan, Violation("broken", name="early", at=2.0), run=run)
    assert [each.at for each in shrunk.plan.schedule.faults] == [1.0]
    assert tried == [0, 1]


def _at(faulty: tuple[Timed, ...], at: Seconds) -> bool:
    return any(each.at == at for each in faulty)


def _outcome(plan: Plan, broken: Violation | None) -> Outcome:
    return Outcome(
        seed=1,
        plan=plan,
        violation=broken,
        coverage=Counter(),
        simulated_seconds=0.0,
        events=0,
        trace_hash="",
    )


def test_what_needs_no_fault_is_shrunk_to_none() -> None:
    """Then it is the seed's ordinary day that fails."""
    broken = _first_violation(Hasty)
    plan = draw_plan(broken.seed)
    shrunk = shrink(plan, broken, run=lambda plan: run_plan(plan, make_engine=Hasty), budget=10.0)
    assert len(shrunk.plan.schedule.faults) <= len(plan.schedule.faults)
    assert shrunk.violation.name == broken.name
