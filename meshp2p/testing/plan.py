"""A simulated test before it runs: what, with which seeds, and for how long at most."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds
from meshp2p.testing.units import as_duration

Test: TypeAlias = Callable[..., Awaitable[Any]]


@attrs.frozen(kw_only=True)
class Plan:
    """A test and how it is to be run.

    Args:
        seeds: In this order; the first that fails ends it.
        at_most: Virtual seconds after which a run is given up.
        crypto: "cheap" calculates keys a hundred times as fast; formats, lengths and
            what fails when are those of "real".
        patience: Real seconds for which a task may keep control; then the run fails.
    """

    function: Test
    seeds: tuple[int, ...]
    at_most: Seconds
    crypto: str
    patience: Seconds

    @property
    def place(self) -> int:
        """Of the simulation among the arguments: a method has `self` before it."""
        return int(next(iter(inspect.signature(self.function).parameters)) == "self")

    @property
    def command(self) -> str:
        """What runs this test with a seed that is added at its end."""
        path = Path(self.function.__code__.co_filename)
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        name = self.function.__qualname__
        if "<locals>" in name or not path.name.startswith("test"):
            return f"meshp2p.testing.run({name.rpartition('.')[2]}, seeds=[%d])"
        return f"pytest {path}::{name.replace('.', '::')} --mesh-seed=%d"


def plan_of(
    function: Test,
    seeds: int | Iterable[int],
    *,
    at_most: Seconds,
    crypto: str,
    patience: Seconds,
) -> Plan:
    """Check what `simulate` was given.

    Raises:
        UsageError: What cannot be meant.
    """
    if callable(seeds):
        raise UsageError("write @simulate() or @simulate(seeds=200), with parentheses")
    if not inspect.iscoroutinefunction(function):
        raise UsageError(
            f"@simulate takes an `async def` with a parameter for the simulation, not {function!r}"
        )
    if not inspect.signature(function).parameters:
        raise UsageError(
            f"{function.__qualname__}() takes no arguments: the first one is the simulation"
        )
    chosen = range(seeds) if type(seeds) is int else seeds
    if not isinstance(chosen, Iterable) or isinstance(chosen, str | bytes):
        raise UsageError(f"seeds={seeds!r}: allowed are a number, and a list or range of them")
    numbers = tuple(chosen)
    if not numbers or not all(type(number) is int for number in numbers):
        raise UsageError(f"seeds={seeds!r}: allowed are whole numbers, at least one")
    if crypto not in ("cheap", "real"):
        raise UsageError(f"crypto={crypto!r}: allowed are 'cheap' and 'real'")
    return Plan(
        function=function,
        seeds=numbers,
        at_most=as_duration("at_most", at_most),
        crypto=crypto,
        patience=as_duration("patience", patience),
    )
