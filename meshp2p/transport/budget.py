"""How much work somebody may make this node do: so much at once, so much a second."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.transport.session import Path, Via

_V6_NETWORK_BYTES: Final = 8
"""A /64: one customer of a network owns that."""


@attrs.define
class Budgets:
    """A token bucket for each of those who ask.

    Args:
        at_once: What somebody may have done who has not asked lately.
        per_second: What comes back with time, up to `at_once`.
        remember: Askers kept; the one silent longest is forgotten, and begins anew.
    """

    at_once: int
    per_second: float
    remember: int
    _left: OrderedDict[Hashable, tuple[float, Seconds]] = attrs.field(
        factory=OrderedDict, init=False
    )

    def spend(self, who: Hashable, now: Seconds) -> bool:
        """Take one from somebody's budget; False if nothing is left of it."""
        left, then = self._left.pop(who, (float(self.at_once), now))
        left = min(float(self.at_once), left + (now - then) * self.per_second)
        allowed = left >= 1.0
        self._left[who] = (left - allowed, now)
        if len(self._left) > self.remember:
            self._left.popitem(last=False)
        return allowed


def source_of(path: Path) -> Hashable:
    """Whose budget a datagram is charged to: a host's, a /64's with IPv6, or a forwarder's."""
    if isinstance(path, Via):
        return path.member
    if ":" not in path.host:
        return path.host
    return ipaddress.ip_address(path.host).packed[:_V6_NETWORK_BYTES]
