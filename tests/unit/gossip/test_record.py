from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import WireError
from meshp2p.events import CapabilityInfo
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.record import LINE_DOMAIN, MAX_LINE, Body, VersionLine, body_hash
from meshp2p.ids import Address
from meshp2p.wire import codec, limits
from tests.simulation.swim_world import CRYPTO, identity_of, keys_of, swim_of
from tests.unit.gossip.people import GROUP, accusation, line_of

ALICE = identity_of("alice")


def alices_body() -> Body:
    """With something in every field."""
    return Body(
        node_key=ALICE.node_public,
        transport_key=ALICE.transport_public,
        journal_id=ALICE.journal_id,
        addresses=(Address("192.0.2.7", 6374), Address("2001:db8::7", 6374)),
        handle="alice",
        role="worker",
        namespace="default",
        capabilities=(
            CapabilityInfo("code.review", "1.2", 4, idempotent=True, tags={"lang": "py"}),
            CapabilityInfo("gpu", handler=False),
        ),
    )


def test_a_body_means_the_same_at_the_other_end() -> None:
    """Whatever a member announces arrives unchanged."""
    body = alices_body()

    assert Body.from_bytes_untrusted(body.encode()) == body


def test_a_body_of_a_later_version_is_understood() -> None:
    """Elements that later versions append are ignored, and the hash still covers them."""
    fields = codec.unpack_untrusted(alices_body().encode())
    assert isinstance(fields, list)
    later = codec.pack([*fields, "something new"])

    assert Body.from_bytes_untrusted(later) == alices_body()
    assert body_hash(later) != body_hash(alices_body().encode())


@pytest.mark.parametrize("position", range(13))
def test_no_field_of_a_body_may_be_of_another_type(position: int) -> None:
    """One wrong field and the whole record is refused, with an error of the protocol."""
    fields = codec.unpack_untrusted(alices_body().encode())
    assert isinstance(fields, list)
    fields[position] = 1.5

    with pytest.raises(WireError):
        Body.from_bytes_untrusted(codec.pack(fields))


def test_a_body_has_a_limit() -> None:
    """Nobody can make others remember more than a record may hold."""
    body = attrs.evolve(alices_body(), handle="", capabilities=())
    fields = codec.unpack_untrusted(body.encode())
    assert isinstance(fields, list)
    room = limits.MAX_RECORD_BODY - len(body.encode())

    Body.from_bytes_untrusted(codec.pack([*fields, b"." * (room - 3)]))
    with pytest.raises(WireError):
        Body.from_bytes_untrusted(codec.pack([*fields, b"." * room]))


def test_every_byte_of_a_line_is_signed() -> None:
    """A line with any byte changed is refused."""
    line = line_of(swim_of("alice"))
    assert line.is_signed_by(CRYPTO, ALICE.node_public, GROUP)

    for position in range(len(line.raw)):
        changed = bytearray(line.raw)
        changed[position] ^= 1
        try:
            forged = VersionLine.from_bytes_untrusted(bytes(changed))
        except WireError:
            continue
        assert not forged.is_signed_by(CRYPTO, ALICE.node_public, GROUP)


def test_a_line_means_nothing_in_another_namespace() -> None:
    """What was signed for one namespace cannot be played back in another."""
    line = line_of(swim_of("alice"))

    elsewhere = keys_of(namespace="lab").group_id
    assert not line.is_signed_by(CRYPTO, ALICE.node_public, elsewhere)


def test_an_accusation_is_no_line() -> None:
    """A signature on one kind of statement cannot be moved to another."""
    said = accusation("alice", line_of(swim_of("bob")))
    payload, signature = said.raw[:-64], said.raw[-64:]

    assert said.is_signed_by(CRYPTO, ALICE.node_public, GROUP)
    assert not CRYPTO.verify(ALICE.node_public, LINE_DOMAIN + GROUP + payload, signature)


def test_a_line_of_a_later_version_is_understood() -> None:
    """Elements that later versions append are ignored, but signed."""
    fields = codec.unpack_untrusted(line_of(swim_of("alice")).raw[:-64])
    assert isinstance(fields, list)
    payload = codec.pack([*fields, "something new"])
    signature = CRYPTO.sign(ALICE.node_private, LINE_DOMAIN + GROUP + payload)

    line = VersionLine.from_bytes_untrusted(payload + signature)

    assert line.node_id == ALICE.node_id
    assert line.is_signed_by(CRYPTO, ALICE.node_public, GROUP)


@given(st.binary(max_size=MAX_LINE + 8))
def test_bytes_that_are_no_record_cause_one_error(data: bytes) -> None:
    """Whatever arrives instead of a line, body or accusation is refused in one way."""
    for read in (
        VersionLine.from_bytes_untrusted,
        Accusation.from_bytes_untrusted,
        Body.from_bytes_untrusted,
    ):
        with pytest.raises(WireError):
            read(data)
