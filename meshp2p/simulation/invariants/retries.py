"""Calls that could have been tried elsewhere are not given up."""

from __future__ import annotations

from typing import Final, TypeAlias

from meshp2p.errors import MeshError, PeerLost, Unreachable
from meshp2p.events import CallFinished
from meshp2p.ids import NodeId
from meshp2p.messaging.requests import MAX_TRIES, Request
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook

_Life: TypeAlias = tuple[str, int]
_LOST: Final = (PeerLost, Unreachable)


class TriesOn(Invariant):
    """Retries: what may run twice, or did not run, is tried by whoever else can do it.

    Judged is the caller by its own list, as it was before the input that ended the call.
    """

    name = "tries-on"
    promise = "A call that may safely be tried elsewhere fails only when nobody is left to try."

    def __init__(self, lookout: Lookout) -> None:
        """Nobody has called."""
        super().__init__(lookout)
        self._open: dict[_Life, dict[int, Request]] = {}
        lookout.on_input.append(self._input)
        lookout.hear(CallFinished, self._finished)

    def _input(self, outlook: Outlook) -> None:
        requests = inside.open_requests_of(outlook.engine)
        if requests:
            known = self._open.setdefault((outlook.name, outlook.life), {})
            for request in requests:
                known[request.number] = request

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        request = self._open.get((outlook.name, outlook.life), {}).pop(event.number, None)
        if request is None or not isinstance(event.error, _LOST):
            return
        if inside.wants_no_more(outlook.engine):  # the error is about an earlier try
            return
        target = request.target
        if target.id is not None or target.handle or not request.tried:
            return
        if (
            not request.retry
            or request.tries >= MAX_TRIES
            or not self._is_safe(request, event.error)
        ):
            return
        for member in outlook.glimpses:
            if member not in request.tried and _takes(outlook, member, target.method):
                who, other = outlook.name, self.call(member)
                text = f"{who} gave up a call of {target.method!r} after {request.tries} tries "
                self.violate(
                    f"{text}({event.error!s:.60}), though {other} takes such calls", who, other
                )

    def _is_safe(self, request: Request, error: MeshError) -> bool:
        """Whether another try can do no harm, and nobody lied who was asked."""
        nodes = [self.lookout.node_of(member) for member in request.tried]
        if any(node is None or node.name in self.world.byzantine for node in nodes):
            return False
        handlers = [node.agent.handlers.get(request.target.method) for node in nodes if node]
        if all(handler is not None and handler.idempotent for handler in handlers):
            return True
        return not (request.doubt or getattr(error, "maybe_executed", False))


def _takes(outlook: Outlook, member: NodeId, method: str) -> bool:
    """Whether a member has taken such calls for longer than this input, and does so now."""
    row, before = outlook.view.get(member), outlook.glimpses[member]
    if row is None or not row.takes_calls or before.record is not row.record:
        return False
    capabilities = row.record.body.capabilities
    live = before.state in ("alive", "suspect")
    return live and any(each.name == method and each.handler for each in capabilities)
