"""One datagram session: keys of both directions, counters, replay window.

An idle session is 64 bytes of keys and its window; cipher objects are kept only for
the busiest. Source: `docs/protocol.md`.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from math import inf
from typing import Final

import attrs

from meshp2p.errors import WireError
from meshp2p.identity.keys import Aead, Crypto
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport.handshake import Peer
from meshp2p.transport.noise import Handshake
from meshp2p.transport.packet import Data, pack_data_header
from meshp2p.transport.path import Path
from meshp2p.transport.replay import ReplayWindow

_NONCE: Final = struct.Struct("<4xQ")
_IN_VAIN: Final = 3
_SILENCE: Final[Seconds] = 10.0
"""WireGuard begins anew after 15 (whitepaper, section 6.5); here the silent are buried by then."""
_BUSIEST: Final = 128
"""Cipher objects kept: two for each of 64 sessions, 3 KiB each."""


class CipherCache:
    """Cipher objects by key, the longest unused thrown away first."""

    def __init__(self, crypto: Crypto) -> None:
        """Make ciphers with `crypto`."""
        self._crypto = crypto
        self._ciphers: OrderedDict[bytes, Aead] = OrderedDict()

    def get(self, key: bytes) -> Aead:
        """The cipher for a 32-byte key."""
        ciphers = self._ciphers
        cipher = ciphers.get(key)
        if cipher is not None:
            if len(ciphers) == _BUSIEST:  # while there is room for all, none need be chosen
                ciphers.move_to_end(key)
            return cipher
        cipher = ciphers[key] = self._crypto.aead(key)
        if len(ciphers) > _BUSIEST:
            ciphers.popitem(last=False)
        return cipher


@attrs.define(eq=False)
class Session:
    """What two nodes agreed on in one handshake.

    Args:
        index: Number by which datagrams to us name it.
        remote_index: Number by which datagrams to the peer name it.
        path: Where the newest authentic handshake or datagram came from.
        confirmed: Whether the peer has shown that it holds the keys. Until then
            nothing is sent: a replayed INIT draws one bounded answer and no more.
        origin: The ephemeral key of the INIT that we answered; b"" if we began.
        resp: Our answer to it, for copies of the INIT; b"" once confirmed.
        newest: Highest counter of an authentic datagram.
        in_vain: Things said since the last authentic datagram came.
        in_vain_since: When the first of them was said.
    """

    index: int
    remote_index: int
    peer: Peer
    send_key: bytes = attrs.field(repr=False)
    receive_key: bytes = attrs.field(repr=False)
    path: Path
    created_at: Seconds
    confirmed: bool
    origin: bytes = b""
    resp: bytes = attrs.field(default=b"", repr=False)
    counter: int = 0
    newest: int = -1
    in_vain: int = 0
    in_vain_since: Seconds = inf
    window: ReplayWindow = attrs.field(factory=ReplayWindow, repr=False)
    peer_id: NodeId = attrs.field(init=False)
    """Whose it is."""

    def __attrs_post_init__(self) -> None:
        """Spare three steps for each datagram."""
        self.peer_id = self.peer.credential.node_id

    @classmethod
    def agreed(
        cls,
        noise: Handshake,
        ends: tuple[int, int],
        peer: Peer,
        path: Path,
        now: Seconds,
        *,
        origin: bytes = b"",
        resp: bytes = b"",
        confirmed: bool = True,
    ) -> Session:
        """What a finished handshake made. `ends`: our number for it, and the peer's."""
        send_key, receive_key = noise.split()
        return cls(
            *ends, peer, send_key, receive_key, path, now, confirmed, origin=origin, resp=resp
        )

    def seal(self, plaintext: bytes, ciphers: CipherCache) -> bytes:
        """The next DATA datagram."""
        header = pack_data_header(self.remote_index, self.counter)
        nonce = _NONCE.pack(self.counter)
        self.counter += 1
        return header + ciphers.get(self.send_key).seal(nonce, plaintext, header)

    def said(self, now: Seconds) -> None:
        """Something goes to the peer that it should answer."""
        self.in_vain += 1
        self.in_vain_since = min(self.in_vain_since, now)

    def may_be_lost(self, now: Seconds) -> bool:
        """Whether so much was in vain for so long that the peer may not have the session."""
        return self.in_vain >= _IN_VAIN and now - self.in_vain_since >= _SILENCE

    @property
    def is_ours(self) -> bool:
        """Whether we began it."""
        return not self.origin

    def open_untrusted(self, data: Data, path: Path, ciphers: CipherCache) -> bytes:
        """The plaintext of a DATA datagram; its counter can be used no second time.

        The session's path follows the newest one. An older one that was held up must
        not lead back to where the peer no longer is.

        Raises:
            WireError: Replayed or forged. A forged counter does not move the window.
        """
        if not self.window.check(data.counter):
            raise WireError("a datagram seen before, or too old to tell")
        nonce = _NONCE.pack(data.counter)
        plaintext = ciphers.get(self.receive_key).open(nonce, data.ciphertext, data.header)
        self.window.commit(data.counter)
        self.in_vain, self.in_vain_since = 0, inf
        if data.counter > self.newest:
            self.newest = data.counter
            if isinstance(path, Address):
                self.path = path
        return plaintext
