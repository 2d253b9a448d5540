"""Auctions and votes between real nodes: who bids, who wins, what is decided."""

from __future__ import annotations

import asyncio
import threading

import pytest
import trio

from meshp2p import (
    Ballot,
    Bid,
    DeadlineExceeded,
    NoBids,
    Node,
    Offer,
    RemoteError,
    Undecided,
    UsageError,
    VoteCall,
    capability,
)
from meshp2p.consensus import verify
from tests.node.conftest import Start
from tests.node.waiting import know_each_other, trio_sees


def builder(name: str) -> object:
    """A capability that tells who did the work."""

    @capability("build")
    def build(what: str) -> str:
        if what == "ruin":
            raise ValueError("it fell down")
        return f"{name} built {what}"

    return build


def test_the_cheapest_bid_wins_and_does_the_work(start: Start) -> None:
    """Bids come from `on_bid` handlers, annotated or not; the winner's handler runs."""
    alice = start("alice")
    bob = start("bob", capabilities=[builder("bob")])
    carol = start("carol", capabilities=[builder("carol")])
    know_each_other(alice, bob, carol)
    seen: list[Offer] = []

    @bob.on_bid("build")
    def dear(offer: Offer) -> Bid:
        seen.append(offer)
        return Bid(price=90)

    @carol.on_bid()
    async def cheap(_offer: Offer) -> Bid | None:
        return Bid(price=10)

    award = alice.auction("build", "a house")

    assert award.winner == "carol"
    assert award.result(timeout=5) == "carol built a house"
    assert award.result() == "carol built a house"
    assert sorted(bid.terms.price for bid in award.bids) == [10, 90]
    assert (seen[0].capability, seen[0].owner_handle) == ("build", "alice")


def test_whoever_declines_is_not_awarded(start: Start) -> None:
    """None is no bid; if nobody bids, the error says how many were asked."""
    alice, bob = start("alice"), start("bob", capabilities=[builder("bob")])
    know_each_other(alice, bob)

    @bob.on_bid()
    def decline(_offer: Offer) -> None:
        return None

    with pytest.raises(NoBids, match="no bid for 'build': 1 members were asked, 1 declined"):
        alice.auction("build", "a house")


def test_work_that_fails_is_told_by_the_result(start: Start) -> None:
    """The award stands; its result raises what the winner's handler raised."""
    alice, _bob = start("alice"), start("bob", capabilities=[builder("bob")])

    award = alice.auction("build", "ruin", timeout=5)

    with pytest.raises(RemoteError, match="it fell down"):
        award.result(timeout=10)


def test_a_result_that_takes_long_may_be_asked_for_again(start: Start) -> None:
    """`result(timeout=)` gives up waiting, not the work."""

    @capability("slow")
    async def slow() -> str:
        await asyncio.sleep(0.4)
        return "done"

    alice, _bob = start("alice"), start("bob", capabilities=[slow])
    award = alice.auction("slow")

    with pytest.raises(DeadlineExceeded):
        award.result(timeout=0.05)
    assert award.result(timeout=5) == "done"


@pytest.mark.parametrize("library", ["plain", "trio", "asyncio"])
def test_asking_for_a_result_again_and_again_piles_nothing_up(start: Start, library: str) -> None:
    """Whoever gave up waiting is forgotten, so a loop that polls costs no memory."""
    ends = threading.Event()

    @capability("slow")
    def slow() -> str:
        ends.wait(10)
        return "done"

    start("bob", capabilities=[slow])

    async def poll() -> None:
        async with Node("alice") as alice:
            award = await alice.auction("slow")
            for _ in range(20):
                with pytest.raises(DeadlineExceeded):
                    await award.result(timeout=0.001)
            assert (await alice.stats())["results_awaited"] == 0
            ends.set()
            assert await award.result(timeout=5) == "done"

    if library == "plain":
        alice = start("alice")
        award = alice.auction("slow")
        for _ in range(20):
            with pytest.raises(DeadlineExceeded):
                award.result(timeout=0.001)
        assert alice.stats()["results_awaited"] == 0
        ends.set()
        assert award.result(timeout=5) == "done"
    elif library == "trio":
        trio.run(poll)
    else:
        asyncio.run(poll())


def test_a_vote_is_decided_by_the_electors_and_proved(start: Start) -> None:
    """Ballots come from `on_vote` handlers; the certificate holds against the mesh's root."""
    nodes = [start(name, capabilities=["elector"]) for name in ("alice", "bob", "carol")]
    know_each_other(*nodes)
    asked: list[VoteCall] = []

    def vote(call: VoteCall) -> Ballot:
        asked.append(call)
        return Ballot("yes", confidence_ppm=900_000, rationale="tests pass")

    for node in nodes:
        node.on_vote()(vote)

    result = nodes[0].vote("ship it?", ["yes", "no"], among="elector")

    assert result.choice == "yes"
    assert result.confidence == pytest.approx(0.9)
    assert asked[0].question == "ship it?"
    root = nodes[0]._host.shell.engine.identity.keys.root_public  # type: ignore[union-attr]  # noqa: SLF001  # public
    stored = result.certificate.to_bytes()
    assert verify(stored, root).valid
    assert not verify(stored[:-1] + bytes([stored[-1] ^ 1]), root).valid


def test_without_voters_nothing_is_decided(start: Start) -> None:
    """Silence and abstention are never counted as an opinion."""
    alice, bob = start("alice"), start("bob")
    know_each_other(alice, bob)

    with pytest.raises(Undecided, match="'ship it\\?' needs 2 equal ballots"):
        alice.vote("ship it?", ["yes", "no"], timeout=3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"question": ""}, "question='': allowed is a text"),
        ({"options": "yes"}, "options='yes': allowed is a list"),
        ({"options": ["yes"]}, "allowed are two or more different texts"),
        ({"options": ["yes", "yes"]}, "allowed are two or more different texts"),
        ({"method": "borda"}, "method='borda': allowed is 'plurality'"),
        ({"quorum": 2}, "quorum=2: allowed are shares from 0 to 1"),
        ({"threshold": "half"}, "threshold='half'"),
        ({"among": "a b"}, "among='a b'"),
        ({"faulty": -1}, "faulty=-1"),
        ({"faulty": "few"}, "faulty='few'"),
        ({"timeout": 0}, "timeout=0"),
    ],
)
def test_a_vote_that_cannot_be_meant_is_refused(
    start: Start, arguments: dict[str, object], text: str
) -> None:
    """Each argument is checked, with its value and what is allowed."""
    alice = start("alice")
    asked = {"question": "ship it?", "options": ["yes", "no"], **arguments}

    with pytest.raises(UsageError) as raised:
        alice.vote(**asked)  # type: ignore[arg-type]  # that is the point

    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sealed": True}, "sealed=True: sealed bids come in a later version"),
        ({"score": 5}, "score=5: allowed are None, a Policy"),
        ({"close_after": 0}, "close_after=0"),
        ({"timeout": -1}, "timeout=-1"),
        ({"at_most": 0}, "at_most=0"),
        ({"budget": -1}, "budget=-1"),
        ({"key": "k"}, "key='k'"),
    ],
)
def test_an_auction_that_cannot_be_meant_is_refused(
    start: Start, arguments: dict[str, object], text: str
) -> None:
    """Each argument is checked, with its name, value and what is allowed."""
    alice = start("alice")

    with pytest.raises(UsageError) as raised:
        alice.auction("build", "x", **arguments)  # type: ignore[arg-type]  # that is the point

    assert text in str(raised.value)


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_auctions_and_votes_are_awaited_under_both_libraries(start: Start, library: str) -> None:
    """The same verbs on an AsyncNode."""
    bob = start("bob", capabilities=[builder("bob")])
    bob.on_vote()(lambda _call: "yes")

    async def main() -> None:
        async with Node("alice") as alice:
            alice.on_vote()(lambda _call: "yes")
            if library == "trio":
                await trio_sees(alice, 2)
            award = await alice.auction("build", "a house")
            assert await award.result(timeout=5) == "bob built a house"
            assert (await alice.vote("ship it?", ["yes", "no"])).choice == "yes"

    trio.run(main) if library == "trio" else asyncio.run(main())
