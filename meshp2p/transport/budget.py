"""Who is charged for the work that a datagram makes."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from typing import Final

from meshp2p.transport.path import Path, Via

_V6_NETWORK_BYTES: Final = 8
"""A /64: one customer of a network owns that."""


def source_of(path: Path) -> Hashable:
    """Whose budget a datagram is charged to: a host's, a /64's with IPv6, or a forwarder's."""
    if isinstance(path, Via):
        return path.member
    if ":" not in path.host:
        return path.host
    return ipaddress.ip_address(path.host).packed[:_V6_NETWORK_BYTES]
