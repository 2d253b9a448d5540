"""Who can do what, and who is called what: answered at once, without a message."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from meshp2p.gossip.member import Row
from meshp2p.gossip.record import Body
from meshp2p.ids import NodeId, matches


@attrs.define
class _Holders:
    """Who announces one name: the healthy and the suspected, each in order of arrival.

    The value says whether calls are possible: False for a mere label.
    """

    alive: dict[NodeId, bool] = attrs.field(factory=dict)
    suspect: dict[NodeId, bool] = attrs.field(factory=dict)
    listed: list[NodeId] = attrs.field(factory=list)
    callable: list[NodeId] = attrs.field(factory=list)

    def list_again(self) -> None:
        """Lists are asked for at every call, and change only with the members."""
        both = (*self.alive.items(), *self.suspect.items())
        self.listed = [node_id for node_id, _ in both]
        self.callable = [node_id for node_id, calls in both if calls]


@attrs.define
class _Entry:
    body: Body
    suspect: bool
    takes_calls: bool


@attrs.define
class Directory:
    """The index of live members, this node among them. The dead and the left are not in it."""

    _entries: dict[NodeId, _Entry] = attrs.field(factory=dict, init=False)
    _capabilities: dict[str, _Holders] = attrs.field(factory=dict, init=False)
    _handles: dict[str, _Holders] = attrs.field(factory=dict, init=False)

    def find(self, capability: str, *, callable_only: bool = False) -> Sequence[NodeId]:
        """Members that announce it: the alive first, then the suspected.

        Whoever drains is left out, since it wants no new calls.

        Args:
            callable_only: Leave out whoever announces it as a label without handler.
        """
        holders = self._capabilities.get(capability)
        if holders is None:
            return []
        return holders.callable if callable_only else holders.listed

    def by_handle(self, handle: str) -> Sequence[NodeId]:
        """Members called so, several if they are replicas: the alive first."""
        holders = self._handles.get(handle)
        return [] if holders is None else holders.listed

    def capabilities(self, pattern: str = "*") -> list[str]:
        """Names announced by live members that fit `x`, `x.*` or `*`, sorted."""
        return sorted(name for name in self._capabilities if matches(pattern, name))

    def update(self, row: Row) -> None:
        """Bring the index in line with what is now known about a member."""
        if not row.is_live:
            self.remove(row.id)
            return
        entry = _Entry(row.record.body, row.state == "suspect", row.takes_calls)
        if self._entries.get(row.id) == entry:
            return
        self.remove(row.id)
        self._entries[row.id] = entry
        if entry.body.handle:
            _insert(self._handles, entry.body.handle, row.id, entry, calls=True)
        if entry.takes_calls:
            for capability in entry.body.capabilities:
                name = capability.name
                _insert(self._capabilities, name, row.id, entry, calls=capability.handler)

    def remove(self, node_id: NodeId) -> None:
        """Forget a member, if it is known."""
        entry = self._entries.pop(node_id, None)
        if entry is None:
            return
        _delete(self._handles, entry.body.handle, node_id)
        for capability in entry.body.capabilities:
            _delete(self._capabilities, capability.name, node_id)


def _insert(
    index: dict[str, _Holders], name: str, node_id: NodeId, entry: _Entry, *, calls: bool
) -> None:
    holders = index.setdefault(name, _Holders())
    (holders.suspect if entry.suspect else holders.alive)[node_id] = calls
    holders.list_again()


def _delete(index: dict[str, _Holders], name: str, node_id: NodeId) -> None:
    holders = index.get(name)
    if holders is None:
        return
    holders.alive.pop(node_id, None)
    holders.suspect.pop(node_id, None)
    holders.list_again()
    if not holders.listed:
        del index[name]
