"""What a node's own process asks of its engine: calls, what is announced, its end.

Each is an input like any other. Auctions and votes have theirs in `coordination.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshp2p.effects import Announce, StreamReady
from meshp2p.engine.assembly import Assembly
from meshp2p.engine.core import Core
from meshp2p.engine.joining import Neighbour
from meshp2p.engine.survey import Survey
from meshp2p.errors import MeshError
from meshp2p.events import CallFinished, CapabilityInfo
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import Seconds
from meshp2p.messaging.requests import Cause, Request
from meshp2p.messaging.resolver import Target


class Commands(Survey):
    """The part of `Engine` that its own process moves."""

    def __init__(self, core: Core, parts: Assembly) -> None:
        """Nothing has been asked."""
        super().__init__(core, parts)
        self._started_at = core.now

    def begin(self, *, now: Seconds) -> None:
        """Start looking for others."""
        self._core.now = now
        self._joining.begin(now=now)

    def meet(self, neighbours: Iterable[Neighbour], *, now: Seconds) -> int:
        """Join through nodes of the local directory; return how many are news."""
        self._core.now = now
        news = 0
        for neighbour in neighbours:
            unknown = neighbour.id != self._core.identity.node_id
            if unknown and not self._swim.is_present(neighbour.id):
                news += 1
                self._syncing.sync_with(neighbour.id, now, route=neighbour.route)
        return news

    def call(
        self,
        target: Target,
        body: bytes,
        *,
        timeout: Seconds | None = None,
        key: str = "",
        cause: Cause | None = None,
        one_way: bool = False,
        now: Seconds,
    ) -> int:
        """Call a member; `CallFinished` brings the answer's body or an error."""
        self._core.now = now
        config = self._core.config
        wait = max(0.0, self._started_at + config.join_wait - now)
        number = self._core.next_number()
        self._calls.start(
            target,
            body,
            timeout=config.default_timeout if timeout is None else timeout,
            done=self._finish_call,
            now=now,
            key=key,
            cause=cause,
            wait=wait,
            one_way=one_way,
            number=number,
        )
        return number

    def _finish_call(
        self, request: Request, body: bytes, error: MeshError | None, _now: Seconds
    ) -> None:
        self._core.emit(Announce(CallFinished(request.number, body, error)))

    def cancel(self, number: int, *, now: Seconds) -> None:
        """Give up a call, a wait, an auction or a vote; nothing is announced."""
        self._core.now = now
        self._calls.cancel(number)
        self._watching.waits.cancel(number)
        self._coordination.cancel(number, now=now)

    def set_capabilities(self, capabilities: Iterable[CapabilityInfo], *, now: Seconds) -> None:
        """Announce exactly these from now on."""
        self._core.now = now
        capabilities = tuple(capabilities)
        self._swim.set_capabilities(capabilities, now=now)  # first: it may refuse
        self._serving.capabilities = {info.name: info for info in capabilities}
        self._membership.drain(now)
        self._own_record_changed(now)

    def _own_record_changed(self, now: Seconds) -> None:
        """No event tells of that, but calls and waits may have been for this node."""
        self._calls.members_changed(now=now)
        self._watching.waits.members_changed()

    def wait_for(self, pattern: str, count: int, *, timeout: Seconds, now: Seconds) -> int:
        """Wait until so many can be called; `CallFinished` brings them, or `TooFewMembers`."""
        self._core.now = now
        return self._watching.waits.start(pattern, count, timeout=timeout, now=now)

    def renew_identity(self, identity: NodeIdentity, *, now: Seconds) -> None:
        """Go on with the same keys and a fresh chain."""
        self._core.now = now
        self._swim.set_identity(identity, now=now)  # first: it refuses a chain that is not valid
        self._core.identity = self._door.identity = identity
        self._coordination.renew_identity(identity)
        self._membership.drain(now)

    def listen(self, *, listens: bool) -> None:
        """Whether messages to this agent have a handler."""
        self._serving.listens = listens

    def drain(self, *, draining: bool, now: Seconds) -> None:
        """Take no new calls and tell the others so, or take calls again; those running end."""
        self._core.now = now
        self._serving.draining = draining
        self._swim.set_draining(draining=draining, now=now)
        self._membership.drain(now)
        self._own_record_changed(now)

    def close(self, *, now: Seconds) -> None:
        """Refuse new requests; those running go on."""
        self._core.now = now
        self._serving.closing = True
        if self._serving.open_jobs:  # they may take a while: meanwhile nobody should come in vain
            self._swim.set_draining(draining=True, now=now)
            self._membership.drain(now)

    def leave(self, *, now: Seconds) -> Seconds:
        """Say goodbye; return how long probes should still be answered.

        What this node still wants of others ends here: after the goodbye their connections
        are closed by the others, which would look as if those had died.
        """
        self._core.now = now
        self._want_no_more(now)
        self._joining.leave(now)
        self._swim.leave(now=now)
        self._membership.drain(now)
        return self._core.config.leave_linger

    def stop(self, *, now: Seconds) -> None:
        """End: open calls fail, connections close."""
        self._core.now = now
        self._want_no_more(now)
        self._watching.waits.close()
        self._coordination.close(now=now)
        for stream in self._governor.let_go():
            self._core.emit(StreamReady(stream))
        self._links.close_all()

    def _want_no_more(self, now: Seconds) -> None:
        """End every auction, vote and call of this node; there are no further ones.

        In this order: an auction that has no answers to wait for any more would be awarded.
        """
        self._coordination.want_no_more(now=now)
        self._calls.close(now=now)
