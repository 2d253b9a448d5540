from __future__ import annotations

import trio
import trio.testing

from meshp2p.events import ClockSkew, Cut, Log, Member, MemberEvent
from meshp2p.ids import NodeId
from meshp2p.node.listeners import Listeners
from meshp2p.runtime.capability import Handler
from meshp2p.runtime.registry import Registry

BOUND = 10_000


class Slow:
    """A node's listeners, of whom nobody has come to hear anything yet."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.logged: list[Log] = []
        registry = Registry()
        registry.add_listener("member.joined", self.told.append)
        self.listeners = Listeners(registry, self.logged.append)

    def joined(self, first: int, count: int) -> None:
        """Members with numbers for names join."""
        for number in range(first, first + count):
            self.listeners.hear(MemberEvent("member.joined", member(str(number))))

    async def catch_up(self) -> None:
        """Hear all that waits."""

        async def tell(_handler: Handler, event: MemberEvent | Cut | ClockSkew) -> None:
            assert isinstance(event, MemberEvent)
            self.told.append(event.member.handle)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.listeners.run, tell)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


def member(handle: str) -> Member:
    """Somebody who is alive."""
    return Member(NodeId(bytes(16)), handle, "default", "worker", (), (), "alive")


def test_what_a_slow_listener_misses_is_bounded_and_logged_once() -> None:
    """It hears the oldest 10,000 events in order; one line tells that there were more."""
    slow = Slow()
    slow.joined(0, BOUND + 5)
    trio.run(slow.catch_up)

    assert slow.told == [str(number) for number in range(BOUND)]
    assert [(log.level, dict(log.fields)) for log in slow.logged] == [("error", {"bound": BOUND})]


def test_a_listener_that_has_caught_up_misses_nothing_more() -> None:
    """And the next time that it falls behind is told again."""
    slow = Slow()
    slow.joined(0, BOUND + 1)
    trio.run(slow.catch_up)
    slow.joined(BOUND + 1, BOUND + 1)
    trio.run(slow.catch_up)

    assert slow.told[BOUND:] == [str(number) for number in range(BOUND + 1, 2 * BOUND + 1)]
    assert len(slow.logged) == 2


def test_what_nobody_listens_to_does_not_wait() -> None:
    """Nor does it take the place of what somebody wants to hear."""
    slow = Slow()
    for _ in range(BOUND):
        slow.listeners.hear(MemberEvent("member.left", member("bob")))
    slow.joined(0, 1)
    trio.run(slow.catch_up)

    assert slow.told == ["0"]
    assert slow.logged == []
