"""Binding: one port number for UDP and TCP, on one or both address families."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Final

import attrs

from meshp2p.errors import PortTaken, StartError
from meshp2p.ids import Address
from meshp2p.runtime.sockets import DatagramSocket, Listener, StreamSocket

LOOPBACK: Final = ("127.0.0.1", "::1")
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  # only with a mesh that was shared on purpose
DEFAULT_PORT: Final = 6374
"""The port that a shared mesh tries first: "mesh" on a telephone's keypad."""
_TRIES: Final = 16
_BACKLOG: Final = 512
_NO_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@attrs.define
class Network:
    """All sockets of a node. Closing is idempotent."""

    datagrams: dict[int, DatagramSocket]
    listeners: list[Listener]
    addresses: tuple[Address, ...]
    unsent: int = 0

    def send_or_drop(self, data: bytes, to: Address) -> None:
        """Send from the socket of the address's family."""
        family = socket.AF_INET6 if ":" in to.host else socket.AF_INET
        datagrams = self.datagrams.get(family)
        if datagrams is None:
            self.unsent += 1
        else:
            datagrams.send_or_drop(data, to)

    @staticmethod
    def stream_socket(to: Address) -> StreamSocket:
        """A socket to connect with."""
        family = socket.AF_INET6 if ":" in to.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(0)
        return StreamSocket(sock)

    def abandon(self) -> None:
        """Close this process's copies only, after a fork."""
        for sock in self.datagrams.values():
            sock.abandon()
        for listener in self.listeners:
            listener.abandon()

    def close(self) -> None:
        """Close all sockets but the streams."""
        for sock in self.datagrams.values():
            sock.close()
        for listener in self.listeners:
            listener.close()
        self.datagrams.clear()
        self.listeners.clear()


def numeric(host: str) -> str:
    """The numeric address of a host that is to be bound or advertised.

    Raises:
        StartError: It is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"{host!r} is not an address of this machine: {error}") from error
    return str(found[0][4][0])


def bind(hosts: Sequence[str], port: int, *, fallback: bool = False) -> Network:
    """Listen on `port` (0: any) of all `hosts`; a family that the machine lacks is left out.

    Args:
        fallback: Take any port if `port` is in use.

    Raises:
        PortTaken: `port` is in use.
        StartError: No host can be bound.
    """
    for attempt in range(_TRIES):
        try:
            return _bind_once(hosts, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StartError(
                    f"cannot listen on {', '.join(hosts)}: {error.strerror}"
                ) from error
            if port and fallback:
                port = 0
            elif port or attempt == _TRIES - 1:
                raise PortTaken(
                    f"port {port} of {hosts[0]} is in use; choose another, or let the system "
                    f"choose with bind='{Address(hosts[0], 0)}'"
                ) from error
    raise PortTaken(f"no free port on {', '.join(hosts)}")


def _bind_once(hosts: Sequence[str], port: int) -> Network:
    opened: list[socket.socket] = []
    network = Network({}, [], ())
    addresses: list[Address] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                listening = _socket(family, socket.SOCK_STREAM, host, port, opened)
            except OSError as error:
                if error.errno in _NO_FAMILY and host != hosts[0]:
                    continue
                raise
            listening.listen(_BACKLOG)
            port = listening.getsockname()[1]
            datagrams = _socket(family, socket.SOCK_DGRAM, host, port, opened)
            network.listeners.append(Listener(listening))
            network.datagrams[family] = DatagramSocket(datagrams)
            addresses.append(Address(host, port))
    except OSError:
        for sock in opened:
            sock.close()
        raise
    network.addresses = tuple(addresses)
    if addresses and all(address.is_loopback for address in addresses):
        _reach_other_family(network)
    return network


def _reach_other_family(network: Network) -> None:
    """Bound to one family of loopback, datagrams must still reach nodes of the other.

    They answer to where a datagram came from, so any port will do.
    """
    for host in LOOPBACK:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if family not in network.datagrams:
            with contextlib.suppress(OSError):  # a machine without that family
                opened: list[socket.socket] = []
                sock = _socket(family, socket.SOCK_DGRAM, host, 0, opened)
                network.datagrams[family] = DatagramSocket(sock)


def _socket(
    family: int, kind: int, host: str, port: int, opened: list[socket.socket]
) -> socket.socket:
    sock = socket.socket(family, kind)
    opened.append(sock)
    sock.settimeout(0)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host, port))
    return sock


def advertised(bound: Sequence[Address]) -> tuple[Address, ...]:
    """Addresses that others can reach: "everywhere" becomes that of the default route."""
    reachable: list[Address] = []
    for address in bound:
        if address.host not in EVERYWHERE:
            reachable.append(address)
            continue
        v6 = ":" in address.host
        with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # Connecting a UDP socket sends nothing; it only chooses a route.
                probe.connect(("2001:db8::1" if v6 else "192.0.2.1", 9))
                host = probe.getsockname()[0]
            except OSError:
                host = "::1" if v6 else "127.0.0.1"
        reachable.append(Address(host.partition("%")[0], address.port))
    return tuple(reachable)
