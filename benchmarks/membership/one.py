"""One real node in a process of its own, that tells when it sees what.

    python -m benchmarks.membership.one '{"number": 3, ...}'

It waits until the pipe `start` is closed, a signal that all hear at once, and ends when its
standard input does. To `report` it writes lines "number word other moment": `ready`; `whole`,
as soon as its own members() lists all as alive; `suspect`, `dead` for each member that it
lists so; `cleared` for one that it suspected and does not any more, `back` for one that it
listed as dead; `changed` for one that says something else of itself than before. Only the
mesh's own nodes count, whoever else joins, also under the name of one of them. Moments are of
the clock that all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import trio

from meshp2p import Node
from meshp2p.events import Member, MemberEvent

NAME: Final = "node"
"""Begins the name of each; its number follows."""
_EVENTS: Final = (
    "member.joined",
    "member.updated",
    "member.suspected",
    "member.failed",
    "member.left",
    "member.returned",
)


class Teller:
    """Looks at a node's members() whenever something changed, and tells what is new."""

    def __init__(self, number: int, size: int, report: int) -> None:
        """Tell through the pipe `report`; whole are `size` members."""
        self._number = number
        self._size = size
        self._report = report
        self._changed = trio.Event()
        self._suspect: set[str] = set()
        self._dead: set[str] = set()
        self._is_whole = False
        self._facts: dict[str, tuple[object, ...]] = {}

    def tell(self, word: str, other: str = "-") -> None:
        """One line, with the moment now; short enough to arrive in one piece."""
        moment = time.clock_gettime(time.CLOCK_MONOTONIC)
        os.write(self._report, f"{self._number} {word} {other} {moment:.6f}\n".encode())

    async def hear(self, event: MemberEvent) -> None:
        """Something changed."""
        del event
        self._changed.set()

    async def watch(self, node: Any) -> None:  # noqa: ANN401  # what `async with Node()` gives
        """Look, tell, wait."""
        while True:
            self._changed = trio.Event()
            await self._look(node)
            await self._changed.wait()

    async def _look(self, node: Any) -> None:  # noqa: ANN401  # the same
        members = self._of_the_mesh(await node.members(state="all"))
        dead = {member.handle for member in members if member.state == "dead"}
        suspect = {member.handle for member in members if member.state == "suspect"}
        alive = sum(member.state == "alive" for member in members)
        for other in sorted(self._suspect - suspect - dead):
            self.tell("cleared", other)
        for other in sorted(dead - self._dead):
            self.tell("dead", other)
        for other in sorted(self._dead - dead):
            self.tell("back", other)
        for other in sorted(suspect - self._suspect):
            self.tell("suspect", other)
        if alive == self._size and not self._is_whole:
            self.tell("whole")
        self._dead, self._suspect, self._is_whole = dead, suspect, alive == self._size
        self._compare(members)

    def _of_the_mesh(self, members: Sequence[Member]) -> list[Member]:
        """Of two with one name the first one known; an id cannot be taken from anybody."""
        return [
            member
            for member in members
            if member.handle.startswith(NAME)
            and self._facts.get(member.handle, (member.id,))[0] == member.id
        ]

    def _compare(self, members: Sequence[Member]) -> None:
        """Tell who says something else of itself; names are settled once all are there."""
        for member in members if self._is_whole or self._facts else []:
            facts = (member.id, member.addresses, member.role, member.capabilities)
            if self._facts.setdefault(member.handle, facts) != facts:
                self.tell("changed", member.handle)
                self._facts[member.handle] = facts


async def _run(given: dict[str, Any], teller: Teller) -> None:
    node = Node(
        f"{NAME}{given['number']}",
        bind=given["bind"],
        seeds=given["seeds"],
        profile="lan",
        discovery=(),
        state_dir=given["state"],
    )
    for event in _EVENTS:
        node.on(event)(teller.hear)
    async with node as running, trio.open_nursery() as nursery:
        nursery.start_soon(teller.watch, running)
        await trio.lowlevel.wait_readable(sys.stdin)  # closed when the benchmark ends
        os._exit(0)


def main() -> None:
    """Report, wait for the signal, run until killed."""
    given = json.loads(sys.argv[1])
    teller = Teller(given["number"], given["size"], given["report"])
    teller.tell("ready")
    os.read(given["start"], 1)  # ends when the last writer closes it
    trio.run(_run, given, teller)


if __name__ == "__main__":
    main()
