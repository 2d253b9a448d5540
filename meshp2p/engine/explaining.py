"""Telling others why this node takes a member for what it does, and asking them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshp2p.effects import Announce
from meshp2p.engine.calls import Calls
from meshp2p.engine.core import Core
from meshp2p.errors import MeshError, WireError
from meshp2p.events import CallFinished, Why
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId, Seconds, show_id
from meshp2p.messaging.requests import Request
from meshp2p.messaging.resolver import Target
from meshp2p.wire import codec, messages

WHY: Final = "!why"
"""Body: [name]. Answer: [[text, facts], ...], one for each member that is called so."""
WHY_PRICE: Final = 64 * 1024
"""Bytes of an asker's rations: it is put into words anew each time."""

_AT_MOST: Final = 32
"""Replicas explained in one answer: each takes up to 8 KiB."""
_TIMEOUT: Final[Seconds] = 5.0


class Explaining:
    """Answers members and guests, who see with this node's eyes."""

    def __init__(self, core: Core, swim: Swim, calls: Calls) -> None:
        """Explain what `swim` believes."""
        self._core = core
        self._swim = swim
        self._calls = calls

    def why(self, node_id: NodeId, *, now: Seconds) -> Why | None:
        """On what grounds this node judges a member; None for a stranger."""
        return self._swim.why(node_id, now=now)

    def answer(
        self, _peer: NodeId, body: bytes, reply: Callable[[int, bytes], None], now: Seconds
    ) -> None:
        """`WHY`: of whoever holds this mesh's key."""
        match codec.unpack_list_untrusted(body, 1):
            case [str(name), *_]:
                pass
            case _:
                raise WireError("a question without a name")
        found: list[codec.Value] = []
        for member in self._swim.named(name, _AT_MOST):
            why = self._swim.why(member.id, now=now)
            if why is not None:
                found.append([str(why), facts_of(why)])
        reply(messages.OK, codec.pack(found))

    def ask(self, peer: NodeId, name: str, *, now: Seconds) -> int:
        """Ask a member; `CallFinished` brings the answer's body."""
        number = self._core.next_number()

        def done(_request: Request, body: bytes, error: MeshError | None, _now: Seconds) -> None:
            self._core.emit(Announce(CallFinished(number, body, error)))

        target = Target(f"#{show_id(peer)}", WHY, id=peer)
        body = codec.pack([name])
        self._calls.start(target, body, timeout=_TIMEOUT, done=done, now=now, number=number)
        return number


def facts_of(why: Why) -> dict[str, codec.Value]:
    """The same as plain data, for programs; ages instead of moments."""
    member = why.member
    return {
        "id": show_id(member.id),
        "handle": member.handle,
        "state": member.state,
        "draining": member.draining,
        "since_s": round(why.now - why.since, 3),
        "last_seen_s": round(why.now - member.last_seen, 3),
        "rtt_ms": None if member.rtt is None else round(member.rtt * 1e3, 3),
        "clues": [
            {
                "ago_s": round(why.now - clue.at, 3),
                "kind": clue.kind,
                "text": clue.text,
                "times": clue.times,
                "rtt_ms": None if clue.rtt is None else round(clue.rtt * 1e3, 3),
                "by": None if clue.by is None else show_id(clue.by),
                "by_handle": clue.by_name,
                "unix": clue.unix,
                "statement": clue.statement,
            }
            for clue in why.clues
        ],
        "stalls": [
            {"ago_s": round(why.now - stall.at, 3), "late_s": round(stall.late, 3)}
            for stall in why.stalls
        ],
    }
