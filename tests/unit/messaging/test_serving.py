"""Requests that this node answers: slots, keys, deadlines, and what can be made to leak."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import count

import pytest

from meshp2p.effects import CancelInvoke, Effect, Invoke
from meshp2p.events import CapabilityInfo
from meshp2p.ids import NodeId
from meshp2p.messaging.serving import Serving
from meshp2p.wire import limits, messages
from meshp2p.wire.messages import RequestHead, ResponseHead, unpack_error_untrusted

ME, ALICE, MALLORY = (NodeId(bytes([n]) * 16) for n in (1, 2, 3))


class Callee:
    """One node's `Serving`, and everything that it said."""

    def __init__(
        self, *, slots: int = 2, queue: int = 4, limit: int = 0, queue_bytes: int = 10_000
    ) -> None:
        numbers: Iterator[int] = count(1)
        self.effects: list[Effect] = []
        self.answers: dict[int, tuple[ResponseHead, bytes]] = {}
        self._asked = count()
        self.serving = Serving(
            slots=slots,
            queue=queue,
            queue_bytes=queue_bytes,
            emit=self.effects.append,
            next_number=numbers.__next__,
            own_id=ME,
        )
        self.serving.capabilities = {"work": CapabilityInfo("work", limit=limit)}

    def ask(
        self,
        *,
        caller: NodeId = ALICE,
        key: str = "",
        body: bytes = b"x",
        seconds: float = 10.0,
        hops: int = 1,
        flags: int = 0,
        now: float = 0.0,
    ) -> tuple[int, int | None]:
        """Send a request; return its own number and the job's."""
        asked = next(self._asked)
        head = RequestHead("work", int(seconds * 1000), key=key, hops=hops, flags=flags)
        job = self.serving.take(
            head,
            body,
            caller=caller,
            caller_handle="",
            reply=lambda answer, body: self.answers.__setitem__(asked, (answer, body)),
            now=now,
        )
        return asked, job

    @property
    def running(self) -> list[int]:
        """Jobs whose handlers were started."""
        return [effect.call for effect in self.effects if isinstance(effect, Invoke)]

    def status(self, asked: int) -> int | None:
        """How a request was answered, None if it was not."""
        answer = self.answers.get(asked)
        return None if answer is None else answer[0].status


def test_two_requests_with_one_key_that_are_due_together_both_end() -> None:
    """The second waits for the first's answer; their common deadline ends both, once."""
    callee = Callee(slots=1)
    callee.ask(caller=MALLORY)  # takes the only slot
    first, _ = callee.ask(key="order-7", seconds=1.0)
    second, _ = callee.ask(key="order-7", seconds=1.0)
    callee.serving.receive_deadline(now=1.0)
    assert callee.status(first) == messages.DEADLINE
    assert callee.status(second) in (messages.DEADLINE, messages.CLOSING)
    assert callee.serving.open_jobs == 1
    assert callee.serving.next_deadline() > 1.0


def test_whoever_waits_for_a_running_request_is_told_that_it_may_have_run() -> None:
    """maybe_executed is False only if the work certainly did not begin."""
    callee = Callee()
    callee.ask(key="order-7", seconds=10.0)
    waiting, _ = callee.ask(key="order-7", seconds=1.0)
    callee.serving.receive_deadline(now=1.0)
    assert callee.answers[waiting][0].started


def test_a_queued_request_that_is_due_is_told_that_it_did_not_run() -> None:
    """The handler never began."""
    callee = Callee(slots=1)
    callee.ask(caller=MALLORY)
    queued, _ = callee.ask(seconds=1.0)
    callee.serving.receive_deadline(now=1.0)
    assert callee.status(queued) == messages.DEADLINE
    assert not callee.answers[queued][0].started


def test_a_key_runs_once_however_often_it_is_asked() -> None:
    """While it runs and afterwards alike."""
    callee = Callee()
    first, job = callee.ask(key="order-7")
    second, _ = callee.ask(key="order-7")
    assert job is not None
    callee.serving.finished(job, messages.OK, b"done", now=0.0)
    third, _ = callee.ask(key="order-7")
    assert [callee.answers[asked][1] for asked in (first, second, third)] == [b"done"] * 3
    assert callee.running == [job]


def test_a_key_used_for_another_request_is_refused() -> None:
    """Neither the first answer nor a second run would be what was asked for."""
    callee = Callee()
    first, job = callee.ask(key="order-7", body=b"seven apples")
    early, _ = callee.ask(key="order-7", body=b"nine pears")
    callee.ask(key="order-7", body=b"nine pears", flags=messages.FLAG_ONE_WAY)
    assert job is not None
    callee.serving.finished(job, messages.OK, b"done", now=0.0)
    late, _ = callee.ask(key="order-7", body=b"nine pears")
    again, _ = callee.ask(key="order-7", body=b"seven apples")

    assert callee.running == [job]
    for refused in (early, late):
        head, body = callee.answers[refused]
        assert (head.status, head.started) == (messages.REFUSED, False)
        assert unpack_error_untrusted(body)[1] == ("the key 'order-7' was used for another request")
    assert [callee.status(asked) for asked in (first, again)] == [messages.OK, messages.OK]
    assert callee.serving.open_jobs == 0


def test_nobody_can_make_us_forget_somebody_elses_keys() -> None:
    """A member that asks with a thousand keys pushes out its own, not those of others."""
    callee = Callee()
    _, job = callee.ask(key="order-7")
    assert job is not None
    callee.serving.finished(job, messages.OK, b"done", now=0.0)
    for n in range(2 * limits.MAX_DUPLICATES):
        _, other = callee.ask(caller=MALLORY, key=f"junk-{n}")
        assert other is not None
        callee.serving.finished(other, messages.OK, b"", now=0.0)
    again, _ = callee.ask(key="order-7")
    assert callee.answers[again][1] == b"done"


def test_kept_answers_stay_within_their_bytes() -> None:
    """Big answers go first where most of them are."""
    callee = Callee()
    _, job = callee.ask(key="small")
    assert job is not None
    callee.serving.finished(job, messages.OK, b"done", now=0.0)
    for n in range(20):
        _, other = callee.ask(caller=MALLORY, key=f"big-{n}")
        assert other is not None
        callee.serving.finished(other, messages.OK, bytes(limits.MAX_BODY), now=0.0)
    assert callee.serving.kept_bytes <= limits.MAX_DUPLICATE_BYTES
    again, _ = callee.ask(key="small")
    assert callee.answers[again][1] == b"done"


def test_long_keys_count_as_much_as_long_answers() -> None:
    """Empty answers to long keys, from however many callers, stay within the same bytes."""
    callee = Callee()
    key, callers = "k" * 3_000, 24
    for n in range(callers * limits.MAX_DUPLICATES):
        caller = NodeId(n.to_bytes(2, "big") * 8)
        _, job = callee.ask(caller=caller, key=key)
        assert job is not None
        callee.serving.finished(job, messages.OK, b"", now=0.0)
    kept = len(callee.serving._duplicates)  # noqa: SLF001
    assert kept * (len(key) + limits.DUPLICATE_OVERHEAD) <= limits.MAX_DUPLICATE_BYTES
    assert callee.serving.kept_bytes <= limits.MAX_DUPLICATE_BYTES


@pytest.mark.parametrize("key", ["k" * 2_000, "k" * 1_999 + "\N{OWL}"])
def test_a_kept_answer_costs_no_more_than_it_counts(key: str) -> None:
    """Measured: what the interpreter takes for keys of any letters, answers and places."""
    callee = Callee()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for n in range(200):
        _, job = callee.ask(key=f"{n}{key}")
        assert job is not None
        callee.serving.finished(job, messages.OK, bytes(1_000), now=0.0)
    callee.effects.clear()
    callee.answers.clear()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before <= callee.serving.kept_bytes


def test_an_answer_is_kept_for_ten_minutes_and_then_forgotten() -> None:
    """Who asks again later has it done again; memory is free without anybody asking."""
    callee = Callee()
    _, job = callee.ask(key="order-7")
    assert job is not None
    callee.serving.finished(job, messages.OK, b"done", now=5.0)
    within, _ = callee.ask(key="order-7", now=5.0 + limits.DUPLICATE_LIFE - 1)
    assert callee.answers[within][1] == b"done"
    _, again = callee.ask(key="order-7", now=5.0 + limits.DUPLICATE_LIFE)
    assert again is not None
    assert callee.running == [job, again]
    callee.serving.finished(again, messages.OK, b"done again", now=1_000.0)
    callee.serving.receive_deadline(now=1_000.0 + limits.DUPLICATE_LIFE)
    assert callee.serving.kept_bytes == 0


def test_requests_that_wait_for_anothers_answer_hold_no_bodies_and_count() -> None:
    """A thousand copies of a big request do not fill this node's memory."""
    callee = Callee(queue=4)
    callee.ask(key="order-7", body=bytes(1000))
    copies = [callee.ask(key="order-7", body=bytes(1000))[0] for _ in range(10)]
    full = [asked for asked in copies if callee.status(asked) == messages.OVERLOADED]
    assert len(full) == 6
    one_way = callee.ask(key="order-7", flags=messages.FLAG_ONE_WAY)
    assert one_way[1] is None


def test_queued_bodies_stay_within_their_bytes() -> None:
    """Big requests are refused before the queue is full by number."""
    callee = Callee(slots=1, queue=100, queue_bytes=2_500)
    asked = [callee.ask(body=bytes(1000))[0] for _ in range(5)]
    statuses = [callee.status(number) for number in asked]
    assert statuses == [None, None, None, messages.OVERLOADED, messages.OVERLOADED]


def test_a_call_of_ones_own_handler_needs_no_slot() -> None:
    """Else handlers that call their own node would wait for each other for ever."""
    callee = Callee(slots=1, limit=1)
    callee.ask()
    _, nested = callee.ask(caller=ME, hops=2)
    _, pretended = callee.ask(caller=MALLORY, hops=2)
    assert nested in callee.running
    assert pretended not in callee.running


def test_cancelling_a_running_request_keeps_its_slot_until_the_handler_returns() -> None:
    """The limit is on work, not on wishes."""
    callee = Callee(slots=1)
    _, job = callee.ask()
    queued, waiting = callee.ask()
    assert job is not None
    callee.serving.cancel(job)
    assert CancelInvoke(job) in callee.effects
    assert waiting not in callee.running
    callee.serving.finished(job, messages.OK, b"", now=0.0)
    assert waiting in callee.running
    assert callee.status(queued) is None


def test_a_stopping_node_takes_nothing_on() -> None:
    """And says so, so that the caller goes elsewhere."""
    callee = Callee()
    callee.serving.closing = True
    asked, job = callee.ask()
    assert (callee.status(asked), job) == (messages.CLOSING, None)
