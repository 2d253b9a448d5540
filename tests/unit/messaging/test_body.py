"""Users' values on their way: what may travel, and how it is refused."""

from __future__ import annotations

import dataclasses
import enum
import typing

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import UsageError
from meshp2p.messaging.body import MismatchError, from_plain, pack_arguments, pack_plain, to_plain
from meshp2p.wire import codec, limits

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@attrs.frozen
class Point:
    """An attrs class of a user."""

    x: int
    y: float = 0.0


@dataclasses.dataclass
class Path:
    """A dataclass of a user."""

    points: tuple[Point, ...]
    name: str | None = None


class Colour(enum.IntEnum):
    """A subclass of int."""

    RED = 1


@given(values)
def test_plain_data_arrives_as_it_was_sent(value: object) -> None:
    """Both ways, whatever it is."""
    assert codec.unpack_untrusted(pack_plain(value, "value")) == value


@given(st.lists(values, max_size=3), st.dictionaries(st.text(), values, max_size=2))
def test_arguments_are_a_list_and_a_dict(args: list[object], kwargs: dict[str, object]) -> None:
    """The quick way and the thorough way give the same bytes."""
    packed = pack_arguments(args, kwargs)
    assert packed == pack_plain([args, kwargs], "the arguments")
    assert codec.unpack_untrusted(packed) == [args, kwargs]


def test_classes_travel_as_dicts_and_come_back_by_annotation() -> None:
    """Nested, with tuples, defaults and None."""
    path = Path((Point(1, 2.5), Point(3)))
    plain = to_plain(path)
    assert plain == {"points": [{"x": 1, "y": 2.5}, {"x": 3, "y": 0.0}], "name": None}
    assert from_plain(plain, Path) == path


def test_subclasses_of_plain_types_travel_as_plain() -> None:
    """An enum is its number."""
    assert to_plain(Colour.RED) == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "allowed are"),
        ({1: 2}, "allowed are str keys"),
        ({1, 2}, "allowed are"),
        (2**64, "64 bits"),
        ([2**70], "64 bits"),
        (bytes(limits.MAX_BODY), "at most"),
        ([None] * (limits.MAX_ELEMENTS + 1), "cannot be sent"),
        ([[0] * 90_000] * 4, "cannot be sent"),
    ],
)
def test_what_cannot_travel_is_refused_at_the_sender(value: object, says: str) -> None:
    """With the argument's name and what is allowed."""
    with pytest.raises(UsageError, match=says) as raised:
        pack_plain(value, "the message")
    assert str(raised.value).startswith("the message")


def test_endless_nesting_is_refused_in_words() -> None:
    """A list that holds itself."""
    value: list[object] = []
    value.append(value)
    with pytest.raises(UsageError, match="nested"):
        pack_plain(value, "value")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1", int),
        (1, str),
        (True, int),
        (1, bool),
        ([1, "a"], list[int]),
        ({"x": "a"}, Point),
        ({"x": 1, "z": 2}, Point),
        ({}, Point),
        ([1], tuple[int, int]),
        (3, typing.Literal[1, 2]),
        (b"", str | None),
    ],
)
def test_what_does_not_fit_an_annotation_is_a_mismatch(value: object, wanted: object) -> None:
    """Never a wrong value in a handler."""
    with pytest.raises(MismatchError):
        from_plain(value, wanted)


@pytest.mark.parametrize(
    ("value", "wanted", "result"),
    [
        (1, float, 1.0),
        ([1, 2], tuple[int, ...], (1, 2)),
        (None, int | None, None),
        ({"a": [1]}, dict[str, list[int]], {"a": [1]}),
        (2, typing.Literal[1, 2], 2),
        (1, typing.Annotated[int, "metres"], 1),
        ([1], list, [1]),
    ],
)
def test_what_fits_is_converted(value: object, wanted: object, result: object) -> None:
    """As a reader of the annotation would expect."""
    assert from_plain(value, wanted) == result
