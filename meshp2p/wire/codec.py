"""The one door to MessagePack: bytes in, plain values or one error out."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgpack

from meshp2p.errors import WireError
from meshp2p.wire import limits

Value: TypeAlias = "None | bool | int | float | str | bytes | list[Value] | dict[str, Value]"
"""What a body may be made of. Tuples are sent as lists."""

_MSGPACK_ERRORS: Final = (
    ValueError,  # ExtraData, FormatError, StackError and UnicodeDecodeError are such
    TypeError,
    OverflowError,
    msgpack.exceptions.UnpackException,
)
_SHALLOW: Final = (int, str, bytes, float, bool, type(None))

_packer = msgpack.Packer(use_bin_type=True, strict_types=False, autoreset=True)


def pack(value: object) -> bytes:
    """Encode a value. Equal values of lists, integers, bytes and str give equal bytes.

    Raises:
        TypeError: It holds something that is no `Value`.
        OverflowError: It holds an integer of more than 64 bits.
        ValueError: It nests too deeply.
    """
    return _packer.pack(value)  # type: ignore[no-any-return]  # msgpack's stubs say Any


def unpack_untrusted(data: bytes) -> Value:
    """Decode one value from somebody who may be hostile.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            timestamp=0,
            max_ext_len=0,
            max_array_len=limits.MAX_ELEMENTS,
            max_map_len=limits.MAX_ELEMENTS,
        )
    except _MSGPACK_ERRORS as error:
        raise WireError(f"not MessagePack: {type(error).__name__}") from error
    if type(value) is list or type(value) is dict:
        _check_shape(value)
    return value  # type: ignore[no-any-return]  # shape checked above


def unpack_list_untrusted(data: bytes, at_least: int) -> list[Value]:
    """Decode one list of `at_least` elements; later versions may append more.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    value = unpack_untrusted(data)
    if type(value) is not list or len(value) < at_least:
        raise WireError(f"not a list of at least {at_least} elements")
    return value


def _check_shape(top: list[Value] | dict[str, Value]) -> None:
    """Refuse what nests too deeply or holds too many values (a 60-fold memory bomb)."""
    level: list[list[Value] | dict[str, Value]] = [top]
    seen = 0
    for _ in range(limits.MAX_DEPTH):
        deeper: list[list[Value] | dict[str, Value]] = []
        for container in level:
            values = container
            if type(container) is dict:
                if not all(type(key) is str for key in container):
                    raise WireError("a map whose keys are not strings")
                values = list(container.values())
            seen += len(values)
            if seen > limits.MAX_NODES:
                raise WireError(f"more than {limits.MAX_NODES} values")
            deeper += [value for value in values if type(value) is list or type(value) is dict]  # type: ignore[misc]
        if not deeper:
            return
        level = deeper
    raise WireError(f"nested more than {limits.MAX_DEPTH} deep")
