"""Virtual UDP: as `runtime.sockets.DatagramSocket`, without a kernel."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from meshp2p.ids import Address
from meshp2p.testing.parking import Parking
from meshp2p.wire import limits

if TYPE_CHECKING:
    from meshp2p.testing.process import Process

_BUFFER: Final = 1 << 20
"""Bytes that wait to be read; what the production sockets ask of the kernel."""
_OVERHEAD: Final = 768
"""Bytes that Linux counts for a small datagram besides its own."""
_LONGEST: Final = {False: 65_507, True: 65_527}
"""Bytes of a UDP payload over IPv4 and IPv6 (RFC 768, RFC 8200)."""
_MAX_ERRORS: Final = 64


class VirtualDatagrams:
    """One UDP socket of a process."""

    def __init__(self, process: Process, address: Address) -> None:
        """Bound, and open until `close`."""
        self.process = process
        self.address = address
        self.dropped = 0
        self.is_failing = False
        self.is_open = True
        self._v6 = ":" in address.host
        self._waiting: deque[tuple[bytes, Address]] = deque()
        self._bytes = 0
        self._refused: deque[Address] = deque(maxlen=_MAX_ERRORS)
        self._parking = Parking()

    # --- as the driver sees it ---------------------------------------------------

    async def wait_readable(self) -> None:
        """As `DatagramSocket.wait_readable`."""
        if self.is_open:
            if self._waiting or self._refused:
                await trio.lowlevel.checkpoint()
            else:
                await self._parking.wait()
        if not self.is_open:
            raise trio.ClosedResourceError("this end closed it")

    def drain(self, at_most: int) -> list[tuple[bytes, Address]]:
        """As `DatagramSocket.drain`."""
        received: list[tuple[bytes, Address]] = []
        waiting = self._waiting
        for _ in range(min(at_most, len(waiting))):
            data, source = waiting.popleft()
            self._bytes -= len(data) + _OVERHEAD
            received.append((data[: limits.MAX_DATAGRAM + 1], source))
        return received

    def refused(self) -> list[Address]:
        """As `DatagramSocket.refused`."""
        if not self._refused:
            return []
        addresses = list(self._refused)
        self._refused.clear()
        return addresses

    def send_or_drop(self, data: bytes, to: Address) -> None:
        """As `DatagramSocket.send_or_drop`."""
        if not self.is_open or len(data) > _LONGEST[self._v6] or (":" in to.host) != self._v6:
            self.dropped += 1
            return
        self.process.machine.internet.send_datagram(self, data, to)

    def abandon(self) -> None:
        """As `close`: a simulation is never forked."""
        self.close()

    def close(self) -> None:
        """Wake whoever waits, and close."""
        if self.is_open:
            self.is_open = False
            self._waiting.clear()
            self.process.forget(self)
            self._parking.wake()

    # --- as the network sees it ----------------------------------------------------

    def arrive(self, data: bytes, source: Address) -> bool:
        """Take a datagram, unless the buffer is full."""
        size = len(data) + _OVERHEAD
        if self._bytes + size > _BUFFER:
            return False
        self._bytes += size
        self._waiting.append((data, source))
        self._parking.wake()
        return True

    def refuse(self, to: Address) -> None:
        """ICMP: nobody listens there."""
        if self.is_open:
            self._refused.append(to)
            self._parking.wake()
