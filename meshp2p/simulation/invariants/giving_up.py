"""Calls that nobody waits for any more: their handlers are told to stop."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from meshp2p.effects import CancelInvoke, Invoke
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.streams import End
from meshp2p.wire.messages import FLAG_ONE_WAY, RequestHead

_A_BIT: Final[Seconds] = 0.01
"""For both ends to do what is due."""
_LOOK_AGAIN: Final[Seconds] = 0.1
"""While the network keeps back what was written."""

_Life: TypeAlias = tuple[str, int]


@attrs.frozen
class _Work:
    """A handler that runs for a member: where, under which number, and for whose call.

    Args:
        end: Of the caller, of the stream by which it asked.
    """

    node: Node
    life: int
    number: int
    method: str
    caller: Node
    caller_life: int
    end: End


class GivesUp(Invariant):
    """CancelInvoke: it reaches the handler of a call that was given up, as soon as it can.

    What is written to a stream arrives when all that was written before has arrived. Judged
    is only work whose caller's stream stands at both ends, and nodes that need no time to
    think: what others do is done later.
    """

    name = "gives-up"
    promise = "Who waits no longer lets others work no longer: they are told to stop at once."

    def __init__(self, lookout: Lookout) -> None:
        """Nobody works."""
        super().__init__(lookout)
        self._work: dict[_Life, dict[int, _Work]] = {}
        """By caller and number of its call."""
        self._told: set[tuple[str, int, int]] = set()
        lookout.hear(Invoke, self._invoke)
        lookout.hear(CancelInvoke, self._cancel)

    def _invoke(self, outlook: Outlook, effect: Invoke) -> None:
        caller, head = self.lookout.node_of(NodeId(effect.caller)), effect.request
        if caller is None or not caller.is_running or caller is outlook.node or effect.token:
            return
        if not isinstance(head, RequestHead) or head.flags & FLAG_ONE_WAY:
            return
        for request in inside.open_requests_of(caller.engine):
            if request.head.call_id == head.call_id and request.peer == outlook.node.id:
                stream = inside.stream_of(caller.engine, request.number)
                end = None if stream is None else caller.streams.get(stream)
                if end is not None:
                    self._watch(_work_of(outlook, effect, caller, end), request.number)

    def _watch(self, work: _Work, number: int) -> None:
        if not self._work:
            self.lookout.on_input.append(self._input)
        self._work.setdefault((work.caller.name, work.caller_life), {})[number] = work

    def _cancel(self, outlook: Outlook, effect: CancelInvoke) -> None:
        self._told.add((outlook.name, outlook.life, effect.call))

    def _input(self, outlook: Outlook) -> None:
        life = (outlook.name, outlook.life)
        works = self._work.get(life)
        if works is None:
            return
        still = {each.number for each in inside.open_requests_of(outlook.engine)}
        for number in [number for number in works if number not in still]:
            work = works.pop(number)
            self.world.after(_A_BIT, self._written, work)
        if not works:
            del self._work[life]
            if not self._work:
                self.lookout.on_input.remove(self._input)

    def _written(self, work: _Work) -> None:
        """The caller has said what it had to say: wait until that must have arrived."""
        if not self._is_open(work):
            return
        lane, world = work.end.lane, self.world
        if lane.waiting or work.end.full or work.end.process.is_behind:
            world.after(_LOOK_AGAIN, self._written, work)
        else:
            world.after(max(lane.free_at - world.now, 0.0) + _A_BIT, self._judge, work)

    def _is_open(self, work: _Work) -> bool:
        """Whether it is still to be told, and can be."""
        node, caller, other = work.node, work.caller, work.end.other
        slow = self.world.charges is not None or node.slowness or caller.slowness
        return (
            not slow
            and node.life == work.life
            and (node.name, node.life, work.number) not in self._told
            and other is not None
            and other.is_live
            and work.end.is_live
            and not {node.name, caller.name} & self.world.byzantine
        )

    def _judge(self, work: _Work) -> None:
        if not self._is_open(work):
            return
        if work.node.process.is_behind or work.end.lane.waiting:
            self.world.after(_LOOK_AGAIN, self._written, work)
            return
        jobs = inside.jobs_of(work.node.engine)
        if any(job.number == work.number and job.running for job in jobs):
            who, where = work.caller.name, work.node.name
            text = f"{where} still runs {work.method!r} for {who}, which has given that call up"
            self.violate(text, where, who)


def _work_of(outlook: Outlook, effect: Invoke, caller: Node, end: End) -> _Work:
    return _Work(
        outlook.node,
        outlook.life,
        effect.call,
        effect.method,
        caller,
        caller.life,
        end,
    )
