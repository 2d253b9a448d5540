"""What a member says of itself: a body that seldom changes, and a signed line that may.

Only the owner can sign a line, so nobody can make a member appear, change or leave but
the member itself. The line names its body by hash: a refutation costs the line alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import attrs

from meshp2p.errors import UnknownMessage, WireError
from meshp2p.events import CapabilityInfo
from meshp2p.gossip import packed
from meshp2p.gossip.fields import MAX_EPOCH, array, binary, name, natural, text
from meshp2p.gossip.packed import HASH_BYTES, LINE_FORMAT, Facts, Likeness, Wire
from meshp2p.identity.credential import Credential
from meshp2p.identity.keys import KEY_BYTES, SIGNATURE_BYTES, Crypto
from meshp2p.identity.trust import proved_by
from meshp2p.ids import NODE_ID_BYTES, Address, NodeId, address_from_packed
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

UP: Final = 0
"""State of a line: takes calls."""
DRAINING: Final = 1
"""State of a line: there, but wants no new calls."""
LEFT: Final = 2
"""State of a line: gone, and final for its epoch."""

LINE_DOMAIN: Final = b"meshp2p/line/1\0"
MAX_LINE: Final = 256
"""Bytes. A line of this version has some 125; later ones may append."""
MAX_LINE_VALIDITY: Final = 86_400
"""Seconds. Bounds how long a tombstone must be kept for its old lines to stay dead."""

_FORMAT: Final = 1
_BODY_ELEMENTS: Final = 13
_ROLE, _CAPABILITIES = 6, 11
"""Where they are among them."""
_FIRST_KEY: Final = 4
"""Bytes before the node's key."""
_LINE_ELEMENTS: Final = 7
_HANDLER, _IDEMPOTENT = 1, 2
_PROTOCOL: Final = (1, 1)
_U16: Final = 1 << 16
_U32: Final = 1 << 32
_U53: Final = 1 << 53
_MAX_TEXT: Final = 64
_MAX_TAG_TEXT: Final = 255


@attrs.frozen(kw_only=True)
class Body:
    """The static part of a record, unsigned by itself: a line signs its hash.

    As it travels: MessagePack of [format, node key (32 B), transport key (32 B), journal
    id (16 B), [address (6 or 18 B), ...], handle, role, namespace, zone, [lowest, highest
    protocol], flags, [capability, ...], hash of what did not fit (0 or 16 B)]; a
    capability is [name, version, limit, flags (1 handler, 2 idempotent, 4 stream), tags].

    Args:
        node_key: Ed25519 key that signs the lines; its hash is the node id.
        transport_key: X25519 key for handshakes.
        journal_id: Changes when the node loses its memory.
    """

    node_key: bytes
    transport_key: bytes
    journal_id: bytes
    addresses: tuple[Address, ...]
    handle: str
    role: str
    namespace: str
    zone: str = ""
    protocol: tuple[int, int] = _PROTOCOL
    flags: int = 0
    capabilities: tuple[CapabilityInfo, ...] = ()
    more_hash: bytes = b""

    def encode(self) -> bytes:
        """The bytes whose hash goes into the line."""
        return codec.pack(self._values())

    def in_common(self) -> tuple[bytes, ...]:
        """Pieces of those bytes that many members of one mesh have, in their order."""
        values = [codec.pack(value) for value in self._values()]
        begin = self.encode()[:_FIRST_KEY]
        return (begin, b"".join(values[_ROLE:_CAPABILITIES]), b"".join(values[_CAPABILITIES:]))

    def _values(self) -> list[object]:
        return [
            _FORMAT,
            self.node_key,
            self.transport_key,
            self.journal_id,
            [address.packed() for address in self.addresses],
            self.handle,
            self.role,
            self.namespace,
            self.zone,
            list(self.protocol),
            self.flags,
            [_capability_value(capability) for capability in self.capabilities],
            self.more_hash,
        ]

    @classmethod
    def from_bytes_untrusted(cls, data: bytes) -> Body:
        """Read what `encode` wrote, or a later version of it.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        if len(data) > limits.MAX_RECORD_BODY:
            raise WireError(f"a record body of {len(data)} bytes")
        fields = codec.unpack_list_untrusted(data, _BODY_ELEMENTS)
        if fields[0] != _FORMAT:
            raise UnknownMessage("a record body of another format")
        addresses = array(fields[4], "addresses", at_most=limits.MAX_ADDRESSES)
        lowest, highest = array(fields[9], "protocol range", at_least=2)[:2]
        capabilities = array(fields[11], "capabilities", at_most=limits.MAX_CAPABILITIES)
        return cls(
            node_key=binary(fields[1], "node key", exactly=KEY_BYTES),
            transport_key=binary(fields[2], "transport key", exactly=KEY_BYTES),
            journal_id=binary(fields[3], "journal id", exactly=HASH_BYTES),
            addresses=tuple(address_from_packed(binary(one, "address")) for one in addresses),
            handle=name(fields[5], "handle", empty=True),
            role=name(fields[6], "role"),
            namespace=name(fields[7], "namespace"),
            zone=name(fields[8], "zone", empty=True),
            protocol=(natural(lowest, "protocol", _U16), natural(highest, "protocol", _U16)),
            flags=natural(fields[10], "flags", _U32),
            capabilities=tuple(_capability_untrusted(one) for one in capabilities),
            more_hash=binary(fields[12], "hash of more", at_most=HASH_BYTES),
        )


@attrs.frozen(kw_only=True)
class VersionLine:
    """One signed version of one member: what spreads through the mesh.

    As it travels: MessagePack of [format, node id (16 B), body hash (16 B), epoch, seq,
    state, valid until], then the owner's Ed25519 signature (64 B) over the domain, the
    group id and those very bytes.

    Args:
        epoch: Wall clock in ms at the owner's start, or more where that would not be new.
        seq: Counts the owner's changes and refutations within the epoch.
        state: `UP`, `DRAINING` or `LEFT`.
        valid_until: Unix seconds; nobody believes the line afterwards.
        raw: As received or sent, signature included.
    """

    node_id: NodeId
    body_hash: bytes
    epoch: int
    seq: int
    state: int
    valid_until: int
    raw: bytes = attrs.field(repr=False)

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, seq): the greater is the newer."""
        return (self.epoch, self.seq)

    @property
    def rank(self) -> tuple[int, bool, int]:
        """(epoch, has left, seq): the greater prevails.

        A farewell is final for its epoch, whatever else its owner says in it: so all come
        to believe the same of a liar that says goodbye to some and stays with others.
        """
        return (self.epoch, self.state == LEFT, self.seq)

    @classmethod
    def signed(  # noqa: PLR0913  # every element of the line
        cls,
        crypto: Crypto,
        node_private: bytes,
        group_id: bytes,
        *,
        node_id: NodeId,
        body_hash: bytes,
        epoch: int,
        seq: int,
        state: int,
        valid_until: int,
    ) -> VersionLine:
        """Sign a version of this node itself."""
        payload = codec.pack([LINE_FORMAT, node_id, body_hash, epoch, seq, state, valid_until])
        signature = crypto.sign(node_private, LINE_DOMAIN + group_id + payload)
        return cls(
            node_id=node_id,
            body_hash=body_hash,
            epoch=epoch,
            seq=seq,
            state=state,
            valid_until=valid_until,
            raw=payload + signature,
        )

    @classmethod
    def from_bytes_untrusted(cls, data: bytes) -> VersionLine:
        """Read a line. Its signature is *not* checked: `is_signed_by` does that.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        if not SIGNATURE_BYTES < len(data) <= MAX_LINE:
            raise WireError(f"a version line of {len(data)} bytes")
        fields = codec.unpack_list_untrusted(data[:-SIGNATURE_BYTES], _LINE_ELEMENTS)
        if fields[0] != LINE_FORMAT:
            raise UnknownMessage("a version line of another format")
        return cls(
            node_id=NodeId(binary(fields[1], "node id", exactly=NODE_ID_BYTES)),
            body_hash=binary(fields[2], "body hash", exactly=HASH_BYTES),
            epoch=natural(fields[3], "epoch", MAX_EPOCH),
            seq=natural(fields[4], "seq", MAX_EPOCH),
            state=natural(fields[5], "state", LEFT + 1),
            valid_until=natural(fields[6], "valid until", _U53),
            raw=data,
        )

    def is_signed_by(self, crypto: Crypto, node_key: bytes, group_id: bytes) -> bool:
        """Whether the holder of the key signed it, for this namespace of this mesh."""
        payload, signature = self.raw[:-SIGNATURE_BYTES], self.raw[-SIGNATURE_BYTES:]
        return crypto.verify(node_key, LINE_DOMAIN + group_id + payload, signature)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Record:
    """A line, its body, and the chain that says its owner belongs here; all verified.

    One that came from elsewhere may be kept `packed`: then its fields are read from its
    bytes whenever they are asked for, and `rank`, `state` and the like without that.
    """

    line: VersionLine
    body: Body
    body_raw: bytes = attrs.field(repr=False)
    chain: bytes = attrs.field(repr=False)
    credential: Credential = attrs.field(repr=False)
    _packed: bytes | None = attrs.field(default=None, init=False, eq=False, repr=False)
    """None unless all fields were read from the bytes; empty until it is packed."""
    _like: Likeness | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def as_received(self) -> Record:
        """The same, of which all was read from the very bytes that it travels as."""
        object.__setattr__(self, "_packed", b"")
        return self

    def likeness(self) -> Likeness:
        """What it has in common with others of its mesh, if it is as received."""
        return Likeness.of(self.body_raw, self.chain, self.body.in_common())

    def pack(self, like: Likeness) -> None:
        """Keep the bytes alone, as what they do not share with others; see `as_received`."""
        if not self.may_be_packed:
            return
        wire = Wire(self.line.raw, self.body_raw, self.chain)
        kept = packed.pack(self._facts(), wire, like)
        if not kept:
            return
        object.__setattr__(self, "_packed", kept)
        object.__setattr__(self, "_like", like)
        for field in _READ_ANEW:
            object.__delattr__(self, field)

    @property
    def may_be_packed(self) -> bool:
        """Whether that would lose nothing, and has not been done."""
        return self._packed == b""

    if not TYPE_CHECKING:  # whatever is not above stays an error

        def __getattr__(self, name: str) -> object:
            """Read a field that is not kept."""
            read = _READ_ANEW.get(name)
            if read is None:
                raise AttributeError(name, name=name, obj=self)
            return read(self._packed, self._like)

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, seq), as of its line."""
        return self._facts()[1:3] if self._packed else self.line.version

    @property
    def rank(self) -> tuple[int, bool, int]:
        """What prevails, as of its line."""
        if not self._packed:
            return self.line.rank
        state, epoch, seq, _, _ = self._facts()
        return (epoch, state == LEFT, seq)

    @property
    def state(self) -> int:
        """`UP`, `DRAINING` or `LEFT`, as of its line."""
        return self._packed[0] if self._packed else self.line.state

    @property
    def valid_until(self) -> int:
        """Unix seconds, as of its line."""
        return self._facts().valid_until if self._packed else self.line.valid_until

    @property
    def transport_not_after(self) -> int:
        """Unix seconds, as of its credential."""
        return self._facts().transport_not_after

    @property
    def body_hash(self) -> bytes:
        """By which its line names its body."""
        return packed.hash_of(self.body_raw) if self._packed else self.line.body_hash

    def says(self, line: VersionLine) -> bool:
        """Whether a line differs at most in how long it is valid."""
        same = self.version == line.version and self.state == line.state
        return same and self.body_hash == line.body_hash

    def wire(self) -> list[bytes]:
        """[line, body, chain], as it travels."""
        if self._packed and self._like:
            return list(packed.wire_of(self._packed, self._like))
        return [self.line.raw, self.body_raw, self.chain]

    def _facts(self) -> Facts:
        if self._packed:
            return packed.facts_of(self._packed)
        line, until = self.line, self.credential.transport_not_after
        return Facts(line.state, line.epoch, line.seq, line.valid_until, until)


@lru_cache(maxsize=256)  # whoever is called, is called again; 200 KiB
def _body(kept: bytes, like: Likeness) -> Body:
    return Body.from_bytes_untrusted(packed.body_of(kept, like))


_READ_ANEW: Final[dict[str, Callable[[bytes, Likeness], object]]] = {
    "line": lambda kept, like: VersionLine.from_bytes_untrusted(packed.line_of(kept, like)),
    "body": _body,
    "body_raw": packed.body_of,
    "chain": packed.chain_of,
    "credential": lambda kept, like: proved_by(packed.chain_of(kept, like)),
}


def body_hash(body_raw: bytes) -> bytes:
    """16 bytes: by which a line names its body."""
    return packed.hash_of(body_raw)


def _capability_value(capability: CapabilityInfo) -> list[object]:
    flags = _HANDLER * capability.handler | _IDEMPOTENT * capability.idempotent
    tags = dict(sorted(capability.tags.items()))
    return [capability.name, capability.version, capability.limit, flags, tags]


def _capability_untrusted(value: Value) -> CapabilityInfo:
    fields = array(value, "capability", at_least=5)
    flags = natural(fields[3], "flags of a capability", _U32)
    tags = fields[4]
    if type(tags) is not dict:
        raise WireError("tags are not a map")
    return CapabilityInfo(
        name=name(fields[0], "capability"),
        version=text(fields[1], "version", at_most=_MAX_TEXT),
        limit=natural(fields[2], "limit", _U32),
        handler=bool(flags & _HANDLER),
        idempotent=bool(flags & _IDEMPOTENT),
        tags={key: text(tag, "tag", at_most=_MAX_TAG_TEXT) for key, tag in tags.items()},
    )


def with_longer_chain(record: Record, held: Record) -> Record:
    """The record with the chain of the other, if that lasts longer; they are of one body."""
    old, new = held.credential, record.credential
    if (new.not_after, new.transport_not_after) >= (old.not_after, old.transport_not_after):
        return record
    return attrs.evolve(record, chain=held.chain, credential=held.credential).as_received()
