"""Bare non-blocking sockets: drained until they would block, written until they are full.

Waiting on each call would cost more than the call itself, so only readiness is awaited,
and everything else happens without waiting.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import Final

import trio

from meshp2p.ids import Address
from meshp2p.wire import limits

_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
"""Linux: keep ICMP errors in a queue that tells whom each is about."""
_READ: Final = 64 * 1024
_BUFFER: Final = 1 << 20
_MAX_ERRORS: Final = 64


class DatagramSocket:
    """One UDP socket."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a bound, non-blocking socket."""
        self._sock = sock
        self._v6 = sock.family == socket.AF_INET6
        self.dropped = 0
        self.is_failing = False
        """Whether the last turn of reading met nothing but errors."""
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        with contextlib.suppress(OSError):  # not Linux: then silence is all we get
            if self._v6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)

    async def wait_readable(self) -> None:
        """Until there is a datagram or an error to fetch."""
        await trio.lowlevel.wait_readable(self._sock)

    def drain(self, at_most: int) -> list[tuple[bytes, Address]]:
        """Up to `at_most` datagrams that are there now."""
        received: list[tuple[bytes, Address]] = []
        errors = 0
        while len(received) < at_most and errors < _MAX_ERRORS:
            try:
                data, source = self._sock.recvfrom(limits.MAX_DATAGRAM + 1)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # An ICMP error, reported once here; `refused` has the details. What is
                # reported again and again is a broken socket.
                errors += 1
                continue
            received.append((data, Address(source[0].partition("%")[0], source[1])))
        self.is_failing = errors == _MAX_ERRORS and not received
        return received

    def refused(self) -> list[Address]:
        """Whose ports were closed when we sent to them, as far as the kernel was told."""
        addresses: list[Address] = []
        for _ in range(_MAX_ERRORS):
            try:
                _, ancillary, _, source = self._sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break
            refused = any(
                struct.unpack_from("=I", data)[0] == errno.ECONNREFUSED
                for level, _, data in ancillary
                if level in (socket.IPPROTO_IP, socket.IPPROTO_IPV6) and len(data) >= 4  # noqa: PLR2004  # the first field
            )
            if refused and source:
                addresses.append(Address(source[0].partition("%")[0], source[1]))
        return addresses

    def send_or_drop(self, data: bytes, to: Address) -> None:
        """Send now; what cannot go is lost, as datagrams may be."""
        try:
            self._sock.sendto(data, to)
        except OSError:
            # Also raised for an earlier datagram's ICMP error, and this one is not sent
            # then: try once more.
            with contextlib.suppress(OSError):
                self._sock.sendto(data, to)
                return
            self.dropped += 1

    def abandon(self) -> None:
        """Close this process's copy only: the peer and the parent notice nothing."""
        self._sock.close()

    def close(self) -> None:
        """Wake whoever waits, and close."""
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()


class StreamSocket:
    """One TCP connection."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a non-blocking socket."""
        self._sock = sock
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def connect(self, to: Address) -> None:
        """Until the connection stands.

        Raises:
            OSError: It cannot be made.
        """
        code = self._sock.connect_ex(to)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(self._sock)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, str(code)))

    async def wait_readable(self) -> None:
        """Until there are bytes, or the end.

        Raises:
            trio.ClosedResourceError: It was closed at this end, before or meanwhile.
        """
        self._check_open()
        await trio.lowlevel.wait_readable(self._sock)

    async def wait_writable(self) -> None:
        """Until there is room; raises as `wait_readable`."""
        self._check_open()
        await trio.lowlevel.wait_writable(self._sock)

    def _check_open(self) -> None:
        # trio takes the number of a closed socket, -1, for one to wait on, and breaks.
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("this end closed it")

    def receive(self) -> tuple[bytes, bool]:
        """Bytes that are there now, and whether there may be more at once.

        Raises:
            BlockingIOError: Nothing is there.
            OSError: The connection broke.
        """
        data = self._sock.recv(_READ)
        return data, len(data) == _READ

    def send(self, data: bytes | memoryview) -> int:
        """Write what fits; 0 if nothing does.

        Raises:
            OSError: The connection broke.
        """
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def abandon(self) -> None:
        """Close this process's copy only: the peer and the parent notice nothing."""
        self._sock.close()

    def close(self) -> None:
        """Wake whoever waits, and close; what was written still arrives."""
        trio.lowlevel.notify_closing(self._sock)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()


class Listener:
    """One listening TCP socket."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a listening, non-blocking socket."""
        self._sock = sock

    async def wait_readable(self) -> None:
        """Until somebody connects."""
        await trio.lowlevel.wait_readable(self._sock)

    def accept(self) -> tuple[StreamSocket, Address] | None:
        """Somebody who connected, or None."""
        try:
            sock, remote = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return None
        sock.settimeout(0)
        return StreamSocket(sock), Address(remote[0].partition("%")[0], remote[1])

    def abandon(self) -> None:
        """Close this process's copy only: the peer and the parent notice nothing."""
        self._sock.close()

    def close(self) -> None:
        """Wake whoever waits, and close."""
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
