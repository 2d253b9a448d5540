"""What an insider makes up: lines, farewells, records and accusations in others' names.

All of it is well-formed and goes out under the true seal of a member in good standing. Most
is wrong in one thing alone, so that each check of whoever reads it is met by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, TypeAlias, TypeVar

import attrs

from meshp2p.gossip.accusation import REFUSED, RESET, TIMEOUT, Accusation
from meshp2p.gossip.fields import MAX_EPOCH
from meshp2p.gossip.messages import LineItem, RecordItem, SuspicionItem
from meshp2p.gossip.record import DRAINING, LEFT, UP, Body, Record, VersionLine, body_hash
from meshp2p.identity.block import DOMAIN, TRANSPORT_LIFE
from meshp2p.identity.credential import pack_chain, parse_chain_untrusted
from meshp2p.identity.keys import KEY_BYTES, SIGNATURE_BYTES, Crypto, node_id_of
from meshp2p.identity.node import NODE_LIFE, NodeIdentity
from meshp2p.wire import codec
from meshp2p.wire.codec import Value

_T = TypeVar("_T")
_Version: TypeAlias = tuple[int, int]

_DAY: Final = 86_400
_BEYOND_DOUBT: Final = 3 * 3_600
"""Seconds: more than clocks are forgiven, wherever faults have set them."""
_SUBJECT: Final = 4
"""Where a block names the key that it is about; see `Block`."""
_VALID: Final = 3_600
"""Seconds for which a line is usually good."""
_MOSTLY: Final = 0.7
"""How often a part is as it should be, whatever is wrong with the others."""


@attrs.frozen(kw_only=True)
class Forger:
    """Makes up one item at a time.

    Args:
        identity: Its own: the only keys that it has.
        own: What it says of itself when it is honest.
        others: What it holds of those whom it knows; nobody can be forged without one.
        unix: What it takes for the time of day, in seconds.
        rng: Decides all.
    """

    crypto: Crypto
    identity: NodeIdentity
    own: Record
    others: Sequence[Record]
    unix: float
    rng: Random

    def item(self) -> list[Value]:
        """Something false, as an item of a membership datagram."""
        kinds = [self.line, self.line, self.record, self.stranger, self.accusation, self.own_word]
        return self.rng.choice(kinds)() if self.others else self.own_word()

    def line(self) -> list[Value]:
        """The next word of a member, or its farewell, written by somebody else."""
        return LineItem(self._forged(self.rng.choice(self.others))).wire()

    def own_word(self) -> list[Value]:
        """A true signature for what is not true: that it leaves, or lives another life."""
        return LineItem(self._signed(self.own, self.own.line.body_hash, self._state())).wire()

    def accusation(self) -> list[Value]:
        """That somebody does not answer: of any version, at any time, in anybody's name."""
        subject, accuser = (self.rng.choice([self.own, *self.others]) for _ in range(2))
        epoch, seq = subject.line.version
        versions = [(epoch, seq + 1), (epoch + 1, 0), (epoch, max(seq - 1, 0))]
        said = Accusation.signed(
            self.crypto,
            self.identity.node_private,
            self.identity.keys.group_id,
            subject=subject.line.node_id,
            version=self._mostly(subject.line.version, *versions),
            accuser=accuser.line.node_id,
            unix=int(self.unix) + self._mostly(0, -_DAY, -1_000, 1_000, _DAY),
            evidence=self.rng.choice((TIMEOUT, REFUSED, RESET)),
        )
        old = accuser.line.raw[-SIGNATURE_BYTES:]
        return SuspicionItem(self._under_another(said.raw, old)).wire()

    def record(self) -> list[Value]:
        """A line, a body and a chain, of which one does not go with the others."""
        rng, own, other = self.rng, self.own, self.rng.choice(self.others)
        moved = attrs.evolve(other.body, addresses=own.body.addresses).encode()
        line, body, chain = rng.choice(
            [
                (self._forged(other), other.body_raw, other.chain),
                (self._forged(other, moved), moved, other.chain),
                (self._forged(other), moved, other.chain),
                (self._forged(other, own.body_raw), own.body_raw, own.chain),
                (self._signed(own, own.line.body_hash, UP), own.body_raw, other.chain),
                self._claim(attrs.evolve(own.body, role="deploy")),
                self._claim(attrs.evolve(own.body, namespace="elsewhere")),
                self._claim(attrs.evolve(own.body, handle=other.body.handle)),
                self._of_another_time(),
            ]
        )
        return RecordItem(line, body, chain).wire()

    def stranger(self) -> list[Value]:
        """Somebody who does not exist."""
        return RecordItem(*self._stranger()).wire()

    # --- parts -----------------------------------------------------------------------

    def _forged(self, other: Record, body_raw: bytes | None = None) -> bytes:
        """A line of somebody else: all is as it should be, mostly, but for the signature."""
        epoch, seq = other.line.version
        future = [(epoch, seq + 1_000), (epoch + 1, 0), (epoch + _DAY, 0), (MAX_EPOCH - 1, 0)]
        said = self._line(
            other,
            other.line.body_hash if body_raw is None else body_hash(body_raw),
            self._mostly((epoch, seq + 1), *future, (epoch, seq), (epoch, max(seq - 1, 0))),
            self._state(),
        )
        return self._under_another(said.raw, other.line.raw[-SIGNATURE_BYTES:])

    def _signed(self, own: Record, of_body: bytes, state: int) -> bytes:
        """A line of its own, truly signed: the next one, or one of another life."""
        epoch, seq = own.line.version
        version = self._mostly((epoch, seq + 1), (epoch + 1, 0), (epoch, seq), (epoch + _DAY, 0))
        return self._line(own, of_body, version, state).raw

    def _line(self, of: Record, of_body: bytes, version: _Version, state: int) -> VersionLine:
        return VersionLine.signed(
            self.crypto,
            self.identity.node_private,
            self.identity.keys.group_id,
            node_id=of.line.node_id,
            body_hash=of_body,
            epoch=version[0],
            seq=version[1],
            state=state,
            valid_until=int(self.unix) + self._mostly(_VALID, -_DAY, 10 * _DAY),
        )

    def _claim(self, body: Body) -> tuple[bytes, bytes, bytes]:
        """Its own record, truly signed, in which it claims to be more than its chain says."""
        raw = body.encode()
        return self._signed(self.own, body_hash(raw), UP), raw, self.own.chain

    def _stranger(self) -> tuple[bytes, bytes, bytes]:
        """Somebody who does not exist and signs for itself, with a chain that nobody issued."""
        private = self.rng.randbytes(KEY_BYTES)
        public = self.crypto.signing_public(private)
        body = attrs.evolve(self.own.body, node_key=public, handle="mallory").encode()
        said = VersionLine.signed(
            self.crypto,
            private,
            self.identity.keys.group_id,
            node_id=node_id_of(public),
            body_hash=body_hash(body),
            epoch=self.own.line.epoch,
            seq=0,
            state=UP,
            valid_until=int(self.unix) + _VALID,
        )
        borrowed = self.rng.choice([self.own, *self.others]).chain
        untimely = self._issued_another_time(private)
        chain = self.rng.choice([borrowed, self._self_issued(private), untimely])
        return said.raw, body, chain

    def _of_another_time(self) -> tuple[bytes, bytes, bytes]:
        """Its own record, truly signed, with a chain that is over, or has not begun."""
        own = self.own
        line = self._signed(own, own.line.body_hash, UP)
        return line, own.body_raw, self._issued_another_time(self.identity.node_private)

    def _issued_another_time(self, private: bytes) -> bytes:
        """A chain that this mesh did issue to a key, for the past or for the future."""
        identity = self.identity
        away = self.rng.choice((-1, 1)) * self.rng.choice((_BEYOND_DOUBT, _DAY, 10 * _DAY))
        begins = self.unix + (away if away > 0 else away - TRANSPORT_LIFE)
        return NodeIdentity.self_issued(
            self.crypto,
            identity.keys,
            node_private=private,
            transport_private=identity.transport_private,
            journal_id=identity.journal_id,
            handle=identity.handle,
            role=identity.role,
            unix=begins,
            lifetime=self.rng.choice((TRANSPORT_LIFE, NODE_LIFE)),
        ).chain

    def _self_issued(self, private: bytes) -> bytes:
        """Its own chain for another key, that key's signature in place of the root's."""
        above, *_ = parse_chain_untrusted(self.own.chain)
        fields = codec.unpack_list_untrusted(above.wire[:-SIGNATURE_BYTES], at_least=_SUBJECT + 1)
        fields[_SUBJECT] = self.crypto.signing_public(private)
        payload = codec.pack(fields)
        return pack_chain([payload + self.crypto.sign(private, DOMAIN + payload)])

    def _under_another(self, signed: bytes, old: bytes) -> bytes:
        """The same words, signed by the forger, by nobody, by chance, or long ago."""
        payload, own = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
        nobody, noise = bytes(SIGNATURE_BYTES), self.rng.randbytes(SIGNATURE_BYTES)
        return payload + self.rng.choice([own, nobody, noise, old])

    def _state(self) -> int:
        return self.rng.choice((UP, DRAINING, LEFT, LEFT))

    def _mostly(self, usual: _T, *unusual: _T) -> _T:
        return usual if self.rng.random() < _MOSTLY else self.rng.choice(unusual)
