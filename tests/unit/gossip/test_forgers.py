"""How much of a node's time somebody gets who brings forgeries, or asks the same many times."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from meshp2p.config import lan
from meshp2p.gossip.messages import Ack, LineItem, Ping, RecordItem, SuspicionItem
from meshp2p.gossip.record import VersionLine
from meshp2p.gossip.swim import Swim
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.trust import Trust
from meshp2p.ids import Address
from meshp2p.wire import limits
from meshp2p.wire.codec import Value
from tests.simulation.swim_world import START, UNIX, identity_of, keys_of, swim_of
from tests.unit.gossip.people import (
    accusation,
    acquaint,
    datagram,
    id_of,
    line_of,
    said,
    signed_line,
    state_of,
    work_off,
)

NOW = START + 1.0
AT_ONCE = 64
"""Signature checks in vain that anybody may cause."""


class Counting(OpenSSL):
    """Counts signature checks."""

    def __init__(self) -> None:
        """None yet."""
        super().__init__()
        self.checks = 0

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """One more."""
        self.checks += 1
        return super().verify(public, data, signature)


def wary() -> tuple[Swim, Counting]:
    """Alice, and how many signatures she has checked."""
    crypto = Counting()
    alice = Swim(
        config=lan(),
        identity=identity_of("alice"),
        trust=Trust(crypto, keys_of()),
        crypto=crypto,
        rng=Random("alice"),
        now=START,
        unix=UNIX + START,
        addresses=(Address("192.0.2.1", 6374),),
        capabilities=(),
    )
    return alice, crypto


def scene() -> tuple[Swim, Counting, Swim, Swim]:
    """Alice, her count, bob and carol; dave and mallory are there too."""
    alice, crypto = wary()
    bob, carol = swim_of("bob"), swim_of("carol")
    acquaint(alice, bob, carol, swim_of("dave"), swim_of("mallory"))
    crypto.checks = 0
    return alice, crypto, bob, carol


def whole(swim: Swim) -> list[bytes]:
    """Its own record: line, body and chain."""
    record = swim.own_record()
    assert record is not None
    return record.wire()


def lines_of(swim: Swim) -> list[Value]:
    """All that it would pass on."""
    return [record[0] for record in swim.sync_payload() if isinstance(record, list)]


def forged_line(seq: int, of: VersionLine) -> list[Value]:
    """Somebody's next word, signed by mallory."""
    return LineItem(signed_line("mallory", of, seq=seq).raw).wire()


def forged_accusation(seq: int, of: VersionLine) -> list[Value]:
    """Of somebody, in dave's name, signed by mallory."""
    told = accusation("mallory", of, accuser=id_of("dave"), unix=int(UNIX + START) + seq % 300)
    return SuspicionItem(told.raw).wire()


def forged_record(seq: int, of: VersionLine) -> list[Value]:
    """A newcomer's record, whose chain was changed."""
    del of
    line, body, chain = whole(swim_of(f"newcomer{seq}"))
    return RecordItem(line, body, chain[:-1] + bytes([chain[-1] ^ 1])).wire()


@pytest.mark.parametrize("forge", [forged_line, forged_accusation, forged_record])
def test_a_forger_is_soon_not_listened_to(
    forge: Callable[[int, VersionLine], list[Value]],
) -> None:
    """A thousand forgeries cost a bounded number of checks, and all are refused."""
    alice, crypto, bob, _ = scene()

    for seq in range(1, 1_001):
        alice.receive(id_of("mallory"), datagram(forge(seq, line_of(bob))), now=NOW)

    assert AT_ONCE / 2 <= crypto.checks <= AT_ONCE + 4
    counted = alice.counters
    assert counted["claims_refused"] + counted.get("claims_unproved", 0) == 1_000
    assert state_of(alice, "bob") == "alive"


def test_a_forger_by_stream_is_not_listened_to_either() -> None:
    """Whoever shows a long list of forgeries does not keep this node busy."""
    alice, crypto, bob, _ = scene()
    _, body, chain = whole(bob)
    forged: list[Value] = [
        [signed_line("mallory", line_of(bob), seq=seq).raw, body, chain] for seq in range(1, 2_001)
    ]

    alice.merge_untrusted(forged, id_of("mallory"), now=NOW)
    work_off(alice, NOW)

    assert crypto.checks <= AT_ONCE + 4


def test_others_are_heard_while_a_forger_is_not() -> None:
    """What mallory forges costs carol nothing: bob's true word is believed from her."""
    alice, _, bob, _ = scene()
    for seq in range(2, 502):
        alice.receive(id_of("mallory"), datagram(forged_line(seq, line_of(bob))), now=NOW)

    true = signed_line("bob", line_of(bob), seq=1)
    alice.receive(id_of("carol"), datagram(LineItem(true.raw).wire()), now=NOW)

    assert true.raw in lines_of(alice)


def test_a_forger_is_listened_to_again_later() -> None:
    """Perhaps it was a broken machine: a minute later a true word of it is believed."""
    alice, _, bob, _ = scene()
    for seq in range(2, 502):
        alice.receive(id_of("mallory"), datagram(forged_line(seq, line_of(bob))), now=NOW)
    true = signed_line("bob", line_of(bob), seq=1).raw

    alice.receive(id_of("mallory"), datagram(LineItem(true).wire()), now=NOW)
    assert true not in lines_of(alice)
    alice.receive(id_of("mallory"), datagram(LineItem(true).wire()), now=NOW + 60.0)
    assert true in lines_of(alice)


def test_true_words_cost_nobody_its_hearing() -> None:
    """However many a member passes on: only what is checked in vain counts."""
    alice, crypto, bob, _ = scene()

    for seq in range(1, 301):
        true = signed_line("bob", line_of(bob), seq=seq)
        alice.receive(id_of("carol"), datagram(LineItem(true.raw).wire()), now=NOW)

    assert crypto.checks == 300
    assert alice.counters.get("claims_refused", 0) == 0


@pytest.mark.parametrize("subject", ["bob", "alice"])
def test_an_accusation_of_one_version_is_checked_once(subject: str) -> None:
    """Signed anew with every second of ten minutes, it is still one: who lives answers the first.

    Whether it is said of somebody else or of the listener itself.
    """
    alice, crypto, bob, _ = scene()
    line = line_of(alice if subject == "alice" else bob)

    for second in range(-300, 300):
        told = accusation("mallory", line, unix=int(UNIX + START) + second)
        item = SuspicionItem(told.raw).wire()
        alice.receive(id_of("mallory"), datagram(item), now=NOW)

    assert crypto.checks == 1


@pytest.mark.parametrize("subject", ["bob", "alice"])
def test_one_version_is_accused_by_eight_at_most(subject: str) -> None:
    """More accusers would tell nothing: a hundred of them cost no more checks than eight."""
    alice, crypto, bob, _ = scene()
    accusers = [f"accuser{number}" for number in range(20)]
    acquaint(alice, *(swim_of(name) for name in accusers))
    line = line_of(alice if subject == "alice" else bob)
    crypto.checks = 0

    for name in accusers:
        told = SuspicionItem(accusation(name, line).raw).wire()
        alice.receive(id_of(name), datagram(told), now=NOW)

    assert crypto.checks == limits.MAX_SUSPICIONS


def test_whoever_accuses_in_somebody_elses_name_does_not_silence_it() -> None:
    """A forged accusation counts as none: dave's own word, which comes later, is heard."""
    alice, _, bob, _ = scene()
    alice.receive(id_of("mallory"), datagram(forged_accusation(1, line_of(bob))), now=NOW)
    assert state_of(alice, "bob") == "alive"

    told = SuspicionItem(accusation("dave", line_of(bob)).raw).wire()
    alice.receive(id_of("dave"), datagram(told), now=NOW)

    assert state_of(alice, "bob") == "suspect"


def test_one_datagram_is_answered_once() -> None:
    """Sixty questions in one would make sixty datagrams, each to wherever it seems to be from."""
    alice, *_ = scene()
    alice.outputs()

    questions = [Ping(seq, 0).wire() for seq in range(60)]
    alice.receive(id_of("carol"), datagram(*questions), now=NOW)

    answers = [each for each in said(alice.outputs(), "carol") if isinstance(each, Ack)]
    assert [each.seq for each in answers] == [0]


def test_a_list_of_made_up_members_fills_no_memory() -> None:
    """However many and however large: what waits to be checked has a bound in bytes."""
    alice, _, bob, _ = scene()
    line = line_of(bob)
    listed: list[Value] = [
        [forged_record(number, line)[1], bytes(limits.MAX_RECORD_BODY), bytes(limits.MAX_CHAIN)]
        for number in range(10)
    ]
    alice.merge_untrusted(listed * 1_000, id_of("bob"), now=NOW)

    held = sum(sizes_of_claims(alice))
    assert limits.MAX_UNVERIFIED_BYTES / 2 < held <= limits.MAX_UNVERIFIED_BYTES
    assert alice.counters["claims_dropped"] > 0

    work_off(alice, NOW)
    assert sizes_of_claims(alice) == []
    alice.merge_untrusted(listed * 1_000, id_of("bob"), now=NOW + 60.0)
    assert sum(sizes_of_claims(alice)) == held  # the room is there again


def sizes_of_claims(swim: Swim) -> list[int]:
    """Bytes of each record that waits to be checked."""
    waiting = [each.claim for each in swim._intake._waiting]  # noqa: SLF001  # nothing shows them
    records = [claim for claim in waiting if isinstance(claim, RecordItem)]
    return [len(one.line) + len(one.body) + len(one.chain) for one in records]
