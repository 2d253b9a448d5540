"""User values to bodies and back: plain data, attrs classes and dataclasses. Never pickle."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Union, cast

import attrs

from meshp2p.errors import UsageError, WireError
from meshp2p.wire import codec, limits

SCALARS: Final = frozenset({bool, int, str, bytes, float, type(None)})
"""Sent as they are; an integer that is too long is found by the encoder."""
_ALLOWED: Final = (
    "None, bool, int of 64 bits, float, str, bytes, list, tuple, dict with str keys, "
    "attrs classes and dataclasses"
)


class MismatchError(Exception):
    """A value that does not fit the annotation it should fit."""


def to_plain(value: object, where: str = "value", depth: int = 0) -> Any:  # noqa: ANN401  # any plain value; one branch a kind reads best
    """Turn a user's value into what may travel.

    Raises:
        UsageError: Names the place, the type and what is allowed.
    """
    kind = type(value)
    if kind in SCALARS:
        return value
    if depth >= limits.MAX_DEPTH - 2:
        raise UsageError(f"{where} is nested more than {limits.MAX_DEPTH - 2} deep")
    if isinstance(value, list | tuple):
        return [
            item if type(item) in SCALARS else to_plain(item, f"{where}[{n}]", depth + 1)
            for n, item in enumerate(value)
        ]
    if isinstance(value, dict):
        return _plain_dict(value, where, depth)
    if not isinstance(value, type) and attrs.has(kind):
        names = [field.name for field in attrs.fields(kind)]
        return _plain_dict({name: getattr(value, name) for name in names}, where, depth)
    if not isinstance(value, type) and dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return _plain_dict({name: getattr(value, name) for name in names}, where, depth)
    for plain in (int, float, str, bytes):
        if isinstance(value, plain):  # a subclass, such as an IntEnum
            return cast("Callable[[object], object]", plain)(value)
    raise UsageError(f"{where} is a {kind.__qualname__}; allowed are {_ALLOWED}")


def _plain_dict(value: Mapping[object, object], where: str, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise UsageError(f"{where} has the key {key!r}; allowed are str keys")
        scalar = type(item) in SCALARS
        plain[key] = item if scalar else to_plain(item, f"{where}[{key!r}]", depth + 1)
    return plain


def pack_arguments(args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
    """The body of a call: [positional list, keyword dict].

    Raises:
        UsageError: As `pack_plain`.
    """
    if not kwargs:
        for value in args:
            if type(value) not in SCALARS:
                break
        else:  # the common case, in a third of the time
            return _pack([args, {}], "the arguments")
    return pack_plain([list(args), dict(kwargs)], "the arguments")


def pack_plain(value: object, where: str) -> bytes:
    """Encode a user's value.

    Raises:
        UsageError: It is not allowed, or longer than `limits.MAX_BODY`.
    """
    return _pack(to_plain(value, where), where)


def _pack(plain: object, where: str) -> bytes:
    try:
        data = codec.pack(plain)
    except OverflowError as error:
        raise UsageError(f"{where} holds an integer of more than 64 bits") from error
    except (ValueError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{where} cannot be encoded: {error}") from error
    if len(data) > limits.MAX_ELEMENTS and isinstance(plain, list | dict):
        _check_bounds(plain, where)
    if len(data) > limits.MAX_BODY:
        raise UsageError(
            f"{where}: {len(data):,} bytes; at most {limits.MAX_BODY:,} are allowed in one call"
        )
    return data


def _check_bounds(plain: Any, where: str) -> None:  # noqa: ANN401  # a list or dict
    """What the other side would refuse is refused here, in words."""
    try:
        codec.check_shape_untrusted(plain)
    except WireError as error:
        raise UsageError(f"{where} cannot be sent: {error}") from error


def from_plain(value: object, wanted: Any, where: str = "value") -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912  # annotations are of any kind; one branch each
    """Build what an annotation asks for out of plain data.

    Unknown annotations (a TypeVar, a Protocol) take the value as it is.

    Raises:
        MismatchError: The value does not fit.
    """
    if type(value) is wanted and wanted in SCALARS:
        return value
    if wanted is Any or wanted is object or isinstance(wanted, str | typing.TypeVar):
        return value
    if wanted is None or wanted is type(None):
        return _need(value, type(None), where)
    origin = typing.get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _from_union(value, typing.get_args(wanted), where)
    if origin is typing.Annotated:
        return from_plain(value, typing.get_args(wanted)[0], where)
    if origin is typing.Literal:
        if value in typing.get_args(wanted):
            return value
        raise MismatchError(f"{where} is {value!r}, not one of {typing.get_args(wanted)}")
    if origin in (list, Sequence) or wanted is list:
        items = _need(value, list, where)
        inner = (typing.get_args(wanted) or (Any,))[0]
        return [from_plain(item, inner, f"{where}[{n}]") for n, item in enumerate(items)]
    if origin is tuple or wanted is tuple:
        return _from_tuple(_need(value, list, where), typing.get_args(wanted), where)
    if origin in (dict, Mapping) or wanted is dict:
        entries = _need(value, dict, where)
        inner = (typing.get_args(wanted) or (Any, Any))[1]
        return {key: from_plain(item, inner, f"{where}[{key!r}]") for key, item in entries.items()}
    if not isinstance(wanted, type):
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if wanted in (bool, int, float, str, bytes):
        return _need(value, wanted, where)
    if attrs.has(wanted) or dataclasses.is_dataclass(wanted):
        if type(value) is wanted:  # made on this side, such as a Message; none comes by wire
            return value
        return _from_fields(_need(value, dict, where), wanted, where)
    return value


def _need(value: object, kind: type, where: str) -> Any:  # noqa: ANN401  # of type `kind`
    if type(value) is not kind:
        raise MismatchError(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value


def _from_union(value: object, options: tuple[Any, ...], where: str) -> Any:  # noqa: ANN401
    for option in options:
        try:
            return from_plain(value, option, where)
        except MismatchError:
            continue
    names = " | ".join(getattr(option, "__name__", str(option)) for option in options)
    raise MismatchError(f"{where} is {type(value).__name__}, not {names}")


def _from_tuple(items: list[object], inner: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not inner:
        return tuple(items)
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(items)
    if len(inner) != len(items):
        raise MismatchError(f"{where} has {len(items)} items, not {len(inner)}")
    pairs = zip(items, inner, strict=True)
    return tuple(from_plain(item, kind, f"{where}[{n}]") for n, (item, kind) in enumerate(pairs))


def _from_fields(entries: dict[str, object], wanted: type, where: str) -> Any:  # noqa: ANN401  # of type `wanted`
    hints = typing.get_type_hints(wanted)
    unknown = entries.keys() - hints.keys()
    if unknown:
        raise MismatchError(f"{where} has the unknown field {min(unknown)!r}")
    values = {
        name: from_plain(item, hints[name], f"{where}.{name}") for name, item in entries.items()
    }
    if attrs.has(wanted):
        aliases = {field.name: field.alias or field.name for field in attrs.fields(wanted)}
        values = {aliases[name]: item for name, item in values.items()}
    try:
        return wanted(**values)
    except (TypeError, ValueError) as error:
        raise MismatchError(f"{where}: {error}") from error
