"""How much a node takes on: deadlines, keys, limits, queues, refusals."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from meshp2p import (
    Context,
    DeadlineExceeded,
    Message,
    Overloaded,
    Refused,
    capability,
)
from meshp2p.config import Config, loopback
from tests.node.conftest import Start
from tests.node.waiting import eventually, know_each_other


class Gate:
    """A capability that runs until it is let go, and counts."""

    def __init__(self, name: str, **options: object) -> None:
        """`options` are those of `@capability`."""
        self.open = threading.Event()
        self.begun = 0
        self.saw_cancel = threading.Event()

        @capability(name, **options)  # type: ignore[arg-type]  # as given
        def wait(value: int = 0, *, ctx: Context) -> int:
            self.begun += 1
            while not self.open.wait(0.005):
                if ctx.cancelled:
                    self.saw_cancel.set()
                    break
            return value

        self.capability = wait


def few(**knobs: object) -> Config:
    """A loopback node with some knobs turned."""
    values = {field: getattr(loopback(), field) for field in Config.__annotations__}
    return Config(**{**values, **knobs})


def test_a_deadline_ends_the_call_and_tells_the_handler(start: Start) -> None:
    """The caller gets its error in time, the handler sees `ctx.cancelled`."""
    gate = Gate("wait")
    alice, _bob = start("alice"), start("bob", capabilities=[gate.capability])

    began = time.monotonic()
    with pytest.raises(DeadlineExceeded) as raised:
        alice.call("wait", timeout=0.3)

    assert 0.25 < time.monotonic() - began < 2
    assert raised.value.maybe_executed is True
    assert isinstance(raised.value, TimeoutError)
    assert str(raised.value).startswith("no answer from wait within 0.3")
    assert gate.saw_cancel.wait(2)


def test_a_key_runs_the_work_once(start: Start) -> None:
    """The same key gives the same answer again, without running the handler again."""
    runs: list[int] = []

    @capability("count")
    def count() -> int:
        runs.append(1)
        return len(runs)

    alice, _bob = start("alice"), start("bob", capabilities=[count])

    assert [alice.call("count", key="order-7") for _ in range(3)] == [1, 1, 1]
    assert alice.call("count", key="order-8") == 2
    assert alice.call("count") == 3


def test_a_key_used_for_other_arguments_is_refused(start: Start) -> None:
    """The answer to the first arguments would be a wrong one."""

    @capability("double")
    def double(number: int) -> int:
        return 2 * number

    alice, _bob = start("alice"), start("bob", capabilities=[double])

    assert alice.call("double", 2, key="order-7") == 4
    with pytest.raises(Refused, match="the key 'order-7' was used for another request"):
        alice.call("double", 3, key="order-7")
    assert alice.call("double", 2, key="order-7") == 4


def test_the_order_of_keywords_makes_no_other_request(start: Start) -> None:
    """It is the same call for the handler, so it is the same for its key."""
    runs: list[float] = []

    @capability("divide")
    def divide(over: float, under: float) -> float:
        runs.append(over / under)
        return runs[-1]

    alice, _bob = start("alice"), start("bob", capabilities=[divide])

    assert alice.call("divide", over=6.0, under=2.0, key="order-7") == 3.0
    assert alice.call("divide", key="order-7", under=2.0, over=6.0) == 3.0
    assert runs == [3.0]


def test_a_key_joins_a_call_under_way(start: Start) -> None:
    """A second call with the key of one that runs waits for that one's answer."""
    gate = Gate("wait")
    alice, _bob = start("alice"), start("bob", capabilities=[gate.capability])

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(alice.call, "wait", 1, key="k", timeout=5) for _ in range(2)]
        eventually(lambda: gate.begun)
        gate.open.set()
        results = [answer.result(5) for answer in answers]

    assert gate.begun == 1
    assert results == [1, 1]


def test_keys_of_different_callers_do_not_meet(start: Start) -> None:
    """Nobody gets another caller's answer by guessing its key."""

    @capability("who")
    def who(ctx: Context) -> str:
        return ctx.caller_handle

    alice, bob = start("alice"), start("bob")
    carol = start("carol", capabilities=[who])
    know_each_other(alice, bob, carol)

    assert alice.call("who", key="same") == "alice"
    assert bob.call("who", key="same") == "bob"


def test_a_limit_bounds_one_capability_and_no_other(start: Start) -> None:
    """`limit=1` lets one call run, the next waits; other capabilities go on."""
    gate = Gate("wait", limit=1)

    @capability("quick")
    def quick() -> str:
        return "quick"

    alice, _bob = start("alice"), start("bob", capabilities=[gate.capability, quick])

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(alice.call, "wait", n, timeout=5) for n in (1, 2)]
        eventually(lambda: gate.begun == 1)
        assert alice.call("quick") == "quick"
        assert gate.begun == 1
        gate.open.set()
        assert {answer.result(5) for answer in answers} == {1, 2}


def test_a_full_node_says_when_to_come_back(start: Start) -> None:
    """Beyond slots and queue a call is refused at once, did not start, names a pause."""
    gate = Gate("wait")
    alice = start("alice")
    bob = start("bob", capabilities=[gate.capability], config=few(handler_slots=1, handler_queue=1))

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(alice.call, "wait", n, timeout=10) for n in (1, 2)]
        eventually(
            lambda: bob.stats()["handlers_running"] == 1 and alice.stats()["calls_open"] == 2
        )
        with pytest.raises(Overloaded) as raised:
            alice.call("wait", timeout=2)
        gate.open.set()
        assert {answer.result(5) for answer in answers} == {1, 2}

    assert raised.value.retry_after == pytest.approx(0.1)
    assert str(raised.value) == "bob is full; try again in 0.1 s"


def test_a_handler_may_refuse(start: Start) -> None:
    """`Refused` raised by a handler arrives as `Refused`, with its reason and who."""

    @capability("deploy")
    def deploy() -> None:
        raise Refused("only on weekdays")

    alice, _bob = start("alice"), start("bob", capabilities=[deploy])

    with pytest.raises(Refused, match="bob refused: only on weekdays"):
        alice.call("deploy")


def test_an_agent_that_takes_no_messages_refuses_them(start: Start) -> None:
    """Without `on_message` a message is refused, not lost."""
    alice, bob = start("alice"), start("bob")
    know_each_other(alice, bob)

    with pytest.raises(Refused, match="bob"):
        alice.call("@bob", "hello", timeout=5)


def test_a_default_timeout_is_the_configs(start: Start) -> None:
    """A call that names no time has 30 seconds, or what the node was configured with."""

    @capability("left")
    def left(ctx: Context) -> float:
        return ctx.remaining

    @capability("left")
    def left_message(ctx: Context) -> float:
        return ctx.remaining

    alice = start("alice", capabilities=[left])
    brief = start("brief", config=few(default_timeout=3.0))
    know_each_other(alice, brief)

    assert 29 < alice.call("left") <= 30
    assert 2 < brief.call("left") <= 3


def test_four_hundred_messages_wait_for_nobody(start: Start) -> None:
    """One-way messages beyond the queue are dropped at the receiver; the sender goes on."""
    alice, bob = start("alice"), start("bob")
    seen: list[int] = []

    @bob.on_message
    def receive(message: Message) -> None:
        seen.append(message.body)

    for number in range(200):
        alice.send("@bob", number)

    eventually(lambda: len(seen) == 200)
    assert sorted(seen) == list(range(200))
