"""What `meshp2p call` makes of its words, and of what happens; `tests/end_to_end` types them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from meshp2p import Message, Node, capability
from meshp2p.cli import main
from tests.node.conftest import Start

NOTE = '{"a": 1}'


@capability("echo")
def echo(value: Any = None) -> Any:  # noqa: ANN401  # anything that can be sent
    """Give back what was given."""
    return value


@capability("nap")
async def nap() -> None:
    """Rest until nobody waits any more."""
    await asyncio.Event().wait()


@capability("divide")
def divide(over: float, under: float) -> float:
    """Fail if it cannot be done."""
    return over / under


def test_json_is_keywords_positions_or_one_argument(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """An object is keywords, an array positional arguments, anything else one argument."""
    start("alice", capabilities=[echo])

    for text in ('{"value": [1, 2]}', "[{}]", "7.5", "null"):
        assert main(["call", "echo", text, "--json"]) == 0

    answers = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]
    assert answers == [[1, 2], {}, 7.5, None]


def test_an_agent_alone_takes_the_json_as_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Also an object: messages have no keywords."""
    bob = Node("bob")

    @bob.on_message
    def answer(message: Message) -> object:
        return {"heard": message.body, "from": message.sender_handle}

    with bob:
        assert main(["call", "@bob", NOTE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"result": {"heard": {"a": 1}, "from": ""}}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["divide", "[1, 0]"], 1, "bob raised ZeroDivisionError: float division by zero\n"),
        (["divide", "{1, 0}"], 2, "is no JSON"),
        (["multiply", "[1, 0]"], 3, "'multiply'; see what is there with `meshp2p discover`"),
        (["@carol/divide", "[1, 0]"], 3, "'@carol'; see who is there with `meshp2p status`"),
        (["nap", "--timeout", "0.3"], 4, "allow more with --timeout"),
    ],
)
def test_failures_are_told_apart_by_the_exit_status(
    start: Start,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    said: str,
) -> None:
    """1 it failed, 2 it cannot be meant, 3 nobody there, 4 it may have run; in one line."""
    start("bob", capabilities=[nap, divide])

    assert main(["call", *words]) == status

    told = capsys.readouterr().err
    assert told.startswith("meshp2p: ")
    assert said in told
    assert told.count("\n") == 1


def test_a_failure_as_json_says_whether_it_may_have_run(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs that decide whether to try again."""
    start("bob", capabilities=[nap])

    assert main(["call", "nap", "--timeout", "0.3", "--json"]) == 4

    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["maybe_executed"]) == ("DeadlineExceeded", True)
