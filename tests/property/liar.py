"""A member whose every sealed word can be changed: lies under a true seal.

It sits between a production engine and the cipher. So whatever an engine ever says (items
of datagrams, frames, heads, bodies, greetings in handshakes) can be changed where it is
said, and arrives authentic. What the member itself signed is changed and signed again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from meshp2p.consensus.award import ACCEPTANCE, AWARD, RESULT
from meshp2p.consensus.ballot import BALLOT, PROPOSAL
from meshp2p.consensus.offer import ANNOUNCEMENT, BID
from meshp2p.errors import WireError
from meshp2p.gossip import accusation, record
from meshp2p.identity.keys import SIGNATURE_BYTES, Aead
from meshp2p.identity.node import NodeIdentity
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.transport import frame
from meshp2p.transport.packet import DATA
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value
from meshp2p.wire.messages import join_head, split_head_untrusted

DATAGRAM, RECORD, GREETING = "datagram", "record", "greeting"

Lie = Callable[[str, bytes], bytes]
"""What is sealed instead: given the channel and the honest plaintext."""


class LyingCrypto(CheapCrypto):
    """Seals what `lie` makes of a plaintext."""

    def __init__(self) -> None:
        """Honest, until told to lie."""
        super().__init__()
        self.lie: Lie | None = None

    def aead(self, key: bytes) -> Aead:
        """A cipher that lies on its way in."""
        return _LyingAead(self, super().aead(key))


class _LyingAead:
    def __init__(self, liar: LyingCrypto, honest: Aead) -> None:
        self._liar = liar
        self._honest = honest

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        if self._liar.lie is not None:
            channel = RECORD if aad is None else DATAGRAM if aad[0] == DATA else GREETING
            if channel == DATAGRAM and len(aad or b"") != 16:
                channel = GREETING
            plaintext = self._liar.lie(channel, plaintext)
        return self._honest.seal(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
        return self._honest.open(nonce, ciphertext, aad)


class Changer:
    """Changes one field of something valid, wherever it is nested, and signs it again."""

    def __init__(
        self, identity: NodeIdentity, crypto: CheapCrypto, rng: Random, new: Value
    ) -> None:
        """Put `new` somewhere that `rng` chooses."""
        self._identity = identity
        self._crypto = crypto
        self._rng = rng
        self._new = new
        group_id = identity.keys.group_id
        kinds = (ANNOUNCEMENT, BID, AWARD, ACCEPTANCE, RESULT, PROPOSAL, BALLOT)
        self._domains = [b"meshp2p/" + kind.encode() + b"/1\0" + group_id for kind in kinds]
        self._domains += [accusation.DOMAIN + group_id, record.LINE_DOMAIN + group_id]

    def plaintext(self, channel: str, plaintext: bytes) -> bytes:
        """The same with one field changed."""
        if channel == RECORD:
            changed = self._frames(plaintext)
            return changed if len(changed) <= limits.MAX_RECORD - 16 else plaintext
        changed = self._packed(plaintext)
        return changed if len(changed) <= limits.MAX_PLAINTEXT else plaintext

    def _packed(self, data: bytes) -> bytes:
        try:
            value = codec.unpack_untrusted(data)
        except WireError:
            return data
        return codec.pack(self.value(value))

    def value(self, value: Value) -> Value:
        """A value with one of its parts replaced."""
        if isinstance(value, list) and value and self._rng.random() < 0.9:
            at = self._rng.randrange(len(value))
            return [*value[:at], self.value(value[at]), *value[at + 1 :]]
        if isinstance(value, bytes) and len(value) > SIGNATURE_BYTES and self._rng.random() < 0.9:
            return self._statement(value)
        return self._new

    def _statement(self, data: bytes) -> bytes:
        payload, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        public, private = self._identity.node_public, self._identity.node_private
        for domain in self._domains:
            if self._crypto.verify(public, domain + payload, signature):
                payload = self._packed(payload)
                return payload + self._crypto.sign(private, domain + payload)
        return self._packed(data)

    def _frames(self, plaintext: bytes) -> bytes:
        frames = list(frame.parse_untrusted(plaintext))
        if not frames:
            return plaintext
        chosen = self._rng.randrange(len(frames))
        parts = []
        for number, (kind, stream, end, body) in enumerate(frames):
            flags = frame.END if end else 0
            packed = frame.pack(kind | flags, stream, body)
            parts.append(self._frame(kind, flags, stream, body) if number == chosen else packed)
        return b"".join(parts)

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> bytes:
        what = self._rng.choice(["head", "body", "body", "kind", "stream", "end", "raw"])
        if what == "kind":
            kind = self._rng.randrange(64)
        elif what == "stream":
            stream = self._rng.choice([0, 1, 2, stream + 1, stream + 2, 2**32 - 1])
        elif what == "end":
            flags ^= frame.END
        elif what == "raw":
            body = self._new if isinstance(self._new, bytes) else b""
        elif kind in (frame.OPEN, frame.DATA):
            body = self._message(body, what)
        return frame.pack(kind | flags, stream, body[: limits.MAX_FRAME_BODY])

    def _message(self, data: bytes, what: str) -> bytes:
        try:
            head, body = split_head_untrusted(data)
        except WireError:
            return data
        if what == "head":
            head = self._packed(head)
        elif len(body) > SIGNATURE_BYTES:
            body = self._statement(body)
        else:
            body = self._packed(body)
        return join_head(head, body)


def longer(channel: str, plaintext: bytes) -> bytes:
    """As a later version might say it: arrays that grew, kinds and frames nobody knows."""
    if channel == RECORD:
        return _longer_frames(plaintext)
    try:
        value = codec.unpack_untrusted(plaintext)
    except WireError:
        return plaintext
    if not isinstance(value, list):
        return plaintext
    if channel == GREETING:
        grown: list[Any] = [*value, "later"]
    else:
        grown = [[*item, 0, {"later": [1]}] if isinstance(item, list) else item for item in value]
        grown += [[99, "of a later version"], [25], [6, 1]]
    packed = codec.pack(grown)
    return packed if len(packed) <= limits.MAX_PLAINTEXT else plaintext


def _longer_frames(plaintext: bytes) -> bytes:
    parts = [frame.pack(0x80 | 5, 7, b"of a later version")]
    for kind, stream, end, body in frame.parse_untrusted(plaintext):
        flags = frame.END if end else 0
        if kind in (frame.RESET, frame.CREDIT):
            body += b"later"  # noqa: PLW2901  # the frame as it is to be
        if kind in (frame.OPEN, frame.DATA) and end:
            body = _longer_message(body)  # noqa: PLW2901
        parts += [frame.pack(kind | flags, stream, body), frame.pack(0xFF, stream, b"")]
        if kind == frame.REKEY:
            parts.pop()
    grown = b"".join(parts)
    return grown if len(grown) <= limits.MAX_RECORD - 16 else plaintext


def _longer_message(data: bytes) -> bytes:
    try:
        raw, body = split_head_untrusted(data)
        head = codec.unpack_untrusted(raw)
    except WireError:
        return data
    if not isinstance(head, list) or len(data) > limits.MAX_FRAME_BODY - 64:
        return data
    return join_head(codec.pack([*head, "later", [1, 2]]), body)
