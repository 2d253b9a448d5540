"""Stands between an engine and its mathematics: what was sealed, opened, believed, by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from meshp2p.identity.keys import Aead, Crypto
from meshp2p.ids import NodeId
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.liars import Liar

_KEY_SHOWN: Final = 4
"""Bytes of a key in a message: enough to tell two apart."""
_TRANSCRIPT: Final = 32
"""Bytes of Noise's running hash, which handshake messages are bound to; packets are bound to
their headers, which are shorter."""

OnBelief: TypeAlias = Callable[[NodeId, bytes, bytes], None]
"""Told who checked a signature that holds, the signer's public key, and the data."""
OnMisuse: TypeAlias = Callable[[NodeId, str], None]
"""Told whose key was used as none may be, and how."""
OnOpened: TypeAlias = Callable[[NodeId, bytes | None], None]
"""Told who opened something that was sealed for it, and what that was bound to."""
OnNextKey: TypeAlias = Callable[[NodeId], None]
"""Told at which end of a connection the next key of a direction was made."""
OnSealed: TypeAlias = Callable[[NodeId, bytes, bytes], None]
"""Told who is about to send a datagram, its header, and the text in it."""
OnRead: TypeAlias = Callable[[NodeId, NodeId, bytes], None]
"""Told who opened a record of a stream, who had sealed it, and the text in it."""


@attrs.define(eq=False)
class Box:
    """All uses of one key, in whatever object.

    Args:
        sealer: Whoever used it last to seal.
    """

    key: bytes
    sealer: NodeId | None = None
    sealed: dict[bytes, int] = attrs.field(factory=dict)
    opened: set[bytes] = attrs.field(factory=set)


@attrs.define(eq=False)
class Ears:
    """What is told of all engines' mathematics, and to whom; empty lists cost nothing."""

    on_belief: list[OnBelief] = attrs.field(factory=list)
    on_misuse: list[OnMisuse] = attrs.field(factory=list)
    on_next_key: list[OnNextKey] = attrs.field(factory=list)
    on_opened: list[OnOpened] = attrs.field(factory=list)
    on_sealed: list[OnSealed] = attrs.field(factory=list)
    on_read: list[OnRead] = attrs.field(factory=list)
    boxes: dict[bytes, Box] = attrs.field(factory=dict)

    def hear_ciphers(self) -> bool:
        """Whether anybody wants to know of sealing and opening."""
        return bool(self.on_misuse or self.on_opened or self.on_sealed or self.on_read)


class _WatchedAead:
    """An `Aead` that reports."""

    def __init__(self, inner: Aead, box: Box, owner: NodeId, ears: Ears) -> None:
        self._owner = owner
        self._ears = ears
        self._seal = inner.seal
        self._open = inner.open
        self._sealed = box.sealed
        self._opened = box.opened
        self._key = box.key
        self._box = box

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        """See `Aead.seal`."""
        self._box.sealer = self._owner
        said = hash((plaintext, aad))
        if self._sealed.setdefault(nonce, said) != said:
            self._misuse(f"sealed two texts with key {self._key[:_KEY_SHOWN].hex()}, one nonce")
        if aad:
            if len(aad) != _TRANSCRIPT:
                for told in self._ears.on_sealed:
                    told(self._owner, aad, plaintext)
        elif aad is not None:  # what a next key is made from is bound to nothing
            for told_of_key in self._ears.on_next_key:
                told_of_key(self._owner)
        return self._seal(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
        """See `Aead.open`."""
        plaintext = self._open(nonce, ciphertext, aad)
        for told in self._ears.on_opened:
            told(self._owner, aad)
        if aad is not None and len(aad) == _TRANSCRIPT:
            return plaintext  # a copy of a handshake draws the same answer again, or none
        if nonce in self._opened:
            self._misuse(f"opened one packet twice, key {self._key[:_KEY_SHOWN].hex()}")
        self._opened.add(nonce)
        if aad is None and self._box.sealer is not None:
            for heard in self._ears.on_read:
                heard(self._owner, self._box.sealer, plaintext)
        return plaintext

    def _misuse(self, how: str) -> None:
        for told in self._ears.on_misuse:
            told(self._owner, how)


class Overheard:
    """One engine's `Crypto`, which does what another does and tells of it.

    Args:
        inner: The one that does the work.
        owner: Whose engine it is.
    """

    def __init__(self, inner: Crypto, owner: NodeId, ears: Ears) -> None:
        """Tell `ears` of all that is heard."""
        self._inner = inner
        self._owner = owner
        self._ears = ears
        self.sign = inner.sign
        self.signing_public = inner.signing_public
        self.exchange = inner.exchange
        self.exchange_public = inner.exchange_public
        self.derive = inner.derive

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """See `Crypto.verify`."""
        holds = self._inner.verify(public, data, signature)
        if holds:
            for told in self._ears.on_belief:
                told(self._owner, public, data)
        return holds

    def aead(self, key: bytes) -> Aead:
        """See `Crypto.aead`."""
        if not self._ears.hear_ciphers():
            return self._inner.aead(key)
        box = self._ears.boxes.get(key)
        if box is None:
            box = self._ears.boxes[key] = Box(key)
        return _WatchedAead(self._inner.aead(key), box, self._owner, self._ears)


def silent(crypto: Crypto) -> Crypto:
    """The same mathematics for whoever watches: nobody is told what it looks at."""
    return CheapCrypto() if isinstance(crypto, CheapCrypto | Liar) else crypto
