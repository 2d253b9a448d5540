"""What virtual time costs: steady meshes by size, small faulty runs on both tiers, single pieces.

    python -m benchmarks.simulation [--sizes 10 100 1000] [--seconds 20] [--seeds 10] [--json]
    python -m benchmarks.simulation --sizes --seeds 0 --stormy 10000 --seconds 5

Figures are CPU time of one process, which collects garbage as seldom as those of a campaign.
"x real time" is virtual seconds per CPU second with every member knowing every other; from 200
on they are introduced instead of joining. In a stormy mesh one datagram in twenty is lost and
one member in a hundred falls silent. The last one takes half an hour.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from meshp2p import Node, capability
from meshp2p.config import lan
from meshp2p.identity.keys import Crypto, OpenSSL
from meshp2p.simulation import Conditions, World
from meshp2p.simulation.acquaintance import acquaint
from meshp2p.simulation.charges import Charges
from meshp2p.simulation.crew import collect_seldom
from meshp2p.simulation.faults import Crash, Loss, Schedule, Timed
from meshp2p.simulation.invariants.inside import view_of
from meshp2p.simulation.swarm import NAMES, Plan, run_plan
from meshp2p.testing import run

_FIVE: Final = NAMES[:5]
_MINUTE: Final = 60.0
_LOSS: Final = 0.05
_CRASHES: Final = 0.01
_USERS_SEEDS: Final = 200
_QUIET_WITHIN: Final = 300.0
_TOO_MANY: Final = 200
"""Members whose joining one by one takes longer to compute than anybody waits."""
_SETTLE: Final = 15.0
"""Virtual seconds in which gossip of the join dies away."""


def resident() -> int:
    """Bytes that this process has in memory."""
    with open("/proc/self/statm") as file:  # noqa: PTH123  # one line of the kernel's
        return int(file.read().split()[1]) * resource.getpagesize()


def steady(size: int, seconds: float, crypto: Crypto | None = None) -> dict[str, Any]:
    """A mesh in which all know all and nothing happens: lan, cheap crypto, real encoding."""
    gc.collect()
    before, began = resident(), time.process_time()
    world = World(1, lan(), crypto=crypto)
    quiet = _meet(world, size)
    joined = time.process_time() - began
    world.run_for(_SETTLE)
    gc.collect()
    events, began = world.events, time.process_time()
    world.run_for(seconds)
    took = time.process_time() - began
    return {
        "nodes": size,
        "join, virtual s": round(quiet, 2),
        "join, CPU s": round(joined, 2),
        "x real time": round(seconds / took, 1),
        "events/s": round((world.events - events) / took),
        "KiB a node": round((resident() - before) / size / 1024),
    }


def _meet(world: World, size: int) -> float:
    """Virtual seconds until all know all: by joining, or if that takes hours as by magic."""
    joins = size < _TOO_MANY
    nodes = [world.start(f"node{n}", seeds=None if joins else ()) for n in range(size)]
    if joins:
        return world.run_until_quiet(_QUIET_WITHIN)
    acquaint(world, nodes, told=False)
    return 0.0


def stormy(size: int, seconds: float) -> dict[str, Any]:
    """All know all; 5 % of the packets are lost, and in the first second 1 % of the members."""
    gc.collect()
    before, began = resident(), time.process_time()
    world = World(1, lan(), conditions=Conditions(delay=(0.0005, 0.002), loss=_LOSS))
    nodes = [world.start(f"node{n}", seeds=()) for n in range(size)]
    acquaint(world, nodes, told=False)
    started, events = time.process_time() - began, world.events
    doomed = nodes[:: round(1 / _CRASHES)]
    for number, node in enumerate(doomed):
        silence = functools.partial(world.crash, node, silent=True)
        world.after(number / len(doomed), silence)
    began = time.process_time()
    world.run_for(seconds)
    took = time.process_time() - began
    gone = {node.id for node in doomed}
    buried = [set(view_of(node.engine).dead) for node in world.running]
    return {
        "nodes": size,
        "start, CPU s": round(started, 1),
        "virtual s": seconds,
        "x real time": round(seconds / took, 3),
        "events/s": round((world.events - events) / took),
        "KiB a node": round((resident() - before) / size / 1024),
        "deaths known": f"{sum(len(each & gone) for each in buried) / len(gone) / len(buried):.1%}",
        "false deaths": sum(len(each - gone) for each in buried),
    }


def heap_seed(seed: int) -> float:
    """Five engines on the heap for a minute, 5 % loss, one crash and its return; in ms."""
    schedule = Schedule(
        (Timed(5.0, Loss(_LOSS), _MINUTE), Timed(20.0, Crash("bob", silent=True), 40.0))
    )
    plan = Plan(
        seed=seed,
        names=_FIVE,
        starts=(0.0,) * len(_FIVE),
        profile="lan",
        conditions=Conditions(delay=(0.001, 0.005)),
        hostile=_MINUTE,
        rate=1.0,
        schedule=schedule,
    )
    began = time.process_time()
    violation = run_plan(plan).violation
    assert violation is None, violation
    return (time.process_time() - began) * 1e3


@capability("double")
def double(number: int) -> int:
    """Something to call."""
    return 2 * number


async def _minute(sim: Any) -> None:  # noqa: ANN401  # meshp2p.testing's simulation
    people = [await sim.node(name, capabilities=[double]) for name in _FIVE]
    alice, bob, *_ = people
    for one in people:
        for other in people:
            if one is not other:
                sim.link(one, other).set(loss=_LOSS, delay="1-5ms")
    await sim.run_for(15)
    assert await alice.call("double", 21) == 42  # noqa: PLR2004  # twice 21
    await sim.crash(bob)
    await sim.run_for(20)
    await sim.restart(bob)
    await sim.run_for(25)


def trio_seed(seed: int) -> float:
    """Five real nodes on trio in virtual time for a minute, likewise; in ms."""
    began = time.process_time()
    run(_minute, seeds=[seed])
    return (time.process_time() - began) * 1e3


async def _ten_seconds(sim: Any) -> None:  # noqa: ANN401  # meshp2p.testing's simulation
    alice, bob, carol = await sim.start(3, lambda name: Node(name, capabilities=[double]))
    sim.link(alice, bob).set(loss=_LOSS, delay="5-80ms")
    assert await alice.call("@bob/double", 21) == 42  # noqa: PLR2004  # twice 21
    await (await carol.auction("double", 1)).result()
    sim.partition([alice], [bob, carol])
    await sim.run_for(3)
    sim.heal()
    await sim.crash(bob)
    await sim.run_for(3)
    await sim.restart(bob)
    await sim.run_for(3)
    await sim.calm()


def users_seeds(seeds: int) -> float:
    """What a user's test costs: three agents, ten seconds, all kinds of trouble; in s."""
    began = time.process_time()
    run(_ten_seconds, seeds=seeds)
    return time.process_time() - began


def each(act: Callable[[], object], times: int = 2_000) -> float:
    """Microseconds that one takes, at best of five rounds."""
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times):
            act()
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return round(min(rounds), 1)


def pieces() -> dict[str, str]:
    """What `Charges` charges, beside what it takes here, in microseconds."""
    crypto, charges = OpenSSL(), Charges()
    private, data = bytes(range(32)), bytes(200)
    signature, public = crypto.sign(private, data), crypto.signing_public(private)
    other = crypto.exchange_public(bytes(range(1, 33)))
    took = {
        "verify": each(lambda: crypto.verify(public, data, signature)),
        "sign": each(lambda: crypto.sign(private, data)),
        "exchange": each(lambda: crypto.exchange(private, other)),
    }
    return {
        name: f"{value} us here, {getattr(charges, name) * 1e6:.0f} us charged"
        for name, value in took.items()
    }


def measure(seeds: int) -> dict[str, Any]:
    """Small runs."""
    return {
        "ms a seed, five nodes, 60 s, heap": round(
            statistics.median(heap_seed(seed) for seed in range(seeds)), 1
        ),
        "ms a seed, five nodes, 60 s, trio": round(
            statistics.median(trio_seed(seed) for seed in range(seeds)), 1
        ),
        f"s for {_USERS_SEEDS} seeds, three agents, ten seconds, trio": round(
            users_seeds(_USERS_SEEDS), 1
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 100, 1_000], metavar="N")
    parser.add_argument("--stormy", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument("--seconds", type=float, default=20.0, help="virtual, of each large mesh")
    parser.add_argument("--seeds", type=int, default=10, help="of each kind of small run")
    parser.add_argument("--json", action="store_true", help="one object a line")
    arguments = parser.parse_args()
    show = _show_json if arguments.json else _show
    collect_seldom()
    for size in arguments.sizes:
        show("steady", steady(size, arguments.seconds))
    for size in arguments.stormy:
        show("stormy", stormy(size, arguments.seconds))
    if arguments.seeds:
        show("small", measure(arguments.seeds))
        show("pieces", pieces())


def _show(title: str, figures: dict[str, Any]) -> None:
    print(f"{title}:", ", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)


def _show_json(title: str, figures: dict[str, Any]) -> None:
    print(json.dumps({title: figures}), flush=True)


if __name__ == "__main__":
    main()
