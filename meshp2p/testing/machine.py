"""One virtual machine: what lasts while its processes come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from meshp2p.errors import Closed
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.clock import Clock
from meshp2p.simulation.disk import Disk, Left
from meshp2p.testing.datagrams import VirtualDatagrams
from meshp2p.testing.disks import Slots
from meshp2p.testing.internet import SHARED, Internet
from meshp2p.testing.listeners import VirtualListener
from meshp2p.testing.process import Process
from meshp2p.testing.scheduling import Loop

_FIRST_PORT = 49_152
"""IANA's first dynamic port."""


@attrs.define(eq=False)
class SleepingClock(Clock):
    """As `Clock`; the machine hears of its sleep."""

    _machine: VirtualMachine

    def sleep(self) -> None:
        """As `Clock.sleep`."""
        super().sleep()
        if self.sleeps == 1:
            self._machine.fell_asleep()

    def wake(self) -> None:
        """As `Clock.wake`."""
        super().wake()
        if not self.sleeps:
            self._machine.woke()


class VirtualMachine:
    """A disk, clocks, addresses, and at most one process of an agent.

    Args:
        name: Of its agent; also a host name for seeds.
        number: From 1; its addresses follow from it.
    """

    def __init__(self, internet: Internet, name: str, number: int) -> None:
        """Switched on, without a process."""
        self.internet = internet
        self.name = name
        self.number = number
        last = f"{number >> 8}.{number & 255}"
        self.loopback = f"127.0.{last}"
        """Its own: two machines with one loopback address could not be kept apart."""
        self.public = (f"10.0.{last}", f"fd00::{number:x}")
        self.hosts = (self.loopback, SHARED, *self.public)
        self.clock = SleepingClock(internet, self)
        self.slots = Slots(self)
        self.has_power = True
        self.slowness: Seconds = 0.0
        """What each datagram costs it."""
        self.life = 0
        self.process: Process | None = None
        self.outbox: deque[Callable[[], None]] = deque()
        """What a process that stands still would have sent."""
        self.loop: Loop | None = None
        """Where its tasks run, to stop them; set by whoever owns the loop."""
        self.start_again: Callable[[], None] = _nobody
        """Starts its agent again; set by the agent."""
        self.leave: Callable[[], None] = _nobody
        """Stops its agent in order; set by the agent."""
        self._halts = 0
        self._busy_until: Seconds = 0.0
        self._next_port = _FIRST_PORT
        internet.add(self)

    def __repr__(self) -> str:
        return f"<{self.name}, life {self.life}>"

    # --- for faults --------------------------------------------------------------------

    @property
    def disk(self) -> Disk:
        """Its journal."""
        return self.slots.main.disk

    @property
    def address(self) -> Address:
        """Its own, as routers know it."""
        return Address(self.loopback, 0)

    def read_wall_clock(self) -> None:
        """Its process looks by itself, every ten seconds."""

    # --- its processes -------------------------------------------------------------------

    def boot(self) -> Process:
        """A new process, which nothing of an earlier one reaches any more."""
        self.life += 1
        self.has_power = True
        self.process = process = Process(self, self.life)
        self._halts = self.clock.sleeps
        if self._halts and self.loop is not None:
            self.loop.freeze(process)  # it starts once its machine wakes
        return process

    @property
    def is_running(self) -> bool:
        """Whether it has a process, be it paused."""
        return self.process is not None and self.process.is_alive

    @property
    def running(self) -> Process:
        """The present process.

        Raises:
            Closed: There is none.
        """
        if self.process is None or not self.process.is_alive:
            raise Closed(f"{self.name} is not running")
        return self.process

    @property
    def is_standing(self) -> bool:
        """Whether its process stands still."""
        return self._halts > 0

    def crash(self, *, silent: bool = False, kept: int = 0, disk: Left = "unsynced_lost") -> None:
        """End its process without a word, if it has one.

        Args:
            silent: The machine goes with it: no RST, no ICMP.
            kept: Of the writes that were not synced, these many survive.
            disk: Whether all of them do, or nothing at all.
        """
        process, internet = self.process, self.internet
        if process is None or not process.is_alive:
            return  # a fault of a schedule may find it dead already
        self.woke()  # what unwinds now waits for nobody's sleep
        while self.is_standing:
            self.resume(send=False)
        kept = self.disk.unsynced if disk == "kept" else kept
        lost = self.disk.unsynced - kept
        internet.tell("crash", self.name, silent=silent, disk=disk, lost=lost)
        internet.coverage["crash"] += 1
        internet.coverage["crash.unsynced_lost"] += lost > 0 and disk != "wiped"
        internet.coverage["crash.wiped"] += disk == "wiped"
        self.has_power = not silent
        process.scope.cancel()  # first: what its end wakes shall not run
        process.end(silent=silent)
        for slot in self.slots:
            slot.disk.crash(kept)
            if disk == "wiped":
                slot.disk.wipe()

    def pause(self) -> None:
        """Let its process stand still, if it has one; pauses nest."""
        process = self.process
        if process is None or not process.is_alive:
            return
        self._halts += 1
        if self._halts == 1 and self.loop is not None:
            self.internet.tell("pause", self.name)
            self.loop.freeze(process)

    def resume(self, *, send: bool = True) -> None:
        """Let it go on; what it would have sent meanwhile goes out, unless it crashes."""
        if not self._halts:
            return  # it crashed meanwhile
        self._halts -= 1
        if self._halts or self.process is None or self.loop is None:
            return
        self.internet.tell("resume", self.name)
        self.loop.thaw(self.process)
        outbox, self.outbox = self.outbox, deque()
        for act in outbox if send else ():
            act()

    def fell_asleep(self) -> None:
        """Its monotonic clock stops, and all that its tasks wait for waits."""
        if self.loop is not None and self.is_running:
            self.loop.set_deadlines_aside(self.running)

    def woke(self) -> None:
        """The clock goes on."""
        if self.loop is not None and self.process is not None:
            self.loop.give_deadlines_back(self.process)

    # --- for the network -----------------------------------------------------------------

    def free_port(self) -> int:
        """The next one that nobody uses."""
        while True:
            port, self._next_port = self._next_port, self._next_port + 1
            if not any(self.is_taken(Address(host, port)) for host in self.hosts):
                return port

    def is_taken(self, address: Address) -> bool:
        """Whether a socket of any machine is bound to it."""
        owner = self.internet.owner(address)
        if owner is None:
            return False
        return owner.datagram_socket(address) is not None or owner.listener(address) is not None

    def datagram_socket(self, address: Address) -> VirtualDatagrams | None:
        """What is bound there."""
        return None if self.process is None else self.process.datagrams.get(address)

    def listener(self, address: Address) -> VirtualListener | None:
        """What listens there."""
        return None if self.process is None else self.process.listeners.get(address)

    def busy(self) -> Seconds:
        """How long a packet waits for a slow machine."""
        if not self.slowness:
            return 0.0
        now = self.internet.now
        self._busy_until = max(self._busy_until, now) + self.slowness
        self.internet.coverage["slow"] += 1
        return self._busy_until - now


def _nobody() -> None:
    """There is no agent to start."""
