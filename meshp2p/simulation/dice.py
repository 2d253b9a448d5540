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


_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST_MIX: Final = 0xBF58476D1CE4E5B9
_SECOND_MIX: Final = 0x94D049BB133111EB
_FRACTION: Final = float(1 << 53)


class Draws:
    """Numbers from 0 up to 1 for one purpose, each by its own number; five times as quick.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA
    2014), the output function of SplitMix64.
    """

    __slots__ = ("_key",)

    def __init__(self, *names: object) -> None:
        """Draws for what these names name."""
        self._key = int.from_bytes(secret(*names)[:_BYTES], "big")

    def at(self, number: int) -> float:
        """Draw of that number: the same in every process and whatever was drawn before."""
        mixed = (self._key + number * _GOLDEN) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * _FIRST_MIX) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * _SECOND_MIX) & _MASK
        return ((mixed ^ (mixed >> 31)) >> 11) / _FRACTION
