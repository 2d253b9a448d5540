from __future__ import annotations

import hashlib

import pytest

from meshp2p.errors import WireError
from meshp2p.identity.keys import OpenSSL, hkdf, node_id_of

CRYPTO = OpenSSL()
P = 2**255 - 19
LOW_ORDER = {
    "zero": bytes(32),
    "one": (1).to_bytes(32, "little"),
    "order 8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order 8, the other": bytes.fromhex(
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"
    ),
    "p - 1": (P - 1).to_bytes(32, "little"),
    "p": P.to_bytes(32, "little"),
    "p + 1": (P + 1).to_bytes(32, "little"),
    "zero, ignored bit set": bytes(31) + b"\x80",
}


def test_signatures_are_those_of_rfc_8032() -> None:
    """Whatever else signs Ed25519 makes the same signature (RFC 8032, 7.1, test 2)."""
    private = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )

    assert CRYPTO.signing_public(private) == public
    assert CRYPTO.sign(private, b"\x72") == signature
    assert CRYPTO.verify(public, b"\x72", signature)


@pytest.mark.parametrize(
    ("public", "data", "signature"),
    [
        (b"", b"", b""),
        (b"x" * 31, b"data", b"y" * 64),
        (b"x" * 33, b"data", b"y" * 64),
        (b"\xff" * 32, b"data", b"\xff" * 64),
        (bytes(32), b"data", bytes(64)),
        (b"x" * 32, b"data", b"short"),
    ],
)
def test_verify_answers_no_to_any_garbage(public: bytes, data: bytes, signature: bytes) -> None:
    """A signature check says no; it never raises."""
    assert CRYPTO.verify(public, data, signature) is False


def test_verify_answers_no_to_a_changed_signature() -> None:
    """Neither the data, nor the signer, nor one bit of the signature can be exchanged."""
    alice, bob = b"a" * 32, b"b" * 32
    signature = CRYPTO.sign(alice, b"data")
    public = CRYPTO.signing_public(alice)

    assert CRYPTO.verify(public, b"data", signature)
    assert not CRYPTO.verify(public, b"date", signature)
    assert not CRYPTO.verify(CRYPTO.signing_public(bob), b"data", signature)
    for place in range(64):
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not CRYPTO.verify(public, b"data", bytes(changed))


def test_a_signature_has_one_form_only() -> None:
    """Adding the group's order to S gives no second valid signature (malleability)."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = CRYPTO.sign(b"a" * 32, b"data")
    s = int.from_bytes(signature[32:], "little")
    twin = signature[:32] + (s + order).to_bytes(32, "little")

    assert not CRYPTO.verify(CRYPTO.signing_public(b"a" * 32), b"data", twin)


def test_exchange_is_that_of_rfc_7748() -> None:
    """Other implementations find the same secret (RFC 7748, section 5.2, first iteration)."""
    nine = (9).to_bytes(32, "little")
    expected = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"

    assert CRYPTO.exchange(nine, nine).hex() == expected
    assert CRYPTO.exchange_public(nine).hex() == expected


def test_both_sides_find_the_same_secret() -> None:
    """Alice with bob's public key, bob with hers."""
    alice, bob = b"a" * 32, b"b" * 32

    assert CRYPTO.exchange(alice, CRYPTO.exchange_public(bob)) == CRYPTO.exchange(
        bob, CRYPTO.exchange_public(alice)
    )


@pytest.mark.parametrize("point", LOW_ORDER.values(), ids=LOW_ORDER.keys())
def test_exchange_refuses_points_of_low_order(point: bytes) -> None:
    """Nobody can force a shared secret that is known to all."""
    with pytest.raises(WireError):
        CRYPTO.exchange(b"a" * 32, point)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_exchange_refuses_keys_of_another_length(length: int) -> None:
    """A key that is no key is the sender's fault, not a crash."""
    with pytest.raises(WireError):
        CRYPTO.exchange(b"a" * 32, b"k" * length)


def test_what_was_sealed_opens_only_unchanged() -> None:
    """Key, nonce, further data and each byte of the ciphertext are protected."""
    aead = CRYPTO.aead(b"k" * 32)
    nonce = bytes(12)
    sealed = aead.seal(nonce, b"hello", b"head")

    assert aead.open(nonce, sealed, b"head") == b"hello"
    forgeries = [
        (nonce, sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], b"head")
        for place in range(len(sealed))
    ]
    forgeries += [(b"\1" + nonce[1:], sealed, b"head"), (nonce, sealed, b"hood")]
    forgeries += [(nonce, sealed[:length], b"head") for length in range(len(sealed))]
    for forged in forgeries:
        with pytest.raises(WireError):
            aead.open(*forged)
    with pytest.raises(WireError):
        CRYPTO.aead(b"l" * 32).open(nonce, sealed, b"head")


def test_hkdf_is_that_of_rfc_5869() -> None:
    """Derived keys are those of any other HKDF-SHA256 without salt (appendix A.3)."""
    expected = (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )

    assert hkdf(b"\x0b" * 22, b"", 42).hex() == expected
    assert len(hkdf(b"secret", b"purpose")) == 32
    assert hkdf(b"secret", b"purpose") != hkdf(b"secret", b"another")


def test_a_node_id_is_half_a_hash_of_the_key() -> None:
    """Ids of today are ids of tomorrow: they are in journals and certificates."""
    public = bytes(range(32))

    assert node_id_of(public) == hashlib.sha256(b"meshp2p-id" + public).digest()[:16]
    assert node_id_of(public).hex() == "24352e0cb0ad39b5e06ed948a9e1661c"
