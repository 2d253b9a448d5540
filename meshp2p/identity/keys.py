"""The only door to `cryptography`: sign, verify, exchange, seal, open, derive.

Keys and signatures are plain bytes everywhere else, so that a simulation can hand in
something cheaper and a test can write a key down.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from meshp2p.errors import WireError
from meshp2p.ids import NODE_ID_BYTES, NodeId

KEY_BYTES: Final = 32
"""Of every key, private or public, Ed25519 or X25519 or symmetric."""

SIGNATURE_BYTES: Final = 64
"""Of an Ed25519 signature (RFC 8032)."""

TAG_BYTES: Final = 16
"""Of a Poly1305 tag (RFC 8439)."""

_HASH_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_SIGNING_KEYS_KEPT: Final = 8
_EXCHANGE_KEYS_KEPT: Final = 4


class Aead(Protocol):
    """One symmetric key, ready for use."""

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        """Encrypt; the result is 16 bytes longer. A nonce (12 bytes) serves once per key."""
        ...

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            WireError: It is forged, damaged, or meant for another key, nonce or `aad`.
        """
        ...


class Crypto(Protocol):
    """All mathematics that the protocol needs."""

    def sign(self, private: bytes, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        ...

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is by the owner of `public`. Never raises, whatever the bytes."""
        ...

    def signing_public(self, private: bytes) -> bytes:
        """The Ed25519 public key of a private one."""
        ...

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """X25519 shared secret, 32 bytes.

        Raises:
            WireError: `public` is not 32 bytes, or a low-order point: with such a
                point the secret would not depend on `private` (RFC 7748, section 6.1).
        """
        ...

    def exchange_public(self, private: bytes) -> bytes:
        """The X25519 public key of a private one."""
        ...

    def aead(self, key: bytes) -> Aead:
        """ChaCha20-Poly1305 under a key of 32 bytes."""
        ...

    def derive(self, chain: bytes, secret: bytes, outputs: int) -> tuple[bytes, ...]:
        """Noise's HKDF (section 4.3): keys of 32 bytes, from one of 32 and any secret."""
        ...


class OpenSSL:
    """The real `Crypto`.

    Loading a private key costs as much as using it (26 us), so the last few stay
    loaded: the node's own, which are used all the time. An ephemeral key passes
    through the same four places and is pushed out by the next handshakes.
    """

    def __init__(self) -> None:
        """Begin with no keys loaded."""
        self._signing = lru_cache(_SIGNING_KEYS_KEPT)(Ed25519PrivateKey.from_private_bytes)
        self._exchange = lru_cache(_EXCHANGE_KEYS_KEPT)(X25519PrivateKey.from_private_bytes)

    def sign(self, private: bytes, data: bytes) -> bytes:
        """See `Crypto.sign`."""
        return self._signing(private).sign(data)

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """See `Crypto.verify`."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
        except (InvalidSignature, ValueError):  # ValueError: not 32 bytes
            return False
        return True

    def signing_public(self, private: bytes) -> bytes:
        """See `Crypto.signing_public`."""
        return self._signing(private).public_key().public_bytes_raw()

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """See `Crypto.exchange`."""
        own = self._exchange(private)
        try:
            return own.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise WireError("not a usable X25519 key") from error

    def exchange_public(self, private: bytes) -> bytes:
        """See `Crypto.exchange_public`."""
        return self._exchange(private).public_key().public_bytes_raw()

    def aead(self, key: bytes) -> Aead:
        """See `Crypto.aead`."""
        return _ChaCha(key)

    def derive(self, chain: bytes, secret: bytes, outputs: int) -> tuple[bytes, ...]:
        """See `Crypto.derive`."""
        pads = _pads(_hmac(_pads(chain), secret))
        keys: list[bytes] = []
        previous = b""
        for count in range(1, outputs + 1):
            previous = _hmac(pads, previous + bytes((count,)))
            keys.append(previous)
        return tuple(keys)


class _ChaCha:
    """`Aead` by OpenSSL; some 2.3 KB of memory, so idle sessions keep the key instead."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        return self._cipher.encrypt(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
        try:
            return self._cipher.decrypt(nonce, ciphertext, aad)
        except InvalidTag as error:
            raise WireError("forged or damaged") from error


def hkdf(secret: bytes, info: bytes, length: int = KEY_BYTES) -> bytes:
    """Derive `length` bytes (at most 8160) for the purpose `info` from a strong secret.

    Source: RFC 5869 with SHA-256 and an empty salt.
    """
    extracted = hmac.digest(bytes(_HASH_BYTES), secret, "sha256")
    output = block = b""
    for count in range(1, -(-length // _HASH_BYTES) + 1):
        block = hmac.digest(extracted, block + info + bytes([count]), "sha256")
        output += block
    return output[:length]


def _pads(key: bytes) -> tuple[bytes, bytes]:
    """What HMAC makes of a key of 32 bytes before it sees any data (RFC 2104)."""
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    return padded.translate(_INNER), padded.translate(_OUTER)


def _hmac(pads: tuple[bytes, bytes], data: bytes) -> bytes:
    """HMAC-SHA256. A handshake needs sixty, and `hmac.digest` takes half as long again."""
    inner, outer = pads
    return hashlib.sha256(outer + hashlib.sha256(inner + data).digest()).digest()


@lru_cache(maxsize=8)  # one record asks five times for the id of the same two keys
def node_id_of(public: bytes) -> NodeId:
    """The id of whoever owns this Ed25519 public key: 16 bytes."""
    return NodeId(hashlib.sha256(b"meshp2p-id" + public).digest()[:NODE_ID_BYTES])
