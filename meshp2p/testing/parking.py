"""Where tasks of a simulation wait for what happens outside of tasks."""

from __future__ import annotations

import trio


class Parking:
    """At most one task that waits; quicker than an Event, and usable from the clock."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        """Nobody waits."""
        self._task: trio.lowlevel.Task | None = None

    @property
    def is_taken(self) -> bool:
        """Whether somebody waits."""
        return self._task is not None

    async def wait(self) -> None:
        """Until `wake`.

        Raises:
            trio.BusyResourceError: Another task waits here.
        """
        if self._task is not None:
            raise trio.BusyResourceError("another task is already waiting for this socket")
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def wake(self) -> None:
        """Let whoever waits go on and look again."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
