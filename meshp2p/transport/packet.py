"""The datagrams of the mesh, as bytes. Sealing and handshakes are elsewhere.

    INIT    type8 flags8 suite8 rsv8 sender32 | len16 noise | pad | mac1 16 | mac2 16
    RESP    type8 flags8 rsv16 sender32 receiver32 | len16 noise | mac1 16 | mac2 16
    FINISH  type8 flags8 rsv16 sender32 receiver32 | len16 noise | mac1 16 | mac2 16
    DATA    type8 flags8 rsv16 receiver32 counter64 | ciphertext | tag 16

`type8` holds the version in its upper four bits. COOKIE, RELAY, PUNCH and HINT are
reserved. Source: `docs/protocol.md`; WireGuard's protocol for the shape.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import attrs

from meshp2p.errors import UnknownMessage, WireError
from meshp2p.wire import limits

VERSION: Final = 1
SUITE_CHACHA: Final = 1
"""25519, ChaChaPoly, SHA256; 2 is reserved for AES-GCM, 3 for a post-quantum hybrid."""

FLAG_XX: Final = 1
"""The handshake is XX, else IK. Bit 1 is reserved for joining by ticket."""

MAC_BYTES: Final = 16
_EPHEMERAL_BYTES: Final = 32

INIT: Final = VERSION << 4 | 1
RESP: Final = VERSION << 4 | 2
FINISH: Final = VERSION << 4 | 3
DATA: Final = VERSION << 4 | 4
RESERVED: Final = frozenset(VERSION << 4 | kind for kind in (5, 6, 7, 8))
"""COOKIE, RELAY, PUNCH, HINT."""

DATA_HEADER: Final = struct.Struct("<BBHIQ")
_DATA_HEADER_BYTES: Final = DATA_HEADER.size
_INIT_HEADER: Final = struct.Struct("<BBBBI")
_REPLY_HEADER: Final = struct.Struct("<BBHII")
_LENGTH: Final = struct.Struct("<H")


@attrs.frozen
class Init:
    """The first message of a handshake. `mac1` covers all bytes before it."""

    flags: int
    suite: int
    sender: int
    noise: bytes
    covered: bytes
    mac1: bytes

    @property
    def size(self) -> int:
        """Bytes of the datagram: no more may be answered to an address that may be forged."""
        return len(self.covered) + 2 * MAC_BYTES

    @property
    def origin(self) -> bytes:
        """The initiator's ephemeral key: the same in every copy, in no other handshake."""
        return self.noise[:_EPHEMERAL_BYTES]


@attrs.frozen
class Reply:
    """RESP (message 2) or FINISH (message 3 of XX)."""

    kind: int
    flags: int
    sender: int
    receiver: int
    noise: bytes
    covered: bytes
    mac1: bytes


class Data(NamedTuple):
    """A sealed datagram; `header` is authenticated with it.

    No attrs class, as nearly every datagram is one and a tuple is made in half the time.
    """

    receiver: int
    counter: int
    header: bytes
    ciphertext: bytes


def pack_init(flags: int, sender: int, noise: bytes, *, at_least: int) -> bytes:
    """INIT without its macs, padded so that with them it has `at_least` bytes.

    The padding keeps a forged source address from drawing more bytes than were sent.
    """
    head = _INIT_HEADER.pack(INIT, flags, SUITE_CHACHA, 0, sender)
    packet = head + _LENGTH.pack(len(noise)) + noise
    return packet + bytes(max(0, at_least - 2 * MAC_BYTES - len(packet)))


def pack_reply(kind: int, flags: int, sender: int, receiver: int, noise: bytes) -> bytes:
    """RESP or FINISH without its mac."""
    return _REPLY_HEADER.pack(kind, flags, 0, sender, receiver) + _LENGTH.pack(len(noise)) + noise


def pack_data_header(receiver: int, counter: int) -> bytes:
    """The 16 bytes that a sealed datagram begins with."""
    return DATA_HEADER.pack(DATA, 0, 0, receiver, counter)


def parse_untrusted(data: bytes) -> Init | Reply | Data:
    """Tell the kinds of datagram apart. Nothing is authenticated yet.

    Raises:
        WireError: And nothing else, whatever `data` holds (`UnknownMessage` for kinds
            that are reserved or of a later version).
    """
    if not data or len(data) > limits.MAX_DATAGRAM:
        raise WireError(f"a datagram of {len(data)} bytes")
    kind = data[0]
    if kind == DATA:
        return _parse_data(data)
    if kind == INIT:
        return _parse_init(data)
    if kind in (RESP, FINISH):
        return _parse_reply(data)
    if kind in RESERVED or kind >> 4 > VERSION:
        raise UnknownMessage(f"a datagram of kind {kind:#x}")
    raise WireError(f"a datagram of kind {kind:#x}")


def _parse_data(data: bytes) -> Data:
    if len(data) < limits.DATAGRAM_OVERHEAD:
        raise WireError("a sealed datagram that is too short")
    _, _, _, receiver, counter = DATA_HEADER.unpack_from(data)
    return Data(receiver, counter, data[:_DATA_HEADER_BYTES], data[_DATA_HEADER_BYTES:])


def _parse_init(data: bytes) -> Init:
    if len(data) < _INIT_HEADER.size + _LENGTH.size + 2 * MAC_BYTES:
        raise WireError("an INIT that is too short")
    _, flags, suite, _, sender = _INIT_HEADER.unpack_from(data)
    covered, mac1 = data[: -2 * MAC_BYTES], data[-2 * MAC_BYTES : -MAC_BYTES]
    return Init(flags, suite, sender, _noise(covered, _INIT_HEADER.size), covered, mac1)


def _parse_reply(data: bytes) -> Reply:
    if len(data) < _REPLY_HEADER.size + _LENGTH.size + 2 * MAC_BYTES:
        raise WireError("a handshake answer that is too short")
    kind, flags, _, sender, receiver = _REPLY_HEADER.unpack_from(data)
    covered, mac1 = data[: -2 * MAC_BYTES], data[-2 * MAC_BYTES : -MAC_BYTES]
    return Reply(kind, flags, sender, receiver, _noise(covered, _REPLY_HEADER.size), covered, mac1)


def _noise(covered: bytes, at: int) -> bytes:
    (length,) = _LENGTH.unpack_from(covered, at)
    begin = at + _LENGTH.size
    if begin + length > len(covered):
        raise WireError("a handshake message that is cut off")
    return covered[begin : begin + length]
