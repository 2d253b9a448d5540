"""Calls that this node answers: slots, queue, deadlines, cancellation.

A handler that cannot be stopped keeps its slot until it returns, however long ago
its caller gave up: the limit is on work, not on wishes.
"""

from __future__ import annotations

import hashlib
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
from meshp2p.wire.messages import RequestHead, ResponseHead, pack_error, response_head

_FINAL: Final = (messages.OK, messages.REMOTE_ERROR, messages.REFUSED)
"""What a handler itself said: kept for whoever asks again with the same key."""


@attrs.define(eq=False)
class Job:
    """One request of somebody, from its arrival to the end of its handler.

    Args:
        reply: Called at most once with the answer; where it goes is not known here.
        first: The job with the same key whose answer this one waits for, 0 if none.
        answered: Whether `reply` was called; the handler may still run.
    """

    number: int
    head: RequestHead
    body: bytes
    caller: NodeId
    caller_handle: str
    deadline: Seconds
    reply: Callable[[ResponseHead, bytes], None]
    token: int = 0
    first: int = 0
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
        own_id: NodeId,
        queue_bytes: int = limits.MAX_QUEUED_BODIES,
        board: list[Seconds] | None = None,
    ) -> None:
        """Run at most `slots` handlers at once, let `queue` requests wait.

        Args:
            board: As `Deadlines` takes it.
        """
        self._slots = slots
        self._queue_limit = queue
        self._queue_bytes = queue_bytes
        self._emit = emit
        self._next_number = next_number
        self._own_id = own_id
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._waiting_bytes = 0
        self._attached = 0
        self._running: dict[str, int] = {}
        self._load = 0
        self._deadlines = Deadlines(board)
        self._duplicates = Duplicates()
        self.capabilities: Mapping[str, CapabilityInfo] = {}
        self.listens = False
        """Whether the application takes messages (`on_message`)."""
        self.closing = False
        self.draining = False
        """Whether only requests are taken that running work waits for."""

    @property
    def load(self) -> int:
        """Handlers running."""
        return self._load

    @property
    def open_jobs(self) -> int:
        """Requests running or waiting."""
        return len(self._jobs)

    @property
    def kept_bytes(self) -> int:
        """What the answers kept for repeated keys take."""
        return self._duplicates.held_bytes

    def take(
        self,
        head: RequestHead,
        body: bytes,
        *,
        caller: NodeId,
        caller_handle: str,
        reply: Callable[[ResponseHead, bytes], None],
        now: Seconds,
        token: int = 0,
    ) -> int | None:
        """Take a request on, or answer at once why not; return its number if taken.

        Args:
            token: Fencing token, where the request is an award.
        """
        job = Job(
            self._next_number(),
            head,
            body,
            caller,
            caller_handle,
            now + head.remaining_ms / 1000,
            reply,
            token,
        )
        if not self._may_run(job):
            return None
        if head.key and not token and self._is_duplicate(job, now):
            return None if job.answered else job.number
        self._jobs[job.number] = job
        self._deadlines.set(job.number, job.deadline)
        if self._has_slot(head.method) or self._is_nested(job):
            self._start(job)
        else:
            self._waiting.append(job)
            self._waiting_bytes += len(job.body)
        return job.number

    def _may_run(self, job: Job) -> bool:
        head = job.head
        if self.closing or (self.draining and not self._is_owed(job)):
            self._answer(job, messages.CLOSING)
        elif not self._handles(head.method):
            text = f"no handler for {head.method!r}"
            self._answer(job, messages.NO_SUCH_METHOD, pack_error("NoSuchMethod", text, None))
        elif head.hops > limits.MAX_HOPS:
            text = f"the call has made {head.hops} hops; at most {limits.MAX_HOPS} are allowed"
            self._answer(job, messages.TOO_MANY_HOPS, pack_error("TooManyHops", text, None))
        elif head.remaining_ms == 0:
            self._answer(job, messages.DEADLINE)
        elif (
            self._is_full(len(job.body))
            and not self._has_slot(head.method)
            and not self._is_nested(job)
        ):
            self._answer(job, messages.OVERLOADED)
        else:
            return True
        return False

    def _is_full(self, more: int) -> bool:
        too_many = len(self._waiting) + self._attached >= self._queue_limit
        return too_many or self._waiting_bytes + more > self._queue_bytes

    def _handles(self, method: str) -> bool:
        if method == messages.ON_MESSAGE:
            return self.listens
        capability = self.capabilities.get(method)
        return capability is not None and capability.handler

    def _is_duplicate(self, job: Job, now: Seconds) -> bool:
        """Answer from memory, or wait for the first request of the key; refuse another one."""
        key = (job.caller, job.head.method, job.head.key)
        asked = hashlib.sha256(job.body).digest()
        known = self._duplicates.find(key, now=now)
        if known is None:
            self._duplicates.begin(key, job.number, asked)
            job.key = key
            return False
        if known.asked != asked:
            text = f"the key {job.head.key!r} was used for another request"
            self._answer(job, messages.REFUSED, pack_error("Refused", text, None))
        elif isinstance(known, Answered):
            self._answer(job, known.status, known.body, started=True)
        elif job.head.flags & messages.FLAG_ONE_WAY:
            job.answered = True  # it asks for nothing but what is being done
        elif self._is_full(0):
            self._answer(job, messages.OVERLOADED)
        else:
            known.waiting.append(job.number)
            job.body, job.first = b"", known.job
            self._attached += 1
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

    def _is_nested(self, job: Job) -> bool:
        """Whether one of our own handlers waits for it.

        It takes no slot away from others: with all slots taken by handlers that call
        their own node, nothing would ever end. Hops bound how deep this goes.
        """
        return job.caller == self._own_id and job.head.hops > 1

    def _is_owed(self, job: Job) -> bool:
        """Whether it is work awarded to us, or one of our handlers waits for it.

        The latter may have asked another member, which asks us.
        """
        return job.token > 0 or (job.head.hops > 1 and self._own_id in job.head.path)

    def _start(self, job: Job) -> None:
        method = job.head.method
        job.running = True
        self._load += 1
        self._running[method] = self._running.get(method, 0) + 1
        self._emit(
            Invoke(
                job.number,
                method,
                job.body,
                job.deadline,
                job.caller,
                job.caller_handle,
                job.head,
                job.token,
            )
        )
        job.body = b""

    def finished(self, number: int, status: int, body: bytes, *, now: Seconds) -> bool:
        """A handler returned; False if the number is not one of ours."""
        job = self._jobs.get(number)
        if job is None or not job.running:
            return False
        del self._jobs[number]
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
            final = status in _FINAL  # else it was cut short: the next one may run
            keys = self._duplicates
            waiting = keys.settle(job.key, status, body, now=now) if final else keys.forget(job.key)
            for other in waiting:
                self._answer_waiting(other, status, body)
        if self._waiting:
            self._start_waiting()
        return True

    def _answer_waiting(self, number: int, status: int, body: bytes) -> None:
        job = self._jobs.pop(number, None)
        if job is not None:
            self._attached -= 1
            self._deadlines.discard(number)
            self._answer(job, status, body, started=status != messages.CLOSING)

    def _start_waiting(self) -> None:
        """Start what a free slot allows, in the order of arrival."""
        for job in list(self._waiting):
            if self._load >= self._slots:
                return
            if self._has_slot(job.head.method):
                self._leave_queue(job)
                self._start(job)

    def _leave_queue(self, job: Job) -> None:
        self._waiting.remove(job)
        self._waiting_bytes -= len(job.body)

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

    def caller_gone(self, number: int) -> None:
        """The connection broke. With a key the caller may come back for the answer."""
        job = self._jobs.get(number)
        if job is not None and job.key is not None:
            job.answered = True
        else:
            self.cancel(number)

    def _drop_waiting(self, job: Job) -> None:
        del self._jobs[job.number]
        self._deadlines.discard(job.number)
        if job.first:
            self._attached -= 1
        elif job in self._waiting:
            self._leave_queue(job)
        if job.key is not None:
            for other in self._duplicates.forget(job.key):
                self._answer_waiting(other, messages.CLOSING, b"")

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return self._deadlines.soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Answer what is due, and tell its handler to stop.

        Old answers go by the way: a node is woken for its probes all the time.
        """
        self._duplicates.expire(now=now)
        for number in self._deadlines.pop_due(now):
            job = self._jobs.get(number)
            if job is None:  # it waited for another's answer, which was due just before
                continue
            if job.running:
                self._answer(job, messages.DEADLINE, started=True)
                self._emit(CancelInvoke(number))
            else:
                first = self._jobs.get(job.first)
                self._answer(job, messages.DEADLINE, started=first is not None and first.running)
                self._drop_waiting(job)

    def _answer(self, job: Job, status: int, body: bytes = b"", *, started: bool = False) -> None:
        if job.answered:
            return
        job.answered = True
        retry_after = messages.RETRY_AFTER_MS if status == messages.OVERLOADED else 0
        job.reply(response_head(status, started, self._load, retry_after), body)
