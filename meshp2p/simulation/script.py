"""Scenarios that are written down: what befalls whom and when, and what must come of it.

    def act(run: Run) -> None:
        run.trouble()
        run.require(not run.told("member.failed"), "somebody was buried")
        run.measure("views equal after", run.calm())

    SCENARIO = Script("flapping_link", "One bad cable buries nobody.", draw, act=act)

All troubles are faults of the plan's schedule, so that a run which fails can be shrunk and
printed as a swarm's is. Beside the script's own claim every invariant is watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from meshp2p.config import Config, Profile
from meshp2p.engine import Engine
from meshp2p.ids import Seconds
from meshp2p.simulation.acquaintance import acquaint
from meshp2p.simulation.faults import Schedule, Timed
from meshp2p.simulation.handlers import Agent
from meshp2p.simulation.invariants import look_at_rest, watch_all
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.links import Conditions
from meshp2p.simulation.run import Run
from meshp2p.simulation.swarm import (
    Outcome,
    Plan,
    Scenario,
    run_plan,
    violation_of,
    world_of,
)
from meshp2p.simulation.witness import START
from meshp2p.simulation.workload import LONGEST, Workload, draw_errands
from meshp2p.simulation.world import World

PEOPLE: Final = (
    *("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"),
    *("kim", "leo", "mia", "niaj", "olivia", "peggy", "quinn", "rupert", "sybil", "trent"),
)
"""Names for the nodes of a scenario."""

LARGE: Final = 20
"""Nodes; a scenario with more takes seconds for one seed."""

_USUAL: Final = Conditions()

Prepare: TypeAlias = Callable[[World], object]
Cast: TypeAlias = Callable[[Random, str], Agent]


def crowd(size: int) -> tuple[str, ...]:
    """Names for as many nodes as one likes."""
    return (*PEOPLE, *(f"node{number}" for number in range(len(PEOPLE), size)))[:size]


def bystander(_rng: Random, _name: str) -> Agent:
    """Somebody who is there and does nothing."""
    return Agent()


def plan_of(  # noqa: PLR0913  # a plan's own values, of which most have a usual one
    seed: int,
    names: Iterable[str],
    faults: Iterable[Timed],
    *,
    hostile: Seconds,
    profile: Profile = "lan",
    rate: float = 0.0,
    charged: bool = False,
    starts: Mapping[str, Seconds] = MappingProxyType({}),
    conditions: Conditions = _USUAL,
) -> Plan:
    """A plan in which everybody starts at once unless `starts` says when."""
    names = tuple(names)
    return Plan(
        seed=seed,
        names=names,
        starts=tuple(starts.get(name, 0.0) for name in names),
        profile=profile,
        conditions=conditions,
        hostile=hostile,
        rate=rate,
        charged=charged,
        schedule=Schedule(tuple(sorted(faults, key=lambda timed: timed.at))),
    )


@attrs.frozen(kw_only=True)
class Played(Outcome):
    """What came of a script.

    Args:
        figures: What it measured, by name.
    """

    figures: Mapping[str, float]


def through(run: Run) -> None:
    """Claims nothing of its own: trouble, then calm."""
    run.trouble()


@attrs.frozen
class Script(Scenario):
    """A scenario with a claim that is checked.

    Args:
        act: Lets time pass, looks and judges; after it come calm and rest.
        seeds: Run if none are asked for.
        cast: Draws what each node can do.
        one_seed: Everybody is told of the first node only.
        liars: Who can be made to say what is not so.
        acquainted: All who start at once know each other from the first moment; for large
            meshes, whose joining would take longer than all the rest.
        config: Of all nodes, instead of the plan's profile.
    """

    act: Callable[[Run], None] = attrs.field(default=through, kw_only=True)
    seeds: range = attrs.field(default=range(100), kw_only=True)
    cast: Cast = attrs.field(default=bystander, kw_only=True)
    one_seed: bool = attrs.field(default=False, kw_only=True)
    liars: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)
    acquainted: bool = attrs.field(default=False, kw_only=True)
    config: Callable[[Plan], Config] | None = attrs.field(default=None, kw_only=True)


def play(
    scenario: Scenario,
    plan: Plan,
    *,
    called: str = "",
    make_engine: Callable[..., Engine] = Engine,
    prepare: Prepare | None = None,
) -> Outcome:
    """Run a plan of any scenario, to the end or to the first broken promise.

    Args:
        called: How the command that replays it names the scenario.
        prepare: Given the world before anything happens; registers watchers.
    """
    called = called or scenario.name
    if not isinstance(scenario, Script):
        return run_plan(plan, scenario=called, make_engine=make_engine, prepare=prepare)
    return _play(scenario, plan, called, make_engine, prepare)


def play_seed(scenario: Scenario, seed: int, *, called: str = "") -> Outcome:
    """Draw a plan and run it; see `play`."""
    return play(scenario, scenario.draw(seed), called=called)


def _play(
    script: Script,
    plan: Plan,
    called: str,
    make_engine: Callable[..., Engine],
    prepare: Prepare | None,
) -> Outcome:
    config = None if script.config is None else script.config(plan)
    world = world_of(plan, make_engine, prepare, config=config)
    run = Run(f"claim of {script.name}", world, plan)
    violation = violation_of(world, lambda: _perform(script, run, called))
    return Played(
        seed=plan.seed,
        plan=plan,
        violation=violation,
        coverage=world.covered,
        simulated_seconds=world.elapsed,
        events=world.events,
        trace_hash=world.trace,
        figures=run.figures,
    )


def _perform(script: Script, run: Run, called: str) -> None:
    world = run.world
    watched = watch_all(world, scenario=called)
    workload = _set_the_stage(script, run)
    script.act(run)
    if not world.is_calm:
        run.trouble()
        run.calm()
    if run.plan.rate:
        world.run_for(LONGEST)
    look_at_rest(watched)
    workload.check()


def _set_the_stage(script: Script, run: Run) -> Workload:
    """Faults and errands, each at its hour, and nodes as they start."""
    world, plan = run.world, run.plan
    rng = Random(f"cast {plan.seed}")
    for name, at in zip(plan.names, plan.starts, strict=True):
        agent = script.cast(rng, name)
        if at <= 0.0:
            _enter(script, world, name, agent)
        else:
            world.at_time(START + at, partial(_enter, script, world, name, agent))
    if script.acquainted:
        acquaint(world, world.running)
    workload = Workload(world)
    if plan.rate:
        errands = Random(f"errands {plan.seed}")
        workload.plan(draw_errands(errands, plan.names, plan.hostile, plan.rate))
    world.schedule(plan.schedule)
    return workload


def _enter(script: Script, world: World, name: str, agent: Agent) -> None:
    crypto = Liar(world.crypto) if name in script.liars else None
    seeds = list(world.nodes.values())[:1] if script.one_seed else None
    if script.acquainted and world.elapsed <= 0.0:
        seeds = []
    world.start(name, agent=agent, crypto=crypto, seeds=seeds)
