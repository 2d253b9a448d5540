"""Frames: what the plaintext of a stream's record is made of.

    type8 | stream32 | length16 | body            7 bytes before each body

Bit 6 of the type says that the stream's direction ends with this frame. Types from
0x80 on may be skipped by whoever does not know them; others close the connection.
Streams of whoever connected are odd, of whoever accepted even, 0 is the connection.
Source: `docs/protocol.md`; HTTP/2 (RFC 9113) for the shape.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from meshp2p.errors import WireError

OPEN: Final = 1
DATA: Final = 2
RESET: Final = 4
CREDIT: Final = 5
PING: Final = 6
PONG: Final = 7
GOAWAY: Final = 8
REKEY: Final = 9
RESERVED: Final = frozenset({3, 10, 11})
"""END alone, DGRAM, RELAY_OPEN: a later version's, so this one closes on them."""

END: Final = 0x40
SKIPPABLE: Final = 0x80
HEADER: Final = struct.Struct(">BIH")
CREDIT_BODY: Final = struct.Struct(">I")

CANCELLED: Final = 1
"""RESET: whoever asked does not want the answer any more."""
TOO_LARGE: Final = 2
"""RESET: more than the receiver holds."""
BUSY: Final = 3
"""RESET: too many streams at once; nothing was started."""
UNREAD: Final = 4
"""RESET: an answer was thrown away, since too many wait to be read."""
STALLED: Final = 5
"""RESET: the rest of a body did not come."""
CODE_BODY: Final = struct.Struct(">H")

_KNOWN: Final = frozenset({OPEN, DATA, RESET, CREDIT, PING, PONG, GOAWAY, REKEY})


def pack(kind: int, stream: int, body: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(kind, stream, len(body)) + body


def parse_untrusted(plaintext: bytes) -> Iterator[tuple[int, int, bool, bytes]]:
    """Yield (type, stream, end, body) for each frame of a record.

    Raises:
        WireError: And nothing else, whatever `plaintext` holds.
    """
    at, whole = 0, len(plaintext)
    unpack = HEADER.unpack_from
    while at < whole:
        if at + 7 > whole:
            raise WireError("a frame that is cut off")
        kind, stream, length = unpack(plaintext, at)
        begin = at + 7
        at = begin + length
        if at > whole:
            raise WireError("a frame that is cut off")
        if kind >= SKIPPABLE:
            continue
        plain_kind = kind & ~END
        if plain_kind not in _KNOWN:
            raise WireError(f"a frame of type {plain_kind}")
        yield plain_kind, stream, kind >= END, plaintext[begin:at]
