"""Where tasks of a simulation wait for what happens outside of tasks."""

from __future__ import annotations

from math import inf

import trio

from meshp2p.ids import Seconds
from meshp2p.simulation.agenda import Agenda


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


class VirtualAlarm:
    """As `runtime.ports.TrioAlarm`, without a cancel scope for each deadline: half the price."""

    __slots__ = ("_agenda", "_parking", "_turn")

    def __init__(self, agenda: Agenda) -> None:
        """Rings when the agenda says so."""
        self._agenda = agenda
        self._parking = Parking()
        self._turn = 0

    async def wait_until(self, when: Seconds) -> None:
        """As `Alarm.wait_until`."""
        if when <= self._agenda.now:
            await trio.lowlevel.checkpoint()
            return
        turn = self._turn
        if when < inf:
            self._agenda.at_time(when, lambda: self._due(turn))
        await self._parking.wait()
        self._turn += 1

    def _due(self, turn: int) -> None:
        if turn == self._turn:
            self._parking.wake()

    def ring(self) -> None:
        """As `Alarm.ring`."""
        self._parking.wake()
