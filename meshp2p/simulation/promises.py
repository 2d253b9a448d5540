"""Watches a world for broken promises, at every step and from outside the engines.

What is watched: statements that others verified, disks, handlers that began, and what
users were told. Names as in the design's list of invariants.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import attrs

from meshp2p.consensus import VoteResult
from meshp2p.consensus.award import ACCEPTANCE, AWARD
from meshp2p.consensus.ballot import BALLOT, PROPOSAL
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES, Fields
from meshp2p.identity.keys import node_id_of
from meshp2p.ids import NodeId
from meshp2p.simulation.handlers import Ran
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.world import Violation, World
from meshp2p.wire import codec

_PROMISES: Final = (AWARD, ACCEPTANCE, BALLOT, PROPOSAL)
_GROUP_BYTES: Final = 16


@attrs.define(eq=False)
class Watch:
    """Raises `Violation` from within the world's step in which a promise breaks.

    Args:
        statements: By kind, author and slot, the one payload that was ever believed.
        written: By node, all that ever was on its platter.
        begun: By call id, members on which a handler of a call that must not run twice began.
    """

    world: World
    statements: dict[tuple[str, NodeId, bytes], bytes] = attrs.field(factory=dict)
    winners: dict[tuple[bytes, int], NodeId] = attrs.field(factory=dict)
    outcomes: dict[bytes, str] = attrs.field(factory=dict)
    begun: defaultdict[bytes, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    seen: defaultdict[str, int] = attrs.field(factory=lambda: defaultdict(int))

    def __attrs_post_init__(self) -> None:
        self.world.on_signature.append(self._signature)
        self.world.on_running.append(self._handler_begins)

    def _signature(self, public: bytes, data: bytes) -> None:
        """Somebody believes a statement now: its author must stand by it for ever."""
        kind, _, rest = data.removeprefix(b"meshp2p/").partition(b"/1\0")
        name = kind.decode(errors="replace")
        if name not in _PROMISES:
            return
        payload = rest[_GROUP_BYTES:]
        author = node_id_of(public)
        self.seen[name] += 1
        slot = self._slot(name, author, payload)
        if self.statements.setdefault((name, author, slot), payload) != payload:
            raise Violation(f"seed {self.world.seed}: two statements of kind {name} for one slot")
        self._is_written(name, author, payload)

    def _slot(self, name: str, author: NodeId, payload: bytes) -> bytes:
        fields = Fields(codec.unpack_list_untrusted(payload, at_least=1))
        fields.integer(FORMAT, FORMAT)
        if name == PROPOSAL:
            return payload
        subject = fields.octets(HASH_BYTES)
        if name == BALLOT:
            return subject  # V3: one ballot for a vote
        epoch = fields.integer(1)
        if name == AWARD:
            owner, winner = fields.node_id(), fields.node_id()
            if owner != author or self.winners.setdefault((subject, epoch), winner) != winner:
                raise Violation(f"seed {self.world.seed}: A1: two winners of one epoch")
        return subject + epoch.to_bytes(8, "big")

    def _is_written(self, name: str, author: NodeId, payload: bytes) -> None:
        """Law of ownership: what promises something is on disk before it leaves."""
        for node in self.world.nodes.values():
            if node.id == author and not node.disk.ever_held(payload):
                raise Violation(
                    f"seed {self.world.seed}: {node!r} sent a statement of kind {name} "
                    "that was not on its disk"
                )

    def _handler_begins(self, node: Node, job: Ran) -> None:
        """At most once, unless the capability says that twice does no harm."""
        handler = node.agent.handlers.get(job.method)
        if handler is None or handler.idempotent or job.token or not job.call_id:
            return
        self.seen["handlers"] += 1
        self.begun[job.call_id].append(node.name)
        if len(self.begun[job.call_id]) > 1:
            where = self.begun[job.call_id]
            raise Violation(f"seed {self.world.seed}: {job.method!r} ran twice: {where}")

    def decided(self, result: VoteResult, root: bytes) -> None:
        """V1: a certificate holds, and no vote has two outcomes."""
        verdict = result.certificate.verify(root, crypto=self.world.crypto)
        if not verdict.valid or verdict.outcome != result.choice:
            raise Violation(f"seed {self.world.seed}: {verdict.explanation}")
        pid = result.certificate.proposal.pid
        if self.outcomes.setdefault(pid, result.choice) != result.choice:
            raise Violation(f"seed {self.world.seed}: V1: two certified outcomes")
