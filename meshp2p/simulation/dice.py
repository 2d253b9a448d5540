"""Chance from names: each draw depends on the seed and on what it is for, on nothing else.

One stream of random numbers would tie everything together: leave one packet out, and
every later one fares differently. Here the fate of the fifth packet from alice to bob is
the same whatever happens elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

_BYTES: Final = 8
_RANGE: Final = float(1 << (8 * _BYTES))


def chance(*names: object) -> float:
    """A number from 0 up to 1, the same for the same names in every process."""
    digest = hashlib.blake2b(repr(names).encode(), digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big") / _RANGE


def between(low: float, high: float, *names: object) -> float:
    """A number from `low` up to `high`, for these names."""
    return low + (high - low) * chance(*names)


def secret(*names: object) -> bytes:
    """32 bytes for these names: a key, or the seed of a generator."""
    return hashlib.blake2b(repr(names).encode(), digest_size=32).digest()


def entropy(*names: object) -> Callable[[int], bytes]:
    """What an engine takes for unpredictable bytes; the simulation can repeat them."""
    key, count = secret(*names), 0

    def draw(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(key + count.to_bytes(_BYTES, "big")).digest(size)

    return draw
