"""What may travel, and how annotations on both sides turn it into the user's own types."""

from __future__ import annotations

import dataclasses

import attrs
import pytest

from meshp2p import RemoteError, ResultError, capability
from tests.node.conftest import Start


@attrs.frozen
class Review:
    """An answer of the user's own type."""

    ok: bool
    notes: tuple[str, ...] = ()


@dataclasses.dataclass
class Diff:
    """An argument of the user's own type."""

    lines: list[str]
    author: str | None = None


@capability("echo", inline=True)
def echo(value: object) -> object:
    """Give it back."""
    return value


@capability("review")
def review(diff: Diff, *, strict: bool = False) -> Review:
    """Take one, give the other."""
    assert isinstance(diff, Diff)
    return Review(ok=not strict, notes=tuple(diff.lines))


@pytest.mark.parametrize(
    "value",
    [None, True, -(2**63), 2**64 - 1, 1.5, "äß€", b"\x00\xff", [], {}, {"a": [1, {"b": None}]}],
)
def test_plain_data_arrives_as_it_was(start: Start, value: object) -> None:
    """Every kind of plain value comes back equal and of the same type."""
    alice, _bob = start("alice"), start("bob", capabilities=[echo])

    answer = alice.call("echo", value)

    assert answer == value
    assert type(answer) is type(value)


def test_tuples_arrive_as_lists(start: Start) -> None:
    """The wire knows one kind of sequence."""
    alice = start("alice", capabilities=[echo])

    assert alice.call("echo", (1, ("a",))) == [1, ["a"]]


def test_annotated_classes_arrive_as_themselves(start: Start) -> None:
    """A dataclass goes in, an attrs class comes out, if the call names the function."""
    alice, _bob = start("alice"), start("bob", capabilities=[review])

    answer = alice.call(review, Diff(["+1", "-1"], author="carol"), strict=True)

    assert answer == Review(ok=False, notes=("+1", "-1"))


def test_a_call_by_name_gives_plain_data(start: Start) -> None:
    """Who names only the capability gets lists and dicts, whatever the callee returned."""
    alice, _bob = start("alice"), start("bob", capabilities=[review])

    assert alice.call("review", Diff(["x"])) == {"ok": True, "notes": ["x"]}
    assert alice.call("review", {"lines": ["x"]}) == {"ok": True, "notes": ["x"]}


def test_returns_names_the_type_of_the_answer(start: Start) -> None:
    """`returns=` asks for a type without having the callee's function."""
    alice, _bob = start("alice"), start("bob", capabilities=[review])

    assert alice.call("review", Diff(["x"]), returns=Review) == Review(ok=True, notes=("x",))


def test_an_answer_of_another_type_is_a_result_error(start: Start) -> None:
    """What does not fit `returns=` is said at the caller; the work was done."""
    alice, _bob = start("alice"), start("bob", capabilities=[echo])

    with pytest.raises(ResultError, match="the answer is str, not int"):
        alice.call("echo", "seven", returns=int)
    with pytest.raises(ResultError, match="the answer has the unknown field 'good'"):
        alice.call("echo", {"good": True}, returns=Review)


def test_an_argument_of_another_type_is_the_callees_error(start: Start) -> None:
    """What does not fit the handler's annotation never reaches the handler."""
    alice, _bob = start("alice"), start("bob", capabilities=[review])

    with pytest.raises(RemoteError, match=r"diff.lines is int, not list") as raised:
        alice.call("review", {"lines": 5})
    assert raised.value.type == "MismatchError"
    with pytest.raises(RemoteError, match="diff has the unknown field 'line'"):
        alice.call("review", {"line": ["x"]})
