"""Sealed records: what a stream consists of after the handshake.

    length16 | ciphertext | tag 16                the length covers ciphertext and tag

The nonce counts records, so nothing can be lost, repeated or reordered unnoticed.
"""

from __future__ import annotations

import struct
from typing import Final

from meshp2p.errors import WireError
from meshp2p.identity.keys import Aead, Crypto
from meshp2p.transport.noise import rekey
from meshp2p.wire import limits

_LENGTH: Final = struct.Struct(">H")
_NONCE: Final = struct.Struct("<4xQ")

MAX_RECORD_PLAINTEXT: Final = limits.MAX_RECORD - limits.RECORD_TAG


class Sealer:
    """One direction of a stream, at its sender."""

    def __init__(self, crypto: Crypto, key: bytes) -> None:
        """Begin with `key` (32 bytes) and nonce 0."""
        self._crypto = crypto
        self._key = key
        self._aead: Aead = crypto.aead(key)
        self._counter = 0
        self.sealed_bytes = 0

    def seal(self, plaintext: bytes) -> bytes:
        """One record of at most `MAX_RECORD_PLAINTEXT` bytes of plaintext."""
        sealed = self._aead.seal(_NONCE.pack(self._counter), plaintext, None)
        self._counter += 1
        self.sealed_bytes += len(plaintext)
        return _LENGTH.pack(len(sealed)) + sealed

    def change_key(self) -> None:
        """Noise's rekey; the receiver must do it at the same record."""
        self._key = rekey(self._crypto, self._key)
        self._aead = self._crypto.aead(self._key)
        self.sealed_bytes = 0


class Opener:
    """One direction of a stream, at its receiver."""

    def __init__(self, crypto: Crypto, key: bytes) -> None:
        """Begin with `key` (32 bytes) and nonce 0."""
        self._crypto = crypto
        self._key = key
        self._aead: Aead = crypto.aead(key)
        self._counter = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Keep bytes as they arrive; `next_untrusted` takes records off."""
        self._buffer += data

    def next_untrusted(self) -> bytes | None:
        """The next record's plaintext, or None until more arrives.

        Raises:
            WireError: Forged, or too short to be a record.
        """
        buffer = self._buffer
        if len(buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(buffer)
        if length < limits.RECORD_TAG:
            raise WireError(f"a record of {length} bytes")
        end = _LENGTH.size + length
        if len(buffer) < end:
            return None
        sealed = bytes(buffer[_LENGTH.size : end])
        del buffer[:end]
        plaintext = self._aead.open(_NONCE.pack(self._counter), sealed, None)
        self._counter += 1
        return plaintext

    def change_key(self) -> None:
        """Follow the sender's `Sealer.change_key`."""
        self._key = rekey(self._crypto, self._key)
        self._aead = self._crypto.aead(self._key)
