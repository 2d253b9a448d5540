"""Swarm testing: from a seed a mesh, its network, its troubles and its work; then the run.

A plan is plain data: what was drawn can be printed, changed and run again. First comes a
hostile phase, then a calm one, in which everything must come right.

Source: Groce and others, "Swarm testing" (ISSTA 2012): runs that leave out most kinds of
faults find more than runs that have a little of each.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final

import attrs

from meshp2p.config import Config, Profile, for_profile
from meshp2p.engine import Engine
from meshp2p.ids import Seconds
from meshp2p.simulation.charges import Charges
from meshp2p.simulation.drawing import draw_schedule, told_at_least, without_founder
from meshp2p.simulation.faults import (
    Bandwidth,
    BurstyLoss,
    ClockJump,
    Cut,
    Delay,
    Hold,
    Loss,
    Mtu,
    Nat,
    Partition,
    Schedule,
    Skew,
    Stall,
)
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.haste import hurry
from meshp2p.simulation.invariants import look_at_rest, watch_all
from meshp2p.simulation.invariants.rest import ViewsAgree
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.links import Conditions
from meshp2p.simulation.menu import LIES
from meshp2p.simulation.outsiders import Outsider, draw_outsiders, errands_of, invite
from meshp2p.simulation.witness import START
from meshp2p.simulation.workload import LONGEST, Workload, draw_agent, draw_errands
from meshp2p.simulation.world import World

NAMES: Final = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
_SIZES: Final = ((2, 3, 4, 5, 6, 7), (1, 5, 5, 4, 1, 2))
_HOSTILE: Final[tuple[Seconds, Seconds]] = (3.0, 12.0)
"""Shortest and longest hostile phase; the short ones are likelier."""
MOST_STEPS: Final = 400_000
"""Of one run; the longest seen took a tenth."""
_CALM_WITHIN: Final[Seconds] = 120.0
_RENEWED_WITHIN: Final[Seconds] = 65.0
"""After a clock was set right: shells look once a minute whether to renew a credential."""
_LOOK_EVERY: Final[Seconds] = 0.5
_ON_THE_WAY: Final = (Bandwidth, BurstyLoss, Cut, Delay, Hold, Loss, Mtu, Nat, Partition, Stall)
"""Faults that keep packets from whom they are for."""
_SHORTEST_CALM: Final[Seconds] = 1.0
_TOGETHER: Final = 0.7
"""Share of meshes whose nodes all start at the same moment."""
_CHARGED: Final = 0.2
"""Share of meshes whose nodes need time for their work."""
_CRAMPED: Final = 0.15
"""Share of meshes whose nodes have room for very few calls."""
_ROOM: Final = 2
"""Handlers at once there, and calls that wait."""
_BUSIER: Final = 4
"""So many times more is asked for there: else hardly ever do that many come at once."""
_HURRIED: Final = 0.15
"""Share of meshes in which what takes hours takes seconds."""
_FOUNDERLESS: Final = 0.15
"""Share of meshes that lose the one node which all were told of, for ever."""
_JOINED: Final[Seconds] = 2.0
"""After so long all have met who start on a quiet network."""


@attrs.frozen(kw_only=True)
class Plan:
    """One run as it was drawn, except for what `seed` decides by name.

    Args:
        names: Nodes, in the order in which they start.
        starts: When each starts, in seconds after the world's start.
        told: Of how many nodes each is told when it starts: of the first that there are.
        hostile: Length of the hostile phase.
        rate: Errands of agents per second.
        charged: Whether work takes CPU time.
        hurried: Whether keys and leases live for seconds, not hours; see `haste`.
        cramped: Whether nodes have room for so few calls that they refuse some.
        schedule: Faults; those without an end end with the calm.
        outsiders: Who comes and is no member.
    """

    seed: int
    names: tuple[str, ...]
    starts: tuple[Seconds, ...]
    told: int = 3
    profile: Profile
    conditions: Conditions
    hostile: Seconds
    rate: float
    charged: bool = False
    hurried: bool = False
    cramped: bool = False
    schedule: Schedule
    outsiders: tuple[Outsider, ...] = ()

    @property
    def config(self) -> Config:
        """Of all its nodes."""
        config = for_profile(self.profile)
        if self.hurried:
            config = hurry(config)
        if self.cramped:
            config = attrs.evolve(config, handler_slots=_ROOM, handler_queue=_ROOM)
        return config

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
    names = NAMES[: rng.choices(*_SIZES)[0]]
    hostile = _HOSTILE[0] + (_HOSTILE[1] - _HOSTILE[0]) * rng.random() ** 2
    quick = rng.choice([0.0002, 0.002, 0.02])
    together = rng.random() < _TOGETHER
    starts = tuple(sorted(0.0 if together else round(rng.uniform(0.0, 2.0), 3) for _ in names))
    schedule, hostile, told = _draw_troubles(rng, names, max(starts), hostile)
    cramped = Random(f"room {seed}").random() < _CRAMPED
    return Plan(
        seed=seed,
        names=names,
        starts=starts,
        told=told,
        profile=rng.choice(["loopback", "loopback", "lan"]),
        conditions=Conditions(
            delay=(quick, quick * rng.uniform(1, 5)),
            loss=rng.choice([0.0, 0.0, 0.02]),
            duplicate=rng.choice([0.0, 0.01, 0.1]),
        ),
        hostile=hostile,
        rate=rng.choice([1.0, 3.0, 8.0]) * (_BUSIER if cramped else 1),
        charged=rng.random() < _CHARGED,
        hurried=Random(f"haste {seed}").random() < _HURRIED,
        cramped=cramped,
        schedule=schedule,
        outsiders=draw_outsiders(seed, max(starts), hostile),
    )


def _draw_troubles(
    rng: Random, names: tuple[str, ...], begins: Seconds, hostile: Seconds
) -> tuple[Schedule, Seconds, int]:
    """Faults, until when they begin, and of how many nodes all must be told to survive them."""
    founderless = len(names) > 2 and rng.random() < _FOUNDERLESS  # noqa: PLR2004  # two must be left
    if founderless:
        settled = begins + _JOINED
        schedule = draw_schedule(rng, names, settled, hostile + settled)
        return without_founder(rng, names, schedule, settled), hostile + settled, 1
    schedule = draw_schedule(rng, names, begins, hostile)
    return schedule, hostile, max(rng.choice([1, 3]), told_at_least(names, schedule, hostile))


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
        coverage=world.covered,
        simulated_seconds=world.elapsed,
        events=world.events,
        trace_hash=world.trace,
    )


def world_of(
    plan: Plan,
    make_engine: Callable[..., Engine],
    prepare: Callable[[World], object] | None,
    most_steps: int = MOST_STEPS,
    *,
    config: Config | None = None,
) -> World:
    """The plan's world, in which nothing has happened yet; `config` replaces its own."""
    world = World(
        plan.seed,
        config or plan.config,
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
    _end_trouble(world)
    if any(isinstance(each.fault, ClockJump | Skew) for each in plan.schedule.faults):
        _let_clocks_be_noticed(world)
    look_at_rest(each for each in watched if isinstance(each, ViewsAgree))
    world.calm(_CALM_WITHIN)
    workload.finish(_echo(plan))
    look_at_rest(watched)
    workload.check()


def _end_trouble(world: World) -> None:
    """Mend everything, and let whoever stands still go on."""
    world.remove_faults()
    for node in world.running:
        while node.is_paused:
            node.resume()


def _echo(plan: Plan) -> Seconds:
    """How long a connection may take to learn of its end, once packets travel again.

    A side that closed it meanwhile repeats that after pauses that double, so that the last
    one is about as long as the trouble was.
    """
    lengths = [
        min(each.until, plan.hostile) - each.at
        for each in plan.schedule.faults
        if isinstance(each.fault, _ON_THE_WAY)
    ]
    return min(_SHORTEST_CALM + sum(length for length in lengths if length > 0), LONGEST)


def _let_clocks_be_noticed(world: World) -> None:
    """Wait for whoever began by a wrong clock: its credential is of another time.

    Nobody believes that, and shells look only now and then whether it should be renewed. Who
    believed it while its own clock was wrong as well is quiet, until there is more to believe.
    """
    ends = world.now + _RENEWED_WITHIN
    while world.now < ends and not (world.is_quiet() and _all_timely(world)):
        world.run_for(_LOOK_EVERY)


def _all_timely(world: World) -> bool:
    """Whether nobody's credential is of another time."""
    return not any(node.engine.identity.needs_renewal(node.clock.unix) for node in world.running)


def _set_the_stage(world: World, plan: Plan) -> Workload:
    """Nodes, errands and faults, each at its hour; nothing has happened yet."""
    rng = Random(f"agents {plan.seed}")
    agents = {name: draw_agent(rng, name) for name in NAMES}
    liars = plan.liars
    for name, at in sorted(zip(plan.names, plan.starts, strict=True), key=lambda pair: pair[1]):
        crypto = Liar(world.crypto) if name in liars else None
        world.run_to(START + at)
        told = list(world.nodes.values())[: plan.told]
        world.start(name, agent=agents[name], crypto=crypto, seeds=told)
    workload = Workload(world, None if liars else rng.choice([None, 0]))
    errands = Random(f"errands {plan.seed}")
    workload.plan(draw_errands(errands, plan.names, plan.hostile, plan.rate))
    workload.plan(errands_of(plan.seed, plan.outsiders, plan.names, plan.hostile))
    invite(world, plan.outsiders, plan.names)
    world.schedule(plan.schedule)
    return workload


def _fallen(world: World, error: Exception) -> Violation:
    """An exception that came out of an engine, or out of the world itself."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{error!r} in {where.name}, {where.filename.rpartition('meshp2p/')[2]}:{where.lineno}"
    violation = Violation(text, name="no error", at=world.elapsed, seed=world.seed)
    violation.__cause__ = error
    return violation
