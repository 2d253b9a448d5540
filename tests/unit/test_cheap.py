"""The simulation's mathematics: cheap, but what must fail fails."""

from __future__ import annotations

import pytest

from meshp2p.errors import WireError
from meshp2p.identity.keys import TAG_BYTES, OpenSSL
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.transport.noise import rekey

KEY, NONCE, HEADER, TEXT = b"k" * 32, b"n" * 12, b"header", b"what alice says to bob"


def test_a_packet_opens_for_whoever_holds_its_key() -> None:
    """And is as long as one that is really sealed."""
    sealed = CheapCrypto().aead(KEY).seal(NONCE, TEXT, HEADER)

    assert CheapCrypto().aead(KEY).open(NONCE, sealed, HEADER) == TEXT
    assert len(sealed) == len(OpenSSL().aead(KEY).seal(NONCE, TEXT, HEADER)) == 22 + TAG_BYTES


@pytest.mark.parametrize("place", range(len(TEXT) + TAG_BYTES))
def test_a_damaged_packet_does_not_open(place: int) -> None:
    """Whichever of its bits has changed on the way."""
    cipher = CheapCrypto().aead(KEY)
    for bit in range(8):
        damaged = bytearray(cipher.seal(NONCE, TEXT, HEADER))
        damaged[place] ^= 1 << bit
        with pytest.raises(WireError):
            cipher.open(NONCE, bytes(damaged), HEADER)


@pytest.mark.parametrize(
    ("key", "nonce", "header"),
    [
        (b"K" * 32, NONCE, HEADER),
        (KEY, b"N" * 12, HEADER),
        (KEY, NONCE, b"Header"),
        (KEY, NONCE, None),
    ],
    ids=["key", "nonce", "header", "no header"],
)
def test_a_packet_opens_in_its_own_place_alone(
    key: bytes, nonce: bytes, header: bytes | None
) -> None:
    """Another key, another number, another header: it is somebody else's."""
    sealed = CheapCrypto().aead(KEY).seal(NONCE, TEXT, HEADER)

    with pytest.raises(WireError):
        CheapCrypto().aead(key).open(nonce, sealed, header)


def test_the_next_key_is_another_one_and_is_told_by_the_last() -> None:
    """So that connections which change their keys do not all end with the same one."""
    keys = [KEY, b"K" * 32]
    for _ in range(3):
        keys += [rekey(CheapCrypto(), key) for key in keys[-2:]]
    assert len(set(keys)) == len(keys) == 8
    assert {len(key) for key in keys} == {32}
    assert rekey(CheapCrypto(), KEY) == keys[2]


def test_scraps_do_not_open() -> None:
    """Whatever is shorter than a tag is no packet."""
    cipher = CheapCrypto().aead(KEY)
    sealed = cipher.seal(NONCE, b"", HEADER)
    for length in range(TAG_BYTES):
        with pytest.raises(WireError):
            cipher.open(NONCE, sealed[:length], HEADER)


def test_keys_are_derived_as_in_earnest_whoever_asks_first() -> None:
    """Both ends of a handshake derive the same: what one has worked out, the other is given."""
    cheap, earnest = CheapCrypto(), OpenSSL()

    for secret, outputs in ((TEXT, 2), (TEXT, 3), (b"", 2), (TEXT, 2)):
        keys = cheap.derive(KEY, secret, outputs)
        assert keys == earnest.derive(KEY, secret, outputs)
        assert len(keys) == outputs
    assert cheap.derive(KEY, TEXT, 2) != cheap.derive(bytes(32), TEXT, 2)
