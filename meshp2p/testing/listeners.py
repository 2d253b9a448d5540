"""Virtual TCP's other half: as `runtime.sockets.Listener`, without a kernel."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from meshp2p.ids import Address
from meshp2p.testing.connections import VirtualStream
from meshp2p.testing.parking import Parking

if TYPE_CHECKING:
    from meshp2p.testing.process import Process

_BACKLOG: Final = 512


class VirtualListener:
    """One listening TCP socket of a process."""

    def __init__(self, process: Process, address: Address) -> None:
        """Listening until `close`."""
        self.process = process
        self.address = address
        self.is_open = True
        self._waiting: deque[tuple[VirtualStream, Address]] = deque()
        self._parking = Parking()

    async def wait_readable(self) -> None:
        """As `Listener.wait_readable`."""
        if self.is_open and self._waiting:
            await trio.lowlevel.checkpoint()
        elif self.is_open:
            await self._parking.wait()
        if not self.is_open:
            raise trio.ClosedResourceError("this end closed it")

    def accept(self) -> tuple[VirtualStream, Address] | None:
        """As `Listener.accept`."""
        while self._waiting:
            stream, remote = self._waiting.popleft()
            if stream.is_open:
                return stream, remote
        return None

    def abandon(self) -> None:
        """As `close`: a simulation is never forked."""
        self.close()

    def close(self) -> None:
        """Wake whoever waits, and close; whoever was not accepted is reset."""
        self.crash(silent=False)

    def crash(self, *, silent: bool) -> None:
        """Its process is gone."""
        if self.is_open:
            self.is_open = False
            self.process.forget(self)
            while self._waiting:
                stream, _ = self._waiting.popleft()
                if silent:
                    stream.crash(silent=True)
                else:
                    stream.reject()
            self._parking.wake()

    def arrive(self, stream: VirtualStream, remote: Address) -> bool:
        """Somebody connected; False if too many wait."""
        if len(self._waiting) >= _BACKLOG:
            return False
        self._waiting.append((stream, remote))
        self._parking.wake()
        return True
