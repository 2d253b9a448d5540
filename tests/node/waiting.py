"""The one way in which these tests wait: for something to become true, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from meshp2p import AsyncNode, Node

_T = TypeVar("_T")
_LOOK_EVERY = 0.005


def eventually(condition: Callable[[], _T | None], *, within: float = 5.0) -> _T:
    """Return what `condition` gives once it is true; fail if that takes too long."""
    ends = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < ends, f"not within {within} s; it still is {value!r}"
        time.sleep(_LOOK_EVERY)
    return value


def know_each_other(*nodes: Node) -> None:
    """Wait until every node sees as many members as there are nodes."""
    eventually(lambda: all(len(node.members()) == len(nodes) for node in nodes))


async def trio_sees(node: AsyncNode, many: int) -> None:
    """The same for an awaited node on trio."""
    with trio.fail_after(5):
        while len(await node.members()) < many:  # noqa: ASYNC110  # nothing tells of it
            await trio.sleep(_LOOK_EVERY)  # as `eventually` does


async def trio_was_answered(node: AsyncNode) -> None:
    """Until a probe was, so that there is a session: a cancelled node makes none for a goodbye."""
    with trio.fail_after(5):
        while not any(member.rtt for member in await node.members()):  # noqa: ASYNC110  # as above
            await trio.sleep(_LOOK_EVERY)


def handles(members: list[Any]) -> set[str]:
    """Who they are."""
    return {member.handle for member in members}
