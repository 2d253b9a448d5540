"""The one door to MessagePack: bytes in, plain values or one error out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgpack

from meshp2p.errors import WireError
from meshp2p.wire import limits

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"
"""What a body may be made of. Tuples are sent as lists."""

_MSGPACK_ERRORS: Final = (
    ValueError,  # ExtraData, FormatError, StackError and UnicodeDecodeError are such
    TypeError,
    OverflowError,
    msgpack.exceptions.UnpackException,
)

_FEW: Final = 16
"""Plain arguments of a call that need no further look."""

_CONTAINERS: Final[frozenset[type]] = frozenset((list, dict))

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
    value = _unpack(data)
    if type(value) is list or type(value) is dict:
        check_shape_untrusted(value)
    return value


def _unpack(data: bytes) -> Value:
    try:
        return msgpack.unpackb(  # type: ignore[no-any-return]  # msgpack's stubs say Any
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


def unpack_call_untrusted(data: bytes) -> tuple[list[Value], dict[str, Value]]:
    """Decode the body of a call: arguments and keywords; later versions may append more.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    value = _unpack(data)
    if type(value) is not list or len(value) < 2:  # noqa: PLR2004  # arguments, keywords
        raise WireError("the body of a call is not [arguments, keywords]")
    args, kwargs = value[0], value[1]
    if type(args) is not list or type(kwargs) is not dict:
        raise WireError("the body of a call is not [arguments, keywords]")
    flat = len(value) == 2 and not kwargs and len(args) <= _FEW  # noqa: PLR2004  # nothing appended
    if not flat or any(type(arg) is list or type(arg) is dict for arg in args):
        check_shape_untrusted(value)
    return args, kwargs


def unpack_list_untrusted(data: bytes, at_least: int) -> list[Value]:
    """Decode one list of `at_least` elements; later versions may append more.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    value = unpack_untrusted(data)
    if type(value) is not list or len(value) < at_least:
        raise WireError(f"not a list of at least {at_least} elements")
    return value


def unpack_head_untrusted(data: bytes, at_least: int) -> list[Value]:
    """As `unpack_list_untrusted`, for at most `limits.MAX_HEAD` bytes, shape unchecked.

    So few bytes can neither nest nor hold enough to do harm; whoever reads the fields
    checks each one's type, and passes what may hold more through `check_shape_untrusted`.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    if len(data) > limits.MAX_HEAD:
        raise WireError(f"a head of {len(data)} bytes")
    value = _unpack(data)
    if type(value) is not list or len(value) < at_least:
        raise WireError(f"not a list of at least {at_least} elements")
    return value


def check_shape_untrusted(  # noqa: C901  # one loop, since every body passes it
    top: list[Value] | dict[str, Value],
) -> None:
    """Refuse what nests too deeply or holds too many values (a 60-fold memory bomb).

    Raises:
        WireError: It does, or a map in it has a key that is not text.
    """
    level: list[list[Value] | dict[str, Value]] = [top]
    seen = 0
    for _ in range(limits.MAX_DEPTH):
        deeper: list[list[Value] | dict[str, Value]] = []
        for container in level:
            size = len(container)
            if not size:
                continue
            if size > limits.MAX_ELEMENTS:
                raise WireError(f"more than {limits.MAX_ELEMENTS} elements in one list or map")
            seen += size
            if type(container) is dict:
                for key in container:
                    if type(key) is not str:
                        raise WireError("a map whose keys are not strings")
                values: Iterable[Value] = container.values()
            else:
                values = container
            if not _CONTAINERS.isdisjoint(map(type, values)):  # many times faster than the next
                deeper += [each for each in values if type(each) in _CONTAINERS]  # type: ignore[misc]  # so these are
        if seen > limits.MAX_NODES:
            raise WireError(f"more than {limits.MAX_NODES} values")
        if not deeper:
            return
        level = deeper
    raise WireError(f"nested more than {limits.MAX_DEPTH} deep")
