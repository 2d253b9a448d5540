"""What people write for times and rates: "5-80ms", "1mbit"."""

from __future__ import annotations

import re
from typing import Final

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds
from meshp2p.simulation.latency import AnyLatency, Constant, Exponential, LogNormal, Uniform

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_BITS: Final = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_DELAY: Final = re.compile(rf"(?P<low>{_NUMBER})(?:-(?P<high>{_NUMBER}))?(?P<unit>us|ms|s)")
_RATE: Final = re.compile(rf"(?P<number>{_NUMBER})(?P<unit>[kmg]?bit)(?:/s)?")
_BITS_PER_BYTE: Final = 8


def as_delay(value: object) -> AnyLatency:
    """Read a delay: seconds, a pair of them, "20ms", "5-80ms", or a distribution.

    Raises:
        UsageError: It is none.
    """
    if isinstance(value, Constant | Uniform | Exponential | LogNormal):
        return value
    low, high = _seconds(value)
    if not 0.0 <= low <= high:
        raise UsageError(f"delay={value!r}: allowed are delays of 0 and more, the shorter first")
    return Constant(low) if low == high else Uniform(low, high)


def _seconds(value: object) -> tuple[Seconds, Seconds]:
    match value:
        case str():
            found = _DELAY.fullmatch(value.replace(" ", ""))
            if found is not None:
                unit = _SECONDS[found["unit"]]
                return float(found["low"]) * unit, float(found["high"] or found["low"]) * unit
        case bool():
            pass
        case int() | float():
            return float(value), float(value)
        case (int() | float() as low, int() | float() as high):
            return float(low), float(high)
        case _:
            pass
    raise UsageError(f"delay={value!r}: allowed are seconds, '20ms', '5-80ms', and (low, high)")


def as_rate(value: object) -> float:
    """Read a rate, in bytes per second: "1mbit", "64kbit", or bytes per second.

    Raises:
        UsageError: It is none.
    """
    if isinstance(value, str):
        found = _RATE.fullmatch(value.replace(" ", "").lower())
        if found is not None and float(found["number"]) > 0:
            return float(found["number"]) * _BITS[found["unit"]] / _BITS_PER_BYTE
    elif isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise UsageError(f"rate={value!r}: allowed are '1mbit', '64kbit' and bytes per second")


def as_share(name: str, value: object) -> float:
    """Read a share of packets.

    Raises:
        UsageError: It is not between 0 and 1.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
        return float(value)
    raise UsageError(f"{name}={value!r}: allowed are shares from 0 to 1")


def as_duration(name: str, value: object) -> Seconds:
    """Read virtual seconds.

    Raises:
        UsageError: It is no number of 0 or more.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise UsageError(f"{name}={value!r}: allowed are seconds, 0 and more")
