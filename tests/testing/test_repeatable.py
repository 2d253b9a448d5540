"""One seed is one run, byte for byte: in every process, whatever its hash seed."""

from __future__ import annotations

import os
import subprocess
import sys

import trio

from meshp2p import MeshError
from meshp2p.testing import Outcome, Simulation, run
from meshp2p.testing.scheduling import seeded
from tests.testing.people import make_agent

SEEDS = 3
_PROGRAM = """
from tests.testing.test_repeatable import traces
print(*traces())
"""


async def everything(sim: Simulation) -> tuple[list[str], str]:
    """A bit of all that can happen."""
    alice, bob, carol = await sim.start(3, make_agent)
    sim.link().set(loss=0.1, delay="1-30ms", duplicate=0.02)
    said = [await alice.call("@bob/pass.on", "carol", timeout=20)]
    await (await alice.auction("greet", "x")).result()
    sim.pause(carol, 0.5)
    await sim.run_for(sim.random.uniform(0.1, 0.5))
    await sim.crash(bob)
    sim.partition([alice], [carol])
    try:
        said.append(await alice.call("@carol/greet", "alice", timeout=1))
    except MeshError as error:
        said.append(repr(error))
    await sim.restart(bob)
    await sim.calm()
    return said, " ".join(agent.id for agent in (alice, bob, carol))


def traces() -> list[str]:
    """What everything comes to, with each kind of crypto."""
    outcomes = run(everything, seeds=SEEDS) + run(everything, seeds=1, crypto="real")
    return [outcome.trace for outcome in outcomes]


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """Keys, packets, times and tasks: the hash of all of it does not know the process."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "4711")
    ]
    ours = traces()
    others = [process.communicate(timeout=60)[0].split() for process in running]

    assert [ours, ours] == others
    assert len(set(ours)) == SEEDS + 1


def test_runs_before_leave_no_mark() -> None:
    """A seed replayed alone fares as it did after a hundred others."""
    (alone,) = run(everything, seeds=[2])

    def without_effort(outcome: Outcome) -> tuple[object, ...]:
        return outcome.value, outcome.trace, outcome.seconds, outcome.events, outcome.coverage

    assert without_effort(run(everything, seeds=3)[2]) == without_effort(alone)


def test_trio_takes_turns_by_the_seed() -> None:
    """Tasks that are ready together run in an order that the seed decides."""

    def order(seed: int) -> list[int]:
        turns: list[int] = []

        async def turn(number: int) -> None:
            await trio.lowlevel.checkpoint()
            turns.append(number)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(turn, number)

        with seeded(seed):
            trio.run(main)
        return turns

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_afterwards_trio_is_as_it_was() -> None:
    """Whoever runs simulations in a test suite changes nothing for the other tests."""
    from trio._core import _run  # noqa: PLC0415  # only to look at what is restored

    before = _run._r.getstate()  # noqa: SLF001  # the same
    with seeded(5):
        assert _run._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001  # the same
    assert _run._r.getstate() == before  # noqa: SLF001  # the same
