"""Virtual TCP: as `runtime.sockets.StreamSocket`, without a kernel.

Each direction is a lane on which pieces keep their order. The sender may have a bounded
number of bytes under way or unread at the other end; then its socket is full.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from meshp2p.ids import Address
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.links import Lane
from meshp2p.testing.parking import Parking

if TYPE_CHECKING:
    from meshp2p.testing.process import Process

WINDOW: Final = 256 * 1024
"""Bytes sent and not yet read by the other end: then the socket is full."""
_READ: Final = 64 * 1024
_RESEND: Final = 0.5
"""Seconds after which a segment that nobody acknowledged is sent again."""
_RESET: Final = 0.0001
"""Seconds after which the kernel of a closed end has refused what it was sent."""
_TORN: Final = 0.1
"""Share of writes that arrive in two pieces: a stream has no message borders."""


class VirtualStream:
    """One end of a TCP connection.

    Args:
        number: Within its process: odd if this end connects, even if it was accepted.
    """

    def __init__(self, process: Process, address: Address, number: int) -> None:
        """Not connected yet; `address` is this end's."""
        self.process = process
        self.number = number
        self.address = address
        self.lane = Lane((process.name, process.name))
        self.peer: VirtualStream | None = None
        self.is_open = True
        self.unread = 0
        """Bytes that this end sent and the other has not read."""
        self._refused: OSError | None = None
        self._arrived: deque[bytes] = deque()
        self._ended = self._read_end = False
        self._error: OSError | None = None
        self._broken = False
        self._torn: Draws | None = None
        self._sent = 0
        self._reading = Parking()
        self._writing = Parking()

    # --- as the driver sees it ---------------------------------------------------

    async def connect(self, to: Address) -> None:
        """As `StreamSocket.connect`."""
        self.process.machine.internet.connect(self, to)
        await self._writing.wait()
        if not self.is_open:
            raise trio.ClosedResourceError("this end closed it")
        if self._refused is not None:
            raise self._refused

    async def wait_readable(self) -> None:
        """As `StreamSocket.wait_readable`."""
        self._check_open()
        if self._arrived or self._ended or self._error or self._broken:
            await trio.lowlevel.checkpoint()
        else:
            await self._reading.wait()
        self._check_open()

    async def wait_writable(self) -> None:
        """As `StreamSocket.wait_writable`."""
        self._check_open()
        if self.unread < WINDOW or self._broken:
            await trio.lowlevel.checkpoint()
        else:
            await self._writing.wait()
        self._check_open()

    def _check_open(self) -> None:
        if not self.is_open:
            raise trio.ClosedResourceError("this end closed it")

    def receive(self) -> tuple[bytes, bool]:
        """As `StreamSocket.receive`."""
        if not self.is_open:
            raise OSError(errno.EBADF, "EBADF")
        if self._arrived:
            return self._take()
        if self._ended:
            self._read_end = True
            return b"", False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._broken:
            return b"", False
        raise BlockingIOError(errno.EAGAIN, "EAGAIN")

    def _take(self) -> tuple[bytes, bool]:
        piece = self._arrived.popleft()  # one by one: what happens meanwhile is seen meanwhile
        if len(piece) > _READ:
            self._arrived.appendleft(piece[_READ:])
            piece = piece[:_READ]
        peer = self.peer
        if peer is not None:
            peer.unread -= len(piece)
            if peer.has_room_for_waiting:
                self.process.machine.internet.send_segment(self, peer.make_room, 0)
        return piece, bool(self._arrived)

    def send(self, data: bytes | memoryview) -> int:
        """As `StreamSocket.send`."""
        if not self.is_open:
            raise OSError(errno.EBADF, "EBADF")
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._broken or self.peer is None:
            raise BrokenPipeError(errno.EPIPE, "EPIPE")
        taken = min(len(data), WINDOW - self.unread)
        if taken <= 0:
            return 0
        self.unread += taken
        self._sent += 1
        for piece in self._pieces(bytes(data[:taken])):
            self._carry(self.peer, piece)
        return taken

    def _pieces(self, whole: bytes) -> list[bytes]:
        """Now and then two, by the same draws as for engines on the heap."""
        if self._torn is None:
            seed = self.process.machine.internet.seed
            self._torn = Draws(seed, self.lane.link, self.number, "torn")
        torn = self._torn.at(self._sent)
        at = int(len(whole) * torn / _TORN) if torn < _TORN else 0
        return [whole[:at], whole[at:]] if at else [whole]

    def _carry(self, peer: VirtualStream, piece: bytes) -> None:
        internet = self.process.machine.internet
        number = internet.tell_piece(self, len(piece))
        internet.send_segment(self, lambda: peer.arrive(piece, number), len(piece))

    def abandon(self) -> None:
        """As `close`: a simulation is never forked."""
        self.close()

    def close(self) -> None:
        """As `StreamSocket.close`: what was written still arrives, then the end.

        Over unread bytes a reset follows, as from Linux: the other end's writes fail then.
        """
        peer, after, unread = self.peer, self.process.machine.internet.after, bool(self._arrived)

        def end() -> None:
            if peer is not None:
                peer.end()
                if unread:
                    after(_RESET, peer.reset_after_end)

        self._leave(end)

    # --- as the network sees it ----------------------------------------------------

    @property
    def has_room_for_waiting(self) -> bool:
        """Whether somebody waits to write, and could."""
        return self._writing.is_taken and self.unread < WINDOW

    def stand(self, peer: VirtualStream) -> None:
        """The connection stands."""
        self.peer = peer
        self.lane.link = (self.process.name, peer.process.name)

    def opened(self) -> None:
        """Whoever connects hears of it."""
        self._writing.wake()

    def refuse(self) -> None:
        """Nobody listens there."""
        self._refused = ConnectionRefusedError(errno.ECONNREFUSED, "ECONNREFUSED")
        self._writing.wake()

    def make_room(self) -> None:
        """The other end has read."""
        if self.is_open:
            self._writing.wake()

    def arrive(self, piece: bytes, number: int) -> None:
        """Bytes from the other end; `number` is how watchers know them."""
        if self.is_open:
            self.process.machine.internet.note_stream(self, piece, number)
            self._arrived.append(piece)
            self._reading.wake()
        elif self.peer is not None:
            self._arrive_too_late(self.peer, piece, number)

    def _arrive_too_late(self, peer: VirtualStream, piece: bytes, number: int) -> None:
        machine = self.process.machine
        if not machine.has_power:
            if peer.is_open:  # its kernel goes on trying, until somebody is there who refuses
                machine.internet.after(_RESEND, lambda: self.arrive(piece, number))
        elif self.process.is_alive:
            # No packet, whose number would be another's: the end that it follows says more.
            machine.internet.after(_RESET, peer.reset_after_end)
        else:
            machine.internet.send_segment(self, peer.reset, 0)

    def end(self) -> None:
        """The other end has nothing more to say."""
        if self.is_open:
            self._ended = True
            self._reading.wake()

    def reset_after_end(self) -> None:
        """The other end is closed, as this one has heard, and takes nothing more."""
        if self._ended:
            self.reset()

    def reset(self) -> None:
        """The other end knows of no such connection any more."""
        if self.is_open and not self._broken:
            self._broken = True
            if not self._ended:
                self._error = ConnectionResetError(errno.ECONNRESET, "ECONNRESET")
            self._reading.wake()
            self._writing.wake()

    def crash(self, *, silent: bool) -> None:
        """Its process is gone; a kernel that lives on closes what it had open."""
        if silent:
            self._leave(None)
        else:
            self.close()

    def reject(self) -> None:
        """It stood, but nobody will ever accept it."""
        self._leave(None if self.peer is None else self.peer.reset)

    def _leave(self, last: Callable[[], None] | None) -> None:
        """Close; `last` is what the other end hears, unless it is closed already, or gone."""
        if not self.is_open:
            return
        self.is_open = False
        self._arrived.clear()
        self.process.forget(self)
        is_heard = self.peer is not None and not (self._read_end or self._broken)
        if last is not None and is_heard:
            self.process.machine.internet.send_segment(self, last, 0)
        self._reading.wake()
        self._writing.wake()
