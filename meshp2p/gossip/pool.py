"""A set of members from which one can be drawn at random at once, however large it is."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import attrs

from meshp2p.ids import NodeId


@attrs.define
class Pool:
    """Ids in a dense list: adding, removing and drawing take the same time at any size.

    Its order depends only on the calls made, so one seed draws the same members again
    (a `set` of bytes would iterate differently in each process).
    """

    _ids: list[NodeId] = attrs.field(factory=list, init=False)
    _position: dict[NodeId, int] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._position

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._ids)

    def __getitem__(self, position: int) -> NodeId:
        return self._ids[position]

    def add(self, node_id: NodeId) -> None:
        """Add it at the end, unless it is there."""
        if node_id not in self._position:
            self._position[node_id] = len(self._ids)
            self._ids.append(node_id)

    def discard(self, node_id: NodeId) -> None:
        """Remove it, if it is there; the last one takes its place."""
        position = self._position.pop(node_id, None)
        if position is None:
            return
        last = self._ids.pop()
        if last != node_id:
            self._ids[position] = last
            self._position[last] = position

    def swap(self, one: int, other: int) -> None:
        """Exchange two positions."""
        ids = self._ids
        ids[one], ids[other] = ids[other], ids[one]
        self._position[ids[one]] = one
        self._position[ids[other]] = other

    def sample(self, rng: Random, count: int, *, but: NodeId | None = None) -> list[NodeId]:
        """Up to `count` different ones at random, never `but`."""
        if len(self._ids) > count:
            drawn = rng.sample(self._ids, count + 1)  # one more, in case `but` is among them
        else:
            drawn = rng.sample(self._ids, len(self._ids))
        return [node_id for node_id in drawn if node_id != but][:count]
