"""What an insider makes up in its requests and answers: ballots, bids, awards, claims, heads.

As in `forgery`, most is well-formed and wrong in one thing alone, and all of it goes out on
connections on which the liar has proved who it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeAlias

import attrs

from meshp2p.consensus.auction import OFFER
from meshp2p.consensus.award import ACCEPTANCE, AWARD, RESULT, AwardNote
from meshp2p.consensus.awarding import AWARDED, CLAIM
from meshp2p.consensus.ballot import BALLOT, PROPOSAL
from meshp2p.consensus.envelope import digest, is_signed_by, payload_of, sign
from meshp2p.consensus.offer import ANNOUNCEMENT, BID, Announcement, PlacedBid
from meshp2p.consensus.scoring import BidTerms
from meshp2p.errors import WireError
from meshp2p.identity.keys import SIGNATURE_BYTES, Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import NodeId
from meshp2p.simulation.forgery import Forger
from meshp2p.simulation.liars import changed
from meshp2p.simulation.sayings import Saying
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value
from meshp2p.wire.messages import (
    CALL_ID_BYTES,
    FLAG_ONE_WAY,
    LAST_STATUS,
    RequestHead,
    ResponseHead,
    join_head,
)

_Rebuild: TypeAlias = Callable[[bytes], bytes]

_KINDS: Final = (ANNOUNCEMENT, BID, AWARD, ACCEPTANCE, RESULT, PROPOSAL, BALLOT)
_SYNC: Final = "!sync"
_LONG: Final = (limits.MAX_SIGNED + 1, 20_000)
"""Bytes: more than any statement has; and more than most links carry in no time."""
_HUGE: Final = (1 << 64) - 1
_NOISE: Final = 40
_HALF: Final = 0.5
_OFTEN: Final = 0.8
"""What was signed is the best to lie about."""
MOST_AT_ONCE: Final = 3
"""Requests at most that are made up at once."""
_KEYS: Final = 5
_METHODS: Final = ("add", "charge", "relay", "@", "?vote", "!nothing", OFFER, CLAIM)


@attrs.frozen(kw_only=True)
class FalseWitness:
    """Makes up what one record of a stream says instead, one request or answer at a time.

    Args:
        identity: Its own: the only keys that it has.
        peer: Who will hear it; None if that is not known.
        people: All members that it knows, itself included.
        told: What others said to it, the newest last; `said`: what it said to others.
        forger: Makes up records of members; None while it has no place in the mesh.
        rng: Decides all.
    """

    crypto: Crypto
    identity: NodeIdentity
    peer: NodeId | None
    people: Sequence[NodeId]
    told: Sequence[Saying]
    said: Sequence[Saying]
    forger: Forger | None
    rng: Random

    def instead(self, saying: Saying) -> bytes | None:
        """Something false, as it travels; None for nothing at all."""
        signed = self._own_word(saying) if self.rng.random() < _OFTEN else None
        if signed is not None:
            return signed
        lies = [self._one_field, self._again, self._again, self._other_head, self._other_head]
        lies += [self._garbage, self._too_long, self._records]
        at = self.rng.randrange(len(lies) + 1)
        return lies[at](saying) if at < len(lies) else None

    def besides(self) -> list[bytes]:
        """Requests that its engine would not make; none if it knows too little."""
        makers = [self._claim, self._claim, self._award, self._award, self._asked]
        made = [make() for make in self.rng.choices(makers, k=self.rng.randrange(MOST_AT_ONCE) + 1)]
        return [each for each in made if each is not None]

    # --- instead of what was meant ---------------------------------------------------------

    def _one_field(self, saying: Saying) -> bytes:
        """A bit of some body, a number of some list."""
        try:
            value = codec.unpack_untrusted(saying.body)
        except WireError:
            at = self.rng.randrange(max(len(saying.body), 1))
            bit = bytes([saying.body[at] ^ 1 << self.rng.randrange(8)]) if saying.body else b"?"
            return join_head(saying.head, saying.body[:at] + bit + saying.body[at + 1 :])
        return join_head(saying.head, codec.pack(changed(value, self.rng.randrange)))

    def _own_word(self, saying: Saying) -> bytes | None:
        """A statement of its own in it, changed and truly signed again; None without one."""
        for statement, rebuild in _places(saying.body):
            kind = self._kind_of(statement)
            if kind:
                return join_head(saying.head, rebuild(self._another(kind, statement)))
        return None

    def _again(self, saying: Saying) -> bytes:
        """What was said earlier, by itself or by others, to somebody: mostly of its sort."""
        alike = [
            each
            for each in (*self.told, *self.said)
            if each.is_request == saying.is_request and each.body != saying.body
        ]
        same = [each for each in alike if each.method == saying.method]
        old = self.rng.choice(same or alike or [saying])
        return join_head(saying.head, old.body) if self.rng.random() < _HALF else old.data

    def _other_head(self, saying: Saying) -> bytes:
        """The same body under a head that does not go with it."""
        asks = saying.asks
        head = self._answer_head(saying) if asks is None else self._request_head(asks)
        return join_head(head.packed(), saying.body)

    def _garbage(self, saying: Saying) -> bytes:
        noise = self.rng.randbytes(self.rng.randrange(_NOISE))
        return self.rng.choice([noise, join_head(saying.head, noise), join_head(noise, b"")])

    def _too_long(self, saying: Saying) -> bytes:
        noise = bytes(self.rng.choice(_LONG))
        body = self.rng.choice([noise, codec.pack([0, noise]), saying.body + noise])
        return join_head(saying.head, body)

    def _records(self, saying: Saying) -> bytes:
        """Records of others, each wrong in one thing: for whoever compares lists with it."""
        if self.forger is None or not self.forger.others:
            return self._one_field(saying)
        made = [self.forger.record()[1:], self.forger.stranger()[1:], self.forger.record()[1:]]
        packed: list[Value] = [*made]
        return join_head(saying.head, codec.pack(packed))

    # --- heads ---------------------------------------------------------------------------------

    def _request_head(self, head: RequestHead) -> RequestHead:
        rng = self.rng
        path: list[bytes] = [*rng.choices(self.people, k=rng.randrange(limits.MAX_HOPS + 2))]
        other: dict[str, Any] = {
            "method": rng.choice(_METHODS),
            "remaining_ms": rng.choice([0, 1, 60_000, _HUGE]),
            "flags": head.flags ^ rng.choice([FLAG_ONE_WAY, 2]),
            "call_id": rng.choice([bytes(CALL_ID_BYTES), *self._heard_ids()]),
            "key": rng.choice(["", f"key-{rng.randrange(_KEYS)}"]),
            "hops": rng.choice([0, 1, 2, limits.MAX_HOPS, limits.MAX_HOPS + 1, _HUGE]),
            "path": path,
            "metadata": {"": [[[[]]]]},
        }
        field = rng.choice(sorted(other))
        return attrs.evolve(head, **{field: other[field]})

    def _heard_ids(self) -> list[bytes]:
        return [each.asks.call_id for each in self.told if each.asks is not None]

    def _answer_head(self, saying: Saying) -> ResponseHead:
        rng = self.rng
        try:
            head = ResponseHead.from_untrusted(saying.head)
        except WireError:
            head = ResponseHead(0, started=True)
        others: list[dict[str, Any]] = [
            {"status": rng.randrange(LAST_STATUS + 2)},
            {"status": rng.randrange(LAST_STATUS + 2), "started": False},
            {"started": not head.started},
            {"load": rng.choice([0, _HUGE])},
            {"status": _HUGE, "retry_after_ms": _HUGE},
        ]
        return attrs.evolve(head, **rng.choice(others))

    # --- statements ----------------------------------------------------------------------------

    def _kind_of(self, statement: bytes) -> str:
        """Of one that it has signed itself; empty for all others."""
        if len(statement) <= SIGNATURE_BYTES:
            return ""
        own, group_id = self.identity.node_public, self.identity.keys.group_id
        signed = (
            kind for kind in _KINDS if is_signed_by(self.crypto, own, kind, group_id, statement)
        )
        return next(signed, "")

    def _another(self, kind: str, statement: bytes) -> bytes:
        """The same with one thing else in it, or under another kind's name, or badly signed."""
        payload = payload_of(statement)
        fields = codec.unpack_list_untrusted(payload, at_least=2)
        how = self.rng.randrange(5)
        if how == 0:
            return payload + self.rng.choice(
                [bytes(SIGNATURE_BYTES), self.rng.randbytes(SIGNATURE_BYTES)]
            )
        if how == 1:
            return self._signed(self.rng.choice(_KINDS), fields)
        if how == 2:  # noqa: PLR2004  # one case after the other
            own = self.identity.node_id
            other = self.rng.choice(self.people)
            return self._signed(kind, [other if each == own else each for each in fields])
        first, *rest = fields
        renewed = changed(rest, self.rng.randrange)
        made = self._signed(kind, [first, *renewed] if isinstance(renewed, list) else rest)
        return payload_of(made) + statement[-SIGNATURE_BYTES:] if how == 3 else made  # noqa: PLR2004  # likewise

    def _signed(self, kind: str, fields: list[Value]) -> bytes:
        group_id = self.identity.keys.group_id
        return sign(self.crypto, self.identity.node_private, kind, group_id, fields)

    # --- requests that nobody meant --------------------------------------------------------------

    def _claim(self) -> bytes | None:
        """The result of somebody's task: whoever was asked for a bid knows its name."""
        offers = self._offers()
        if not offers:
            return None
        epoch = self.rng.choice([1, 1, 1, 2])
        return self._ask(CLAIM, codec.pack([self.rng.choice(offers).task_id, epoch]))

    def _award(self) -> bytes | None:
        """Work that somebody awarded to it, awarded on: to whoever bid what is usual."""
        offers = {each.hash: each for each in self._offers()}
        for saying in self._shuffled(AWARDED):
            try:
                statement, arguments = codec.unpack_list_untrusted(saying.body, 2)[:2]
                award = AwardNote.read_untrusted(statement)
            except WireError:
                continue
            if award.announcement in offers and self.peer is not None:
                forged = self._awarded_on(award, offers[award.announcement], self.peer)
                old = self.rng.choice([b"", bytes(statement)[-SIGNATURE_BYTES:]])  # type: ignore[arg-type]  # read above
                signed = payload_of(forged) + old if old else forged
                return self._ask(AWARDED, codec.pack([signed, arguments]))
        return None

    def _awarded_on(self, award: AwardNote, offer: Announcement, to: NodeId) -> bytes:
        bid = PlacedBid(
            task_id=award.task_id,
            epoch=offer.epoch,
            bidder=to,
            announcement=offer.hash,
            terms=BidTerms(load=self.rng.choice([0, 0, 1])),
            valid_ms=offer.deadline_ms,
        )
        made = attrs.evolve(
            award,
            epoch=award.epoch + self.rng.choice([0, 1]),
            owner=self.rng.choice([award.owner, award.owner, self.identity.node_id]),
            winner=to,
            price=0,
            bid=digest(codec.pack(bid.to_fields())),
        )
        return self._signed(AWARD, made.to_fields())

    def _asked(self) -> bytes | None:
        """What somebody else asked, or what it asked before, once more."""
        asked = [each for each in (*self.told, *self.said) if each.asks is not None]
        return self.rng.choice(asked).data if asked else None

    def _offers(self) -> list[Announcement]:
        """Those of others that it has heard."""
        offers = []
        for saying in self.told:
            if saying.method == OFFER:
                try:
                    offers.append(Announcement.read_untrusted(saying.body))
                except WireError:
                    continue
        return offers

    def _shuffled(self, method: str) -> list[Saying]:
        found = [each for each in self.told if each.method == method]
        return self.rng.sample(found, len(found))

    def _ask(self, method: str, body: bytes) -> bytes:
        head = RequestHead(method, 1_000, call_id=self.rng.randbytes(CALL_ID_BYTES))
        return join_head(head.packed(), body)


def _places(body: bytes) -> list[tuple[bytes, _Rebuild]]:
    """All that may be a statement in a body, and what makes the body with another in its place."""
    places: list[tuple[bytes, _Rebuild]] = [(body, lambda other: other)]
    try:
        items = codec.unpack_list_untrusted(body, 1)
    except WireError:
        return places
    for at, item in enumerate(items):
        for inner, rebuild in _places(item) if type(item) is bytes else ():

            def again(other: bytes, at: int = at, rebuild: _Rebuild = rebuild) -> bytes:
                return codec.pack([*items[:at], rebuild(other), *items[at + 1 :]])

            places.append((inner, again))
    return places
