"""The monotonic clock of one process, which stands still while its machine sleeps.

Its alarms lie on the simulation's own heap: a node sets one for each of its deadlines, and
a cancel scope of trio's costs ten times as much.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from meshp2p.ids import Seconds
from meshp2p.testing.parking import Parking

if TYPE_CHECKING:
    from meshp2p.testing.machine import VirtualMachine


class MachineClock:
    """`runtime.ports.ClockPort` for a simulation."""

    __slots__ = ("_machine",)

    def __init__(self, machine: VirtualMachine) -> None:
        """The clock of this machine."""
        self._machine = machine

    def now(self) -> Seconds:
        """As `ClockPort.now`."""
        return self._machine.clock.monotonic

    def alarm(self) -> VirtualAlarm:
        """As `ClockPort.alarm`."""
        return VirtualAlarm(self._machine)


class VirtualAlarm:
    """`runtime.ports.AlarmPort` for a simulation."""

    __slots__ = ("_machine", "_parking", "_rings_at")

    def __init__(self, machine: VirtualMachine) -> None:
        """Not set."""
        self._machine = machine
        self._parking = Parking()
        self._rings_at = inf

    async def wait_until(self, moment: Seconds) -> None:
        """As `AlarmPort.wait_until`."""
        self._set(moment)
        await self._parking.wait()

    def move(self, moment: Seconds) -> None:
        """As `AlarmPort.move`."""
        if self._parking.is_taken:
            self._set(moment)

    def _set(self, moment: Seconds) -> None:
        self._rings_at = moment
        if moment < inf:
            machine = self._machine
            when = max(machine.clock.virtual(moment), machine.internet.now)
            machine.internet.at_time(when, partial(self._ring, moment))

    def _ring(self, moment: Seconds) -> None:
        if self._rings_at == moment:  # it was not moved meanwhile
            self._rings_at = inf
            self._parking.wake()
