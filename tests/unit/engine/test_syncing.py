"""How much of a node's list of members somebody gets who asks for it again and again."""

from __future__ import annotations

import contextlib
import functools
from random import Random

import attrs
import pytest

from meshp2p.config import lan
from meshp2p.engine.core import Core
from meshp2p.engine.links import Links
from meshp2p.engine.membership import route_to
from meshp2p.engine.rations import Own, Rations
from meshp2p.engine.syncing import (
    COMPARE_PRICE,
    JOIN_PRICE,
    PULL_PRICE,
    SYNC_PRICE,
    Syncing,
)
from meshp2p.errors import WireError
from meshp2p.gossip import digest
from meshp2p.identity.trust import Trust
from meshp2p.ids import NodeId
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.wire import codec, limits, messages
from meshp2p.wire.messages import unpack_error_untrusted
from tests.simulation.swim_world import CRYPTO, START, UNIX, identity_of, keys_of, swim_of
from tests.unit.gossip.people import id_of, work_off

SIZE = 40
NOW = START + 1.0


@attrs.define
class Alice:
    """A node that knows forty members, and all that it answers."""

    own: dict[str, Own]
    core: Core
    given: int = 0
    errors: list[str] = attrs.field(factory=list)

    def reply(self, status: int, body: bytes) -> None:
        """What leaves."""
        if status == messages.OK:
            self.given += len(body)
        else:
            kind, text, _ = unpack_error_untrusted(body)
            self.errors.append(f"{kind}: {text}")

    def asked(self, method: str, by: str, now: float = NOW) -> int:
        """Somebody asks once; bytes that it gets."""
        everything = (1 << digest.BUCKETS) - 1
        bodies: dict[str, codec.Value] = {
            "sync": [],
            "join": [],
            "pull": [id_of(f"member{number}") for number in range(SIZE)],
            "compare": [everything.to_bytes(digest.MASK_BYTES, "big"), b""],
        }
        before = self.given
        self.own[method](id_of(by), codec.pack(bodies[method]), self.reply, now)
        return self.given - before

    def asked_for_more_than_it_gives(self, method: str, by: str, now: float = NOW) -> int:
        """Somebody asks until it gets nothing; bytes that it got."""
        got = 0
        while more := self.asked(method, by, now):
            got += more
        return got


def alice() -> Alice:
    """Forty members are known to her."""
    swim = swim_of("alice")
    for number in range(SIZE):
        swim.merge_untrusted(swim_of(f"member{number}").sync_payload(), None, now=START)
        work_off(swim, START)
    swim.synced_with(id_of("member0"), now=START)
    who = identity_of("alice")
    trust = Trust(CRYPTO, keys_of())
    core = Core(
        config=lan(),
        identity=who,
        trust=trust,
        crypto=CRYPTO,
        rng=Random(1),
        entropy=Random(2).randbytes,
        guest=False,
        unix=UNIX + START,
        now=START,
    )
    door = Doorkeeper(crypto=CRYPTO, entropy=core.entropy, identity=who, trust=trust)
    links = Links(
        core, door, on_request=lambda *_: None, on_gone=lambda *_: None, now=START, held=None
    )
    syncing = Syncing(core, swim, links, route_to=functools.partial(route_to, swim))
    rations = Rations(core.counters)
    own = {
        "sync": rations.rationed(SYNC_PRICE, syncing.answer_sync),
        "join": rations.rationed(JOIN_PRICE, syncing.answer_join),
        "pull": rations.rationed(PULL_PRICE, syncing.answer_pull),
        "compare": rations.rationed(COMPARE_PRICE, syncing.answer_compare),
    }
    return Alice(own, core)


@pytest.mark.parametrize(
    ("method", "price"), [("sync", SYNC_PRICE), ("join", JOIN_PRICE), ("pull", PULL_PRICE)]
)
def test_who_asks_for_the_list_in_a_loop_is_refused(method: str, price: int) -> None:
    """Answers and prices are 16 MiB at once and 64 KiB a second; whoever has spent them is told."""
    node = alice()
    question = 4 * SIZE * 18 if method == "pull" else 4  # each id has two bytes of head at most
    one = price + question + node.asked(method, "bob")

    at_once = node.asked_for_more_than_it_gives(method, "mallory")
    later = sum(
        node.asked_for_more_than_it_gives(method, "mallory", NOW + second)
        for second in range(1, 601)
    )

    given = one - price - question
    assert abs(at_once / given * one - limits.LISTS_AT_ONCE) <= one
    assert abs(later / given * one - 600 * limits.LISTS_PER_SECOND) <= 0.02 * 16 * 2**20 + one
    assert len(node.errors) == node.core.counters["lists_refused"] == 601
    assert "ask later, or somebody else" in node.errors[0]


def test_a_question_is_paid_for_before_it_is_read() -> None:
    """Bytes that make no sense cost their sender as much as others, and then are not looked at."""
    node = alice()
    garbage = b"\xc1" * 250_000
    for _ in range(100):
        with contextlib.suppress(WireError):
            node.own["pull"](id_of("mallory"), garbage, node.reply, NOW)
    assert node.core.counters["lists_refused"] == 100 - 17
    assert node.asked("pull", "mallory") == 0
    assert node.asked("pull", "bob") > 0


@pytest.mark.parametrize("method", ["sync", "join", "pull", "compare"])
def test_all_ways_to_ask_share_one_budget(method: str) -> None:
    """Whoever has had its share by one of them has nothing left for the others."""
    node = alice()
    assert node.asked(method, "mallory") > 0

    node.asked_for_more_than_it_gives("sync", "mallory")

    assert node.asked(method, "mallory") == 0
    assert node.asked(method, "mallory", NOW + 60.0) > 0


def test_who_is_refused_costs_the_others_nothing() -> None:
    """Each peer has its own budget: bob gets the list while mallory does not."""
    node = alice()
    node.asked_for_more_than_it_gives("sync", "mallory")

    assert node.asked("sync", "bob") > 0
    assert node.asked("sync", "mallory") == 0


def test_who_goes_on_asking_is_not_forgotten() -> None:
    """A thousand who ask are remembered, and mallory is one of them although others come after."""
    node = alice()
    node.asked_for_more_than_it_gives("sync", "mallory")
    for number in range(limits.MAX_BUDGETS - 1):
        newcomer = NodeId(number.to_bytes(16, "big"))
        node.own["join"](newcomer, codec.pack([]), node.reply, NOW)
        if number % 100 == 0:
            assert node.asked("sync", "mallory") == 0
    for number in range(limits.MAX_BUDGETS, limits.MAX_BUDGETS + 100):
        newcomer = NodeId(number.to_bytes(16, "big"))
        node.own["join"](newcomer, codec.pack([]), node.reply, NOW)

    assert node.asked("sync", "mallory") == 0
