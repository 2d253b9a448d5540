"""What both transports share when two nodes meet: patterns, macs, greetings, admission.

IKpsk2 when the other's transport key is known, XXpsk3 otherwise. Each side's
credential chain travels inside the handshake, sealed; a peer exists for this node
only once the chain proves the very key that the handshake used.
Source: the Noise Protocol Framework, revision 34; `docs/protocol.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs

from meshp2p.errors import CredentialError, WireError
from meshp2p.identity.credential import Credential
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import Address, Seconds, address_from_packed
from meshp2p.transport.mac import mac1, mac1_matches, prologue
from meshp2p.transport.noise import IKPSK2, XXPSK3, Handshake
from meshp2p.transport.packet import FLAG_XX, SUITE_CHACHA
from meshp2p.wire import codec

DATAGRAMS: Final = b"u"
STREAMS: Final = b"t"
KEY_BYTES: Final = 32
_GREETING_FIELDS: Final = 4


@attrs.frozen
class Peer:
    """Somebody who proved to hold a credential of this mesh.

    Args:
        observed: Our own address as they see it, or None.
    """

    credential: Credential
    chain: bytes
    observed: Address | None = None


class Doorkeeper:
    """Begins and accepts handshakes, and decides who may pass."""

    def __init__(
        self,
        *,
        crypto: Crypto,
        entropy: Callable[[int], bytes],
        identity: NodeIdentity,
        trust: Trust,
    ) -> None:
        """Speak for `identity`; admit whom `trust` can verify."""
        self.crypto = crypto
        self.entropy = entropy
        self.identity = identity
        self._trust = trust
        self.wall_offset: Seconds = 0.0
        """Unix time minus monotonic time, as the engine last heard."""

    def begin(self, transport: bytes, static: bytes | None) -> Handshake:
        """The initiator's side: IK towards `static`, XX where it is unknown."""
        return Handshake.initiator(
            XXPSK3 if static is None else IKPSK2,
            self.crypto,
            prologue=self._prologue(transport, xx=static is None),
            psk=self.identity.keys.psk,
            static_private=self.identity.transport_private,
            remote_static=static,
            ephemeral_private=self.entropy(KEY_BYTES),
        )

    def first_message(
        self, transport: bytes, static: bytes | None, observed: Address | None = None
    ) -> tuple[Handshake, bytes, bytes | None]:
        """Begin, and write message 1. Also returns the key that it is for: None if XX.

        A member may announce an X25519 key that nobody can use (a low-order point).
        That must not raise here, so it is treated as if unknown.
        """
        if static is not None:
            noise = self.begin(transport, static)
            with suppress(WireError):
                return noise, noise.write(self.greeting(observed)), static
        noise = self.begin(transport, None)
        return noise, noise.write(b""), None

    def accept(self, transport: bytes, *, xx: bool) -> Handshake:
        """The responder's side."""
        return Handshake.responder(
            XXPSK3 if xx else IKPSK2,
            self.crypto,
            prologue=self._prologue(transport, xx=xx),
            psk=self.identity.keys.psk,
            static_private=self.identity.transport_private,
            remote_static=None,
            ephemeral_private=self.entropy(KEY_BYTES),
        )

    def _prologue(self, transport: bytes, *, xx: bool) -> bytes:
        flags = FLAG_XX if xx else 0
        return prologue(self.identity.keys.group_id, SUITE_CHACHA, transport, flags)

    def greeting(self, observed: Address | None = None) -> bytes:
        """The payload of a handshake message: [chain, features, early, observed address].

        `features` and `early` (an idempotent message before the handshake ends) are a
        later version's.
        """
        seen = b"" if observed is None else observed.packed()
        return codec.pack([self.identity.chain, 0, b"", seen])

    def admit_untrusted(self, payload: bytes, static: bytes | None, *, now: Seconds) -> Peer:
        """Check a greeting against the key that the handshake proved.

        Raises:
            WireError: Malformed, from ourselves (a reflected packet), or a chain that
                does not prove `static`.
        """
        match codec.unpack_list_untrusted(payload, _GREETING_FIELDS):
            case [bytes(chain), int(), bytes(), bytes(seen), *_]:
                pass
            case _:
                raise WireError("a greeting with a bad field")
        if static is None:
            raise WireError("a greeting without a key")
        try:
            credential = self._trust.verify_chain_untrusted(
                chain, now + self.wall_offset, transport_key=static
            )
        except CredentialError as error:
            raise WireError(f"a peer that is not admitted: {error}") from error
        if credential.node_id == self.identity.node_id:
            raise WireError("our own handshake came back to us")
        if self.identity.keys.namespace not in credential.namespaces and (
            "*" not in credential.namespaces
        ):
            raise WireError("a peer whose credential is for another namespace")
        return Peer(credential, chain, address_from_packed(seen) if seen else None)

    def mac(self, packet: bytes, receiver_static: bytes | None) -> bytes:
        """The mac without which a stranger gets no byte of answer."""
        keys = self.identity.keys
        return mac1(keys.group_id, keys.psk, receiver_static, packet)

    def check_mac_untrusted(self, packet: bytes, mac: bytes, *, xx: bool) -> None:
        """Refuse what was not made for this node by somebody who knows the mesh.

        Raises:
            WireError: It was not.
        """
        keys = self.identity.keys
        static = None if xx else self.identity.transport_public
        if not mac1_matches(keys.group_id, keys.psk, static, packet, mac):
            raise WireError("a handshake from a stranger")
