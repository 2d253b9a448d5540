"""What a failed call may honestly say, and where it may go next."""

from __future__ import annotations

import random

from meshp2p.errors import DeadlineExceeded, Overloaded, PeerLost, RemoteError
from meshp2p.ids import NodeId
from meshp2p.messaging.requests import Cause, Request, error_of_answer, make_head
from meshp2p.messaging.resolver import parse_target
from meshp2p.wire import limits, messages
from meshp2p.wire.messages import RequestHead, ResponseHead

ME = NodeId(bytes(16))


def request(*, key: str = "", idempotent: bool = False) -> Request:
    """A call for work."""
    head = RequestHead("work", 1000, key=key)
    made = Request(1, parse_target("work"), head, b"", 0.0, 1.0, lambda *_: None)
    made.idempotent = idempotent
    return made


def test_a_later_refusal_does_not_hide_that_an_earlier_try_may_have_run() -> None:
    """Bob may have done it before he died; that carol is full changes nothing about that."""
    call = request(idempotent=True)
    lost = PeerLost("bob", "it died", maybe_executed=True)
    call.doubt, call.doubtful = True, lost
    assert call.honest(Overloaded(0.1, "carol")) is lost
    assert call.honest(PeerLost("carol", "it is stopping")) is lost


def test_a_time_limit_that_carol_reports_is_told_as_such_and_says_what_bob_may_have_done() -> None:
    """Nobody gave up early: the time was over. Yet bob may have done it before he died."""
    call = request(idempotent=True)
    call.doubt, call.doubtful = True, PeerLost("bob", "it died", maybe_executed=True)
    error = call.honest(error_of_answer(call, ResponseHead(messages.DEADLINE, started=False), b""))
    assert isinstance(error, DeadlineExceeded)
    assert error.maybe_executed
    untried = request()
    error = untried.honest(
        error_of_answer(untried, ResponseHead(messages.DEADLINE, started=False), b"")
    )
    assert isinstance(error, DeadlineExceeded)
    assert not error.maybe_executed


def test_an_error_that_tells_the_truth_is_left_alone() -> None:
    """The handler's own exception says more than a doubt."""
    call = request(idempotent=True)
    call.doubt, call.doubtful = True, PeerLost("bob", "it died", maybe_executed=True)
    raised = RemoteError("ValueError", "no")
    assert call.honest(raised) is raised
    assert request().honest(raised) is raised


def test_only_idempotent_calls_go_elsewhere_after_they_may_have_run() -> None:
    """At most once is the default."""
    assert not request().may_go_elsewhere(maybe_executed=True)
    assert request().may_go_elsewhere(maybe_executed=False)
    assert request(idempotent=True).may_go_elsewhere(maybe_executed=True)


def test_a_key_allows_the_same_member_again_and_nobody_else() -> None:
    """It alone remembers the key."""
    call = request(key="order-7")
    assert call.may_return()
    assert not call.may_go_elsewhere(maybe_executed=True)
    assert not request().may_return()


def test_tries_end() -> None:
    """A mesh of failing members does not keep a call for ever."""
    call = request(key="order-7", idempotent=True)
    call.tries = 8
    assert not call.may_return()
    assert not call.may_go_elsewhere(maybe_executed=False)


def test_a_nested_call_continues_trace_hops_and_path() -> None:
    """So that logs of all nodes can be joined, and chains end."""
    rng = random.Random(7)
    outer = make_head(rng, "outer", remaining=1.0, cause=None, own_id=ME)
    inner = make_head(rng, "inner", remaining=1.0, cause=Cause(outer, 1.0), own_id=ME)
    assert inner.traceparent[1:17] == outer.traceparent[1:17]
    assert inner.traceparent[17:25] != outer.traceparent[17:25]
    assert (outer.hops, inner.hops, inner.path) == (1, 2, [ME, ME])


def test_the_path_in_a_head_stays_bounded() -> None:
    """However long the chain is."""
    rng = random.Random(7)
    head = make_head(rng, "work", remaining=1.0, cause=None, own_id=ME)
    for _ in range(2 * limits.MAX_HOPS):
        head = make_head(rng, "work", remaining=1.0, cause=Cause(head, 1.0), own_id=ME)
    assert len(head.path) == limits.MAX_HOPS
    assert RequestHead.from_untrusted(head.packed()) == head
