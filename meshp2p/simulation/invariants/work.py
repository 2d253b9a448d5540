"""A3, A6 and calls: what runs runs once, under the token it was given, and ends in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs

from meshp2p.consensus import AwardData, AwardResult
from meshp2p.consensus.award import AwardNote
from meshp2p.effects import CancelInvoke, Invoke, Persist
from meshp2p.engine import Engine
from meshp2p.errors import MeshError
from meshp2p.events import CallFinished
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.handlers import Ran
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.invariants.statement import awards_in
from meshp2p.simulation.nodes import Node
from meshp2p.wire import limits
from meshp2p.wire.messages import RequestHead

_LATE: Final[Seconds] = 0.05
"""A node that runs does what is due within this; what is later has been forgotten."""
_ROUNDING: Final[Seconds] = 0.002
"""Time that is left travels in whole milliseconds."""
_TRACE: Final = slice(1, 17)

_Life: TypeAlias = tuple[str, int]


class AtMostOnce(Invariant):
    """A call runs at most once, unless its capability says that twice does no harm.

    Not judged are calls of liars, who may ask as often as they like, nor what liars run: they
    may deny it, so that it is tried elsewhere.
    """

    name = "at-most-once"
    promise = "Nothing that may not run twice ever runs twice, whatever is lost or repeated."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing has begun."""
        super().__init__(lookout)
        self._begun: defaultdict[bytes, list[Node]] = defaultdict(list)
        self.world.on_running.append(self._handler_begins)

    def _handler_begins(self, node: Node, job: Ran) -> None:
        handler = node.agent.handlers.get(job.method)
        if handler is None or handler.idempotent or job.token or not job.call_id:
            return
        if not self.lookout.is_honest(job.caller):
            return
        self._begun[job.call_id].append(node)
        # Who was honest when it began may deny it as a liar.
        where = [n.name for n in self._begun[job.call_id] if self.lookout.is_honest(n.id)]
        if len(where) > 1:
            self.violate(f"{job.method!r} ran twice: on {' and '.join(where)}", *where)


@attrs.define(eq=False)
class _Keyed:
    """The last run of one key at one callee; `cut_short`: it was told to stop."""

    number: int
    began: Seconds
    cut_short: bool = False


class OncePerKey(Invariant):
    """Idempotency keys: run once, answered as often as asked; in one life of the callee.

    An answer is kept for `limits.DUPLICATE_LIFE`; what comes that long after the first run
    began is not judged.
    """

    name = "once-per-key"
    promise = "Whoever calls again with the same key gets the first answer, not a second run."

    def __init__(self, lookout: Lookout) -> None:
        """No key was seen."""
        super().__init__(lookout)
        self._runs: dict[_Life, dict[tuple[bytes, str, str], _Keyed]] = {}
        lookout.hear(Invoke, self._invoke)
        lookout.hear(CancelInvoke, self._cancel)

    def _invoke(self, outlook: Outlook, effect: Invoke) -> None:
        head = effect.request
        if effect.token or not isinstance(head, RequestHead) or not head.key:
            return
        runs = self._runs.setdefault((outlook.name, outlook.life), {})
        key = (effect.caller, effect.method, head.key)
        before = runs.get(key)
        if (
            before is not None
            and not before.cut_short
            and outlook.now - before.began < limits.DUPLICATE_LIFE
            and len(runs) <= limits.MAX_DUPLICATES
        ):
            text = f"{effect.method!r} with key {head.key!r} ran twice on {outlook.name}"
            self.violate(text, outlook.name, self.call(NodeId(effect.caller)))
        runs[key] = _Keyed(effect.call, outlook.now)

    def _cancel(self, outlook: Outlook, effect: CancelInvoke) -> None:
        for run in self._runs.get((outlook.name, outlook.life), {}).values():
            if run.number == effect.call:
                run.cut_short = True


class HonestDoubt(Invariant):
    """Errors: `maybe_executed` is False only if nothing was begun for this call.

    Not judged are calls that began at a liar, or at whoever has become one since: that they
    did not is its word, not the caller's.
    """

    name = "doubt"
    promise = "An error that says that a call did not run is right: it is safe to try again."

    def __init__(self, lookout: Lookout) -> None:
        """No handler has begun."""
        super().__init__(lookout)
        self._ran: dict[tuple[str, int, int], NodeId] = {}
        self.world.on_running.append(self._handler_begins)
        lookout.hear(CallFinished, self._finished)

    def _handler_begins(self, node: Node, job: Ran) -> None:
        caller = self.lookout.node_of(job.caller)
        asks_itself = job.token or job.method.startswith("?")  # of auctions and votes: no call
        if caller is None or not caller.is_running or asks_itself:
            return
        for request in inside.open_requests_of(caller.engine):
            if request.head.call_id == job.call_id:
                self._ran[caller.name, caller.life, request.number] = node.id

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        where = self._ran.pop((outlook.name, outlook.life, event.number), None)
        if where is None or not self.lookout.is_honest(where):
            return
        if getattr(event.error, "maybe_executed", True) is False:
            name = self.call(where)
            text = f"{outlook.name} was told {event.error!s:.80}, though {name} had begun"
            self.violate(text, outlook.name, name)


class DeadlinesGoDown(Invariant):
    """Deadlines cross the wire: a call made by a handler ends no later than its cause.

    Not judged is how much time a liar says is left of its own calls; what they lead to is.
    """

    name = "deadline"
    promise = "Nobody has more time for a call than is left to whoever asked: that is handed down."

    def __init__(self, lookout: Lookout) -> None:
        """Remember every job by trace and hops."""
        super().__init__(lookout)
        self._left: defaultdict[tuple[bytes, int], list[Seconds]] = defaultdict(list)
        self.world.on_running.append(self._handler_begins)

    def _handler_begins(self, node: Node, job: Ran) -> None:
        head = job.head
        if head is None or job.token or job.method.startswith("?"):
            return
        trace, left = head.traceparent[_TRACE], job.deadline - job.began
        self._left[trace, head.hops].append(left)
        above = self._left.get((trace, head.hops - 1))
        honest = self.lookout.is_honest(job.caller)
        if above and honest and left > max(above) + _ROUNDING:
            text = f"{job.method!r} on {node.name} has {left:.3f} s left, "
            self.violate(text + f"whoever asked for it {max(above):.3f} s", node.name)


class CurrentResult(Invariant):
    """A3: <= 1 committed result, from the current epoch."""

    name = "A3"
    promise = "The result of a task is that of the member which has it now, not of a former one."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing was awarded."""
        super().__init__(lookout)
        self._awards: dict[tuple[str, int, bytes], AwardNote] = {}
        self._tasks: dict[tuple[str, int, int], bytes] = {}
        lookout.hear(Persist, self._persist)
        lookout.hear(CallFinished, self._finished)

    def _persist(self, outlook: Outlook, effect: Persist) -> None:
        for task, award in awards_in(effect):
            self._awards[outlook.name, outlook.life, task] = award

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        life, value = (outlook.name, outlook.life), event.value
        if isinstance(value, AwardData):
            self._tasks[*life, value.number] = value.task_id
            self._is_current(outlook, value.task_id, value.epoch, value.winner)
        elif isinstance(value, AwardResult):
            task = self._tasks.pop((*life, event.number), None)
            if task is None:
                self.violate(f"{outlook.name} was told a result of nothing", outlook.name)
            self._is_current(outlook, task, value.epoch, value.winner)

    def _is_current(self, outlook: Outlook, task: bytes, epoch: int, winner: NodeId) -> None:
        award = self._awards.get((outlook.name, outlook.life, task))
        told = (epoch, winner)
        if award is None or (award.epoch, award.winner) != told:
            newest = "nothing" if award is None else f"epoch {award.epoch}"
            text = f"{outlook.name} takes epoch {epoch} of {self.call(winner)} for a result, "
            self.violate(text + f"but had awarded {newest}", outlook.name, self.call(winner))


class EndsOnce(Invariant):
    """V6 and calls: every command ends exactly once, by its deadline, in words we know."""

    name = "ends-once"
    promise = "Every call, auction and vote ends once and in time: an answer or a typed error."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing has ended."""
        super().__init__(lookout)
        self._ended: dict[_Life, set[int]] = {}
        self._overdue: dict[_Life, set[tuple[str, int]]] = {}
        """Found so at the last look: a node that stood still may be about to notice."""
        lookout.hear(CallFinished, self._finished)
        lookout.on_look.append(self._look)

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        ended = self._ended.setdefault((outlook.name, outlook.life), set())
        if event.number in ended:
            self.violate(f"a command of {outlook.name} ended twice", outlook.name)
        ended.add(event.number)
        if event.error is not None and not isinstance(event.error, MeshError):
            self.violate(f"a command of {outlook.name} ended with {event.error!r}", outlook.name)

    def _look(self, outlook: Outlook) -> None:
        life, latest = (outlook.name, outlook.life), outlook.now - _LATE
        overdue = {what for what, deadline in _open_of(outlook.engine) if deadline < latest}
        before = self._overdue.get(life, set())
        self._overdue[life] = overdue
        for what, number in sorted(overdue & before):
            self.violate(f"{what} {number} of {outlook.name} is beyond its deadline", outlook.name)

    def at_rest(self) -> None:
        """Look at all of them once more."""
        for outlook in self.lookout.present():
            self._look(outlook)
            self._look(outlook)  # nobody stands still any more


def _open_of(engine: Engine) -> Iterator[tuple[tuple[str, int], Seconds]]:
    """What is under way, and when each must have ended."""
    for request in inside.open_requests_of(engine):
        yield ("the call", request.number), request.deadline
    for lot in inside.lots_of(engine):
        yield ("the auction", lot.number), lot.ends_at
    for number, closes_at in inside.open_votes_of(engine):
        yield ("the vote", number), closes_at
    for job in inside.jobs_of(engine):
        if not job.answered:
            yield ("the answer to request", job.number), job.deadline
