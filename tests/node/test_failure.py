"""Processes die and stand still; calls learn it at once and are told the truth."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from meshp2p import DeadlineExceeded, MemberEvent, Node, PeerLost, capability
from tests.node.conftest import Start
from tests.node.processes import Program, Run
from tests.node.waiting import eventually, handles

WORKER = """
    import sys, threading
    from meshp2p import Context, Node, capability

    @capability("work", idempotent=sys.argv[2] == "idempotent")
    def work(seconds: float, ctx: Context) -> str:
        print("working", flush=True)
        ends = threading.Event()
        while seconds > 0 and not ctx.cancelled:
            ends.wait(0.02)
            seconds -= 0.02
        return sys.argv[1]

    @capability("pid")
    def pid() -> str:
        return sys.argv[1]

    node = Node(sys.argv[1], capabilities=[work, pid]).start()
    print(node.id, flush=True)
    sys.stdin.readline()
    node.stop()
"""


def worker(run: Run, handle: str, kind: str = "idempotent") -> tuple[Program, str]:
    """A process with one node; its id."""
    program = run(WORKER, handle, kind)
    return program, program.line()


def sees(node: Node, *names: str) -> None:
    """Wait until the node sees exactly these members alive, itself left out."""
    eventually(lambda: handles(node.members()) - {node.handle} == set(names), within=10)


def test_a_call_to_a_killed_process_fails_at_once_and_honestly(start: Start, run: Run) -> None:
    """The error comes in milliseconds, not at the deadline, and says that it may have run."""
    bob, _ = worker(run, "bob", "once")
    alice = start("alice")
    sees(alice, "bob")

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(alice.call, "work", 30, timeout=30)
        assert bob.line() == "working"
        bob.signal(signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises(PeerLost) as raised:
            answer.result(10)

    assert time.monotonic() - killed < 1
    assert raised.value.maybe_executed is True
    assert raised.value.member == "bob"
    assert "it may have run" in str(raised.value)


def test_an_idempotent_call_goes_on_elsewhere(start: Start, run: Run) -> None:
    """Whoever was working is killed; another member gives the answer to the same call."""
    workers = {name: worker(run, name)[0] for name in ("bob", "carol")}
    alice = start("alice")
    sees(alice, "bob", "carol")

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(alice.call, "work", 1.0, timeout=20)
        busy = eventually(lambda: first_at_work(workers), within=10)
        workers[busy].signal(signal.SIGKILL)
        other = ({"bob", "carol"} - {busy}).pop()
        assert answer.result(10) == other

    assert alice.stats()["call_retried"] == 1


def first_at_work(workers: dict[str, Program]) -> str | None:
    """Who printed "working"."""
    for name, program in workers.items():
        if program.has_said("working"):
            return name
    return None


def test_a_call_that_may_have_run_is_not_repeated(start: Start, run: Run) -> None:
    """Without `idempotent=True` nobody else is asked, although somebody could."""
    workers = {name: worker(run, name, "once")[0] for name in ("bob", "carol")}
    alice = start("alice")
    sees(alice, "bob", "carol")

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(alice.call, "work", 1.0, timeout=20)
        busy = eventually(lambda: first_at_work(workers), within=10)
        workers[busy].signal(signal.SIGKILL)
        with pytest.raises(PeerLost):
            answer.result(10)

    other = workers[({"bob", "carol"} - {busy}).pop()]
    assert other.is_silent


def test_a_killed_process_is_known_to_be_dead_within_a_second(start: Start, run: Run) -> None:
    """Its closed ports are evidence: nobody waits for a timeout."""
    bob, _ = worker(run, "bob")
    alice, carol = start("alice"), start("carol")
    sees(alice, "bob", "carol")
    sees(carol, "bob", "alice")
    failed = threading.Event()

    @alice.on("member.failed")
    def hear(event: MemberEvent) -> None:
        if event.member.handle == "bob":
            failed.set()

    bob.signal(signal.SIGKILL)

    assert failed.wait(2.5)
    sees(carol, "alice")
    assert handles(alice.members(state="dead")) == {"bob"}


@pytest.mark.slow
def test_a_process_that_stands_still_is_given_up_within_five_seconds(
    start: Start, run: Run
) -> None:
    """SIGSTOP leaves its sockets open; its silence alone moves an idempotent call elsewhere."""
    workers = {name: worker(run, name)[0] for name in ("bob", "carol")}
    alice = start("alice")
    sees(alice, "bob", "carol")

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(alice.call, "work", 0.5, timeout=20)
        busy = eventually(lambda: first_at_work(workers), within=10)
        workers[busy].signal(signal.SIGSTOP)
        stopped = time.monotonic()
        other = ({"bob", "carol"} - {busy}).pop()
        assert answer.result(15) == other

    assert time.monotonic() - stopped < 5
    workers[busy].signal(signal.SIGCONT)
    sees(alice, "bob", "carol")
    assert alice.call(f"@{busy}/pid", timeout=5) == busy


def test_a_process_that_stood_still_briefly_is_not_given_up(start: Start, run: Run) -> None:
    """Half a second of silence is a busy machine, not a death."""
    bob, _ = worker(run, "bob")
    alice = start("alice")
    sees(alice, "bob")
    assert alice.call("@bob/pid") == "bob"
    failed: list[MemberEvent] = []
    alice.on("member.failed")(failed.append)

    bob.signal(signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded):
        alice.call("@bob/pid", timeout=0.5)
    bob.signal(signal.SIGCONT)

    assert alice.call("@bob/pid", timeout=5) == "bob"
    assert failed == []


def test_a_restarted_agent_has_its_id_back_and_is_usable_at_once(start: Start, run: Run) -> None:
    """The same slot, the same key, a new process: the first call reaches it."""
    bob, before = worker(run, "bob")
    alice = start("alice")
    sees(alice, "bob")
    assert alice.call("@bob/pid") == "bob"

    bob.signal(signal.SIGKILL)
    bob.wait()
    _again, after = worker(run, "bob")

    assert after == before
    assert eventually(lambda: called(alice), within=2) == "bob"
    assert len(alice.members()) == 2


def called(alice: Node) -> str | None:
    """What bob answers, if he is there."""
    try:
        answer: str = alice.call("@bob/pid", timeout=1)
    except (PeerLost, DeadlineExceeded):
        return None
    except Exception as error:
        if type(error).__name__ in ("UnknownMember", "NoCapableMember"):
            return None
        raise
    return answer


def test_an_agent_restarted_within_a_process_is_usable_at_once(start: Start) -> None:
    """stop() and a new Node with the same handle: same id, next call answered."""

    @capability("who")
    def who() -> str:
        return "bob"

    alice, bob = start("alice"), start("bob", capabilities=[who])
    assert alice.call("who") == "bob"
    first = bob.id
    bob.stop()

    again = start("bob", capabilities=[who])

    assert again.id == first
    assert eventually(lambda: handles(alice.members("who")) == {"bob"})
    assert alice.call("who") == "bob"


def test_a_process_that_leaves_finishes_what_it_had_begun(start: Start, run: Run) -> None:
    """`stop()` waits for running handlers: the caller gets its answer, nothing is lost."""
    bob, _ = worker(run, "bob", "once")
    alice = start("alice")
    sees(alice, "bob")

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(alice.call, "work", 0.4, timeout=10)
        assert bob.line() == "working"
        bob.say()
        assert answer.result(5) == "bob"

    assert bob.wait() == 0, bob.errors()
    sees(alice)
    assert handles(alice.members(state="left")) == {"bob"}
