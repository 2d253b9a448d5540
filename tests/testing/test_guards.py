"""What cannot be meant is refused, and a run that does not end says why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from meshp2p import Node, UsageError, capability
from meshp2p.testing import Simulation, StuckError, Violation, run, simulate
from tests.testing.people import make_agent


def fails(function: Callable[[Simulation], Awaitable[Any]], **how: Any) -> BaseException:  # noqa: ANN401  # as `run`
    """What a run of seed 3 raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # the caller looks at it
        run(function, seeds=[3], **how)
    return caught.value


# --- runs that do not end --------------------------------------------------------------


def test_a_task_that_never_yields_is_interrupted() -> None:
    """The message shows the line at which it loops."""

    async def loops_for_ever(_: Simulation) -> None:
        while True:
            pass

    error = fails(loops_for_ever, patience=0.3)

    assert isinstance(error, StuckError)
    assert "has not given up control" in str(error)
    assert "in loops_for_ever" in str(error)


def test_a_handler_that_never_returns_is_interrupted() -> None:
    """Even if its node would make an error of it, the run fails."""

    @capability("loop")
    def loop() -> None:
        while True:
            pass

    async def calls_it(sim: Simulation) -> None:
        alice = await sim.node("alice", capabilities=[loop])
        await alice.call("loop")

    error = fails(calls_it, patience=0.3)

    assert isinstance(error, StuckError)
    assert "in loop" in str(error)


def test_time_that_does_not_advance_is_noticed() -> None:
    """Tasks that only wake one another would go on for ever."""

    async def spins(_: Simulation) -> None:
        while True:
            await trio.lowlevel.checkpoint()

    assert "time does not advance" in str(fails(spins))


def test_a_deadlock_is_no_hang() -> None:
    """When no task waits for time or for the network, nothing can wake any of them."""

    async def waits(_: Simulation) -> None:
        await trio.Event().wait()

    error = fails(waits)

    assert isinstance(error, StuckError)
    assert error.seed == 3
    assert "every task waits for another" in str(error)


def test_a_run_has_its_time() -> None:
    """A test that waits for what never comes ends after `at_most` virtual seconds."""

    async def waits(sim: Simulation) -> None:
        await sim.start(2, make_agent)
        await trio.sleep_forever()

    assert "has not ended after 20 virtual seconds" in str(fails(waits, at_most=20.0))


def test_a_check_is_made_whenever_time_moves() -> None:
    """The first moment at which it does not hold ends the run, and is named."""

    async def counts(sim: Simulation) -> None:
        await sim.start(2, make_agent)
        sim.check(lambda: sim.now < 5)
        await sim.run_for(60)

    error = fails(counts)

    assert isinstance(error, Violation)
    assert 5 <= error.at < 6


def test_agents_that_do_not_agree_are_named() -> None:
    """`quiet` tells who sees whom."""

    async def never_quiet(sim: Simulation) -> None:
        alice, bob = await sim.start(2, make_agent)
        sim.partition([alice], [bob])
        await sim.run_for(5)
        await sim.quiet(timeout=10)

    assert "alice sees alice alive; bob sees bob alive" in str(fails(never_quiet))


# --- what belongs outside --------------------------------------------------------------


def test_a_node_in_a_thread_is_refused() -> None:
    """Virtual time would run away under it."""

    async def starts_one(_: Simulation) -> None:
        Node("alice").start()

    error = fails(starts_one)

    assert isinstance(error, UsageError)
    assert "await sim.start" in str(error)


def test_asyncio_is_refused() -> None:
    """With a sentence, instead of trio's about an unrecognized yield message."""

    async def sleeps(_: Simulation) -> None:
        await asyncio.sleep(1)

    assert "a simulation runs on trio" in str(fails(sleeps))


def test_a_simulation_runs_in_no_other_loop() -> None:
    """Neither in one of its own kind, nor in asyncio."""

    async def nothing(_: Simulation) -> None:
        await trio.lowlevel.checkpoint()

    async def main() -> None:  # asyncio's
        run(nothing, seeds=1)

    with pytest.raises(UsageError, match="cannot run inside of another"):
        asyncio.run(main())
    with pytest.raises(UsageError, match="cannot run inside of another"):
        trio.run(main)


def test_a_run_does_not_take_real_time() -> None:
    """A day of doing nothing is over at once."""

    async def idles(sim: Simulation) -> float:
        await sim.run_for(86_400)
        return sim.now

    began = time.monotonic()
    (outcome,) = run(idles, seeds=1, at_most=1e6)

    assert outcome.value == 86_400
    assert time.monotonic() - began < 5


# --- what cannot be meant --------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"seeds": 0},
        {"seeds": []},
        {"seeds": "17"},
        {"seeds": [1.5]},
        {"seeds": True},
        {"at_most": -1},
        {"crypto": "none"},
        {"patience": "long"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(how: dict[str, Any]) -> None:
    """When the test is declared, not when it runs."""

    async def nothing(_: Simulation) -> None:
        """Never runs."""

    with pytest.raises(UsageError, match=next(iter(how))):
        simulate(**how)(nothing)


def test_only_async_functions_of_a_simulation_are_tests() -> None:
    """Plain functions, missing parameters and forgotten parentheses are named."""

    async def without() -> None:
        """Never runs."""

    wrong: Any = lambda _: None  # noqa: E731  # as short as it is wrong
    bare: Any = simulate
    with pytest.raises(UsageError, match="async def"):
        simulate()(wrong)
    with pytest.raises(UsageError, match="the first one is the simulation"):
        simulate()(without)
    with pytest.raises(UsageError, match="parentheses"):
        bare(without)(without)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda sim: sim.start(0, make_agent), "whole numbers from 1"),
        (lambda sim: sim.start(1, lambda: "alice"), "must return meshp2p.Node"),
        (lambda sim: sim.start(1, "alice"), "a function that returns a Node"),
        (lambda sim: sim.start(1, lambda _a, _b: None), "takes 2 arguments"),
        (lambda sim: sim.node("alice"), "an agent called 'alice'"),
        (lambda sim: sim.crash(sim["alice"], lose="some"), "unsynced"),
        (lambda sim: sim.restart(sim["alice"]), "runs already"),
        (lambda sim: sim.run_for(-1), "seconds, 0 and more"),
    ],
)
def test_verbs_that_cannot_be_meant_are_refused(
    act: Callable[[Simulation], Awaitable[Any]], words: str
) -> None:
    """With the value, and what is allowed."""

    async def tries(sim: Simulation) -> None:
        await sim.node("alice")
        with pytest.raises(UsageError, match=words):
            await act(sim)

    run(tries, seeds=1)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda sim, a, _: sim.link(a), "two different agents"),
        (lambda sim, a, _: sim.link(a, a), "two different agents"),
        (lambda sim, a, b: sim.link(a, b).set(loss=2), "shares from 0 to 1"),
        (lambda sim, a, b: sim.link(a, b).set(duplicate="often"), "shares from 0 to 1"),
        (lambda sim, a, b: sim.link(a, b).set(delay="soon"), "'5-80ms'"),
        (lambda sim, a, b: sim.link(a, b).set(delay="80-5ms"), "the shorter first"),
        (lambda sim, a, b: sim.link(a, b).set(rate="fast"), "'1mbit'"),
        (lambda sim, a, _: sim.partition([a]), "at least two groups"),
        (lambda sim, a, b: sim.partition([a], [b], [a], oneway=True), "two groups"),
        (lambda sim, a, _: sim.nat(a, "carrier pigeon"), "symmetric"),
        (lambda sim, a, _: sim.pause(a, -1), "seconds, 0 and more"),
    ],
)
def test_faults_that_cannot_be_meant_are_refused(act: Callable[..., Any], words: str) -> None:
    """The same for what is done to the network and to machines."""

    async def tries(sim: Simulation) -> None:
        alice, bob = await sim.node("alice"), await sim.node("bob")
        with pytest.raises(UsageError, match=words):
            act(sim, alice, bob)
        assert sim.is_quiet()

    run(tries, seeds=1)


def test_a_test_may_end_while_an_agent_stands_still() -> None:
    """The run ends all the same, and so does one that fails."""

    async def leaves_one_paused(sim: Simulation) -> None:
        alice = await sim.node("alice")
        sim.pause(alice)
        await sim.run_for(1)
        assert sim.seed == 0, "as it should"

    run(leaves_one_paused, seeds=1)
    assert "as it should" in str(fails(leaves_one_paused))
