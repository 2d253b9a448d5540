"""Many seeds: `@simulate` and `run`."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from trio.lowlevel import in_trio_run

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds
from meshp2p.testing.chosen import MARK, SEEDS
from meshp2p.testing.outcome import Outcome, run_seed
from meshp2p.testing.plan import Plan, Test, plan_of

_COLLECT_EVERY: Final = 16
"""Seeds between two collections of garbage: each leaves some thousand objects in cycles."""


def simulate(
    seeds: int | Iterable[int] = 100,
    *,
    at_most: Seconds = 3_600.0,
    crypto: str = "cheap",
    patience: Seconds = 10.0,
) -> Callable[[Test], Callable[..., None]]:
    """Run an `async def test(sim, ...)` once for each seed, in virtual time.

    The result is a plain function without the parameter `sim`: pytest runs it as it is,
    other parameters are fixtures, and `--mesh-seed=17` runs one seed.

    Args:
        seeds: How many, or which.
        at_most: Virtual seconds after which a run is given up.
        crypto: "cheap" calculates keys a hundred times as fast; formats, lengths and what
            fails when are those of "real".
        patience: Real seconds for which a task may keep control; then the run fails.

    Raises:
        UsageError: What cannot be meant.
    """

    def decorate(function: Test) -> Callable[..., None]:
        plan = plan_of(function, seeds, at_most=at_most, crypto=crypto, patience=patience)
        signature = inspect.signature(function)
        others = list(signature.parameters.values())
        del others[plan.place]

        @functools.wraps(function)
        def test(*args: object, **kwargs: object) -> None:
            __tracebackhide__ = True
            run_plan(plan, args, kwargs)

        test.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]  # what pytest reads
        del test.__wrapped__  # pytest would ask it for fixtures
        setattr(test, MARK, plan)
        return test

    return decorate


def run(
    function: Test,
    seeds: int | Iterable[int] = 100,
    *,
    at_most: Seconds = 3_600.0,
    crypto: str = "cheap",
    patience: Seconds = 10.0,
) -> list[Outcome]:
    """The same at once, without pytest; what a failing seed raises says which it was."""
    plan = plan_of(function, seeds, at_most=at_most, crypto=crypto, patience=patience)
    return run_plan(plan, (), {})


def run_plan(plan: Plan, args: Iterable[object], kwargs: dict[str, Any]) -> list[Outcome]:
    """Run a test for all its seeds; the first that fails is the last."""
    __tracebackhide__ = True
    _check_no_loop()
    outcomes = []
    with _rare_collections() as collect:
        for seed in SEEDS.get() or plan.seeds:
            outcomes.append(run_seed(plan, seed, tuple(args), kwargs))
            collect()
    return outcomes


def _check_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if not in_trio_run():
            return
    raise UsageError(
        "a simulation runs a loop of its own, and cannot run inside of another: call it from a "
        "plain function, not from async code"
    )


@contextmanager
def _rare_collections() -> Iterator[Callable[[], None]]:
    """No garbage is collected in the midst of a run, only between some of them.

    What was there before is left out: looking at all of a test suite's objects each time
    would take longer than a run.
    """
    turns, was_enabled, is_first = count(1), gc.isenabled(), not gc.get_freeze_count()

    def collect() -> None:
        if next(turns) % _COLLECT_EVERY == 0:
            gc.collect()

    gc.disable()
    if is_first:
        gc.freeze()
    try:
        yield collect
    finally:
        if is_first:
            gc.unfreeze()
        if was_enabled:
            gc.enable()
