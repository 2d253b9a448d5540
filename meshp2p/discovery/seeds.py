"""What a person writes for an address: seeds to join by, and where to listen."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

import trio

from meshp2p.errors import UsageError
from meshp2p.ids import Address
from meshp2p.wire.limits import MAX_ADDRESSES

DEFAULT_PORT: Final = 6374
"""Spells "mesh" on a telephone's keypad."""

_MAX_PORT: Final = 65_535
_MAX_HOST: Final = 253
"""Characters of a host name (RFC 1035, 2.3.4, without the dot at its end)."""
_HOST_NAME: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?"
)
_PARTS: Final = re.compile(
    r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?"
)
_LOOKUPS_AT_ONCE: Final = 4
"""A name server that does not answer holds a thread for half a minute."""

_lookups: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("meshp2p lookups")


def parse_seed(text: object, argument: str = "seed") -> tuple[str, int]:
    """Read where another node listens; without a port it is 6374.

    Args:
        text: `name`, `name:port`, `10.0.0.7:6374`, `[2001:db8::7]:6374`.
        argument: What the user calls it.

    Returns:
        Host name or numeric address (no brackets), and port.

    Raises:
        UsageError: Names the value and what is allowed.
    """
    host, port = _split(argument, text)
    if port == 0:
        raise UsageError(
            f"{argument}={text!r}: nobody listens on port 0; allowed are 1 to {_MAX_PORT}"
        )
    numeric = _numeric(host)
    if host == "" or (numeric and (numeric.is_unspecified or numeric.is_multicast)):
        raise UsageError(f"{argument}={text!r} names no host: write the address of one node")
    return host, port


def parse_bind(text: str) -> tuple[str, int]:
    """Read where this node shall listen; without a port it is 6374.

    Args:
        text: `127.0.0.1:0`, `[::1]:0`, `localhost:7000`, or `:6374` for every address of
            this machine. Port 0 lets the system choose.

    Returns:
        Numeric address, "" for all of both families; and port. `localhost` is 127.0.0.1.

    Raises:
        UsageError: Names the value and what is allowed.
    """
    host, port = _split("bind", text)
    if host.lower() == "localhost":
        host = "127.0.0.1"
    if host and _numeric(host) is None:
        raise UsageError(
            f"bind={text!r}: {host!r} is a name; allowed are addresses of this machine, "
            "as in '127.0.0.1:0' or '[::1]:0', and ':6374' for all of them"
        )
    return host, port


def is_loopback_host(host: str) -> bool:
    """Whether what is sent to this host cannot leave the machine (names: RFC 6761, 6.3)."""
    numeric = _numeric(host)
    if numeric is not None:
        return numeric.is_loopback
    name = host.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")


async def resolve(host: str, port: int) -> list[Address]:
    """Look a host up, IPv4 and IPv6 alike; empty if that fails, for it is tried again.

    At most 8 addresses, each once, in the order that the system prefers (RFC 6724).
    """
    numeric = _numeric(host)
    if numeric is not None:
        return [Address(str(numeric), port)]
    try:
        # Not trio's own getaddrinfo: that takes its threads from everybody's limiter.
        found = await trio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM),
            abandon_on_cancel=True,
            limiter=_lookup_limiter(),
        )
    except (OSError, UnicodeError):  # UnicodeError: a label of more than 63 characters
        return []
    hosts = [str(sockaddr[0]) for _, _, _, _, sockaddr in found]
    # An address of one link ("fe80::1%eth0") means nothing to the other members.
    usable = [host for host in dict.fromkeys(hosts) if "%" not in host]
    return [Address(host, port) for host in usable[:MAX_ADDRESSES]]


def _lookup_limiter() -> trio.CapacityLimiter:
    """One for each event loop: they cannot share one."""
    try:
        return _lookups.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_LOOKUPS_AT_ONCE)
        _lookups.set(limiter)
        return limiter


def _split(what: str, text: object) -> tuple[str, int]:
    """Host, or "" if there is none, and port."""
    parts = _PARTS.fullmatch(text) if isinstance(text, str) and text else None
    if parts is None:
        raise _not_an_address(what, text)
    host = parts["host"] if parts["v6"] is None else parts["v6"]
    port = DEFAULT_PORT if parts["port"] is None else int(parts["port"])
    bracketed = parts["v6"] is not None
    if bracketed != isinstance(_numeric(host), ipaddress.IPv6Address) or port > _MAX_PORT:
        raise _not_an_address(what, text)
    if host and _numeric(host) is None and not _is_name(host):
        raise _not_an_address(what, text)
    return host, port


def _is_name(host: str) -> bool:
    # "10.0.0.300" is no name either: a name's last part is never a number.
    last = host.removesuffix(".").rpartition(".")[2]
    return len(host) <= _MAX_HOST and bool(_HOST_NAME.fullmatch(host)) and not last.isdigit()


def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in host:  # of one link only: it fits no record
        return None
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _not_an_address(what: str, text: object) -> UsageError:
    return UsageError(
        f"{what}={text!r} is not an address: allowed are 'host', 'host:port', '10.0.0.7:6374' and "
        f"'[2001:db8::7]:6374', with a port of at most {_MAX_PORT}"
    )
