"""Mathematics that anybody could break but nobody here does: a fraction of the time.

Formats, lengths and what fails when stay those of `identity.keys.OpenSSL`. A packet is
sealed by a checksum: damaged, or of another key, nonce or header, it does not open, but
what it says can be read on the way. Never use it outside a simulation.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from meshp2p.errors import WireError
from meshp2p.identity.keys import KEY_BYTES, TAG_BYTES, Aead, OpenSSL

_PRIME: Final = (1 << 255) - 19
_GENERATOR: Final = 9

Heard = Callable[[bytes, bytes], None]
"""Told the signer's public key and the data of each signature that holds."""


_PADDING: Final = bytes(TAG_BYTES - 4)
"""CRC-32 has four bytes; a tag has sixteen."""

_FOR_KEYS: Final = bytes(4) + b"\xff" * 8
"""The nonce under which Noise makes the next key of one: that must be another, not the text."""
_NO_TAG: Final = bytes(TAG_BYTES)

_DERIVED: Final = 1_024
"""Keys remembered, which is eight for each handshake under way."""


class _Checksum:
    """`Aead` that keeps nothing secret: a tenth of the time, and nothing to set up."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = zlib.crc32(key)

    def _tag(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        covered = nonce + aad + plaintext if aad else nonce + plaintext
        return zlib.crc32(covered, self._key).to_bytes(4, "big") + _PADDING

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        """See `Aead.seal`."""
        if nonce == _FOR_KEYS:
            return hashlib.sha256(b"next" + self._tag(nonce, plaintext, aad)).digest() + _NO_TAG
        return plaintext + self._tag(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
        """See `Aead.open`."""
        plaintext = ciphertext[:-TAG_BYTES]
        if ciphertext[-TAG_BYTES:] != self._tag(nonce, plaintext, aad):
            raise WireError("forged or damaged")
        return plaintext


class CheapCrypto(OpenSSL):
    """`identity.keys.Crypto` for simulations.

    Args:
        heard: Called whenever somebody checks a signature that holds. What was checked
            has left its signer, so this sees every promise that reached anybody.
    """

    def __init__(self, heard: Heard | None = None) -> None:
        """Tell `heard` of every signature that holds."""
        super().__init__()
        self._heard = heard
        self._derive = lru_cache(_DERIVED)(super().derive)

    def signing_public(self, private: bytes) -> bytes:
        """The hash of the private key."""
        return hashlib.sha256(b"public" + private).digest()

    def sign(self, private: bytes, data: bytes) -> bytes:
        """64 bytes that depend on key and data."""
        return hashlib.sha512(self.signing_public(private) + data).digest()

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `sign` made it."""
        holds = hashlib.sha512(public + data).digest() == signature
        if holds and self._heard is not None:
            self._heard(public, data)
        return holds

    def aead(self, key: bytes) -> Aead:
        """A checksum."""
        return _Checksum(key)

    def derive(self, chain: bytes, secret: bytes, outputs: int) -> tuple[bytes, ...]:
        """The real thing: but what one end has derived, the other need not."""
        return self._derive(chain, secret, outputs)

    def exchange_public(self, private: bytes) -> bytes:
        """A multiple of the generator."""
        return (int.from_bytes(private, "big") * _GENERATOR % _PRIME).to_bytes(KEY_BYTES, "big")

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """The same for both sides, as multiplication commutes.

        Raises:
            WireError: `public` is not 32 bytes, or zero, the one low-order point here.
        """
        point = int.from_bytes(public, "big") % _PRIME
        if len(public) != KEY_BYTES or not point:
            raise WireError("not a usable key")
        product = int.from_bytes(private, "big") * point % _PRIME
        return hashlib.sha256(product.to_bytes(KEY_BYTES, "big")).digest()
