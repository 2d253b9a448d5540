"""Requests of others: the mesh's own are answered here, users' go to their handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshp2p.engine.core import Core
from meshp2p.engine.link import Link
from meshp2p.engine.links import Links
from meshp2p.engine.rations import Own, Rations
from meshp2p.errors import WireError
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.serving import Serving
from meshp2p.wire import messages
from meshp2p.wire.messages import (
    RequestHead,
    ResponseHead,
    join_head,
    pack_error,
    split_head_untrusted,
)

OWN_PREFIX: Final = "!"
"""No capability can begin with it."""


class Answers:
    """What arrives on links as requests, and leaves as answers."""

    def __init__(self, core: Core, serving: Serving, handle_of: Callable[[NodeId], str]) -> None:
        """Hand users' requests to `serving`."""
        self._core = core
        self._serving = serving
        self._handle_of = handle_of
        self._own: dict[str, Own] = {}
        self._rations = Rations(core.counters)
        self.links: Links | None = None

    def register(self, method: str, own: Own, *, price: int | None = None) -> None:
        """Answer the mesh's own method "!...".

        Args:
            price: What a question costs a peer of its `Rations`; None if it is not rationed.
        """
        self._own[method] = own if price is None else self._rations.rationed(price, own)

    def receive(self, link: Link, stream: int, data: bytes | None, now: Seconds) -> None:
        """A request on a link; None instead of its bytes once it was reset."""
        if data is None:
            number = link.jobs.pop(stream, None)
            if number is not None:
                self._serving.cancel(number)
            return
        try:
            raw_head, body = split_head_untrusted(data)
            head = RequestHead.from_untrusted(raw_head)
            self._begin(link, stream, head, body, now)
        except WireError as error:
            self._core.counters["request_malformed"] += 1
            text = pack_error("WireError", str(error), None)
            self._answer(link, stream, ResponseHead(messages.REFUSED, started=False), text)

    def _begin(self, link: Link, stream: int, head: RequestHead, body: bytes, now: Seconds) -> None:
        peer = link.peer
        if peer is None:
            return
        if head.method.startswith(OWN_PREFIX):
            self._receive_own(link, stream, head, body, peer, now)
            return
        one_way = bool(head.flags & messages.FLAG_ONE_WAY)
        if one_way and link.connection is not None:
            link.connection.mux.finish(stream)

        def reply(answer: ResponseHead, body: bytes) -> None:
            if not one_way:
                self._answer(link, stream, answer, body)
            elif not answer.started:
                self._core.counters["message_dropped"] += 1

        number = self._serving.take(
            head, body, caller=peer, caller_handle=self._handle_of(peer), reply=reply, now=now
        )
        if number is not None and not one_way:
            link.jobs[stream] = number

    def _receive_own(
        self,
        link: Link,
        stream: int,
        head: RequestHead,
        body: bytes,
        peer: NodeId,
        now: Seconds,
    ) -> None:
        own = self._own.get(head.method)
        if own is None:
            text = pack_error("NoSuchMethod", f"no {head.method!r} in this version", None)
            self._answer(link, stream, ResponseHead(messages.NO_SUCH_METHOD, started=False), text)
            return

        def reply(status: int, body: bytes) -> None:
            answer = ResponseHead(status, started=True, load=self._serving.load)
            self._answer(link, stream, answer, body)

        own(peer, body, reply, now)

    def _answer(self, link: Link, stream: int, head: ResponseHead, body: bytes) -> None:
        if self.links is not None:
            self.links.answer(link, stream, join_head(head.packed(), body))

    def serve_locally(
        self,
        head: RequestHead,
        body: bytes,
        reply: Callable[[ResponseHead, bytes, Seconds], None],
        now: Seconds,
    ) -> int | None:
        """A request of this node to itself: the same way, without the network."""
        me = self._core.identity.node_id
        if head.method.startswith(OWN_PREFIX):

            def reply_own(status: int, body: bytes) -> None:
                reply(ResponseHead(status, started=True), body, self._core.now)

            self._own[head.method](me, body, reply_own, now)
            return None
        return self._serving.take(
            head,
            body,
            caller=me,
            caller_handle=self._core.identity.handle,
            reply=lambda answer, body: reply(answer, body, self._core.now),
            now=now,
        )

    def link_gone(self, link: Link) -> None:
        """Whoever asked is gone: stop what was done for it, unless it may come back."""
        jobs, link.jobs = link.jobs, {}  # cancelling one may answer another of this link
        for number in jobs.values():
            self._serving.caller_gone(number)
