"""Plain functions of agents: one at a time, while virtual time stands still.

Those that may call other agents meanwhile get a thread. The loop waits for the thread, and
the thread for the loop: only one of them ever runs, and the order in which they take turns
depends on the seed alone.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from typing import Any, Final, TypeVar

import attrs
import trio

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds
from meshp2p.node.machine import MACHINE
from meshp2p.runtime.context import CAUSE
from meshp2p.testing.clock import StuckError

T = TypeVar("T")

_PATIENCE: Final[Seconds] = 8.0
"""Real seconds for one step of a plain function."""


@attrs.define(eq=False)
class _Turn:
    """One function in its thread, and whose turn it is.

    Args:
        asked: What the thread wants from the loop before it goes on, if anything.
        outcome: What became of that; later, of the function itself.
    """

    loops: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    threads: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    asked: Callable[[], Awaitable[Any]] | None = None
    outcome: Callable[[], Any] = attrs.field(default=lambda: None)
    is_over: bool = False

    def ask(self, what: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401  # its result
        """In the thread: have the loop await something meanwhile."""
        self.asked = what
        self.loops.release()
        self.threads.acquire()
        return self.outcome()

    def run(self, work: Callable[[], Any]) -> None:
        """In the thread: all of it."""
        _TURN.set(self)
        self.outcome = _outcome_of(work)
        self.is_over = True
        self.loops.release()

    def wait(self) -> None:
        """In the loop: let the thread run until it asks for something, or is over."""
        if not self.loops.acquire(timeout=_PATIENCE):
            raise StuckError(f"a plain function has run for {_PATIENCE:g} real seconds")


_TURN: Final[ContextVar[_Turn | None]] = ContextVar("meshp2p_testing_turn", default=None)


class SteppedThreads:
    """`runtime.ports.Threads` for a simulation."""

    async def run(
        self,
        work: Callable[[], T],
        *,
        limiter: trio.CapacityLimiter | None = None,
        calls_back: bool = False,
    ) -> T:
        """As `Threads.run`, at a step of its own; what never calls back needs no thread."""
        borrower = object()
        if limiter is not None:
            await limiter.acquire_on_behalf_of(borrower)
        try:
            await trio.lowlevel.checkpoint()
            if not calls_back:
                return copy_context().run(work)
            return await self._take_turns(work)
        finally:
            if limiter is not None:
                limiter.release_on_behalf_of(borrower)

    async def _take_turns(self, work: Callable[[], T]) -> T:
        turn, context = _Turn(), copy_context()
        trio.lowlevel.start_thread_soon(lambda: context.run(turn.run, work), lambda _: None)
        cancelled: BaseException | None = None
        while True:
            turn.wait()
            if turn.is_over:
                break
            if cancelled is None:
                cancelled = await _answer(turn)
            else:  # nobody waits any more, but a thread cannot be killed
                turn.outcome = _raises(RuntimeError("the call was cancelled"))
            turn.threads.release()
        if cancelled is not None:
            raise cancelled
        result: T = turn.outcome()
        return result

    def clock(self) -> Callable[[], Seconds]:
        """Time stands still while a thread runs, so it may simply look."""
        return MACHINE.get().monotonic.now


async def _answer(turn: _Turn) -> BaseException | None:
    """Do what the thread asked for; return what cancelled it, if anything did."""
    what = turn.asked
    if what is None:
        raise StuckError("a thread gave up its turn without a wish")
    try:
        value = await what()
    except trio.Cancelled as error:
        turn.outcome = _raises(RuntimeError("the call was cancelled"))
        return error
    except Exception as error:  # noqa: BLE001  # raised again in the thread
        turn.outcome = _raises(error)
    else:
        turn.outcome = lambda: value
    return None


def blocking(call_async: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """What `Context.call` does in a thread of a simulation."""

    def call(target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401  # the handler's answer
        turn, cause = _TURN.get(), CAUSE.get()
        if turn is None:
            raise UsageError(
                "ctx.call() was made in a thread that the simulation does not know: call in the "
                "handler itself"
            )

        async def ask() -> Any:  # noqa: ANN401  # the handler's answer
            token = CAUSE.set(cause)
            try:
                return await call_async(target, *args, **kwargs)
            finally:
                CAUSE.reset(token)

        return turn.ask(ask)

    return call


def _outcome_of(work: Callable[[], Any]) -> Callable[[], Any]:
    try:
        value = work()
    except BaseException as error:  # noqa: BLE001  # raised again in the loop
        return _raises(error)
    return lambda: value


def _raises(error: BaseException) -> Callable[[], Any]:
    def again() -> Any:  # noqa: ANN401  # never returns
        raise error

    return again
