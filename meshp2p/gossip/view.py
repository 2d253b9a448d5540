"""The list of members as this node sees it, this node included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Final

import attrs

from meshp2p.events import State
from meshp2p.gossip.directory import Directory
from meshp2p.gossip.member import Row
from meshp2p.gossip.pool import Pool
from meshp2p.gossip.record import Record
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

_HASH_BYTES: Final = 8
_HASHES: Final = 1 << 64
_CLASS: Final[dict[State, int]] = {"alive": 0, "suspect": 0, "dead": 1, "left": 2}
"""What the view hash tells apart. A suspicion is a question, not yet a difference."""


@attrs.define
class View:
    """Rows by id, and what can be said about all of them without looking at each.

    `hash` sums a 64-bit hash of each (id, epoch, seq, state class): equal views have equal
    hashes, and a change costs two additions. An insider with many keys could forge a
    collision; it would only delay a repair.

    Args:
        own_id: This node, which is never drawn at random.
    """

    own_id: NodeId
    hash: int = attrs.field(default=0, init=False)
    directory: Directory = attrs.field(factory=Directory, init=False)
    live: Pool = attrs.field(factory=Pool, init=False)
    dead: Pool = attrs.field(factory=Pool, init=False)
    left: Pool = attrs.field(factory=Pool, init=False)
    _rows: dict[NodeId, Row] = attrs.field(factory=dict, init=False)
    _lost: dict[NodeId, Row] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        """How many members it lists, in whatever state."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        """All members, in whatever state, this node included."""
        return iter(self._rows.values())

    def get(self, node_id: bytes) -> Row | None:
        """The member's row; None for a stranger."""
        return self._rows.get(NodeId(node_id))

    def lost(self, node_id: bytes) -> Row | None:
        """A dead member whose record has expired, but which may be tried again."""
        return self._lost.get(NodeId(node_id))

    @property
    def population(self) -> int:
        """Live members, this node included: SWIM's n."""
        return len(self.live) + 1

    def add(self, row: Row) -> bool:
        """List a new member; False if there is no room even without the departed."""
        if len(self._rows) >= limits.MAX_MEMBERS and not self._make_room():
            return False
        self._lost.pop(row.id, None)
        self._rows[row.id] = row
        self._enter(row)
        return True

    def change(self, row: Row, *, record: Record | None = None, state: State | None = None) -> None:
        """Replace what a member said, or what is thought of it."""
        self._exit(row)
        row.record = record or row.record
        row.state = state or row.state
        self._enter(row)

    def forget(self, row: Row) -> None:
        """Take a departed member off the list: its lines have expired everywhere.

        Who died without leaving may only have been away: it is still tried now and then.
        """
        self._exit(row)
        del self._rows[row.id]
        self.directory.remove(row.id)
        if row.state == "dead":
            self._lost[row.id] = row
            if len(self._lost) > limits.MAX_LOST:
                del self._lost[next(iter(self._lost))]

    def expired(self, unix: float, tolerance: Seconds, rng: Random, at_most: int) -> list[Row]:
        """Some of the departed whose lines nobody would believe any more."""
        drawn = [*self.dead.sample(rng, at_most), *self.left.sample(rng, at_most)]
        rows = [self._rows[node_id] for node_id in drawn]
        return [row for row in rows if row.record.line.valid_until + tolerance < unix]

    def draw_lost(self, rng: Random) -> Row | None:
        """A dead member at random: it may have come back without knowing that it was away."""
        choices = len(self.dead) + len(self._lost)
        if choices == 0:
            return None
        drawn = rng.randrange(choices)
        if drawn < len(self.dead):
            return self._rows[self.dead[drawn]]
        return list(self._lost.values())[drawn - len(self.dead)]

    @property
    def has_lost(self) -> bool:
        """Whether anybody is dead who did not leave."""
        return bool(self.dead) or bool(self._lost)

    def _make_room(self) -> bool:
        for pool in (self.left, self.dead):
            if pool:
                self.forget(self._rows[pool[0]])
                return True
        return False

    def _enter(self, row: Row) -> None:
        self.hash = (self.hash + _hash_of(row)) % _HASHES
        self.directory.update(row)
        if row.id != self.own_id:
            self._pool(row).add(row.id)

    def _exit(self, row: Row) -> None:
        self.hash = (self.hash - _hash_of(row)) % _HASHES
        self._pool(row).discard(row.id)

    def _pool(self, row: Row) -> Pool:
        if row.is_live:
            return self.live
        return self.dead if row.state == "dead" else self.left


def _hash_of(row: Row) -> int:
    epoch, seq = row.version
    said = b"%b%b%b%c" % (row.id, _u64(epoch), _u64(seq), _CLASS[row.state])
    digest = hashlib.blake2b(said, digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big")


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")
