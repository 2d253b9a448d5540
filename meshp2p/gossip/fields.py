"""Reading one element of a list that a stranger packed."""

from __future__ import annotations

from typing import Final

from meshp2p.errors import WireError
from meshp2p.ids import NAME
from meshp2p.wire.codec import Value

U64: Final = 1 << 64
MAX_EPOCH: Final = 1 << 63
"""Exclusive. Leaves an owner room to supersede whatever it once signed."""


def natural(value: Value, what: str, below: int = U64) -> int:
    """An integer of at least 0 and less than `below`.

    Raises:
        WireError: It is something else; `True` is no integer.
    """
    if type(value) is not int or not 0 <= value < below:
        raise WireError(f"{what} is not an integer from 0 to {below - 1}")
    return value


def binary(value: Value, what: str, *, exactly: int = -1, at_most: int = -1) -> bytes:
    """Bytes of the given length, or of any length up to `at_most`.

    Raises:
        WireError: It is something else.
    """
    if type(value) is not bytes:
        raise WireError(f"{what} is not binary")
    if exactly >= 0 and len(value) != exactly:
        raise WireError(f"{what} has {len(value)} bytes, not {exactly}")
    if at_most >= 0 and len(value) > at_most:
        raise WireError(f"{what} has {len(value)} bytes, at most {at_most} allowed")
    return value


def array(value: Value, what: str, *, at_least: int = 0, at_most: int = -1) -> list[Value]:
    """A list with at least so many elements.

    Raises:
        WireError: It is something else.
    """
    if type(value) is not list or len(value) < at_least:
        raise WireError(f"{what} is not a list of at least {at_least} elements")
    if at_most >= 0 and len(value) > at_most:
        raise WireError(f"{what} has {len(value)} elements, at most {at_most} allowed")
    return value


def text(value: Value, what: str, *, at_most: int) -> str:
    """A string of at most so many characters.

    Raises:
        WireError: It is something else.
    """
    if type(value) is not str or len(value) > at_most:
        raise WireError(f"{what} is not a string of at most {at_most} characters")
    return value


def name(value: Value, what: str, *, empty: bool = False) -> str:
    """A handle, capability, role or namespace.

    Args:
        empty: Whether the empty string is one too.

    Raises:
        WireError: It is something else.
    """
    if type(value) is str and ((empty and not value) or NAME.fullmatch(value)):
        return value
    raise WireError(f"{what} is not a name")
