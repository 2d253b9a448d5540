"""Virtual TCP: as `runtime.sockets.StreamSocket`, without a kernel.

Each direction is a lane on which pieces keep their order. The sender may have a bounded
number of bytes under way or unread at the other end; then its socket is full.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from meshp2p.ids import Address
from meshp2p.simulation.links import Lane
from meshp2p.testing.parking import Parking

if TYPE_CHECKING:
    from meshp2p.testing.process import Process

WINDOW: Final = 256 * 1024
"""Bytes sent and not yet read by the other end: then the socket is full."""
_READ: Final = 64 * 1024
_TORN: Final = 0.1
"""Share of writes that arrive in two pieces: a stream has no message borders."""
_HEADER: Final = 40
"""Bytes of a TCP segment besides its payload."""


class VirtualStream:
    """One end of a TCP connection."""

    def __init__(self, process: Process, address: Address) -> None:
        """Not connected yet; `address` is this end's."""
        self.process = process
        self.address = address
        self.lane = Lane((process.name, process.name))
        self.peer: VirtualStream | None = None
        self.is_open = True
        self.unread = 0
        """Bytes that this end sent and the other has not read."""
        self._refused: OSError | None = None
        self._arrived: deque[bytes] = deque()
        self._ended = False
        self._error: OSError | None = None
        self._broken = False
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
            return b"", False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._broken:
            return b"", False
        raise BlockingIOError(errno.EAGAIN, "EAGAIN")

    def _take(self) -> tuple[bytes, bool]:
        pieces, size = [], 0
        while self._arrived and size < _READ:
            piece = self._arrived.popleft()
            if size + len(piece) > _READ:
                self._arrived.appendleft(piece[_READ - size :])
                piece = piece[: _READ - size]
            pieces.append(piece)
            size += len(piece)
        peer = self.peer
        if peer is not None:
            peer.unread -= size
            if peer.has_room_for_waiting:
                self.process.machine.internet.send_segment(self, peer.make_room, 0)
        return b"".join(pieces), size == _READ

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
        whole = bytes(data[:taken])
        torn = self.process.machine.internet.torn(self.lane.link, self._sent)
        at = int(len(whole) * torn / _TORN) if torn < _TORN else 0
        for piece in (whole[:at], whole[at:]):
            if piece:
                self._carry(self.peer, piece)
        return taken

    def _carry(self, peer: VirtualStream, piece: bytes) -> None:
        internet = self.process.machine.internet
        number = internet.tell_piece(self, len(piece))
        internet.send_segment(self, lambda: peer.arrive(piece, number), len(piece) + _HEADER)

    def abandon(self) -> None:
        """As `close`: a simulation is never forked."""
        self.close()

    def close(self) -> None:
        """As `StreamSocket.close`: what was written still arrives, then the end.

        Over unread bytes a reset follows, as from Linux: the other end's writes fail then.
        """
        self._leave(*("end", "reset")[: 2 if self._arrived else 1])

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
        peer = self.peer
        if self.is_open:
            self.process.machine.internet.note_stream(self, piece, number)
            self._arrived.append(piece)
            self._reading.wake()
        elif peer is not None and self.process.machine.has_power:
            self.process.machine.internet.send_segment(self, peer.reset, 0)

    def end(self) -> None:
        """The other end has nothing more to say."""
        if self.is_open:
            self._ended = True
            self._reading.wake()

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
            self._leave()
        else:
            self.close()

    def reject(self) -> None:
        """It stood, but nobody will ever accept it."""
        self._leave("reset")

    def _leave(self, *words: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._arrived.clear()
        self.process.forget(self)
        peer = self.peer
        for word in words:
            if peer is None:
                break
            last = peer.reset if word == "reset" else peer.end
            self.process.machine.internet.send_segment(self, last, 0)
        self._reading.wake()
        self._writing.wake()
