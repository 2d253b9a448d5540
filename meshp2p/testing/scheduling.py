"""Trio's scheduler, made repeatable; the only place that knows trio's private names.

Trio shuffles tasks that are ready on purpose. With its own switch for Hypothesis the batch
is first sorted by age and then shuffled by a generator that can be seeded, which also
hides the order of sets and of memory addresses. `check_trio` fails clearly where a new
trio has changed any of it.

Source: trio 0.30 to 0.35, `trio/_core/_run.py`; a public switch is asked for there.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import inf
from typing import Any, Final

import trio
import trio.testing
from trio._core import _run

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds
from meshp2p.node.machine import MACHINE, Machine

_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_MANY: Final = 9
_PRIVATE: Any = _run  # untyped on purpose: a trio without these names is found by `check_trio`


@contextmanager
def seeded(seed: object) -> Iterator[None]:
    """Within the block a run of trio depends on `seed` alone.

    Raises:
        UsageError: This trio cannot be made repeatable.
    """
    check_trio()
    with _seeded(seed):
        yield


@contextmanager
def _seeded(seed: object) -> Iterator[None]:
    switch, state = getattr(_PRIVATE, _SWITCH), _PRIVATE._r.getstate()  # noqa: SLF001  # see above
    setattr(_PRIVATE, _SWITCH, True)
    _PRIVATE._r.seed(repr(seed))  # noqa: SLF001  # see above
    try:
        yield
    finally:
        setattr(_PRIVATE, _SWITCH, switch)
        _PRIVATE._r.setstate(state)  # noqa: SLF001  # see above


class Loop:
    """What must be known of the running loop before time may move."""

    def __init__(self) -> None:
        """Of the trio run that is calling."""
        runner = _PRIVATE.GLOBAL_RUN_CONTEXT.runner
        self._calls: deque[Any] = runner.entry_queue.queue
        self._await_idleness: Any = runner.waiting_for_idle
        self._ready: deque[trio.lowlevel.Task] = runner.runq
        self._deadlines: Any = runner.deadlines
        self._frozen = _Frozen(self._ready)
        self._set_aside: dict[Machine, list[tuple[trio.CancelScope, Seconds]]] = {}
        self.has_new_deadlines = False
        """Whether there are some that the caller of `deadline_to_sleep_time` knows nothing of."""

    def has_work(self) -> bool:
        """Whether a task can run, or a call from outside of tasks waits to be made."""
        return bool(self._ready or self._calls or self.has_new_deadlines)

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits for all others to be blocked."""
        return bool(self._await_idleness)

    def freeze(self, machine: Machine) -> None:
        """From now on take no step of any task of a machine."""
        if not self._frozen.machines:
            trio.lowlevel.add_instrument(self._frozen)
        self._frozen.freeze(machine)

    def thaw(self, machine: Machine) -> None:
        """Let them go on."""
        if machine in self._frozen.machines:
            self._frozen.thaw(machine)
            if not self._frozen.machines:
                trio.lowlevel.remove_instrument(self._frozen)

    def set_deadlines_aside(self, machine: Machine) -> None:
        """From now on no time passes for what tasks of a machine wait for."""
        now = trio.current_time()
        found = self.deadlines_of(machine)
        self._set_aside[machine] = [(scope, scope.deadline - now) for scope in found]
        for scope in found:
            scope.deadline = inf

    def give_deadlines_back(self, machine: Machine) -> None:
        """Each is as far away as it was."""
        now = trio.current_time()
        for scope, left in self._set_aside.pop(machine, ()):
            scope.deadline = now + left
            self.has_new_deadlines = True

    def deadlines_of(self, machine: Machine | None) -> list[trio.CancelScope]:
        """Scopes that end by themselves, with no tasks in them but those of that machine."""
        live = {
            scope: None
            for deadline, _, scope in self._deadlines._heap  # noqa: SLF001  # see above
            if deadline == scope._registered_deadline  # noqa: SLF001  # see above
        }
        return [scope for scope in live if _machines_in(scope) == {machine}]


def _machines_in(scope: Any) -> set[Machine | None]:  # noqa: ANN401  # untyped on purpose, as above
    machines: set[Machine | None] = set()
    inside = [scope._cancel_status]  # noqa: SLF001  # see above
    while inside:
        status = inside.pop()
        machines.update(task.context.get(MACHINE) for task in status._tasks)  # noqa: SLF001
        inside.extend(status._children)  # noqa: SLF001
    return machines


class _Frozen(trio.abc.Instrument):
    """Takes tasks of some machines off the run queue, and gives them back later."""

    def __init__(self, ready: deque[trio.lowlevel.Task]) -> None:
        self._ready = ready
        self.machines: dict[Machine, list[trio.lowlevel.Task]] = {}

    def freeze(self, machine: Machine) -> None:
        kept = [task for task in self._ready if task.context.get(MACHINE) is machine]
        for task in kept:
            self._ready.remove(task)
        self.machines[machine] = kept

    def thaw(self, machine: Machine) -> None:
        self._ready.extend(self.machines.pop(machine))

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Trio has just put it at the end of its queue."""
        machine = task.context.get(MACHINE)
        if machine is not None and machine in self.machines:
            self._ready.pop()
            self.machines[machine].append(task)


@cache
def check_trio() -> None:
    """See once that this trio does as it is told.

    Raises:
        UsageError: It does not; the text says what to do.
    """
    try:
        orders = [_order_of_steps(seed) for seed in (1, 1, 2)]
    except (AttributeError, TypeError) as error:
        raise _unknown_trio(repr(error)) from error
    first, again, other = orders
    straight = list(range(_MANY)) * 2
    if first != again or first == other or first in (straight, straight[::-1]):
        raise _unknown_trio("the order of tasks does not follow the seed")


def _order_of_steps(seed: int) -> list[int]:
    """In which order tasks take their turns that are ready, or due, at the same time."""
    steps: list[int] = []
    due = 0.0

    async def take_turns(number: int) -> None:
        steps.append(number)
        await trio.sleep_until(due)
        steps.append(number)

    async def main() -> None:
        nonlocal due
        loop, found = Loop(), list[trio.CancelScope]()
        with trio.CancelScope(deadline=trio.current_time() + 1) as scope:
            await trio.lowlevel.checkpoint()
            found = loop.deadlines_of(None)
        if found != [scope] or loop.has_work() or loop.is_awaited:
            raise TypeError("nothing else was asked for yet")
        due = trio.current_time() + 0.001
        async with trio.open_nursery() as nursery:
            for number in range(_MANY):
                nursery.start_soon(take_turns, number)

    clock = trio.testing.MockClock(autojump_threshold=0)
    with _seeded(random.Random(seed).random()):
        trio.run(main, clock=clock)
    return steps


def _unknown_trio(reason: str) -> UsageError:
    return UsageError(
        f"meshp2p.testing cannot make trio {trio.__version__} repeatable ({reason}): use trio "
        "0.30 to 0.35, or a later version of meshp2p"
    )
