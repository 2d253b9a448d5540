"""What one node knows of its mesh: questions that are answered at once, without a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import attrs

from meshp2p.events import Member, State, Why
from meshp2p.gossip.directory import Directory
from meshp2p.gossip.member import Contact, Row
from meshp2p.gossip.own import OwnRecord
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.record import Body, Record
from meshp2p.gossip.wanted import Wanted
from meshp2p.ids import Address, NodeId, Seconds, show_id
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

EVERYBODY: Final = Wanted(state="all")

_FIVE_BITS: Final = "abcdefghijklmnopqrstuvwxyz234567"
"""What the first of them are shown as by `show_id`."""


class Census:
    """The half of `Swim` that only looks."""

    def __init__(self, parts: Parts) -> None:
        """Of a node that knows nobody, and says nothing of itself yet."""
        self._parts = parts
        self._own: OwnRecord | None = None
        self._told_dead: frozenset[bytes] = frozenset()
        """Whom a guest's host takes for dead: it has no opinion of its own."""

    @property
    def directory(self) -> Directory:
        """Live members by capability, handle and id."""
        return self._parts.view.directory

    @property
    def counters(self) -> dict[str, int]:
        """What was refused, dropped or forgiven so far."""
        return dict(self._parts.counters)

    @property
    def slowness(self) -> int:
        """By how much this node waits longer because it is unwell; 1 if it is well."""
        return self._parts.health.factor

    def view_hash(self) -> int:
        """64 bits: equal for nodes that see the same members in the same state."""
        return self._parts.view.hash

    def member(self, node_id: bytes) -> Member | None:
        """One member, this node too; None for a stranger."""
        row = self._parts.view.get(node_id)
        return None if row is None else row.member()

    def members(self, wanted: Wanted = EVERYBODY) -> list[Member]:
        """Members that are asked for; by default all in whatever state, this node included.

        A question for a capability or a handle costs as much as the answer is long.
        """
        if not wanted.is_indexed:
            return [self._seen(row) for row in self._parts.view if self._is_wanted(row, wanted)]
        directory, rows = self.directory, self._parts.view
        ids = (
            directory.announcing(wanted.pattern)
            if wanted.handle is None
            else directory.called(wanted.handle)
        )
        found = (row for node_id in ids if (row := rows.get(node_id)) is not None)
        if wanted.is_answered_by_index and not self._told_dead:
            return [row.shown() for row in found if row.state == wanted.state]
        return [self._seen(row) for row in found if self._is_wanted(row, wanted)]

    def _is_wanted(self, row: Row, wanted: Wanted) -> bool:
        return wanted.fits(row, "dead" if row.id in self._told_dead else row.state)

    def _seen(self, row: Row) -> Member:
        member = row.member()
        return attrs.evolve(member, state="dead") if row.id in self._told_dead else member

    def why(self, node_id: bytes, *, now: Seconds) -> Why | None:
        """On what grounds a member is taken for what it is; None for a stranger."""
        row, evidence = self._parts.view.get(node_id), self._parts.evidence
        if row is None:
            return None
        evidence.now = now
        names = {accuser: self.handle_of(accuser) for accuser in evidence.accusers(row.id)}
        return evidence.why(self._seen(row), names, self._parts.wall.unix(now))

    def named(self, text: str, at_most: int | None = None) -> list[Member]:
        """Members in whatever state that somebody means by a name.

        Args:
            text: "@handle" or "handle", "#" with the beginning of an id, or that without.
            at_most: Of more than so many, the first; None for all.
        """
        return [self._seen(row) for row in islice(self._meant_by(text), at_most)]

    def _meant_by(self, text: str) -> Iterable[Row]:
        if text.startswith("#"):
            return _with_id(text[1:], self._parts.view)
        found = self._called(text.removeprefix("@"))
        if found or not text or text.startswith("@"):
            return found
        return _with_id(text, self._parts.view)

    def _called(self, handle: str) -> list[Row]:
        """Of the live the index knows it: a look at what each says takes 10 us."""
        if not handle:
            return []
        live = set(self.directory.called(handle))
        return [
            row
            for row in self._parts.view
            if row.id in live or (not row.is_live and row.record.body.handle == handle)
        ]

    def records(self) -> Iterator[tuple[NodeId, State, Record]]:
        """What each member is taken for, and what it says, this node included: to look at."""
        for row in self._parts.view:
            yield row.id, row.state, row.record

    def is_present(self, node_id: bytes) -> bool:
        """Whether somebody is a member and not known to be gone."""
        row = self._parts.view.get(node_id)
        return row is not None and row.is_live and node_id not in self._told_dead

    def is_suspect(self, node_id: bytes) -> bool:
        """Whether a member may be gone."""
        row = self._parts.view.get(node_id)
        return row is not None and row.state == "suspect"

    @property
    def present_count(self) -> int:
        """Members alive or suspect, this node included unless it is a guest."""
        return self._parts.view.population - self._parts.guest

    @property
    def is_alone(self) -> bool:
        """Whether nobody else is alive: asked every other second, so nobody's record is read."""
        own = self._parts.view.own_id
        return not any(row.state == "alive" and row.id != own for row in self._parts.view)

    def knows_address(self, address: Address) -> bool:
        """Whether a present member, or this node, listens there."""
        return any(row.is_live and address in row.record.body.addresses for row in self._parts.view)

    def name_of(self, node_id: bytes) -> str:
        """A member's handle, or the beginning of its id."""
        return self._parts.name_of(NodeId(node_id))

    def may_run_twice(self, node_id: bytes, capability: str) -> bool:
        """Whether a member announces the capability as idempotent."""
        row = self._parts.view.get(node_id)
        return row is not None and any(
            info.idempotent and info.name == capability for info in row.record.body.capabilities
        )

    def contact(self, node_id: bytes) -> Contact | None:
        """How to open a channel to a member, the dead included; None for a stranger."""
        row = self._parts.view.get(node_id) or self._parts.view.lost(node_id)
        return None if row is None else Contact.of(row)

    def handle_of(self, node_id: bytes) -> str:
        """A member's handle; empty if it has none or is a stranger."""
        row = self._parts.view.get(node_id)
        return row.record.body.handle if row is not None else ""

    def chain_of(self, node_id: bytes) -> bytes | None:
        """A member's credential chain as it travels."""
        row = self._parts.view.get(node_id)
        return None if row is None else row.record.chain

    def body_of(self, node_id: bytes) -> Body | None:
        """What a member says of itself."""
        row = self._parts.view.get(node_id)
        return None if row is None else row.record.body

    def own_record(self) -> Record | None:
        """What this node says of itself; None for a guest."""
        return None if self._own is None else self._own.record

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where this node says that it listens; empty for a guest."""
        return () if self._own is None else self._own.record.body.addresses

    @property
    def is_new(self) -> bool:
        """Whether it has still to learn who there is; a guest learns it anew each time."""
        return not self._parts.settled and not self._parts.guest

    def sync_payload(self) -> list[Value]:
        """All records: [line, body, chain, accusation or b""]."""
        return [] if self._parts.guest else list(map(self._parts.listed, self._parts.view))

    def records_of(self, ids: Sequence[bytes]) -> list[Value]:
        """Those of these members, as in `sync_payload`; strangers are left out.

        Args:
            ids: Whole, or their first 8 bytes.
        """
        if self._parts.guest:
            return []
        rows = (self._parts.view.find(node_id) for node_id in ids[: limits.MAX_PULLS])
        return [self._parts.listed(row) for row in rows if row is not None]


def _with_id(beginning: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Those whose ids are shown as something that begins so."""
    first = _FIVE_BITS.find(beginning[:1])
    for row in rows:  # of 32 the first letter, which is quickly looked at, fits one
        if beginning and row.id[0] >> 3 != first:
            continue
        if show_id(row.id).startswith(beginning):
            yield row
