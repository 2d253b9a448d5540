"""Waiting for the end of a command in a coroutine, on whichever loop that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import trio

from meshp2p.errors import DeadlineExceeded
from meshp2p.events import CallFinished
from meshp2p.ids import Seconds
from meshp2p.node import verbs
from meshp2p.node.host import Host, Start
from meshp2p.node.shell import Begun, Shell


def on_asyncio() -> bool:
    """Whether the caller runs under asyncio, which leaves trio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def wait_here(shell: Shell, host: Host | None, command: verbs.Command) -> CallFinished:
    """Give the engine a command and await its end on whichever loop this is."""

    def start(finish: Callable[[CallFinished], None]) -> int:
        return shell.begin(command, finish)

    return await wait_start(shell, host, start)


async def wait_start(shell: Shell, host: Host | None, start: Start) -> CallFinished:
    """Begin something and await its end on whichever loop this is."""
    if host is not None and on_asyncio():
        return await host.wait_asyncio(start)
    return await _wait_on_trio(shell, start)


class Parked:
    """A trio task that waits for one end, without an Event or a cancel scope.

    Args:
        shell: Whose command it is.
    """

    __slots__ = ("_end", "_gone", "_shell", "_task", "begun")

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._task: trio.lowlevel.Task | None = None
        self._end: CallFinished | None = None
        self._gone = False
        self.begun: Begun = None

    def finish(self, finished: CallFinished) -> None:
        """Wake the task, or be there before it parks."""
        self._end = finished
        if self._task is not None and not self._gone:
            trio.lowlevel.reschedule(self._task)

    async def wait(self) -> CallFinished:
        """Until `finish` was called; cancelled, the command is given up."""
        if self._end is None:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        else:
            await trio.lowlevel.checkpoint()
        return cast("CallFinished", self._end)  # set by whoever woke us

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._gone = True
        self._shell.give_up(self.begun)
        return trio.lowlevel.Abort.SUCCEEDED


async def _wait_on_trio(shell: Shell, start: Start) -> CallFinished:
    parked = Parked(shell)
    parked.begun = start(parked.finish)
    return await parked.wait()


async def within(waiting: Any, timeout: Seconds | None) -> CallFinished:  # noqa: ANN401  # an awaitable
    """Await for at most `timeout` seconds.

    Raises:
        DeadlineExceeded: It took longer.
    """
    try:
        if timeout is None:
            return await waiting  # type: ignore[no-any-return]  # a CallFinished
        if on_asyncio():
            return await asyncio.wait_for(waiting, timeout)
        with trio.fail_after(timeout):
            return await waiting  # type: ignore[no-any-return]  # a CallFinished
    except (TimeoutError, trio.TooSlowError):
        raise DeadlineExceeded("the result", timeout or 0.0, maybe_executed=True) from None
