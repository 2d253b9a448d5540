"""One connection between two nodes: preamble, handshake, then sealed records.

    "m2p" version8 flags8 suite8 | len16 noise 1 | mac1 16 | len16 noise 2 | ...

Whoever cannot show the first mac gets not one byte back.
Source: `docs/protocol.md`; `docs/architecture.md` follows a request through it.
"""

from __future__ import annotations

import struct
from typing import Final

from meshp2p.errors import WireError
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import frame
from meshp2p.transport.handshake import STREAMS, Doorkeeper, Peer
from meshp2p.transport.held import Held
from meshp2p.transport.multiplex import Arrival, Multiplexer
from meshp2p.transport.noise import Handshake
from meshp2p.transport.packet import FLAG_XX, MAC_BYTES, SUITE_CHACHA
from meshp2p.transport.record import MAX_RECORD_PLAINTEXT, Opener, Sealer
from meshp2p.wire import limits

MAGIC: Final = b"m2p"
VERSION: Final = 1
_PREAMBLE: Final = struct.Struct(">3sBBB")
_LENGTH: Final = struct.Struct(">H")
_REKEY_ROOM: Final = frame.HEADER.size


class Connection:
    """Both ends' state machine. The first error is the last: close without a word."""

    def __init__(
        self,
        door: Doorkeeper,
        *,
        now: Seconds,
        rekey_bytes: int,
        dial: bool,
        peer_id: NodeId | None = None,
        static: bytes | None = None,
        seen_from: Address | None = None,
        held: Held | None = None,
    ) -> None:
        """Accept, or `dial` the node `peer_id` (whoever answers, if None).

        Args:
            static: The other's transport key, if known: then IK, else XX.
            seen_from: The other's address, told in the handshake.
            held: Where what it holds is counted, together with other connections.
        """
        self._door = door
        self._rekey_bytes = rekey_bytes
        self._expected_id = peer_id
        self._seen_from = seen_from
        self._static = static
        self._xx = static is None
        self._raw = bytearray()
        self._inbox = bytearray()
        self._noise: Handshake | None = None
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._owes_proof = False
        self._is_proved = False
        self.dialled = dial
        self.created_at = now
        self.last_heard = now
        """When the peer last proved that it is there: by a whole record, or a handshake."""
        self.peer: Peer | None = None
        self.mux = Multiplexer(dialled=dial, held=held)
        if dial:
            self._start()

    @property
    def is_open(self) -> bool:
        """Whether the peer is proved, so that requests may be sent and answered.

        Who accepted IK waits for the first record: message 1 alone may be a recording.
        """
        return self._is_proved

    @property
    def peer_key(self) -> bytes | None:
        """The peer's transport key, new in each of its lives; None before it is proved."""
        return None if self.peer is None else self.peer.credential.transport_key

    @property
    def has_bytes(self) -> bool:
        """Whether `pull` would give something."""
        if self._sealer is None:
            return bool(self._raw)
        return bool(self._raw) or self._owes_proof or self.mux.has_frames

    def _start(self) -> None:
        self._noise, message, self._static = self._door.first_message(
            STREAMS, self._static, self._seen_from
        )
        self._xx = self._static is None
        flags = FLAG_XX if self._xx else 0
        start = _PREAMBLE.pack(MAGIC, VERSION, flags, SUITE_CHACHA)
        start += _LENGTH.pack(len(message)) + message
        self._raw += start + self._door.mac(start, self._static)

    def pull(self, at_most: int) -> bytes:
        """Bytes to put on the socket: at least one record if anything waits."""
        raw = self._raw
        if self._sealer is not None:
            if self._owes_proof and not self.mux.has_frames:
                raw += self._sealer.seal(b"")
            self._owes_proof = False
            while self.mux.has_frames and len(raw) < at_most:
                raw += self._seal_next(self._sealer)
        data = bytes(raw)
        raw.clear()
        return data

    def _seal_next(self, sealer: Sealer) -> bytes:
        plaintext = self.mux.take(MAX_RECORD_PLAINTEXT - _REKEY_ROOM)
        if sealer.sealed_bytes < self._rekey_bytes:
            return sealer.seal(plaintext)
        record = sealer.seal(plaintext + frame.pack(frame.REKEY, 0, b""))
        sealer.change_key()
        return record

    def receive_untrusted(self, data: bytes, *, now: Seconds) -> list[Arrival]:
        """Take bytes off the socket; return what became whole.

        Raises:
            WireError: And nothing else, whatever `data` holds. Close without a word.
        """
        opener = self._opener
        if opener is None:
            opener = self._shake_hands(data, now)
            if opener is None:
                return []
            if self._is_proved:
                self.last_heard = now
            data = bytes(self._inbox)
            self._inbox.clear()
        opener.feed(data)
        return self._open_records(opener, now)

    def _shake_hands(self, data: bytes, now: Seconds) -> Opener | None:
        """Go as far as the bytes allow; what opens records, once the handshake is over."""
        self._inbox += data
        while self._advance(now):
            pass
        return self._opener

    def _open_records(self, opener: Opener, now: Seconds) -> list[Arrival]:
        arrivals: list[Arrival] = []
        while (plaintext := opener.next_untrusted()) is not None:
            self._is_proved = True
            self.last_heard = now
            arrivals += self.mux.receive_untrusted(plaintext)
            if self.mux.rekey_seen:
                self.mux.rekey_seen = False
                opener.change_key()
        return arrivals

    def _advance(self, now: Seconds) -> bool:
        """One step of the handshake, if one is left and its bytes are there."""
        if self._opener is not None:
            return False
        if self._noise is None:
            return self._receive_preamble(now)
        message = self._take_message(0)
        if message is None:
            return False
        payload = self._noise.read_untrusted(message)
        self._admit(payload, now)
        if self.dialled and self._xx:
            self._write_message(self._door.greeting(self._seen_from))
        self._finish()
        return True

    def _receive_preamble(self, now: Seconds) -> bool:
        if not MAGIC.startswith(bytes(self._inbox[: len(MAGIC)])):
            raise WireError("not this protocol")
        message = self._take_message(_PREAMBLE.size, MAC_BYTES)
        if message is None:
            return False
        noise = self._door.accept(STREAMS, xx=self._xx)
        self._noise = noise
        payload = noise.read_untrusted(message)
        if not self._xx:
            self._admit(payload, now)
        self._write_message(self._door.greeting(self._seen_from))
        if not self._xx:
            self._finish()
        return True

    def _take_message(self, skip: int, trailer: int = 0) -> bytes | None:
        """A handshake message off the inbox, once it is whole; the mac is checked here."""
        inbox = self._inbox
        begin = skip + _LENGTH.size
        if len(inbox) < begin:
            return None
        if skip:
            self._check_preamble(bytes(inbox[:skip]))
        (length,) = _LENGTH.unpack_from(inbox, skip)
        if length > limits.MAX_HANDSHAKE:
            raise WireError(f"a handshake message of {length} bytes")
        end = begin + length
        if len(inbox) < end + trailer:
            return None
        if trailer:
            packet, mac = bytes(inbox[:end]), bytes(inbox[end : end + trailer])
            self._door.check_mac_untrusted(packet, mac, xx=self._xx)
        message = bytes(inbox[begin:end])
        del inbox[: end + trailer]
        return message

    def _check_preamble(self, preamble: bytes) -> None:
        magic, version, flags, suite = _PREAMBLE.unpack(preamble)
        if magic != MAGIC or version != VERSION or suite != SUITE_CHACHA or flags & ~FLAG_XX:
            raise WireError("a preamble of another protocol, version or suite")
        self._xx = bool(flags & FLAG_XX)

    def _write_message(self, payload: bytes) -> None:
        if self._noise is None:
            raise WireError("a handshake that has not begun")
        message = self._noise.write(payload)
        self._raw += _LENGTH.pack(len(message)) + message

    def _admit(self, payload: bytes, now: Seconds) -> None:
        if self._noise is None:
            raise WireError("a handshake that has not begun")
        peer = self._door.admit_untrusted(payload, self._noise.remote_static, now=now)
        if self._expected_id is not None and peer.credential.node_id != self._expected_id:
            raise WireError("somebody else answered at the member's address")
        self.peer = peer

    def _finish(self) -> None:
        if self._noise is None or not self._noise.done:
            return
        send_key, receive_key = self._noise.split()
        self._sealer = Sealer(self._door.crypto, send_key)
        self._opener = Opener(self._door.crypto, receive_key)
        self._is_proved = self.dialled or self._xx
        self._owes_proof = self.dialled and not self._xx
