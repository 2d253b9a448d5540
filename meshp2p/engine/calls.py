"""Calls of this node: from a command to a member's answer, with retries in between."""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Callable

from meshp2p.engine.core import Core
from meshp2p.engine.link import Errand
from meshp2p.engine.links import Links
from meshp2p.errors import (
    MeshError,
    NoCapableMember,
    UnknownMember,
    WireError,
)
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId, Seconds, show_id
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.messaging.requests import (
    Cause,
    Done,
    Request,
    broken_answer,
    closed_error,
    error_of_answer,
    make_head,
)
from meshp2p.messaging.resolver import Resolver, Target
from meshp2p.transport.path import Route
from meshp2p.wire import limits, messages
from meshp2p.wire.messages import (
    RequestHead,
    ResponseHead,
    join_head,
    split_head_untrusted,
)

_HEAD_ROOM = limits.MAX_HEAD + 2
_TRY_ELSEWHERE = (messages.OVERLOADED, messages.CLOSING, messages.NO_SUCH_METHOD)

ServeLocally = Callable[
    [RequestHead, bytes, Callable[[ResponseHead, bytes, Seconds], None], Seconds], int | None
]


class Calls:
    """All open calls of one node."""

    def __init__(
        self,
        core: Core,
        links: Links,
        swim: Swim,
        *,
        serve_locally: ServeLocally,
        route_to: Callable[[NodeId], Route],
    ) -> None:
        """Find members in `swim`, reach them over `links`, oneself through `serve_locally`."""
        self._route_to = route_to
        self._core = core
        self._links = links
        self._swim = swim
        self._serve_locally = serve_locally
        self._open: dict[int, Request] = {}
        self._errands: dict[int, Errand] = {}
        self._local_jobs: dict[int, int] = {}
        self._deadlines = Deadlines(core.board)
        self._patience = Deadlines(core.board)
        """Of those that wait for a member who can do it."""
        self._in_flight: Counter[NodeId] = Counter()
        self._loads: dict[NodeId, int] = {}
        self._homeless: deque[Request] = deque()
        self._closed = False
        self.cancel_job: Callable[[int], None] = lambda _number: None
        self.resolver = Resolver(
            rng=core.rng,
            able=functools.partial(swim.directory.find, callable_only=True),
            named=swim.directory.by_handle,
            present=swim.is_present,
            suspect=swim.is_suspect,
            in_flight=self._in_flight.__getitem__,
        )

    @property
    def open_calls(self) -> int:
        """Calls without an answer."""
        return len(self._open)

    def load_of(self, node: NodeId) -> int | None:
        """Handlers the member ran when it last answered."""
        return self._loads.get(node)

    def start(  # noqa: PLR0913  # the options of a call
        self,
        target: Target,
        body: bytes,
        *,
        timeout: Seconds,
        done: Done,
        now: Seconds,
        key: str = "",
        cause: Cause | None = None,
        wait: Seconds = 0.0,
        retry: bool = True,
        one_way: bool = False,
        answer_limit: int = limits.MAX_BODY,
        number: int | None = None,
    ) -> int:
        """Make a call; `done` is called once. Returns the call's number.

        Args:
            timeout: Relative; a cause with less time left shortens it.
            wait: How long a capability may be missing before that is an error.
            retry: Whether other members may be tried at all.
        """
        deadline = now + timeout
        if cause is not None:
            deadline = min(deadline, cause.deadline)
        head = make_head(
            self._core.rng,
            target.method,
            remaining=0.0,  # known when it leaves
            cause=cause,
            own_id=self._core.identity.node_id,
            key=key,
            flags=messages.FLAG_ONE_WAY if one_way else 0,
            timestamp=int((now + self._core.wall_offset) * 1000),
        )
        number = self._core.next_number() if number is None else number
        request = Request(number, target, head, body, now, deadline, done)
        request.wait_until = now + wait
        request.answer_limit = answer_limit + _HEAD_ROOM
        request.retry = retry
        if self._closed or deadline <= now:  # as of a handler that began too late itself
            done(request, b"", closed_error() if self._closed else request.expired(now), now)
            return number
        self._open[number] = request
        self._deadlines.set(number, deadline)
        self._dispatch(request, now)
        return number

    def cancel(self, number: int) -> None:
        """The user gave up; the callee is told."""
        request = self._open.get(number)
        if request is not None:
            self._abandon(request)
            self._settle(request)

    def _dispatch(self, request: Request, now: Seconds) -> None:
        """Choose a member and send, or wait for one, or fail."""
        peer = self.resolver.choose(request.target, avoid=request.tried)
        if peer is None and self._is_left_to_us(request):
            peer = self._core.identity.node_id
        if peer is None:
            if not request.tried and now < request.wait_until:
                self._homeless.append(request)
                self._patience.set(request.number, request.wait_until)
            else:
                self._fail(request, self._nobody(request), now)
            return
        self._dispatch_to(request, peer, now)

    def _is_left_to_us(self, request: Request) -> bool:
        """Whether work that runs here, while we drain, needs what nobody else can do."""
        own, target = self._core.identity.node_id, request.target
        if request.head.hops <= 1 or own in request.tried or target.id or target.handle:
            return False
        return own in self._swim.directory.announcing(target.method)

    def _dispatch_to(self, request: Request, peer: NodeId, now: Seconds) -> None:
        request.peer = peer
        request.tries += 1
        request.tried += (peer,)
        request.sent = False
        self._in_flight[peer] += 1
        request.head.remaining_ms = max(1, int((request.deadline - now) * 1000))
        if peer == self._core.identity.node_id:
            self._send_to_self(request, now)
        else:
            self._send(request, peer, now)

    def _send(self, request: Request, peer: NodeId, now: Seconds) -> None:
        one_way = bool(request.head.flags & messages.FLAG_ONE_WAY)
        errand = Errand(
            request.number,
            join_head(request.head.packed(), request.body),
            request.answer_limit,
            self._receive_answer,
            self._receive_loss,
            one_way,
            request.life,
        )
        self._errands[request.number] = errand
        self._links.send(peer, errand, route=self._route_to, now=now)
        if one_way and not request.finished:
            self._succeed(request, b"", now)

    def _send_to_self(self, request: Request, now: Seconds) -> None:
        request.sent = True

        def reply(head: ResponseHead, body: bytes, now: Seconds) -> None:
            self._local_jobs.pop(request.number, None)
            self._receive_head(request, self._core.identity.node_id, head, body, now)

        job = self._serve_locally(request.head, request.body, reply, now)
        if request.finished:
            return
        if job is not None:
            self._local_jobs[request.number] = job
        if request.head.flags & messages.FLAG_ONE_WAY:
            self._local_jobs.pop(request.number, None)
            self._succeed(request, b"", now)

    def _request_of(self, errand: Errand) -> Request | None:
        """Whose it is, unless that is settled, or is being tried elsewhere."""
        if self._errands.get(errand.number) is not errand:
            return None
        return self._open.get(errand.number)

    def _receive_answer(self, errand: Errand, data: bytes, now: Seconds) -> None:
        request = self._request_of(errand)
        if request is None or request.peer is None:
            return
        try:
            raw_head, body = split_head_untrusted(data)
            head = ResponseHead.from_untrusted(raw_head)
            self._receive_head(request, request.peer, head, body, now)
        except WireError as error:
            self._core.counters["answer_malformed"] += 1
            request.sent = True
            request.peer_name = self._name_of(request)
            self._fail(request, broken_answer(request, error), now)

    def _name_of(self, request: Request) -> str:
        return "" if request.peer is None else self._swim.name_of(request.peer)

    def _receive_head(
        self, request: Request, peer: NodeId, head: ResponseHead, body: bytes, now: Seconds
    ) -> None:
        if request.finished or request.peer != peer:
            return
        if peer in self._loads or self._swim.is_present(peer):  # its last words may come late
            self._loads[peer] = head.load
        if head.status == messages.OK:
            self._succeed(request, body, now)
            return
        request.peer_name = self._swim.name_of(peer)
        error = error_of_answer(request, head, body)
        if head.started:
            request.doubt, request.doubtful = True, error
        if head.status in _TRY_ELSEWHERE and not head.started:
            self._fail_or_retry(request, error, now, maybe_executed=False)
        else:
            self._fail(request, error, now)

    def _receive_loss(
        self, errand: Errand, reason: str, now: Seconds, *, sent: bool, full: bool = False
    ) -> None:
        request = self._request_of(errand)
        if request is None or request.peer is None:
            return
        request.sent = sent
        request.peer_name = self._name_of(request)
        request.idempotent = self._swim.may_run_twice(request.peer, request.target.method)
        error = request.overloaded() if full else request.lost(reason)
        if sent:
            request.doubt, request.doubtful = True, error
            request.life = errand.carried_to
        self._fail_or_retry(request, error, now, maybe_executed=sent)

    def _fail_or_retry(
        self, request: Request, error: MeshError, now: Seconds, *, maybe_executed: bool
    ) -> None:
        """Try the next member, or the same again, if the request allows it."""
        peer = request.peer
        self._let_go(request)
        if request.may_go_elsewhere(maybe_executed=maybe_executed):
            if self.resolver.choose(request.target, avoid=request.tried) is not None:
                self._core.counters["call_retried"] += 1
                request.life = None
                self._dispatch(request, now)
                return
        elif peer is not None and request.may_return() and self._swim.is_present(peer):
            self._core.counters["call_repeated"] += 1
            self._dispatch_to(request, peer, now)
            return
        self._fail(request, error, now)

    def _nobody(self, request: Request) -> MeshError:
        target, members = request.target, self._swim.present_count
        if target.id is not None or target.handle:
            who = f"#{show_id(target.id)}" if target.id is not None else f"@{target.handle}"
            known = self._swim.directory.by_handle(target.handle) if target.handle else ()
            if not known:
                return UnknownMember(who, members)
        return NoCapableMember(target.method, members)

    def _succeed(self, request: Request, body: bytes, now: Seconds) -> None:
        self._settle(request)
        request.done(request, body, None, now)

    def _fail(self, request: Request, error: MeshError, now: Seconds) -> None:
        self._settle(request)
        request.done(request, b"", request.honest(error), now)

    def _settle(self, request: Request) -> None:
        request.finished = True
        self._open.pop(request.number, None)
        self._deadlines.discard(request.number)
        self._let_go(request)
        if self._homeless and request in self._homeless:
            self._homeless.remove(request)
            self._patience.discard(request.number)

    def _let_go(self, request: Request) -> None:
        """The member chosen before no longer works for this request."""
        self._errands.pop(request.number, None)
        if request.peer is not None:
            left = self._in_flight[request.peer] - 1
            if left > 0:
                self._in_flight[request.peer] = left
            else:
                del self._in_flight[request.peer]
            request.peer = None

    def _abandon(self, request: Request) -> None:
        errand = self._errands.get(request.number)
        if errand is not None:
            request.sent = request.sent or errand.stream != 0
            self._links.cancel(errand)
        job = self._local_jobs.pop(request.number, None)
        if job is not None:
            self.cancel_job(job)

    def members_changed(self, *, now: Seconds) -> None:
        """Somebody came: calls that waited for a member look again."""
        for request in [self._homeless.popleft() for _ in range(len(self._homeless))]:
            self._patience.discard(request.number)
            self._dispatch(request, now)

    def member_lost(self, node: NodeId) -> None:
        """A member failed or left: how busy it was says nothing of its next life."""
        self._loads.pop(node, None)

    def close(self, *, now: Seconds) -> None:
        """The node stops: every open call fails, and every later one."""
        self._closed = True
        for request in list(self._open.values()):
            self._abandon(request)
            self._fail(request, closed_error(), now)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return min(self._deadlines.soonest, self._patience.soonest)

    def receive_deadline(self, *, now: Seconds) -> None:
        """Fail what is due, and tell the callee to stop."""
        for number in self._deadlines.pop_due(now):
            request = self._open[number]
            self._abandon(request)
            self._fail(request, request.expired(now), now)
        for number in self._patience.pop_due(now):
            request = self._open[number]
            self._homeless.remove(request)
            self._fail(request, self._nobody(request), now)
