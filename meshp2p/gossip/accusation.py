"""A suspicion as it travels: who accuses whom, of which version, signed by the accuser."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from meshp2p.errors import UnknownMessage, WireError
from meshp2p.gossip.fields import MAX_EPOCH, binary, natural
from meshp2p.identity.keys import SIGNATURE_BYTES, Crypto
from meshp2p.ids import NODE_ID_BYTES, NodeId
from meshp2p.wire import codec

DOMAIN: Final = b"meshp2p/suspicion/1\0"
MAX_ACCUSATION: Final = 256
"""Bytes. One of this version has some 120; later ones may append."""

Evidence: TypeAlias = Literal[0, 1, 2]
TIMEOUT: Final = 0
"""It did not answer."""
REFUSED: Final = 1
"""Its machine says that nobody listens there."""
RESET: Final = 2
"""Its machine cut a connection."""

_FORMAT: Final = 1
_ELEMENTS: Final = 7
_U53: Final = 1 << 53


@attrs.frozen(kw_only=True)
class Accusation:
    """One member's signed word that it could not reach another. Never a verdict.

    As it travels: MessagePack of [format, subject (16 B), epoch, seq, accuser (16 B), unix
    seconds, evidence], then the accuser's Ed25519 signature (64 B) over the domain, the
    group id and those very bytes.

    Args:
        version: (epoch, seq) of the subject that did not answer: a newer line of the
            subject makes the accusation void.
        unix: The accuser's wall clock, in seconds.
        raw: As received or sent, signature included.
    """

    subject: NodeId
    version: tuple[int, int]
    accuser: NodeId
    unix: int
    evidence: int
    raw: bytes = attrs.field(repr=False)

    @classmethod
    def signed(  # every element of it
        cls,
        crypto: Crypto,
        node_private: bytes,
        group_id: bytes,
        *,
        subject: NodeId,
        version: tuple[int, int],
        accuser: NodeId,
        unix: int,
        evidence: Evidence,
    ) -> Accusation:
        """Accuse, in this node's own name."""
        payload = codec.pack([_FORMAT, subject, *version, accuser, unix, evidence])
        signature = crypto.sign(node_private, DOMAIN + group_id + payload)
        return cls(
            subject=subject,
            version=version,
            accuser=accuser,
            unix=unix,
            evidence=evidence,
            raw=payload + signature,
        )

    @classmethod
    def from_bytes_untrusted(cls, data: bytes) -> Accusation:
        """Read one. Its signature is *not* checked: `is_signed_by` does that.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        if not SIGNATURE_BYTES < len(data) <= MAX_ACCUSATION:
            raise WireError(f"a suspicion of {len(data)} bytes")
        fields = codec.unpack_list_untrusted(data[:-SIGNATURE_BYTES], _ELEMENTS)
        if fields[0] != _FORMAT:
            raise UnknownMessage("a suspicion of another format")
        epoch = natural(fields[2], "epoch", MAX_EPOCH)
        return cls(
            subject=NodeId(binary(fields[1], "subject", exactly=NODE_ID_BYTES)),
            version=(epoch, natural(fields[3], "seq", MAX_EPOCH)),
            accuser=NodeId(binary(fields[4], "accuser", exactly=NODE_ID_BYTES)),
            unix=natural(fields[5], "time", _U53),
            evidence=natural(fields[6], "evidence", RESET + 1),
            raw=data,
        )

    def is_signed_by(self, crypto: Crypto, node_key: bytes, group_id: bytes) -> bool:
        """Whether the holder of the key signed it, for this namespace of this mesh."""
        payload, signature = self.raw[:-SIGNATURE_BYTES], self.raw[-SIGNATURE_BYTES:]
        return crypto.verify(node_key, DOMAIN + group_id + payload, signature)
