"""A shell in a thread of its own, and the bridges to it from plain code and asyncio."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import trio

from meshp2p.errors import Closed, DeadlineExceeded, UsageError
from meshp2p.events import CallFinished
from meshp2p.ids import Seconds
from meshp2p.node.machine import MACHINE
from meshp2p.node.settings import Settings
from meshp2p.node.shell import Begun, Front, Shell
from meshp2p.runtime.context import CAUSE
from meshp2p.runtime.exceptions import single

_GOODBYE: Final = 2.0
_STOP_GRACE: Final = 5.0

Start = Callable[[Callable[[CallFinished], None]], Begun]
"""Run in the node's thread: begin something whose end calls the argument."""


class Host:
    """One node's thread. A daemon, with a goodbye at exit: a forgotten `stop` hangs nothing."""

    def __init__(self, settings: Settings, front: Front) -> None:
        """Nothing runs before `start`."""
        self.shell = Shell(settings, front)
        self._error: BaseException | None = None
        self._unwanted = False
        self._started = threading.Event()
        self._over = threading.Event()
        self._never_blocked: set[int] = set()
        self.at_end: list[Callable[[], None]] = []
        """What ends with the node, such as a loop that handlers ran on."""
        self._thread = threading.Thread(target=self._main, name="meshp2p", daemon=True)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is the node itself, which must not wait for itself."""
        return threading.get_ident() == self._thread.ident

    def never_block(self, thread: int) -> None:
        """A blocking call on this thread could wait for a handler that runs there."""
        self._never_blocked.add(thread)

    def start(self) -> None:
        """Return once the node serves. Ctrl-C meanwhile leaves nothing behind.

        Raises:
            StartError: It cannot.
            UsageError: In a simulation, whose time would not wait for the thread.
        """
        if MACHINE.get().is_simulated:
            raise UsageError(
                "start() gives a node a thread, for which virtual time does not wait: in a "
                "simulation write `await sim.start(...)` or `async with Node(...)`"
            )
        try:
            self._thread.start()
            self._started.wait()
        except BaseException:
            self._abandon_start()
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error
        atexit.register(self._stop_now)

    def _abandon_start(self) -> None:
        """Whoever started the node will not hold it, so nobody could stop it later."""
        self._unwanted = True  # before `soon`: a node that is not yet there sees this
        with contextlib.suppress(Closed):
            self.shell.soon(lambda: self.shell.request_stop(drain=False))
        if self._thread.ident is not None:
            self._over.wait(_STOP_GRACE)

    def _main(self) -> None:
        try:
            if not self._unwanted:
                trio.run(self._run)
        except BaseException as raised:  # noqa: BLE001  # told to whoever waits for the start
            error = self._error = single(raised)
            self.shell.closed = self.shell.closed or f"the node failed: {error!r}"
            if self._started.is_set():
                sys.excepthook(type(error), error, error.__traceback__)
        finally:
            for act in self.at_end:
                act()
            self._over.set()
            self._started.set()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.shell.run)
            if self._unwanted:
                self.shell.request_stop(drain=False)
            self._started.set()

    def stop(self, timeout: Seconds) -> None:
        """Leave the mesh and end the thread; from any thread, as often as you like.

        A handler does not wait: the node waits for it.

        Raises:
            KeyboardInterrupt: Somebody is impatient; handlers are not waited for any more.
        """
        atexit.unregister(self._stop_now)
        try:
            self.shell.soon(self.shell.request_stop)
            if not self.is_own_thread and CAUSE.get() is None:
                self._over.wait(timeout)
        except Closed:
            return
        except KeyboardInterrupt:
            self._stop_now()
            raise

    def _stop_now(self) -> None:
        """The same without waiting for handlers: at exit no thread can be started any more."""
        try:
            self.shell.soon(lambda: self.shell.request_stop(drain=False))
        except Closed:
            return
        self._over.wait(_GOODBYE)

    # --- blocking ------------------------------------------------------------

    def wait(self, start: Start, timeout: Seconds | None = None) -> CallFinished:
        """Begin something and block until its end.

        Ctrl-C gives it up: the callee is told.

        Raises:
            DeadlineExceeded: `timeout` is over.
            MeshError: It could not begin.
        """
        if self.is_own_thread or threading.get_ident() in self._never_blocked:
            raise UsageError(
                "a blocking call on the node's own thread would wait for itself: in an async "
                "handler use `await ctx.call(...)` of an AsyncContext, else leave out inline=True"
            )
        return self._block(start, timeout)

    def _block(self, start: Start, timeout: Seconds | None = None) -> CallFinished:
        gate = threading.Lock()
        gate.acquire()
        ends: list[CallFinished | BaseException] = []
        begun: list[Begun] = []

        def finish(finished: CallFinished) -> None:
            ends.append(finished)
            gate.release()

        self.shell.soon(_begin, start, finish, begun, ends, gate)
        try:
            in_time = gate.acquire(timeout=-1 if timeout is None else timeout)
        except BaseException:
            self._give_up(begun)
            raise
        if not in_time:
            self._give_up(begun)
            raise DeadlineExceeded("the result", timeout or 0.0, maybe_executed=True)
        return _end_of(ends)

    def _give_up(self, begun: list[Begun]) -> None:
        def give_up() -> None:
            for one in begun:
                self.shell.give_up(one)

        with contextlib.suppress(Closed):
            self.shell.soon(give_up)

    def run_sync(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401  # what `act` returns
        """Do something in the node's thread and wait for it."""
        if self.is_own_thread:
            return act()
        values: list[Any] = []

        def start(finish: Callable[[CallFinished], None]) -> None:
            values.append(act())
            finish(CallFinished(0))

        self._block(start)
        return values[0]

    # --- asyncio -------------------------------------------------------------

    async def wait_asyncio(self, start: Start) -> CallFinished:
        """Begin something and await its end on the running asyncio loop.

        Cancelling the task gives it up: the callee is told.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[CallFinished] = loop.create_future()
        begun: list[Begun] = []
        ends: list[CallFinished | BaseException] = []

        def settle() -> None:
            if not future.done():
                end = ends[0]
                if isinstance(end, BaseException):
                    future.set_exception(end)
                else:
                    future.set_result(end)

        def finish(finished: CallFinished) -> None:
            ends.append(finished)
            _wake(loop, settle)

        self.shell.soon(_begin_asyncio, start, finish, begun, ends, loop, settle)
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(begun)
            raise

    async def run_sync_asyncio(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401  # what `act` returns
        """Do something in the node's thread and await it."""
        values: list[Any] = []

        def start(finish: Callable[[CallFinished], None]) -> None:
            values.append(act())
            finish(CallFinished(0))

        await self.wait_asyncio(start)
        return values[0]


def _begin(
    start: Start,
    finish: Callable[[CallFinished], None],
    begun: list[Begun],
    ends: list[CallFinished | BaseException],
    gate: threading.Lock,
) -> None:
    try:
        begun.append(start(finish))
    except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
        ends.append(error)
        gate.release()


def _begin_asyncio(  # as `_begin`, for a loop
    start: Start,
    finish: Callable[[CallFinished], None],
    begun: list[Begun],
    ends: list[CallFinished | BaseException],
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[], None],
) -> None:
    try:
        begun.append(start(finish))
    except Exception as error:  # noqa: BLE001  # raised again in the caller's task
        ends.append(error)
        _wake(loop, settle)


def _wake(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        return  # the user's loop ended meanwhile


def _end_of(ends: list[CallFinished | BaseException]) -> CallFinished:
    end = ends[0]
    if isinstance(end, BaseException):
        raise end
    return end
