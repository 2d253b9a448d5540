"""What a program sees of its mesh, on real sockets: draining, waiting, batches, reasons, budget."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from meshp2p import Cut, Node, TooFewMembers, UsageError, capability
from meshp2p.engine import statistics
from tests.node.conftest import Start
from tests.node.processes import Run
from tests.node.waiting import eventually, handles, know_each_other


@capability("greet", idempotent=True)
def greet(name: str) -> str:
    """Greet."""
    return f"hello {name}"


def test_a_member_drains_and_resumes(start: Start) -> None:
    """Its running call ends, new ones go elsewhere, and a word brings it back."""
    go_on = threading.Event()
    begun = threading.Event()

    @capability("work")
    def work() -> str:
        begun.set()
        assert go_on.wait(10)
        return "done"

    alice = start("alice")
    bob = start("bob", capabilities=[work, greet])
    carol = start("carol", capabilities=[greet])
    know_each_other(alice, bob, carol)
    answers: list[str] = []
    working = threading.Thread(target=lambda: answers.append(alice.call("work")))
    working.start()
    assert begun.wait(5)

    bob.drain()
    eventually(lambda: [member.draining for member in alice.members(handle="bob")] == [True])

    assert handles(alice.members("greet")) == {"bob", "carol"}
    with pytest.raises(TooFewMembers, match=r"1 of 2 .*: carol; not callable: bob \(draining\)"):
        alice.wait_for("greet", 2, timeout=0.2)
    go_on.set()
    working.join(5)
    assert answers == ["done"]

    bob.resume()
    assert handles(alice.wait_for("greet", 2, timeout=5)) == {"bob", "carol"}


def test_waiting_for_a_capability_ends_when_its_member_comes(start: Start) -> None:
    """A program that needs two workers starts when they are there, in whatever order."""
    alice = start("alice")
    found: list[set[str]] = []
    waiting = threading.Thread(
        target=lambda: found.append(handles(alice.wait_for(greet, 2, timeout=20)))
    )
    waiting.start()
    bob = start("bob", capabilities=[greet])
    know_each_other(alice, bob)
    assert found == []
    start("carol", capabilities=[greet])
    waiting.join(10)

    assert found == [{"bob", "carol"}]


def test_a_batch_and_the_reasons_of_a_death(start: Start, run: Run) -> None:
    """A killed process is in a batch, and `why` says on what grounds it was given up."""
    alice = start("alice")
    cuts: list[Cut] = []
    alice.on("members")(cuts.append)
    bob = run(
        """
from meshp2p import Node

node = Node("bob").start()
print("up", flush=True)
node.run_forever()
"""
    )
    assert bob.line() == "up"
    eventually(lambda: handles(alice.members()) == {"alice", "bob"})

    bob.signal(signal.SIGKILL)
    eventually(
        lambda: [member.state for member in alice.members(handle="bob", state="all")] == ["dead"],
        within=15,
    )

    names = [event.name for cut in eventually(lambda: cuts[1:] and cuts) for event in cut.events]
    assert names[0] == "member.joined"
    assert names[-1] == "member.failed"
    why = alice.why("@bob")
    assert why.clues[-1].kind == "failed"
    assert why.member.state == "dead"
    assert "bob #" in str(why)


def test_a_node_finds_its_mesh_by_what_it_wrote_down(start: Start) -> None:
    """Its seed is gone and no directory helps: the address of a third on disk does."""
    alice = start("alice", discovery=())
    seed, *_ = alice.addresses
    bob = start("bob", seeds=[seed], discovery=())
    carol = Node("carol", seeds=[seed], discovery=())
    with carol:
        know_each_other(alice, bob, carol)
    alice.stop()
    eventually(lambda: handles(bob.members()) == {"bob"})

    again = Node("carol", discovery=())
    with again:
        eventually(lambda: handles(again.members()) == {"bob", "carol"})
        assert again.stats()["peers_remembered"] == 2


def test_a_budget_holds_bulk_back_and_loses_nothing(start: Start) -> None:
    """A megabyte within 200 kB a second takes its time, arrives whole, and nobody is mourned."""

    @capability("weigh")
    def weigh(data: bytes) -> int:
        return len(data)

    alice = start("alice", bytes_per_second=200_000)
    bob = start("bob", capabilities=[weigh])
    know_each_other(alice, bob)
    began = time.monotonic()

    assert alice.call("weigh", bytes(900_000), timeout=30) == 900_000

    took, stats = time.monotonic() - began, alice.stats()
    assert took > 2.5
    assert stats["streams_held"] > 0
    assert stats["stream_bytes_sent"] > 900_000
    assert alice.stats()["deaths"] == bob.stats()["deaths"] == 0


@pytest.mark.parametrize("budget", [100, -1, "1 MB", True])
def test_a_budget_that_cannot_be_meant_is_refused(budget: object) -> None:
    """With the value, and what is allowed."""
    with pytest.raises(UsageError, match=r"bytes_per_second=.*: allowed are whole numbers from"):
        Node("alice", bytes_per_second=budget)  # type: ignore[arg-type]  # that is the point


def test_every_figure_has_a_name_that_is_explained(start: Start) -> None:
    """`stats()` gives all documented names, if only with 0, and no other."""
    alice, bob = start("alice"), start("bob", capabilities=[greet])
    know_each_other(alice, bob)
    alice.call("greet", "alice")

    stats = alice.stats()

    assert set(stats) == {*statistics.ENGINE, *statistics.PROCESS}
    assert stats["datagrams_sent"] > 0
    assert stats["datagram_bytes_received"] > 100
    assert stats["stream_bytes_received"] > 100


def test_the_same_verbs_are_awaited_under_asyncio(start: Start) -> None:
    """Waiting, draining, reasons and batches, from a program on asyncio."""
    start("bob", capabilities=[greet])

    async def watch() -> list[str]:
        cuts: asyncio.Queue[Cut] = asyncio.Queue()
        node = Node("alice", capabilities=[greet])

        @node.on("members")
        async def keep(cut: Cut) -> None:
            await cuts.put(cut)

        async with node as alice:
            both = await alice.wait_for(greet, 2, timeout=10)
            await alice.drain()
            (own,) = await alice.members(handle="alice")
            drained = own.draining
            await alice.resume()
            cut = await asyncio.wait_for(cuts.get(), 10)
            why = await alice.why("@bob")
            with pytest.raises(TooFewMembers):
                await alice.wait_for("greet", 3, timeout=0.1)
        return [*sorted(handles(both)), str(drained), cut.events[0].name, str(why).split(" #")[0]]

    assert asyncio.run(watch()) == ["alice", "bob", "True", "member.joined", "bob"]
