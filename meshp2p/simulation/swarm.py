"""Swarm testing: from a seed a mesh, its network, its troubles and its work; then the run.

A plan is plain data: what was drawn can be printed, changed and run again. First comes a
hostile phase, then a calm one, in which everything must come right.

Source: Groce and others, "Swarm testing" (ISSTA 2012): runs that leave out most kinds of
faults find more than runs that have a little of each.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from random import Random
from typing import Final

import attrs

from meshp2p.config import Profile, for_profile
from meshp2p.engine import Engine
from meshp2p.ids import Seconds
from meshp2p.simulation.charges import Charges
from meshp2p.simulation.faults import LIES, Schedule, Timed
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.invariants import look_at_rest, watch_all
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.links import Conditions
from meshp2p.simulation.menu import MENU, Entry
from meshp2p.simulation.witness import START
from meshp2p.simulation.workload import LONGEST, Workload, draw_agent, draw_errands
from meshp2p.simulation.world import World

NAMES: Final = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
_SIZES: Final = ((2, 3, 4, 5, 6, 7), (1, 4, 4, 5, 2, 2))
_HOSTILE: Final[tuple[Seconds, Seconds]] = (6.0, 12.0)
_MOST_KINDS: Final = 5
MOST_STEPS: Final = 400_000
"""Of one run; the longest seen took a tenth."""
_CALM_WITHIN: Final[Seconds] = 120.0
_TOGETHER: Final = 0.7
"""Share of meshes whose nodes all start at the same moment."""
_CHARGED: Final = 0.2
"""Share of meshes whose nodes need time for their work."""
_FOR_EVER: Final = 0.1
"""Share of crashes and departures that nobody undoes."""


@attrs.frozen(kw_only=True)
class Plan:
    """One run as it was drawn, except for what `seed` decides by name.

    Args:
        names: Nodes, in the order in which they start.
        starts: When each starts, in seconds after the world's start.
        hostile: Length of the hostile phase.
        rate: Errands of agents per second.
        charged: Whether work takes CPU time.
        schedule: Faults; those without an end end with the calm.
    """

    seed: int
    names: tuple[str, ...]
    starts: tuple[Seconds, ...]
    profile: Profile
    conditions: Conditions
    hostile: Seconds
    rate: float
    charged: bool = False
    schedule: Schedule

    @property
    def liars(self) -> frozenset[str]:
        """Who breaks the protocol at some time."""
        drawn = (each.fault for each in self.schedule.faults)
        return frozenset(fault.node for fault in drawn if isinstance(fault, LIES))


@attrs.frozen
class Scenario:
    """A way to draw plans.

    Args:
        claim: What its runs show, in a sentence.
    """

    name: str
    claim: str
    draw: Callable[[int], Plan]


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of a run.

    Args:
        violation: The promise that was broken; None if all were kept.
        coverage: What really happened, by kind.
        events: Steps taken.
        trace_hash: Of all that happened; equal for equal runs.
    """

    seed: int
    plan: Plan
    violation: Violation | None
    coverage: Counter[str]
    simulated_seconds: Seconds
    events: int
    trace_hash: str


# --- drawing -----------------------------------------------------------------------


def draw_plan(seed: int) -> Plan:
    """A mesh of 2 to 7 nodes in which up to five kinds of faults happen."""
    rng = Random(f"plan {seed}")
    size = rng.choices(*_SIZES)[0]
    names = NAMES[:size]
    hostile = rng.uniform(*_HOSTILE)
    quick = rng.choice([0.0002, 0.002, 0.02])
    together = rng.random() < _TOGETHER
    starts = tuple(0.0 if together else round(rng.uniform(0.0, 2.0), 3) for _ in names)
    return Plan(
        seed=seed,
        names=names,
        starts=starts,
        profile=rng.choice(["loopback", "loopback", "lan"]),
        conditions=Conditions(
            delay=(quick, quick * rng.uniform(1, 5)),
            loss=rng.choice([0.0, 0.0, 0.02]),
            duplicate=rng.choice([0.0, 0.01, 0.1]),
        ),
        hostile=hostile,
        rate=rng.choice([1.0, 4.0, 8.0]),
        charged=rng.random() < _CHARGED,
        schedule=draw_schedule(rng, names, max(starts), hostile),
    )


def draw_schedule(
    rng: Random,
    names: tuple[str, ...],
    begins: Seconds,
    hostile: Seconds,
    menu: Mapping[str, Entry] = MENU,
) -> Schedule:
    """Up to five kinds of faults, each a few times.

    Args:
        names: Whom they may befall.
        begins: The first moment at which one may begin, in seconds after the world's start.
        hostile: The last one.
        menu: The kinds to choose from.
    """
    able = [kind for kind, entry in menu.items() if entry.least <= len(names)]
    drawn: list[Timed] = []
    for kind in rng.sample(able, min(rng.randint(0, _MOST_KINDS), len(able))):
        entry = menu[kind]
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.uniform(begins, hostile)
            shortest, longest = entry.lasts
            until = at + shortest + (longest - shortest) * rng.random() ** 2
            fault = entry.dish(rng, names)
            if fault.kind in ("crash", "leave") and rng.random() < _FOR_EVER:
                until = inf
            drawn.append(Timed(round(at, 3), fault, round(until, 3)))
    return Schedule(tuple(sorted(drawn, key=lambda timed: timed.at)))


SWARM: Final = Scenario(
    "swarm", "Whatever befalls a small mesh, it keeps its promises and recovers.", draw_plan
)


# --- running --------------------------------------------------------------------------


def run_seed(
    seed: int,
    scenario: Scenario = SWARM,
    *,
    make_engine: Callable[..., Engine] = Engine,
    most_steps: int = MOST_STEPS,
) -> Outcome:
    """Draw a plan and run it; see `run_plan`."""
    plan = scenario.draw(seed)
    return run_plan(plan, scenario=scenario.name, make_engine=make_engine, most_steps=most_steps)


def run_plan(
    plan: Plan,
    *,
    scenario: str = "swarm",
    make_engine: Callable[..., Engine] = Engine,
    prepare: Callable[[World], object] | None = None,
    most_steps: int = MOST_STEPS,
) -> Outcome:
    """Run what was planned, to the end or to the first broken promise.

    Args:
        scenario: Named in the command that replays a violation.
        prepare: Given the world before anything happens; registers watchers.
        most_steps: A run that takes more is ended: it would go on for ever.
    """
    world = world_of(plan, make_engine, prepare, most_steps)
    violation = violation_of(world, lambda: _play(world, plan, scenario))
    return Outcome(
        seed=plan.seed,
        plan=plan,
        violation=violation,
        coverage=world.coverage,
        simulated_seconds=world.elapsed,
        events=world.events,
        trace_hash=world.trace,
    )


def world_of(
    plan: Plan,
    make_engine: Callable[..., Engine],
    prepare: Callable[[World], object] | None,
    most_steps: int = MOST_STEPS,
) -> World:
    """The plan's world, in which nothing has happened yet."""
    world = World(
        plan.seed,
        for_profile(plan.profile),
        conditions=plan.conditions,
        charges=Charges() if plan.charged else None,
        make_engine=make_engine,
    )
    world.most_events = most_steps
    if prepare is not None:
        prepare(world)
    return world


def violation_of(world: World, act: Callable[[], None]) -> Violation | None:
    """Do it; the promise that was broken meanwhile, or None."""
    try:
        act()
    except Violation as broken:
        return broken
    except Exception as error:  # noqa: BLE001  # nothing may leave an engine, whatever it is
        return _fallen(world, error)
    return None


def _play(world: World, plan: Plan, scenario: str) -> None:
    watched = watch_all(world, scenario=scenario)
    workload = _set_the_stage(world, plan)
    world.run_to(START + max(plan.hostile, *plan.starts))
    world.calm(_CALM_WITHIN)
    world.run_for(LONGEST)
    look_at_rest(watched)
    workload.check()


def _set_the_stage(world: World, plan: Plan) -> Workload:
    """Nodes, errands and faults, each at its hour; nothing has happened yet."""
    rng = Random(f"agents {plan.seed}")
    agents = {name: draw_agent(rng, name) for name in NAMES}
    liars = plan.liars
    for name, at in sorted(zip(plan.names, plan.starts, strict=True), key=lambda pair: pair[1]):
        crypto = Liar(world.crypto) if name in liars else None
        world.run_to(START + at)
        world.start(name, agent=agents[name], crypto=crypto)
    workload = Workload(world, None if liars else rng.choice([None, 0]))
    errands = Random(f"errands {plan.seed}")
    workload.plan(draw_errands(errands, plan.names, plan.hostile, plan.rate))
    world.schedule(plan.schedule)
    return workload


def _fallen(world: World, error: Exception) -> Violation:
    """An exception that came out of an engine, or out of the world itself."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{error!r} in {where.name}, {where.filename.rpartition('meshp2p/')[2]}:{where.lineno}"
    violation = Violation(text, name="no error", at=world.elapsed, seed=world.seed)
    violation.__cause__ = error
    return violation
