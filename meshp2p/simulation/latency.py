"""How long a way takes: a distribution as a value, asked with a number from 0 up to 1."""

from __future__ import annotations

from math import exp, log
from statistics import NormalDist
from typing import Final, Protocol, TypeAlias

import attrs

from meshp2p.ids import Seconds

_NORMAL: Final = NormalDist()
_LEAST: Final = 1e-9
"""Keeps a draw off 0 and 1, where some distributions have no value."""


class Latency(Protocol):
    """A distribution of seconds."""

    def of(self, chance: float) -> Seconds:
        """The value below which this share of all values lies."""
        ...


@attrs.frozen
class Constant:
    """Always the same."""

    seconds: Seconds

    def of(self, chance: float) -> Seconds:
        """See `Latency.of`."""
        del chance
        return self.seconds


@attrs.frozen
class Uniform:
    """Every value between two is as likely."""

    low: Seconds
    high: Seconds

    def of(self, chance: float) -> Seconds:
        """See `Latency.of`."""
        return self.low + (self.high - self.low) * chance


@attrs.frozen
class Exponential:
    """At least `least`, and `mean` more on average: queues that are now and then long."""

    mean: Seconds
    least: Seconds = 0.0

    def of(self, chance: float) -> Seconds:
        """See `Latency.of`."""
        return self.least - self.mean * log(max(1.0 - chance, _LEAST))


@attrs.frozen
class LogNormal:
    """Half of all values lie below `median`; `sigma` makes the tail, as on the Internet."""

    median: Seconds
    sigma: float = 0.5

    def of(self, chance: float) -> Seconds:
        """See `Latency.of`."""
        bounded = min(max(chance, _LEAST), 1.0 - _LEAST)
        return self.median * exp(self.sigma * _NORMAL.inv_cdf(bounded))


AnyLatency: TypeAlias = Constant | Uniform | Exponential | LogNormal


def as_latency(given: AnyLatency | tuple[Seconds, Seconds]) -> AnyLatency:
    """A pair means every length between the two."""
    return Uniform(*given) if isinstance(given, tuple) else given
