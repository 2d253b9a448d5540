"""The Noise handshake as a value: bytes in, bytes out, two keys at the end.

Two patterns, each a table of tokens. IKpsk2 where the responder's key is known: one
round trip, and the first message already carries a payload. XXpsk3 where only an
address is known. Both mix in the mesh's PSK, so an outsider cannot complete either.

Source: The Noise Protocol Framework, revision 34, sections 5, 7 and 9.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Final, Literal, TypeAlias

import attrs

from meshp2p.errors import UsageError, WireError
from meshp2p.identity.keys import KEY_BYTES, TAG_BYTES, Crypto
from meshp2p.wire import limits

Token: TypeAlias = Literal["e", "s", "ee", "es", "se", "ss", "psk"]

_HASH_BYTES: Final = 32
"""Of SHA-256."""
_MAX_NONCE: Final = (1 << 64) - 1
"""Reserved for `rekey` (section 5.1)."""


@attrs.frozen
class Pattern:
    """Who sends what, and what is mixed into the keys, message by message.

    The first message is the initiator's, then they alternate.

    Args:
        name: As Noise names the whole protocol.
        responder_known: Whether the initiator knows the responder's static key.
    """

    name: str
    responder_known: bool
    messages: tuple[tuple[Token, ...], ...]


IKPSK2: Final = Pattern(
    "Noise_IKpsk2_25519_ChaChaPoly_SHA256",
    responder_known=True,
    messages=(("e", "es", "s", "ss"), ("e", "ee", "se", "psk")),
)
XXPSK3: Final = Pattern(
    "Noise_XXpsk3_25519_ChaChaPoly_SHA256",
    responder_known=False,
    messages=(("e",), ("e", "ee", "s", "es"), ("s", "se", "psk")),
)


def nonce_of(counter: int) -> bytes:
    """The AEAD nonce of a message number: 4 zero bytes, then 8 little endian (section 12.3)."""
    return bytes(4) + counter.to_bytes(8, "little")


def rekey(crypto: Crypto, key: bytes) -> bytes:
    """The key after `key`, from which `key` cannot be found again (section 4.2)."""
    return crypto.aead(key).seal(nonce_of(_MAX_NONCE), bytes(KEY_BYTES), b"")[:KEY_BYTES]


@attrs.define  # not frozen, though nobody changes one: a handshake makes forty of them
class _Symmetric:
    """What both sides have agreed on so far: section 5.2's SymmetricState, never changed.

    Args:
        chain: Chaining key `ck`.
        hash: Transcript hash `h`.
        key: Cipher key `k`, None before the first.
        counter: Messages sealed under `key` so far.
    """

    chain: bytes = attrs.field(repr=False)
    hash: bytes
    key: bytes | None = attrs.field(default=None, repr=False)
    counter: int = 0

    def mix_hash(self, data: bytes) -> _Symmetric:
        return _Symmetric(self.chain, self._hash_with(data), self.key, self.counter)

    def _hash_with(self, data: bytes) -> bytes:
        return hashlib.sha256(self.hash + data).digest()

    def mix_key(self, crypto: Crypto, secret: bytes) -> _Symmetric:
        chain, key = crypto.derive(self.chain, secret, 2)
        return _Symmetric(chain, self.hash, key, 0)

    def mix_key_and_hash(self, crypto: Crypto, secret: bytes) -> _Symmetric:
        chain, mixed, key = crypto.derive(self.chain, secret, 3)
        return _Symmetric(chain, self._hash_with(mixed), key, 0)

    def seal(self, crypto: Crypto, plaintext: bytes) -> tuple[_Symmetric, bytes]:
        if self.key is None:
            return self.mix_hash(plaintext), plaintext
        sealed = crypto.aead(self.key).seal(nonce_of(self.counter), plaintext, self.hash)
        return self._after(sealed), sealed

    def open(self, crypto: Crypto, sealed: bytes) -> tuple[_Symmetric, bytes]:
        if self.key is None:
            return self.mix_hash(sealed), sealed
        plaintext = crypto.aead(self.key).open(nonce_of(self.counter), sealed, self.hash)
        return self._after(sealed), plaintext

    def _after(self, sealed: bytes) -> _Symmetric:
        return _Symmetric(self.chain, self._hash_with(sealed), self.key, self.counter + 1)


@attrs.define(eq=False, kw_only=True)
class Handshake:
    """One side of one handshake.

    Alternate `write` and `read_untrusted` until `done`, then `split`. A forged message
    leaves no trace: the handshake waits on for the true one. Make one with `initiator`
    or `responder`.

    Args:
        remote_static: The other side's X25519 key; None until it is known. It is proved
            only by the message after the one that carried it, at the latest by the
            first sealed packet.
    """

    pattern: Pattern
    is_initiator: bool
    remote_static: bytes | None = None
    _crypto: Crypto = attrs.field(repr=False, alias="crypto")
    _psk: bytes = attrs.field(repr=False, alias="psk")
    _static: bytes = attrs.field(repr=False, alias="static")
    _ephemeral: bytes = attrs.field(repr=False, alias="ephemeral")
    _remote_ephemeral: bytes | None = attrs.field(default=None, alias="remote_ephemeral")
    _symmetric: _Symmetric = attrs.field(repr=False, alias="symmetric")
    _messages: int = attrs.field(default=0, alias="messages")

    @classmethod
    def initiator(
        cls,
        pattern: Pattern,
        crypto: Crypto,
        *,
        prologue: bytes,
        psk: bytes,
        static_private: bytes,
        ephemeral_private: bytes,
        remote_static: bytes | None = None,
    ) -> Handshake:
        """The side that writes first.

        Args:
            pattern: `IKPSK2` or `XXPSK3`.
            crypto: Mathematics.
            prologue: Both sides must hold the same, see `mac.prologue`.
            psk: 32 bytes, the mesh's.
            static_private: This side's X25519 key, whose public half the other learns.
            ephemeral_private: 32 fresh random bytes; never twice.
            remote_static: The responder's X25519 key, where the pattern wants it known.

        Raises:
            UsageError: The pattern wants it known and it is not, or the other way round.
        """
        if (remote_static is not None) != pattern.responder_known:
            raise UsageError(f"{pattern.name}: remote_static is given where it is not wanted")
        symmetric = _begun(pattern.name, prologue)
        if remote_static is not None:
            symmetric = symmetric.mix_hash(remote_static)
        return cls(
            pattern=pattern,
            is_initiator=True,
            remote_static=remote_static,
            crypto=crypto,
            psk=psk,
            static=static_private,
            ephemeral=ephemeral_private,
            symmetric=symmetric,
        )

    @classmethod
    def responder(
        cls,
        pattern: Pattern,
        crypto: Crypto,
        *,
        prologue: bytes,
        psk: bytes,
        static_private: bytes,
        ephemeral_private: bytes,
        remote_static: None = None,
    ) -> Handshake:
        """The side that reads first; arguments as for `initiator`.

        It never knows beforehand who writes, hence `remote_static` is None.
        """
        symmetric = _begun(pattern.name, prologue)
        if pattern.responder_known:
            symmetric = symmetric.mix_hash(crypto.exchange_public(static_private))
        return cls(
            pattern=pattern,
            is_initiator=False,
            remote_static=remote_static,
            crypto=crypto,
            psk=psk,
            static=static_private,
            ephemeral=ephemeral_private,
            symmetric=symmetric,
        )

    def branch(self) -> Handshake:
        """Another one that goes on from here: what it reads leaves no trace in this one."""
        return Handshake(
            pattern=self.pattern,
            is_initiator=self.is_initiator,
            remote_static=self.remote_static,
            crypto=self._crypto,
            psk=self._psk,
            static=self._static,
            ephemeral=self._ephemeral,
            remote_ephemeral=self._remote_ephemeral,
            symmetric=self._symmetric,
            messages=self._messages,
        )

    @property
    def done(self) -> bool:
        """Whether all messages of the pattern have passed."""
        return self._messages == len(self.pattern.messages)

    @property
    def hash(self) -> bytes:
        """Hash of all that passed, 32 bytes; the same on both sides, different each time."""
        return self._symmetric.hash

    def write(self, payload: bytes) -> bytes:
        """The next message, with `payload` in it.

        XX's first message is open to everyone on the way: give it no payload. IK's
        first can be replayed by anyone: give it nothing that must happen once.

        Raises:
            UsageError: It is the other side's turn, or all is said.
            WireError: The other side's static key, from wherever it came, is unusable.
        """
        if self.done or not self._is_own_turn():
            raise UsageError("not this side's turn to write a handshake message")
        symmetric, message = self._symmetric, b""
        for token in self.pattern.messages[self._messages]:
            match token:
                case "e":
                    public = self._crypto.exchange_public(self._ephemeral)
                    # Noise 9.2: with a PSK the ephemeral is mixed into the key as well.
                    symmetric = symmetric.mix_hash(public).mix_key(self._crypto, public)
                    message += public
                case "s":
                    public = self._crypto.exchange_public(self._static)
                    symmetric, sealed = symmetric.seal(self._crypto, public)
                    message += sealed
                case _:
                    symmetric = self._mix(symmetric, token)
        self._symmetric, sealed = symmetric.seal(self._crypto, payload)
        self._messages += 1
        return message + sealed

    def read_untrusted(self, message: bytes) -> bytes:
        """Take the other side's message; return its payload.

        Raises:
            WireError: And nothing else, whatever `message` holds; then nothing has changed.
        """
        before = (self._symmetric, self.remote_static, self._remote_ephemeral)
        try:
            return self._read(message)
        except WireError:
            self._symmetric, self.remote_static, self._remote_ephemeral = before
            raise

    def split(self) -> tuple[bytes, bytes]:
        """The keys of what follows: (for sending, for receiving), 32 bytes each.

        Raises:
            UsageError: The handshake is not done.
        """
        if not self.done:
            raise UsageError("the handshake is not done")
        first, second = self._crypto.derive(self._symmetric.chain, b"", 2)
        return (first, second) if self.is_initiator else (second, first)

    def _read(self, message: bytes) -> bytes:
        if self.done or self._is_own_turn():
            raise WireError("a handshake message out of turn")
        if len(message) > limits.MAX_HANDSHAKE:
            raise WireError(f"a handshake message of {len(message)} bytes")
        for token in self.pattern.messages[self._messages]:
            match token:
                case "e":
                    public, message = _cut(message, KEY_BYTES)
                    self._symmetric = self._symmetric.mix_hash(public).mix_key(self._crypto, public)
                    self._remote_ephemeral = public
                case "s":
                    sealed, message = _cut(message, KEY_BYTES + TAG_BYTES)
                    self._symmetric, static = self._symmetric.open(self._crypto, sealed)
                    self.remote_static = static
                case _:
                    self._symmetric = self._mix(self._symmetric, token)
        self._symmetric, payload = self._symmetric.open(self._crypto, message)
        self._messages += 1
        return payload

    def _mix(self, symmetric: _Symmetric, token: Token) -> _Symmetric:
        """Mix in what only the two sides, or only members, can know."""
        if token == "psk":  # noqa: S105  # a word of Noise's language
            return symmetric.mix_key_and_hash(self._crypto, self._psk)
        # The first letter is the initiator's key, the second the responder's.
        mine, theirs = (token[0], token[1]) if self.is_initiator else (token[1], token[0])
        own = self._ephemeral if mine == "e" else self._static
        remote = self._remote_ephemeral if theirs == "e" else self.remote_static
        if remote is None:
            raise UsageError(f"{self.pattern.name}: {token!r} before the key that it needs")
        return symmetric.mix_key(self._crypto, self._crypto.exchange(own, remote))

    def _is_own_turn(self) -> bool:
        return (self._messages % 2 == 0) == self.is_initiator


@functools.lru_cache(maxsize=16)  # a node has a handful of prologues
def _begun(name: str, prologue: bytes) -> _Symmetric:
    """Section 5.2's InitializeSymmetric, and the prologue."""
    encoded = name.encode()
    if len(encoded) <= _HASH_BYTES:
        start = encoded.ljust(_HASH_BYTES, b"\0")
    else:
        start = hashlib.sha256(encoded).digest()
    return _Symmetric(chain=start, hash=start).mix_hash(prologue)


def _cut(message: bytes, length: int) -> tuple[bytes, bytes]:
    if len(message) < length:
        raise WireError("a handshake message cut short")
    return message[:length], message[length:]
