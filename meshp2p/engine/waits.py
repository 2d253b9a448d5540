"""Waiting until so many members can be called for something."""

from __future__ import annotations

import attrs

from meshp2p.effects import Announce
from meshp2p.engine.core import Core
from meshp2p.errors import Closed, MeshError, Overloaded, TooFewMembers
from meshp2p.events import CallFinished, Member
from meshp2p.gossip.swim import Swim
from meshp2p.gossip.wanted import Wanted
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.wire import limits


@attrs.frozen
class _Wait:
    number: int
    pattern: str
    count: int
    began: Seconds


class Waits:
    """Who waits for members, and whether they are there yet.

    Attributes:
        open: By number; empty means that there is nothing to do.
    """

    def __init__(self, core: Core, swim: Swim) -> None:
        """Nobody waits."""
        self._core = core
        self._swim = swim
        self.open: dict[int, _Wait] = {}
        self._deadlines = Deadlines(core.board)

    def start(self, pattern: str, count: int, *, timeout: Seconds, now: Seconds) -> int:
        """Wait; `CallFinished` brings the list of members, or `TooFewMembers`.

        Raises:
            Overloaded: Too many wait already.
        """
        if len(self.open) >= limits.MAX_WAITS:
            raise Overloaded(0.0, "this node")
        number = self._core.next_number()
        wait = self.open[number] = _Wait(number, pattern, count, now)
        self._deadlines.set(number, now + timeout)
        self._look(wait)
        return number

    def cancel(self, number: int) -> None:
        """Nobody waits for this any more; a number of something else is no matter."""
        if self.open.pop(number, None) is not None:
            self._deadlines.discard(number)

    def members_changed(self) -> None:
        """Look again."""
        for wait in list(self.open.values()):
            self._look(wait)

    def close(self) -> None:
        """The node stops."""
        for wait in list(self.open.values()):
            self._finish(wait, None, Closed("the node has stopped"))

    def next_deadline(self) -> Seconds:
        """When somebody has waited long enough."""
        return self._deadlines.soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Tell those whose time is over what is there instead."""
        for number in self._deadlines.pop_due(now):
            wait = self.open[number]
            self._finish(wait, None, self._missing(wait, now))

    def _look(self, wait: _Wait) -> None:
        ready = self._swim.directory.ready(wait.pattern, wait.count)
        if len(ready) >= wait.count:
            self._finish(wait, self._members(ready), None)

    def _members(self, ids: list[NodeId]) -> list[Member]:
        found = (self._swim.member(node_id) for node_id in ids)
        return [member for member in found if member is not None]

    def _missing(self, wait: _Wait, now: Seconds) -> MeshError:
        ready = set(self._swim.directory.ready(wait.pattern, 0))
        known = self._swim.members(Wanted(pattern=wait.pattern, state="all"))
        others = [
            f"{member.name} ({_why_not(member)})" for member in known if member.id not in ready
        ]
        names = sorted(member.name for member in known if member.id in ready)
        return TooFewMembers(
            wait.pattern,
            now - wait.began,
            wanted=wait.count,
            ready=tuple(names),
            others=tuple(sorted(others)),
        )

    def _finish(self, wait: _Wait, value: object, error: MeshError | None) -> None:
        self.cancel(wait.number)
        self._core.emit(Announce(CallFinished(wait.number, value, error)))


def _why_not(member: Member) -> str:
    """Why nobody would be sent a call for it now."""
    if member.state != "alive":
        return member.state
    return "draining" if member.draining else "a label"
