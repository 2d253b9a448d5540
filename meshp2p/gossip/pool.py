"""A list of members from which one can be drawn by lot, or each in its turn."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import attrs

from meshp2p.ids import NodeId


@attrs.define
class Pool:
    """Ids in a dense list, eight bytes each: a simulation holds a hundred million of them.

    Adding and drawing take the same time at any size. Removing looks through the list, which
    happens seldom: ten thousand cost about a tenth of a millisecond.

    Its order depends only on the calls made, so one seed draws the same members again
    (a `set` of bytes would iterate differently in each process). The first `_drawn` have had
    their turn in this pass.
    """

    _ids: list[NodeId] = attrs.field(factory=list)
    _drawn: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._ids

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._ids)

    def __getitem__(self, position: int) -> NodeId:
        return self._ids[position]

    def add(self, node_id: NodeId) -> None:
        """Add somebody who is not there; its turn comes in this pass."""
        self._ids.append(node_id)

    def discard(self, node_id: NodeId) -> None:
        """Remove it, if it is there; another one takes its place."""
        ids = self._ids
        try:
            place = ids.index(node_id)
        except ValueError:
            return
        if place < self._drawn:  # the last one may still be waiting for its turn
            self._drawn -= 1
            ids[place] = ids[self._drawn]
            place = self._drawn
        ids[place] = ids[-1]
        ids.pop()

    def next(self, rng: Random) -> NodeId | None:
        """The next one in an order that chance makes anew in each pass; None of nobody.

        Each pass draws without putting back: a member comes up again after at most 2n - 1
        draws, and one that is added in the middle of a pass somewhere in what is left of it.
        Nobody pays for shuffling a long list at once.

        Source: Das, Gupta, Motivala, "SWIM" (2002), section 4.3.
        """
        ids, turn = self._ids, self._drawn
        if not ids:
            return None
        if turn >= len(ids):
            turn = 0
        place = rng.randrange(turn, len(ids))
        ids[turn], ids[place] = ids[place], ids[turn]
        self._drawn = turn + 1
        return ids[turn]

    def sample(self, rng: Random, count: int, *, but: NodeId | None = None) -> list[NodeId]:
        """Up to `count` different ones at random, never `but`."""
        if len(self._ids) > count:
            drawn = rng.sample(self._ids, count + 1)  # one more, in case `but` is among them
        else:
            drawn = rng.sample(self._ids, len(self._ids))
        return [node_id for node_id in drawn if node_id != but][:count]
