"""Names shared by everyone: node ids, addresses, seconds, and what a name may look like."""

from __future__ import annotations

import base64
import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple, NewType, TypeAlias

from meshp2p.errors import UsageError, WireError

NodeId = NewType("NodeId", bytes)
"""16 bytes: the first half of SHA-256("meshp2p-id" || Ed25519 public key)."""

Seconds: TypeAlias = float
"""A duration, or a moment on a node's monotonic clock."""

NODE_ID_BYTES: Final = 16
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Handles, capabilities and namespaces. Case-sensitive."""

_IPV4_BYTES: Final = 4
_IPV6_BYTES: Final = 16
_PORT_BYTES: Final = 2


class Address(NamedTuple):
    """Where a node listens: a numeric IPv4 or IPv6 address and the port of UDP and TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        """Show IPv6 in brackets, as URLs do."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def packed(self) -> bytes:
        """6 bytes for IPv4, 18 for IPv6: the address, then the port, big endian."""
        return _host_packed(self.host) + self.port.to_bytes(_PORT_BYTES, "big")

    @property
    def is_loopback(self) -> bool:
        """Whether packets to it stay on this machine."""
        return ipaddress.ip_address(self.host).is_loopback


def address_from_packed(data: bytes) -> Address:
    """Read what `Address.packed` wrote.

    Raises:
        WireError: Neither 6 nor 18 bytes, or port 0.
    """
    if len(data) not in (_IPV4_BYTES + _PORT_BYTES, _IPV6_BYTES + _PORT_BYTES):
        raise WireError(f"an address of {len(data)} bytes")
    port = int.from_bytes(data[-_PORT_BYTES:], "big")
    if port == 0:
        raise WireError("an address with port 0")
    return Address(_host_from_packed(data[:-_PORT_BYTES]), port)


@lru_cache(maxsize=1_024)  # each record and greeting names some of the same few hosts
def _host_packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


def _host_from_packed(packed: bytes) -> str:
    if len(packed) == _IPV4_BYTES:  # as `ipaddress` would say it, in a tenth of the time
        return ".".join(map(str, packed))
    return _ipv6_host(packed)


@lru_cache(maxsize=256)  # each record and greeting names some of the same few hosts
def _ipv6_host(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def show_id(node_id: bytes) -> str:
    """26 letters and digits (base32, lower case, no padding)."""
    return base64.b32encode(node_id).decode().rstrip("=").lower()


def parse_id(text: str) -> NodeId:
    """Read what `show_id` wrote.

    Raises:
        UsageError: Not 26 base32 characters.
    """
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError as error:
        raise UsageError(f"{text!r} is not a node id: 26 letters and digits expected") from error
    if len(raw) != NODE_ID_BYTES:
        raise UsageError(f"{text!r} is not a node id: 26 letters and digits expected")
    return NodeId(raw)


def check_name(what: str, name: object) -> str:
    """Return `name` if it may be a handle, capability or namespace.

    Raises:
        UsageError: Names the argument, the value and what is allowed.
    """
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise UsageError(
        f"{what}={name!r}: allowed are 1 to 63 letters, digits, '.', '_' and '-', "
        "beginning with a letter or digit"
    )


def matches(pattern: str, name: str) -> bool:
    """Whether `name` fits `pattern`: `x`, `x.*` (anything below x) or `*`.

    Raises:
        Nothing: a pattern of another form matches only itself.
    """
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def check_pattern(what: str, pattern: object) -> str:
    """Return `pattern` if it is `x`, `x.*` or `*`.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(pattern, str) and (pattern == "*" or NAME.fullmatch(pattern.removesuffix(".*"))):
        return pattern
    raise UsageError(f"{what}={pattern!r}: allowed are a name, a name followed by '.*', or '*'")
