"""Calls that this node answers: slots, queue, deadlines, cancellation.

A handler that cannot be stopped keeps its slot until it returns, however long ago
its caller gave up: the limit is on work, not on wishes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from meshp2p.effects import CancelInvoke, Effect, Invoke
from meshp2p.events import CapabilityInfo
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.messaging.duplicates import Answered, Duplicates, Key
from meshp2p.wire import limits, messages
from meshp2p.wire.messages import RequestHead, ResponseHead, pack_error

_RETRY_AFTER_MS: Final = 100


@attrs.define(eq=False)
class Job:
    """One request of somebody, from its arrival to the end of its handler.

    Args:
        reply: Called at most once with the answer; where it goes is not known here.
        answered: Whether `reply` was called; the handler may still run.
    """

    number: int
    head: RequestHead
    body: bytes
    caller: NodeId
    caller_handle: str
    deadline: Seconds
    reply: Callable[[ResponseHead, bytes], None]
    running: bool = False
    answered: bool = False
    key: Key | None = None


class Serving:
    """All requests that this node has taken on."""

    def __init__(
        self,
        *,
        slots: int,
        queue: int,
        emit: Callable[[Effect], None],
        next_number: Callable[[], int],
    ) -> None:
        """Run at most `slots` handlers at once, let `queue` requests wait."""
        self._slots = slots
        self._queue_limit = queue
        self._emit = emit
        self._next_number = next_number
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running: dict[str, int] = {}
        self._load = 0
        self._deadlines = Deadlines()
        self._duplicates = Duplicates()
        self.capabilities: Mapping[str, CapabilityInfo] = {}
        self.listens = False
        """Whether the application takes messages (`on_message`)."""
        self.closing = False

    @property
    def load(self) -> int:
        """Handlers running."""
        return self._load

    @property
    def open_jobs(self) -> int:
        """Requests running or waiting."""
        return len(self._jobs)

    def take(
        self,
        head: RequestHead,
        body: bytes,
        *,
        caller: NodeId,
        caller_handle: str,
        reply: Callable[[ResponseHead, bytes], None],
        now: Seconds,
    ) -> int | None:
        """Take a request on, or answer at once why not; return its number if taken."""
        job = Job(
            self._next_number(),
            head,
            body,
            caller,
            caller_handle,
            now + head.remaining_ms / 1000,
            reply,
        )
        if not self._may_run(job):
            return None
        if head.key and self._is_duplicate(job):
            return None if job.answered else job.number
        self._jobs[job.number] = job
        self._deadlines.set(job.number, job.deadline)
        if self._has_slot(head.method):
            self._start(job)
        else:
            self._waiting.append(job)
        return job.number

    def _may_run(self, job: Job) -> bool:
        head = job.head
        if self.closing:
            self._answer(job, messages.CLOSING)
        elif not self._handles(head.method):
            text = f"no handler for {head.method!r}"
            self._answer(job, messages.NO_SUCH_METHOD, pack_error("NoSuchMethod", text, None))
        elif head.hops > limits.MAX_HOPS:
            text = f"the call has made {head.hops} hops; at most {limits.MAX_HOPS} are allowed"
            self._answer(job, messages.TOO_MANY_HOPS, pack_error("TooManyHops", text, None))
        elif head.remaining_ms == 0:
            self._answer(job, messages.DEADLINE)
        elif len(self._waiting) >= self._queue_limit and not self._has_slot(head.method):
            self._answer(job, messages.OVERLOADED)
        else:
            return True
        return False

    def _handles(self, method: str) -> bool:
        if method == messages.ON_MESSAGE:
            return self.listens
        capability = self.capabilities.get(method)
        return capability is not None and capability.handler

    def _is_duplicate(self, job: Job) -> bool:
        """Answer from memory, or wait for the first request of the key."""
        key = (job.caller, job.head.method, job.head.key)
        known = self._duplicates.find(key)
        if known is None:
            self._duplicates.begin(key)
            job.key = key
            return False
        if isinstance(known, Answered):
            self._answer(job, known.status, known.body, started=True)
        elif len(known.waiting) >= self._queue_limit:
            self._answer(job, messages.OVERLOADED)
        else:
            known.waiting.append(job.number)
            self._jobs[job.number] = job
            self._deadlines.set(job.number, job.deadline)
        return True

    def _has_slot(self, method: str) -> bool:
        if self._load >= self._slots:
            return False
        capability = self.capabilities.get(method)
        if capability is None or not capability.limit:
            return True
        return self._running.get(method, 0) < capability.limit

    def _start(self, job: Job) -> None:
        method = job.head.method
        job.running = True
        self._load += 1
        self._running[method] = self._running.get(method, 0) + 1
        self._emit(
            Invoke(
                job.number, method, job.body, job.deadline, job.caller, job.caller_handle, job.head
            )
        )

    def finished(self, number: int, status: int, body: bytes) -> bool:
        """A handler returned; False if the number is not one of ours."""
        job = self._jobs.pop(number, None)
        if job is None or not job.running:
            return False
        self._deadlines.discard(number)
        method = job.head.method
        self._load -= 1
        left = self._running[method] - 1
        if left:
            self._running[method] = left
        else:
            del self._running[method]
        self._answer(job, status, body, started=True)
        if job.key is not None:
            for other in self._duplicates.settle(job.key, status, body):
                self._answer_waiting(other, status, body)
        if self._waiting:
            self._start_waiting()
        return True

    def _answer_waiting(self, number: int, status: int, body: bytes) -> None:
        job = self._jobs.pop(number, None)
        if job is not None:
            self._deadlines.discard(number)
            self._answer(job, status, body, started=True)

    def _start_waiting(self) -> None:
        """Start what a free slot allows, in the order of arrival."""
        for job in list(self._waiting):
            if self._load >= self._slots:
                return
            if self._has_slot(job.head.method):
                self._waiting.remove(job)
                self._start(job)

    def cancel(self, number: int) -> None:
        """Nobody wants the answer any more."""
        job = self._jobs.get(number)
        if job is None:
            return
        job.answered = True
        if job.running:
            self._emit(CancelInvoke(number))
        else:
            self._drop_waiting(job)

    def _drop_waiting(self, job: Job) -> None:
        del self._jobs[job.number]
        self._deadlines.discard(job.number)
        if job in self._waiting:
            self._waiting.remove(job)
        if job.key is not None:
            for other in self._duplicates.forget(job.key):
                self._answer_waiting(other, messages.CLOSING, b"")

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return self._deadlines.next()

    def receive_deadline(self, *, now: Seconds) -> None:
        """Answer what is due, and tell its handler to stop."""
        for number in self._deadlines.pop_due(now):
            job = self._jobs[number]
            if job.running:
                self._answer(job, messages.DEADLINE, started=True)
                self._emit(CancelInvoke(number))
            else:
                self._answer(job, messages.DEADLINE)
                self._drop_waiting(job)

    def _answer(self, job: Job, status: int, body: bytes = b"", *, started: bool = False) -> None:
        if job.answered:
            return
        job.answered = True
        retry_after = _RETRY_AFTER_MS if status == messages.OVERLOADED else 0
        job.reply(ResponseHead(status, started, self._load, retry_after), body)
