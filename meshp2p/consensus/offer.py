"""What is signed before an award: the announcement of work, and bids for it.

As with votes, the formats hold what sealed bids, budgets, second prices and guardians will
need; today those fields have one neutral value and readers refuse any other.
"""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.consensus import envelope
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES, PPM, Fields, digest
from meshp2p.consensus.scoring import BidTerms, Policy
from meshp2p.errors import WireError
from meshp2p.identity.credential import LAST_MOMENT
from meshp2p.ids import NAME, NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

ANNOUNCEMENT: Final = "announce"
BID: Final = "bid"
"""Kinds of statement."""

NONCE_BYTES: Final = 16
JOURNAL_BYTES: Final = 16
MAX_KEY: Final = 128
"""An idempotency key, in UTF-8."""

MAX_SPEC: Final = limits.MAX_BODY - limits.MAX_SIGNED
"""Encoded arguments or result: with the statement about them they must fit one body."""

_MAX_NAME: Final = 63
_MAX_NEEDS: Final = 16
_MAX_NEED: Final = 256
_MAX_GUARDIANS: Final = 5
_MILLISECONDS: Final = 1_000


@attrs.frozen(kw_only=True)
class Offer:
    """Work on offer, as an `@on_bid` handler sees it.

    Args:
        size: Bytes of the encoded arguments.
        deadline_ms: Milliseconds from now in which the work must be done.
        owner_handle: Handle of the owner, empty if it has none.
        my_load: Calls that this node is running now.
        budget: Highest price the owner pays, in its own unit; 0 if it did not say.
    """

    capability: str
    size: int
    deadline_ms: int
    owner: NodeId
    owner_handle: str
    my_load: int
    budget: int = 0

    def to_body(self) -> list[Value]:
        """As the arguments of a `?bid` handler, in the order of the fields."""
        return list(attrs.astuple(self))

    @classmethod
    def from_body(cls, body: list[Value]) -> Offer:
        """Read what `to_body` wrote.

        Raises:
            WireError: It did not.
        """
        fields = Fields(body)
        return cls(
            capability=fields.text(_MAX_NAME),
            size=fields.integer(),
            deadline_ms=fields.integer(),
            owner=fields.node_id(),
            owner_handle=fields.text(_MAX_NAME),
            my_load=fields.integer(),
            budget=fields.integer(),
        )


@attrs.frozen
class Bid:
    """What an `@on_bid` handler may answer, besides None for no bid.

    Args:
        price: In the unit that owner and bidders have agreed on.
        eta_ms: Milliseconds until it would be done; 0 for "not said".
        quality_ppm: How good it would be, in millionths.
        confidence_ppm: How sure the bidder is of all that.
    """

    price: int = 0
    eta_ms: int = 0
    quality_ppm: int = PPM
    confidence_ppm: int = PPM

    def to_body(self) -> list[Value]:
        """As the handler's answer travels inside the process."""
        return list(attrs.astuple(self))

    @classmethod
    def from_body(cls, value: Value) -> Bid:
        """Read what `to_body` wrote; elements missing at the end have their defaults.

        Raises:
            WireError: It is something else, or out of range.
        """
        if type(value) is not list:
            raise WireError("a bid that is no list")
        fields, bid = Fields(value), cls()
        return cls(
            price=fields.integer() if fields.left else bid.price,
            eta_ms=fields.integer() if fields.left else bid.eta_ms,
            quality_ppm=fields.integer(0, PPM) if fields.left else bid.quality_ppm,
            confidence_ppm=fields.integer(0, PPM) if fields.left else bid.confidence_ppm,
        )


def task_id_of(owner: NodeId, nonce: bytes, spec_hash: bytes, key: bytes) -> bytes:
    """32 bytes that name a task: SHA-256 of owner, nonce, hash of the arguments, and key."""
    return digest(owner + nonce + spec_hash + key)


@attrs.frozen(kw_only=True)
class Announcement:
    """An offer of work as it is signed.

    Args:
        journal_id: 16 bytes; the owner with another journal is another owner.
        nonce: 16 random bytes, zeros if the task has a key.
        key: Idempotency key: with the same key and arguments it is the same task, also
            after a restart of the owner, and its epochs go on.
        spec_hash: SHA-256 of the encoded arguments, which only the winner gets.
        size: Their length in bytes.
        policy: How bids will be scored.
        reserve: Least score that can win.
        budget: Highest price that can win; 0 for any.
        epoch: Of the first award that may follow.
        close_ms: How long bids are waited for.
        deadline_ms: How long the work may take, bidding included.
        wall: Unix seconds at the owner; for display only.
        hash: SHA-256 of the signed payload. Filled by the reader.
    """

    owner: NodeId
    journal_id: bytes
    nonce: bytes
    key: bytes
    capability: str
    spec_hash: bytes
    size: int
    policy: Policy
    epoch: int
    close_ms: int
    deadline_ms: int
    wall: int
    reserve: int = 0
    budget: int = 0
    hash: bytes = b""

    @property
    def task_id(self) -> bytes:
        """32 bytes, the same for all announcements of one task."""
        return task_id_of(self.owner, self.nonce, self.spec_hash, self.key)

    @property
    def deadline(self) -> Seconds:
        """How long the work may take, in seconds."""
        return self.deadline_ms / _MILLISECONDS

    def to_fields(self) -> list[Value]:
        """What is signed.

        Neutral for now, and refused if not: no further needs, not sealed, first price,
        no guardians, no lease.
        """
        head: list[Value] = [FORMAT, self.task_id, self.owner, self.journal_id, self.nonce]
        head += [self.key, self.capability, [], self.spec_hash, self.size]
        rules: list[Value] = [self.policy.to_fields(), self.reserve, self.budget, self.epoch]
        return [*head, *rules, self.close_ms, self.deadline_ms, self.wall, 0, 0, [], 0]

    @classmethod
    def read_untrusted(cls, statement: object) -> Announcement:
        """Read an announcement; the signature is not looked at.

        Raises:
            WireError: It is none, or it uses a mode that this version does not know.
        """
        fields = envelope.open_untrusted(statement)
        task_id = fields.octets(HASH_BYTES)
        owner, journal_id = fields.node_id(), fields.octets(JOURNAL_BYTES)
        nonce, key = fields.octets(NONCE_BYTES), fields.octets_up_to(MAX_KEY)
        capability = fields.text(_MAX_NAME)
        if not NAME.fullmatch(capability) or fields.array(_MAX_NEEDS):
            raise WireError("an offer of something that this version cannot match")
        announcement = cls(
            owner=owner,
            journal_id=journal_id,
            nonce=nonce,
            key=key,
            capability=capability,
            spec_hash=fields.octets(HASH_BYTES),
            size=fields.integer(0, MAX_SPEC),
            policy=Policy.read_untrusted(fields.fields()),
            reserve=fields.integer(),
            budget=fields.integer(),
            epoch=fields.integer(1),
            close_ms=fields.integer(),
            deadline_ms=fields.integer(1),
            wall=fields.integer(0, LAST_MOMENT),
            hash=digest(envelope.payload_of(statement)) if type(statement) is bytes else b"",
        )
        if fields.integer(0, 1) or fields.integer(0, 1) or fields.array(_MAX_GUARDIANS):
            raise WireError("a sealed, second-price or guarded auction, unknown to this version")
        fields.integer()  # lease
        if task_id != announcement.task_id:
            raise WireError("an offer whose task id is not its own")
        return announcement


@attrs.frozen(kw_only=True)
class PlacedBid:
    """A bid as it is signed: what a member says it would do, no commitment.

    Args:
        epoch: First epoch of the announcement that it answers.
        announcement: Hash of that announcement.
        statement: As it travels, signature included. Filled by the reader.
        hash: SHA-256 of the signed payload. Filled by the reader.
    """

    task_id: bytes
    epoch: int
    bidder: NodeId
    announcement: bytes
    terms: BidTerms
    valid_ms: int
    statement: bytes = attrs.field(default=b"", repr=False)
    hash: bytes = attrs.field(default=b"", repr=False)

    def to_fields(self) -> list[Value]:
        """What is signed; no commitment (of a sealed bid) and no evidence yet."""
        head: list[Value] = [FORMAT, self.task_id, self.epoch, self.bidder, self.announcement]
        return [*head, self.terms.to_fields(), self.valid_ms, b"", []]

    @classmethod
    def read_untrusted(cls, statement: object) -> PlacedBid:
        """Read a bid; the signature is not looked at.

        Raises:
            WireError: It is none, or a sealed one.
        """
        fields = envelope.open_untrusted(statement)
        bid = cls(
            task_id=fields.octets(HASH_BYTES),
            epoch=fields.integer(1),
            bidder=fields.node_id(),
            announcement=fields.octets(HASH_BYTES),
            terms=BidTerms.read_untrusted(fields.fields()),
            valid_ms=fields.integer(),
            statement=statement if type(statement) is bytes else b"",
            hash=digest(envelope.payload_of(statement)) if type(statement) is bytes else b"",
        )
        if fields.octets_up_to(HASH_BYTES):
            raise WireError("a sealed bid, unknown to this version")
        fields.array(_MAX_NEEDS)  # evidence, for auditors
        return bid
