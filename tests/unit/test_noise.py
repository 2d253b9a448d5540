from __future__ import annotations

import hashlib
from typing import Any, Protocol

import pytest
from cryptography.exceptions import InvalidTag
from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.public import PublicKey
from dissononce.exceptions.decrypt import DecryptFailedException
from dissononce.extras.meta.protocol.factory import NoiseProtocolFactory
from noise.connection import Keypair, NoiseConnection

from meshp2p.errors import UsageError, WireError
from meshp2p.identity.keys import OpenSSL
from meshp2p.transport.mac import mac1, mac1_matches, prologue
from meshp2p.transport.noise import IKPSK2, XXPSK3, Handshake, Pattern, nonce_of, rekey
from meshp2p.wire import limits

CRYPTO = OpenSSL()
PSK = b"p" * 32
PROLOGUE = prologue(b"g" * 16, 1, b"u", 0)
ALICE, BOB = b"a" * 32, b"b" * 32
ALICE_PUBLIC, BOB_PUBLIC = CRYPTO.exchange_public(ALICE), CRYPTO.exchange_public(BOB)
PATTERNS = pytest.mark.parametrize("pattern", [IKPSK2, XXPSK3], ids=["IK", "XX"])
LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def alice(pattern: Pattern, **changes: Any) -> Handshake:  # noqa: ANN401  # any of the facts
    """The initiator."""
    facts: dict[str, Any] = {
        "prologue": PROLOGUE,
        "psk": PSK,
        "static_private": ALICE,
        "ephemeral_private": b"A" * 32,
        "remote_static": BOB_PUBLIC if pattern.responder_known else None,
    }
    return Handshake.initiator(pattern, CRYPTO, **(facts | changes))


def bob(pattern: Pattern, **changes: Any) -> Handshake:  # noqa: ANN401  # as above
    """The responder."""
    facts: dict[str, Any] = {
        "prologue": PROLOGUE,
        "psk": PSK,
        "static_private": BOB,
        "ephemeral_private": b"B" * 32,
    }
    return Handshake.responder(pattern, CRYPTO, **(facts | changes))


def payload(number: int) -> bytes:
    """What message `number` carries."""
    return b"payload %d" % number


def run(one: Side, other: Side, pattern: Pattern) -> None:
    """All messages of the handshake, each read by the other side."""
    for number in range(len(pattern.messages)):
        writer, reader = (one, other) if number % 2 == 0 else (other, one)
        assert reader.read(writer.write(payload(number))) == payload(number)


class Side(Protocol):
    """One end of a handshake and of what follows, whoever implements it."""

    def write(self, payload: bytes) -> bytes:
        """The next handshake message."""

    def read(self, message: bytes) -> bytes:
        """The payload of the other side's message."""

    def send(self, plaintext: bytes) -> bytes:
        """Seal, after the handshake."""

    def receive(self, sealed: bytes) -> bytes:
        """Open, after the handshake."""

    def hash(self) -> bytes:
        """Hash of the handshake."""


class _Ours:
    """Our own implementation, `meshp2p.transport.noise`."""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        self.sent = self.received = 0

    def write(self, payload: bytes) -> bytes:
        return self.handshake.write(payload)

    def read(self, message: bytes) -> bytes:
        return self.handshake.read_untrusted(message)

    def send(self, plaintext: bytes) -> bytes:
        key = self.handshake.split()[0]
        self.sent += 1
        return CRYPTO.aead(key).seal(nonce_of(self.sent - 1), plaintext, b"")

    def receive(self, sealed: bytes) -> bytes:
        key = self.handshake.split()[1]
        self.received += 1
        return CRYPTO.aead(key).open(nonce_of(self.received - 1), sealed, b"")

    def hash(self) -> bytes:
        return self.handshake.hash


class _ByNoiseprotocol:
    """The package `noiseprotocol`."""

    def __init__(
        self, pattern: Pattern, static: bytes, psk: bytes, remote: bytes | None, *, initiator: bool
    ) -> None:
        self.connection = NoiseConnection.from_name(pattern.name.encode())
        self.connection.set_psks(psk)
        self.connection.set_prologue(PROLOGUE)
        self.connection.set_keypair_from_private_bytes(Keypair.STATIC, static)
        if remote is not None:
            self.connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote)
        if initiator:
            self.connection.set_as_initiator()
        else:
            self.connection.set_as_responder()
        self.connection.start_handshake()

    def write(self, payload: bytes) -> bytes:
        return bytes(self.connection.write_message(payload))

    def read(self, message: bytes) -> bytes:
        return bytes(self.connection.read_message(message))

    def send(self, plaintext: bytes) -> bytes:
        return bytes(self.connection.encrypt(plaintext))

    def receive(self, sealed: bytes) -> bytes:
        return bytes(self.connection.decrypt(sealed))

    def hash(self) -> bytes:
        return bytes(self.connection.get_handshake_hash())


class _ByDissononce:
    """The package `dissononce`."""

    def __init__(
        self, pattern: Pattern, static: bytes, psk: bytes, remote: bytes | None, *, initiator: bool
    ) -> None:
        protocol = NoiseProtocolFactory().get_noise_protocol(pattern.name)
        self.state = protocol.create_handshakestate()
        self.initiator = initiator
        self.ciphers: Any = None
        self.state.initialize(
            protocol.pattern,
            initiator,
            PROLOGUE,
            s=protocol.dh.generate_keypair(PrivateKey(static)),
            rs=None if remote is None else PublicKey(remote),
            psks=[psk],
        )

    def write(self, payload: bytes) -> bytes:
        message = bytearray()
        self.ciphers = self.state.write_message(payload, message)
        return bytes(message)

    def read(self, message: bytes) -> bytes:
        payload = bytearray()
        self.ciphers = self.state.read_message(message, payload)
        return bytes(payload)

    def send(self, plaintext: bytes) -> bytes:
        return bytes(self.ciphers[0 if self.initiator else 1].encrypt_with_ad(b"", plaintext))

    def receive(self, sealed: bytes) -> bytes:
        return bytes(self.ciphers[1 if self.initiator else 0].decrypt_with_ad(b"", sealed))

    def hash(self) -> bytes:
        return bytes(self.state.symmetricstate.get_handshake_hash())


Oracle = type[_ByNoiseprotocol] | type[_ByDissononce]
ORACLES = pytest.mark.parametrize("oracle", [_ByNoiseprotocol, _ByDissononce])


def pair(pattern: Pattern, oracle: Oracle, *, we_begin: bool, psk: bytes) -> tuple[Side, Side]:
    """(initiator, responder): one of them ours, the other the oracle with `psk`."""
    if we_begin:
        return _Ours(alice(pattern)), oracle(pattern, BOB, psk, None, initiator=False)
    known = BOB_PUBLIC if pattern.responder_known else None
    return oracle(pattern, ALICE, psk, known, initiator=True), _Ours(bob(pattern))


@PATTERNS
@ORACLES
@pytest.mark.parametrize("we_begin", [True, False], ids=["initiator", "responder"])
def test_handshakes_are_those_of_other_implementations(
    pattern: Pattern, oracle: Oracle, *, we_begin: bool
) -> None:
    """Two independent authors read the Noise specification as we do, key by key."""
    one, other = pair(pattern, oracle, we_begin=we_begin, psk=PSK)

    run(one, other, pattern)

    assert one.hash() == other.hash()
    for text in (b"first", b"second", b""):
        assert other.receive(one.send(text)) == text
        assert one.receive(other.send(text)) == text


@PATTERNS
@ORACLES
@pytest.mark.parametrize("we_begin", [True, False], ids=["initiator", "responder"])
def test_nobody_completes_a_handshake_without_the_psk(
    pattern: Pattern, oracle: Oracle, *, we_begin: bool
) -> None:
    """A genuine key is not enough: whoever lacks the mesh's secret gets nowhere."""
    one, other = pair(pattern, oracle, we_begin=we_begin, psk=b"q" * 32)

    with pytest.raises((WireError, InvalidTag, DecryptFailedException)):
        run(one, other, pattern)


@PATTERNS
def test_both_sides_learn_the_same(pattern: Pattern) -> None:
    """The other's key, the hash, and two keys, crosswise."""
    one, other = alice(pattern), bob(pattern)

    run(_Ours(one), _Ours(other), pattern)

    assert one.done
    assert other.done
    assert (one.remote_static, other.remote_static) == (BOB_PUBLIC, ALICE_PUBLIC)
    assert one.hash == other.hash
    assert one.split() == other.split()[::-1]
    assert one.split()[0] != one.split()[1]


@PATTERNS
def test_a_changed_message_is_refused_and_leaves_no_trace(pattern: Pattern) -> None:
    """Each byte of each message counts; after any forgery the true message still works."""
    one, other = _Ours(alice(pattern)), _Ours(bob(pattern))
    for number in range(len(pattern.messages)):
        writer, reader = (one, other) if number % 2 == 0 else (other, one)
        message = writer.write(payload(number))
        for place in range(len(message)):
            for change in (0x01, 0x80):
                forged = bytearray(message)
                forged[place] ^= change
                with pytest.raises(WireError):
                    reader.read(bytes(forged))
        assert reader.read(message) == payload(number)

    assert one.handshake.split() == other.handshake.split()[::-1]


@PATTERNS
def test_what_a_branch_reads_leaves_no_trace(pattern: Pattern) -> None:
    """Somebody else may answer first: the handshake still waits for the one that was meant."""
    one, other, carol = alice(pattern), bob(pattern), bob(pattern, ephemeral_private=b"C" * 32)
    first = one.write(b"")
    for answerer in (carol, other):
        answerer.read_untrusted(first)
        assert one.branch().read_untrusted(answerer.write(b"it is me")) == b"it is me"

    assert one.hash != other.hash
    assert one.branch().hash == one.hash


@PATTERNS
def test_a_message_of_another_length_is_refused(pattern: Pattern) -> None:
    """Cut anywhere, lengthened, or larger than any handshake message may be."""
    one, other = _Ours(alice(pattern)), _Ours(bob(pattern))
    for number in range(len(pattern.messages)):
        writer, reader = (one, other) if number % 2 == 0 else (other, one)
        message = writer.write(payload(number))
        others = [message[:length] for length in range(len(message))]
        for wrong in [*others, message + b"\0", message + bytes(4_000)]:
            with pytest.raises(WireError):
                reader.read(wrong)
        assert reader.read(message) == payload(number)


@PATTERNS
def test_a_genuine_message_is_refused_when_too_large(pattern: Pattern) -> None:
    """Not even a member makes others hold more than 2,048 bytes before it is known."""
    room = limits.MAX_HANDSHAKE - len(alice(pattern).write(b""))

    assert len(bob(pattern).read_untrusted(alice(pattern).write(bytes(room)))) == room
    with pytest.raises(WireError, match="2049 bytes"):
        bob(pattern).read_untrusted(alice(pattern).write(bytes(room + 1)))


@PATTERNS
@pytest.mark.parametrize("point", LOW_ORDER, ids=["0", "1", "p-1", "order 8", "order 8 too"])
def test_a_low_order_ephemeral_is_refused(pattern: Pattern, point: bytes) -> None:
    """Nobody can choose a key with which the result is known beforehand."""
    one, other = alice(pattern), bob(pattern)
    first = one.write(b"")
    if pattern.responder_known:
        with pytest.raises(WireError, match="X25519"):
            other.read_untrusted(point + first[32:])
    other.read_untrusted(first)
    second = other.write(b"")

    with pytest.raises(WireError, match="X25519"):
        one.read_untrusted(point + second[32:])


@pytest.mark.parametrize("point", LOW_ORDER, ids=["0", "1", "p-1", "order 8", "order 8 too"])
def test_a_low_order_key_of_a_member_opens_no_handshake(point: bytes) -> None:
    """A record may name any transport key; calling its owner then fails, and only that."""
    with pytest.raises(WireError):
        alice(IKPSK2, remote_static=point).write(b"")


DIFFERENT: dict[str, dict[str, Any]] = {
    "prologue: suite": {"prologue": prologue(b"g" * 16, 2, b"u", 0)},
    "prologue: transport": {"prologue": prologue(b"g" * 16, 1, b"t", 0)},
    "prologue: flags": {"prologue": prologue(b"g" * 16, 1, b"u", 2)},
    "prologue: group": {"prologue": prologue(b"h" * 16, 1, b"u", 0)},
    "psk": {"psk": bytes(32)},
}


@PATTERNS
@pytest.mark.parametrize("difference", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_both_sides_must_agree_on_the_circumstances(
    pattern: Pattern, difference: dict[str, Any]
) -> None:
    """A downgrade, or a handshake carried from UDP to TCP, fails closed."""
    one, other = _Ours(alice(pattern)), _Ours(bob(pattern, **difference))

    with pytest.raises(WireError):
        run(one, other, pattern)


def test_ik_is_readable_only_by_the_key_it_was_written_for() -> None:
    """Carol, a member too, cannot read or answer what alice wrote to bob."""
    first = alice(IKPSK2).write(b"for bob")

    with pytest.raises(WireError):
        bob(IKPSK2, static_private=b"c" * 32).read_untrusted(first)


def test_an_initiators_stolen_key_does_not_let_others_pose_towards_it() -> None:
    """Mallory holds alice's own key and poses as bob to her: her next read refuses (KCI)."""
    one = alice(IKPSK2)
    one.write(b"")
    honest = bob(IKPSK2)
    honest.read_untrusted(alice(IKPSK2).write(b""))
    mallory = alice(IKPSK2, remote_static=ALICE_PUBLIC, ephemeral_private=b"M" * 32)

    for posed in (mallory.write(b""), honest.write(b"")[:32] + bytes(16)):
        with pytest.raises(WireError):
            one.read_untrusted(posed)


@PATTERNS
def test_our_own_message_sent_back_to_us_is_refused(pattern: Pattern) -> None:
    """Reflection gets nothing."""
    one = alice(pattern)
    first = one.write(b"")

    with pytest.raises(WireError):
        one.read_untrusted(first)


@PATTERNS
def test_each_handshake_has_keys_of_its_own(pattern: Pattern) -> None:
    """Fresh ephemerals make fresh keys between the same two people."""
    secrets = set[bytes]()
    for ephemeral in (b"1" * 32, b"2" * 32):
        one = _Ours(alice(pattern, ephemeral_private=ephemeral))
        run(one, _Ours(bob(pattern)), pattern)
        secrets |= {*one.handshake.split(), one.hash()}

    assert len(secrets) == 6


@PATTERNS
def test_turns_are_kept(pattern: Pattern) -> None:
    """Our own mistakes are UsageErrors, a stranger's untimely message a WireError."""
    one, other = alice(pattern), bob(pattern)

    with pytest.raises(UsageError):
        other.write(b"")
    with pytest.raises(WireError, match="out of turn"):
        one.read_untrusted(b"x" * 100)
    with pytest.raises(UsageError):
        one.split()
    run(_Ours(one), _Ours(other), pattern)
    for side in (one, other):
        with pytest.raises(UsageError):
            side.write(b"")
        with pytest.raises(WireError, match="out of turn"):
            side.read_untrusted(b"x" * 100)


def test_the_pattern_decides_whether_the_other_key_is_known() -> None:
    """IK without a key, or XX with one, is a mistake of ours."""
    with pytest.raises(UsageError):
        alice(IKPSK2, remote_static=None)
    with pytest.raises(UsageError):
        alice(XXPSK3, remote_static=BOB_PUBLIC)


def test_secrets_do_not_show() -> None:
    """A handshake in a log or traceback gives nothing away."""
    shown = repr(alice(IKPSK2))

    for secret in (PSK, ALICE, b"A" * 32):
        assert repr(secret) not in shown


def test_rekey_is_that_of_another_implementation() -> None:
    """The next key of a stream is the one that the specification names."""
    one, other = _ByNoiseprotocol(IKPSK2, ALICE, PSK, BOB_PUBLIC, initiator=True), bob(IKPSK2)
    run(one, _Ours(other), IKPSK2)
    one.connection.rekey_outbound_cipher()
    sealed = one.send(b"after the change")

    key = rekey(CRYPTO, other.split()[1])

    assert CRYPTO.aead(key).open(nonce_of(0), sealed, b"") == b"after the change"


def test_mac1_is_keyed_by_group_psk_and_receiver() -> None:
    """Only a member makes one, and it opens one door: this namespace's, this receiver's."""
    packet, group = b"packet", b"g" * 16
    mac = mac1(group, PSK, BOB_PUBLIC, packet)

    key = hashlib.sha256(b"mac1" + group + PSK + BOB_PUBLIC).digest()
    assert mac == hashlib.blake2s(packet, key=key, digest_size=16).digest()
    assert mac1_matches(group, PSK, BOB_PUBLIC, packet, mac)
    assert not mac1_matches(b"h" * 16, PSK, BOB_PUBLIC, packet, mac)
    assert not mac1_matches(group, bytes(32), BOB_PUBLIC, packet, mac)
    assert not mac1_matches(group, PSK, ALICE_PUBLIC, packet, mac)
    assert not mac1_matches(group, PSK, None, packet, mac)
    assert not mac1_matches(group, PSK, BOB_PUBLIC, packet + b"\0", mac)
    for length in range(16):
        assert not mac1_matches(group, PSK, BOB_PUBLIC, packet, mac[:length])
    assert mac1(group, PSK, None, packet) == mac1(group, PSK, bytes(32), packet)


def test_the_prologue_is_what_the_wire_format_says() -> None:
    """Nodes of all versions must agree on these bytes."""
    assert prologue(b"g" * 16, 1, b"t", 3) == b"meshp2p/1" + b"g" * 16 + b"\x01t\x03"
