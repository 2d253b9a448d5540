"""Who can do what, and who is called what: answered at once, without a message."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from meshp2p.gossip.member import Row
from meshp2p.gossip.record import Body
from meshp2p.ids import NodeId, matches

_AFTER_DOT: Final = "/"
"""The character after ".", which no name contains: what begins with "x." lies below "x/"."""


@attrs.define
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

    def put(self, node_id: NodeId, entry: _Entry, *, calls: bool) -> None:
        """Add somebody who was not there."""
        self._pool(entry)[node_id] = calls
        self.listed = self.callable = None

    def drop(self, node_id: NodeId, entry: _Entry) -> None:
        """Take somebody out."""
        self._pool(entry).pop(node_id, None)
        self.listed = self.callable = None

    def _pool(self, entry: _Entry) -> dict[NodeId, bool]:
        if entry.draining:
            return self.draining
        return self.suspect if entry.suspect else self.alive

    def list_again(self) -> None:
        """Make both lists, when they are asked for and not when somebody came.

        When ten thousand join, doing that each time would take longer than all the rest.
        """
        both = (*self.alive.items(), *self.suspect.items())
        self.listed = [node_id for node_id, _ in both]
        self.callable = [node_id for node_id, calls in both if calls]


@attrs.define
class _Entry:
    body: Body
    suspect: bool
    draining: bool


@attrs.define
class Directory:
    """The index of live members, this node among them. The dead and the left are not in it.

    Args:
        _rows: All members, in whatever state.
    """

    _rows: Iterable[Row]
    _is_whole: bool = attrs.field(default=True, init=False)
    _entries: dict[NodeId, _Entry] = attrs.field(factory=dict, init=False)
    _capabilities: dict[str, _Holders] = attrs.field(factory=dict, init=False)
    _sorted: list[str] = attrs.field(factory=list, init=False)
    """Names of capabilities in order, so that those below `x.` lie side by side."""
    _handles: dict[str, _Holders] = attrs.field(factory=dict, init=False)

    def find(self, capability: str, *, callable_only: bool = False) -> Sequence[NodeId]:
        """Members that announce it: the alive first, then the suspected.

        Whoever drains is left out, since it wants no new calls.

        Args:
            callable_only: Leave out whoever announces it as a label without handler.
        """
        holders = self._holding(capability)
        if holders is None:
            return []
        if holders.listed is None:
            holders.list_again()
        return (holders.callable if callable_only else holders.listed) or []

    def by_handle(self, handle: str) -> Sequence[NodeId]:
        """Members called so, several if they are replicas: the alive first.

        Whoever drains is there only while nobody else is called so: then it says itself
        that it takes no calls.
        """
        holders = self._named(handle)
        if holders is None:
            return []
        if holders.listed is None:
            holders.list_again()
        return holders.listed or list(holders.draining)

    def announcing(self, pattern: str) -> Sequence[NodeId]:
        """Live members with a capability that fits `x`, `x.*` or `*`, each once.

        Labels, the suspected and the draining count: these are members to look at.
        """
        found: dict[NodeId, None] = {}
        for name in self.capabilities(pattern):
            holders = self._capabilities[name]
            for pool in (holders.alive, holders.suspect, holders.draining):
                found.update(dict.fromkeys(pool))
        return list(found)

    def called(self, handle: str) -> Sequence[NodeId]:
        """Live members with that handle, the suspected and the draining too."""
        holders = self._named(handle)
        if holders is None:
            return []
        return [*holders.alive, *holders.suspect, *holders.draining]

    def ready(self, pattern: str, at_least: int) -> list[NodeId]:
        """Members that a call for the pattern could go to: alive, with a handler, not draining.

        Args:
            at_least: Do not look closer, and give nobody, where so many cannot be.
        """
        pools = [self._capabilities[name].alive for name in self.capabilities(pattern)]
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
        self._entries, self._capabilities, self._handles = {}, {}, {}

    def _make(self) -> None:
        """Look at everybody, unless that was done."""
        if not self._is_whole:
            self._is_whole = True
            for row in self._rows:
                self.update(row)

    def _holding(self, capability: str) -> _Holders | None:
        self._make()
        return self._capabilities.get(capability)

    def _named(self, handle: str) -> _Holders | None:
        self._make()
        return self._handles.get(handle)

    def update(self, row: Row) -> None:
        """Bring the index in line with what is now known about a member."""
        if not self._is_whole:
            return
        if not row.is_live:
            self.remove(row.id)
            return
        entry = _Entry(row.record.body, row.state == "suspect", not row.takes_calls)
        if self._entries.get(row.id) == entry:
            return
        self.remove(row.id)
        self._entries[row.id] = entry
        if entry.body.handle:
            named = self._handles.setdefault(entry.body.handle, _Holders())
            named.put(row.id, entry, calls=True)
        for capability in entry.body.capabilities:
            self._holders(capability.name).put(row.id, entry, calls=capability.handler)

    def remove(self, node_id: NodeId) -> None:
        """Forget a member, if it is known."""
        entry = self._entries.pop(node_id, None)
        if entry is None:
            return
        named = self._handles.get(entry.body.handle)
        if named is not None:
            named.drop(node_id, entry)
            if not named:
                del self._handles[entry.body.handle]
        for capability in entry.body.capabilities:
            self._take_out(capability.name, node_id, entry)

    def _holders(self, name: str) -> _Holders:
        holders = self._capabilities.get(name)
        if holders is None:
            holders = self._capabilities[name] = _Holders()
            insort(self._sorted, name)
        return holders

    def _take_out(self, name: str, node_id: NodeId, entry: _Entry) -> None:
        holders = self._capabilities.get(name)
        if holders is None:
            return  # announced twice in one record
        holders.drop(node_id, entry)
        if not holders:
            del self._capabilities[name]
            del self._sorted[bisect_left(self._sorted, name)]
