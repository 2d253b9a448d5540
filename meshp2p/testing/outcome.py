"""One seed of a simulated test, from an empty world to an `Outcome`, or to what it raised."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Final

import attrs
import trio

from meshp2p.errors import UsageError
from meshp2p.identity.keys import Crypto, OpenSSL
from meshp2p.ids import Seconds
from meshp2p.node.machine import MACHINE
from meshp2p.runtime.exceptions import single
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.witness import START
from meshp2p.testing.chosen import FILES
from meshp2p.testing.clock import SimClock
from meshp2p.testing.internet import Internet
from meshp2p.testing.machine import VirtualMachine
from meshp2p.testing.plan import Plan
from meshp2p.testing.recording import Views, recorded
from meshp2p.testing.scheduling import Loop, seeded
from meshp2p.testing.simulation import Simulation
from meshp2p.testing.watchdog import watchdog

DESK: Final = "desk"
"""The machine on which the test itself runs, and nodes that it starts by `async with`."""
_ASYNCIO: Final = ("unrecognized yield message", "no running event loop")
"""What trio and asyncio say when the one is given what belongs to the other."""
_DESKS_NUMBER: Final = (255 << 8) + 1
"""Far from those of agents."""
_LONGEST: Final = 300
"""Characters of a failed assertion in a trace."""


@attrs.frozen(kw_only=True)
class Outcome:
    """One run that went well.

    Args:
        value: What the test returned.
        trace: Hash of all that arrived anywhere.
        seconds: Virtual.
        events: Packets, syncs, alarms and hours of faults.
        coverage: How often each kind of fault really did something.
    """

    seed: int
    value: Any
    trace: str
    seconds: Seconds
    events: int
    coverage: dict[str, int]


def run_seed(plan: Plan, seed: int, args: tuple[object, ...], kwargs: dict[str, Any]) -> Outcome:
    """Run a test once.

    Raises:
        BaseException: Whatever the test raises, with a note that names the seed.
    """
    __tracebackhide__ = True
    crypto: Crypto = CheapCrypto() if plan.crypto == "cheap" else OpenSSL()
    internet = Internet(seed, crypto)
    clock = SimClock(internet, plan.at_most)
    try:
        files, title = FILES.get(), plan.function.__name__
        recording = recorded(internet, files, title) if any(files) else nullcontext()
        with recording, seeded(seed), watchdog(clock, plan.patience):
            value = trio.run(_main, plan, internet, clock, args, kwargs, clock=clock)
    except BaseException as raised:  # trio raises groups, also of Ctrl-C: each gets its note
        error = _reason(single(raised), clock)
        error.add_note(_replay(plan, seed, internet.now - START))
        if error is raised:
            raise
        raise error from None
    return Outcome(
        seed=seed,
        value=value,
        trace=internet.trace,
        seconds=internet.now - START,
        events=internet.events,
        coverage=dict(internet.coverage),
    )


async def _main(
    plan: Plan,
    internet: Internet,
    clock: SimClock,
    args: tuple[object, ...],
    kwargs: dict[str, Any],
) -> object:
    __tracebackhide__ = True
    value: object = None
    with trio.CancelScope() as scope:
        loop = Loop()
        clock.watch(loop, scope)
        desk = VirtualMachine(internet, DESK, _DESKS_NUMBER).boot()
        MACHINE.set(desk)
        desk.begin()
        async with trio.open_nursery() as nursery:
            sim = Simulation(internet, loop, nursery)
            value = await _test(plan, sim, args, kwargs)
            internet.look()
            _check_closed(internet, clock)
            nursery.cancel_scope.cancel()
        desk.end()
    if clock.failure is not None:
        raise clock.failure
    if clock.bitten is not None:
        raise clock.bitten
    return value


async def _test(
    plan: Plan, sim: Simulation, args: tuple[object, ...], kwargs: dict[str, Any]
) -> object:
    """Let the user's function do what it does, and those who watch see how it ends."""
    __tracebackhide__ = True
    internet = sim.internet
    if internet.watchers:
        internet.before_move.append(Views(internet, sim.agents).look)
    try:
        return await plan.function(*args[: plan.place], sim, *args[plan.place :], **kwargs)
    except AssertionError as error:
        internet.tell("violation", "", name="assert", text=str(error)[:_LONGEST])
        raise
    finally:
        sim.resume_all()  # who stands still could not be cancelled


def _check_closed(internet: Internet, clock: SimClock) -> None:
    if internet.machines[DESK].running.has_open_sockets:
        clock.fail(
            UsageError(
                "the test is over, but a node that it started itself is still open: use "
                "`async with Node(...)`, or `sim.start`, whose nodes end with the test"
            )
        )


def _reason(error: BaseException, clock: SimClock) -> BaseException:
    """What the user should see first."""
    if clock.bitten is not None:
        return clock.bitten
    if clock.failure is not None and not isinstance(error, KeyboardInterrupt):
        return clock.failure
    if isinstance(error, TypeError | RuntimeError) and any(sign in str(error) for sign in _ASYNCIO):
        return UsageError(
            "the test, or what it calls, awaits something of asyncio: a simulation runs on trio, "
            "since only its time can be virtual"
        ).with_traceback(error.__traceback__)
    if isinstance(error, trio.TrioInternalError) and error.__cause__ is not None:
        return single(error.__cause__)
    return error


def _replay(plan: Plan, seed: int, elapsed: Seconds) -> str:
    return (
        f"seed {seed} failed after {elapsed:.6f} virtual seconds. To replay it:\n"
        f"    {plan.command % seed}"
    )
