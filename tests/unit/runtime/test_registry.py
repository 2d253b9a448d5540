from __future__ import annotations

import pytest

from meshp2p import Bid, Offer, VoteCall, capability
from meshp2p.errors import UsageError
from meshp2p.runtime.registry import Registry


@capability("greet")
def greet() -> str:
    """A handler."""
    return "hello"


def bid(_offer: Offer) -> Bid:
    """Bids."""
    return Bid()


def vote(_call: VoteCall) -> str:
    """Votes."""
    return "yes"


def hear(_event: object) -> None:
    """Listens."""


def test_the_user_may_change_it_while_the_node_reads_it() -> None:
    """Whoever has begun to look through the handlers sees them as they were."""
    registry = Registry()
    registry.add(greet)
    registry.add_bidder("*", bid)
    registry.add_voter("*", vote)
    registry.add_listener("member.joined", hear)
    views = (registry.capabilities, registry.bidders, registry.voters, registry.listeners)
    reading = [iter(view) for view in views]
    listening = iter(registry.listeners["member.joined"])

    registry.add("label")
    registry.remove("greet")
    registry.add_bidder("code.*", bid)
    registry.add_voter("code.*", vote)
    registry.add_listener("member.left", hear)
    registry.add_listener("member.joined", hear)

    assert [list(names) for names in reading] == [["greet"], ["*"], ["*"], ["member.joined"]]
    assert len(list(listening)) == 1
    assert list(registry.capabilities) == ["label"]
    assert len(registry.listeners["member.joined"]) == 2


def test_what_cannot_be_announced_is_taken_back() -> None:
    """After an error in the block the capabilities are as they were before it."""
    registry = Registry()
    registry.add(greet)

    def announce() -> None:
        with registry.added("label"):
            raise UsageError("no room")

    with pytest.raises(UsageError):
        announce()

    assert list(registry.capabilities) == ["greet"]


def test_what_cannot_be_announced_takes_nothing_else_along() -> None:
    """What another thread announced meanwhile stays announced."""
    registry = Registry()

    def announce_too_much() -> None:
        with registry.added("too.long"):
            registry.add("anothers")
            raise UsageError("no room for it")

    with pytest.raises(UsageError, match="no room"):
        announce_too_much()

    assert list(registry.capabilities) == ["anothers"]


def test_what_cannot_replace_leaves_what_was_there() -> None:
    """A new version that does not fit leaves the old one in its place."""
    registry = Registry()
    first = registry.add("tool")

    def announce_again() -> None:
        with registry.added("tool"):
            assert registry.capabilities["tool"] is not first
            raise UsageError("no room for it")

    with pytest.raises(UsageError, match="no room"):
        announce_again()

    assert registry.capabilities["tool"] is first


def test_what_can_be_announced_stays() -> None:
    """The usual case."""
    registry = Registry()
    with registry.added("tool"):
        pass
    assert list(registry.capabilities) == ["tool"]
