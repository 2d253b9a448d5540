"""Who can do what, and who is called what: answered at once, without a message."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import attrs

from meshp2p.events import State
from meshp2p.gossip.member import Row
from meshp2p.gossip.record import DRAINING, Record
from meshp2p.ids import NodeId, matches

_AFTER_DOT: Final = "/"
"""The character after ".", which no name contains: what begins with "x." lies below "x/"."""


@attrs.frozen
class Listed:
    """One member as the index has it: what it says, and whether it is there and well."""

    id: NodeId
    record: Record
    state: State
    draining: bool

    @classmethod
    def of(cls, row: Row) -> Listed:
        """As it is now."""
        return cls(row.id, row.record, row.state, row.record.state == DRAINING)

    @property
    def is_live(self) -> bool:
        """Whether it is in the index at all."""
        return self.state in ("alive", "suspect")

    def is_like(self, other: Listed) -> bool:
        """Whether the index has nothing to change."""
        if (self.state, self.draining) != (other.state, other.draining):
            return False
        return self.record is other.record or self.record.body == other.record.body


@attrs.define(weakref_slot=False)
class _Holders:
    """Who announces one name: the healthy, the suspected, the draining, as they arrived.

    The value says whether calls are possible: False for a mere label.
    """

    alive: dict[NodeId, bool] = attrs.field(factory=dict)
    suspect: dict[NodeId, bool] = attrs.field(factory=dict)
    draining: dict[NodeId, bool] = attrs.field(factory=dict)
    listed: list[NodeId] | None = attrs.field(default=None, init=False)
    """Whoever takes calls, be it a label; None until it is asked for again."""
    callable: list[NodeId] | None = attrs.field(default=None, init=False)
    """The same with a handler."""

    def __bool__(self) -> bool:
        """Whether anybody is left."""
        return bool(self.alive or self.suspect or self.draining)

    @property
    def only(self) -> NodeId | None:
        """Whoever is the only one, and well, and takes calls; None if it is not so simple."""
        if len(self.alive) != 1 or self.suspect or self.draining:
            return None
        ((node_id, calls),) = self.alive.items()
        return node_id if calls else None

    def put(self, one: Listed, *, calls: bool) -> None:
        """Add somebody who was not there."""
        self._pool(one)[one.id] = calls
        self.listed = self.callable = None

    def drop(self, one: Listed) -> None:
        """Take somebody out."""
        self._pool(one).pop(one.id, None)
        self.listed = self.callable = None

    def _pool(self, one: Listed) -> dict[NodeId, bool]:
        if one.draining:
            return self.draining
        return self.suspect if one.state == "suspect" else self.alive

    def list_again(self) -> None:
        """Make both lists, when they are asked for and not when somebody came.

        When ten thousand join, doing that each time would take longer than all the rest.
        """
        both = (*self.alive.items(), *self.suspect.items())
        self.listed = [node_id for node_id, _ in both]
        self.callable = [node_id for node_id, calls in both if calls]


_Held: TypeAlias = NodeId | _Holders
"""Most names are one healthy member's alone: then its id says it all."""


def _put(index: dict[str, _Held], name: str, one: Listed, *, calls: bool) -> bool:
    """Note that somebody has this name; return whether it is the first."""
    held = index.get(name)
    if held is None and calls and one.state == "alive" and not one.draining:
        index[name] = one.id
        return True
    if not isinstance(held, _Holders):
        index[name] = holders = _holders(held)
        holders.put(one, calls=calls)
        return held is None
    held.put(one, calls=calls)
    return False


def _drop(index: dict[str, _Held], name: str, one: Listed) -> bool:
    """Note that somebody has it no more; return whether it was the last."""
    held = index.get(name)
    if isinstance(held, _Holders):
        held.drop(one)
        if held:
            index[name] = held.only or held
            return False
    elif held != one.id:
        return False  # announced twice in one record: it is nobody's by now, or another's
    del index[name]
    return True


def _holders(held: _Held | None) -> _Holders:
    if isinstance(held, _Holders):
        return held
    return _Holders() if held is None else _Holders({held: True})


@attrs.define
class Directory:
    """The index of live members, this node among them. The dead and the left are not in it.

    Args:
        _rows: All members, in whatever state.
    """

    _rows: Iterable[Row]
    _is_whole: bool = attrs.field(default=True, init=False)
    _capabilities: dict[str, _Held] = attrs.field(factory=dict, init=False)
    _sorted: list[str] = attrs.field(factory=list, init=False)
    """Names of capabilities in order, so that those below `x.` lie side by side."""
    _handles: dict[str, _Held] = attrs.field(factory=dict, init=False)

    def find(self, capability: str, *, callable_only: bool = False) -> Sequence[NodeId]:
        """Members that announce it: the alive first, then the suspected.

        Whoever drains is left out, since it wants no new calls.

        Args:
            callable_only: Leave out whoever announces it as a label without handler.
        """
        self._make()
        held = self._capabilities.get(capability)
        if not isinstance(held, _Holders):
            return [] if held is None else [held]
        if held.listed is None:
            held.list_again()
        return (held.callable if callable_only else held.listed) or []

    def by_handle(self, handle: str) -> Sequence[NodeId]:
        """Members called so, several if they are replicas: the alive first.

        Whoever drains is there only while nobody else is called so: then it says itself
        that it takes no calls.
        """
        self._make()
        held = self._handles.get(handle)
        if not isinstance(held, _Holders):
            return [] if held is None else [held]
        if held.listed is None:
            held.list_again()
        return held.listed or list(held.draining)

    def announcing(self, pattern: str) -> Sequence[NodeId]:
        """Live members with a capability that fits `x`, `x.*` or `*`, each once.

        Labels, the suspected and the draining count: these are members to look at.
        """
        found: dict[NodeId, None] = {}
        for name in self.capabilities(pattern):
            held = self._capabilities[name]
            if not isinstance(held, _Holders):
                found[held] = None
                continue
            for pool in (held.alive, held.suspect, held.draining):
                if pool:
                    found.update(dict.fromkeys(pool))
        return list(found)

    def called(self, handle: str) -> Sequence[NodeId]:
        """Live members with that handle, the suspected and the draining too."""
        self._make()
        held = self._handles.get(handle)
        if not isinstance(held, _Holders):
            return [] if held is None else [held]
        return [*held.alive, *held.suspect, *held.draining]

    def ready(self, pattern: str, at_least: int) -> list[NodeId]:
        """Members that a call for the pattern could go to: alive, with a handler, not draining.

        Args:
            at_least: Do not look closer, and give nobody, where so many cannot be.
        """
        some = [self._capabilities[name] for name in self.capabilities(pattern)]
        pools = [held.alive if isinstance(held, _Holders) else {held: True} for held in some]
        if sum(map(len, pools)) < at_least:
            return []
        found: dict[NodeId, None] = {}
        for pool in pools:
            found.update(dict.fromkeys(node_id for node_id, calls in pool.items() if calls))
        return list(found)

    def capabilities(self, pattern: str = "*") -> list[str]:
        """Names announced by live members that fit `x`, `x.*` or `*`, sorted."""
        self._make()
        if pattern == "*":
            return list(self._sorted)
        if not pattern.endswith(".*"):
            return [pattern] if pattern in self._capabilities else []
        prefix = pattern[:-1]
        begin = bisect_left(self._sorted, prefix)
        end = bisect_left(self._sorted, prefix[:-1] + _AFTER_DOT, begin)
        return [name for name in self._sorted[begin:end] if matches(pattern, name)]

    def forget_all(self) -> None:
        """Look at all rows anew, at the next question: many came at once."""
        self._is_whole, self._sorted = False, []
        self._capabilities, self._handles = {}, {}

    def _make(self) -> None:
        """Look at everybody, unless that was done."""
        if not self._is_whole:
            self._is_whole = True
            for row in self._rows:
                self.add(Listed.of(row))

    def update(self, before: Listed, now: Listed) -> None:
        """Bring the index in line with what is now known about a member."""
        if self._is_whole and not before.is_like(now):
            self.remove(before)
            self.add(now)

    def add(self, one: Listed) -> None:
        """List somebody who was not listed, if it is live."""
        if not self._is_whole or not one.is_live:
            return
        body = one.record.body
        if body.handle:
            _put(self._handles, body.handle, one, calls=True)
        for capability in body.capabilities:
            if _put(self._capabilities, capability.name, one, calls=capability.handler):
                insort(self._sorted, capability.name)

    def remove(self, one: Listed) -> None:
        """Take somebody off the list, who is on it as it says."""
        if not self._is_whole or not one.is_live:
            return
        body = one.record.body
        if body.handle:
            _drop(self._handles, body.handle, one)
        for capability in body.capabilities:
            if _drop(self._capabilities, capability.name, one):
                del self._sorted[bisect_left(self._sorted, capability.name)]
