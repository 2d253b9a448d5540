"""What one node's agent is working on: handlers that began and have not answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from meshp2p.effects import Invoke
from meshp2p.events import CallFinished
from meshp2p.messaging.body import pack_plain
from meshp2p.messaging.requests import Cause
from meshp2p.messaging.resolver import parse_target
from meshp2p.simulation.handlers import Onward, Ran, Work, ran
from meshp2p.wire import messages
from meshp2p.wire.messages import pack_error

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node


@attrs.define(eq=False)
class Jobs:
    """The work of one node; each job is answered once, cancelled or not.

    Args:
        ran: Every handler that ever began, in all lives.
        cancelled: Those that were told to stop.
    """

    _node: Node
    ran: list[Ran] = attrs.field(factory=list, init=False)
    cancelled: list[Ran] = attrs.field(factory=list, init=False)
    _open: dict[int, Ran] = attrs.field(factory=dict, init=False)
    _onward: dict[int, int] = attrs.field(factory=dict, init=False)

    def crash(self) -> None:
        """Forget what was under way."""
        self._open.clear()
        self._onward.clear()

    def begin(self, invoke: Invoke) -> Ran:
        """Run a handler; its answer comes when its time is over."""
        job = self._open[invoke.call] = ran(invoke, self._node.now)
        self.ran.append(job)
        work = self._node.agent.run(invoke)
        self._node.later(work.takes, lambda _engine, _now: self._done(invoke, work))
        return job

    def cancel(self, call: int) -> None:
        """Nobody wants the answer any more; what it asked of others is cancelled too."""
        job = self._open.get(call)
        if job is None:
            return
        self.cancelled.append(job)
        for number in [number for number, asker in self._onward.items() if asker == call]:
            del self._onward[number]
            self._node.later(0.0, lambda engine, now, n=number: engine.cancel(n, now=now))  # type: ignore[misc]  # mypy cannot infer it
        self._node.later(0.0, lambda _engine, _now: self._over(call, messages.DEADLINE, b""))

    def finished(self, event: CallFinished) -> bool:
        """A call has ended; False if no handler of ours had made it."""
        job = self._onward.pop(event.number, None)
        if job is None:
            return False
        if event.error is None and isinstance(event.value, bytes):
            self._over(job, messages.OK, event.value)
        else:
            text = pack_error(type(event.error).__name__, str(event.error), None)
            self._over(job, messages.REMOTE_ERROR, text)
        return True

    def _done(self, invoke: Invoke, work: Work) -> None:
        if invoke.call not in self._open:
            return
        if work.onward is None:
            self._over(invoke.call, work.status, work.body)
        else:
            self._ask(invoke, work.onward)

    def _ask(self, invoke: Invoke, onward: Onward) -> None:
        job = self._open[invoke.call]
        number = self._node.engine.call(
            parse_target(onward.target),
            pack_plain([list(onward.args), {}], "the arguments"),
            timeout=onward.timeout,
            cause=None if job.head is None else Cause(job.head, invoke.deadline),
            now=self._node.now,
        )
        self._onward[number] = invoke.call

    def _over(self, call: int, status: int, body: bytes) -> None:
        if self._open.pop(call, None) is not None:
            self._node.later(
                0.0, lambda engine, now: engine.receive_outcome(call, status, body, now=now)
            )
