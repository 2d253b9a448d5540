"""The doorkeeper: proof of membership on the first packet, checked before anything else.

Whoever does not hold the mesh's PSK gets not one byte back, and costs a microsecond.
The prologue binds a handshake to the circumstances it was made for.

Source: WireGuard, section 5.4.4 (mac1), keyed also by the PSK.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import Final

from meshp2p.identity.keys import KEY_BYTES

_MAC_BYTES: Final = 16
_NOBODY: Final = bytes(KEY_BYTES)


def mac1(group_id: bytes, psk: bytes, receiver_static: bytes | None, packet: bytes) -> bytes:
    """The 16 bytes that say: made by a member, for this receiver.

    Args:
        group_id: 16 bytes, the namespace's.
        psk: 32 bytes, the namespace's.
        receiver_static: Its X25519 key; None or zeros where the sender does not know it (XX).
        packet: All bytes before the mac.
    """
    key = _key(group_id, psk, receiver_static or _NOBODY)
    return hashlib.blake2s(packet, key=key, digest_size=_MAC_BYTES).digest()


@functools.lru_cache(maxsize=64)  # every datagram of a stranger costs one check with our own
def _key(group_id: bytes, psk: bytes, receiver_static: bytes) -> bytes:
    return hashlib.sha256(b"mac1" + group_id + psk + receiver_static).digest()


def mac1_matches(
    group_id: bytes, psk: bytes, receiver_static: bytes | None, packet: bytes, mac: bytes
) -> bool:
    """Whether `mac` is the packet's; takes as long whichever byte is wrong. Never raises."""
    return hmac.compare_digest(mac1(group_id, psk, receiver_static, packet), mac)


def prologue(group_id: bytes, suite: int, transport: bytes, flags: int) -> bytes:
    """What both sides must have in common for a handshake to succeed.

    Whoever changes the suite or the flags on the way, or carries a handshake from UDP
    (`transport` b"u") to TCP (b"t"), makes it fail.
    """
    return b"meshp2p/1" + group_id + bytes([suite]) + transport + bytes([flags])
