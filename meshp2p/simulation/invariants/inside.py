"""What invariants see inside an engine: the one place that knows its private names.

An engine shows its users what they need; whoever wants to prove that its innards are in
order must look at them. Nothing here changes anything.
"""
# ruff: noqa: SLF001  # looking where users need not look is the purpose of this file

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from meshp2p.consensus.lot import Lot
from meshp2p.effects import StreamId
from meshp2p.engine import Engine
from meshp2p.gossip.directory import Directory
from meshp2p.gossip.own import OwnRecord
from meshp2p.gossip.probe import Probe
from meshp2p.gossip.swim import Swim
from meshp2p.gossip.timers import Timers
from meshp2p.gossip.view import View
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.requests import Request
from meshp2p.messaging.serving import Job
from meshp2p.wire import limits

Size: TypeAlias = tuple[str, int, int]
"""Of what, how much is held, and the bound."""


def swim_of(engine: Engine) -> Swim:
    """Its membership."""
    return engine._swim


def view_of(engine: Engine) -> View:
    """Its list of members, with versions and signatures; the same for all its life."""
    return engine._swim._parts.view


def is_whole(directory: Directory) -> bool:
    """Whether it has looked at all rows; asking it sooner would change the order of its answers."""
    return directory._is_whole


def own_record_of(engine: Engine) -> OwnRecord | None:
    """What it says of itself; None for a guest."""
    return engine._swim._own


def unix_of(engine: Engine, now: Seconds) -> float:
    """What it takes for the time of day."""
    return engine._swim._parts.wall.unix(now)


def slowness_of(engine: Engine) -> int:
    """By how much it waits longer than it would if it were well."""
    return engine._swim._parts.health.factor


def probes_of(engine: Engine) -> Iterator[Probe]:
    """Questions of its failure detector that wait for an answer."""
    return iter(engine._swim._detector._probes)


def open_requests_of(engine: Engine) -> Iterable[Request]:
    """Calls of its own that have not ended, those of auctions and votes included."""
    return engine._calls._open.values()


def wants_no_more(engine: Engine) -> bool:
    """Whether it is about to leave, and has given up whatever it had asked of others."""
    return engine._calls._closed


def stream_of(engine: Engine, number: int) -> StreamId | None:
    """The stream by which it asked for what a call of its own wants; None if it has not."""
    errand = engine._calls._errands.get(number)
    if errand is None or errand.link is None or errand in errand.link.waiting:
        return None
    return errand.link.stream


def jobs_of(engine: Engine) -> Iterable[Job]:
    """Requests of others that it has taken on."""
    return engine._serving._jobs.values()


def lots_of(engine: Engine) -> Iterable[Lot]:
    """Auctions that it holds."""
    return engine._coordination._participant.auctions._lots.values()


def open_votes_of(engine: Engine) -> Iterator[tuple[int, Seconds]]:
    """Votes that it has called and not closed: number, and when each closes."""
    for vote in engine._coordination._participant.votes._open.values():
        yield vote.number, vote.closes_at


def peer_sealed_for(engine: Engine, key: bytes) -> NodeId | None:
    """Who can open what it seals with this key, on a stream; None if nobody is known."""
    for link in engine._links._board:
        sealer = None if link.connection is None else link.connection._sealer
        if sealer is not None and sealer._key == key:
            return link.peer
    return None


def sizes_of(engine: Engine) -> list[Size]:
    """What strangers and members can make it hold."""
    serving = engine._serving
    queued = len(serving._waiting) + serving._attached
    return [
        *_gossip_sizes(engine),
        *_transport_sizes(engine),
        ("waiting bodies", serving._waiting_bytes, limits.MAX_QUEUED_BODIES),
        ("kept answers", serving.kept_bytes, limits.MAX_DUPLICATE_BYTES),
        ("running handlers", serving.load, engine.config.handler_slots + limits.MAX_HOPS),
        ("waiting requests", queued, engine.config.handler_queue),
        *_consensus_sizes(engine),
    ]


def _gossip_sizes(engine: Engine) -> list[Size]:
    swim = engine._swim
    parts, probes = swim._parts, swim._detector._probes
    heard = max([len(row.heard) for row in parts.view], default=0)
    unchecked = limits.MAX_UNVERIFIED + limits.MAX_SESSIONS
    repair, rations = swim._repair, engine._answers._rations._budgets
    return [
        ("digests that wait for an answer", len(repair._asked), limits.MAX_BUDGETS),
        ("peers with a budget for repairs", len(repair._budgets._left), limits.MAX_BUDGETS),
        ("peers with rations", len(rations._left), limits.MAX_BUDGETS),
        ("questions by stream", len(engine._membership.reaching), limits.MAX_PENDING_HANDSHAKES),
        ("members", len(parts.view), limits.MAX_MEMBERS),
        ("lost members", len(parts.view._lost), limits.MAX_LOST),
        ("tombstones", len(parts.view.tombstones), limits.MAX_TOMBSTONES),
        ("news", len(parts.news), limits.MAX_NEWS),
        ("pulls", len(parts._pulled), limits.MAX_PULLS),
        ("unchecked claims", len(swim._intake), unchecked),
        ("bytes of them", swim._intake._waiting_bytes, limits.MAX_UNVERIFIED_BYTES),
        ("probes", len(probes), limits.MAX_MEMBERS),
        ("late probes", len(probes._given_up), limits.MAX_LATE_PROBES),
        ("members with clues", len(parts.evidence), limits.MAX_CASES),
        ("clocks", len(swim._clocks), limits.MAX_CLOCKS + limits.MAX_CASES),
        ("addresses on disk", len(engine._acquaintances), limits.MAX_ACQUAINTANCES),
        ("accusers of one member", heard, limits.MAX_SUSPICIONS + 1),
    ]


def _transport_sizes(engine: Engine) -> list[Size]:
    endpoint, links = engine._endpoint, engine._links
    waiting = max(map(len, endpoint._waiting.values()), default=0)
    most = max(map(len, links._board.proved._of.values()), default=0)
    halves, unread = links.held.half_received, links.held.unread
    open_links = limits.MAX_CONNECTIONS + limits.MAX_PREAUTH_STREAMS
    sizes = [
        ("sessions", len(endpoint), limits.MAX_SESSIONS + limits.MAX_PENDING_HANDSHAKES),
        ("handshakes begun", len(endpoint._initiator.attempts), limits.MAX_PENDING_HANDSHAKES),
        ("datagrams that wait for one member", waiting, limits.MAX_WAITING_PER_PEER),
        ("connections", len(links), open_links),
        ("half-received bodies of all", halves, limits.MAX_NODE_REASSEMBLY),
        ("unread answers of all", unread, limits.MAX_NODE_UNREAD + limits.MAX_UNREAD),
        ("connections of one member", most, limits.MAX_CONNECTIONS_PER_MEMBER),
    ]
    for link in links._board:
        if link.connection is not None:
            mux = link.connection.mux
            sizes += (
                ("half-received bodies", mux.half_received, limits.MAX_REASSEMBLY),
                ("unread answers", mux.unread, limits.MAX_UNREAD),
                ("requests of one peer", len(mux._unanswered), limits.MAX_STREAMS),
            )
    return sizes


def _consensus_sizes(engine: Engine) -> list[Size]:
    participant = engine._coordination._participant
    voter, worker = participant._voter, participant._worker
    results = limits.MAX_KEPT_RESULTS + limits.MAX_BODY
    return [
        ("auctions", len(participant.auctions._lots), limits.MAX_OPEN_AUCTIONS),
        ("votes", len(participant.votes._open), limits.MAX_OPEN_VOTES),
        ("open ballots", len(voter._open), limits.MAX_OPEN_BALLOTS),
        ("kept ballots", len(voter._signed), limits.MAX_KEPT_BALLOTS),
        ("offers", len(participant._bidder._open), limits.MAX_OPEN_OFFERS),
        ("awards taken on", len(worker._work), limits.MAX_OPEN_AUCTIONS),
        ("remembered awards", len(worker._accepted), limits.MAX_KEPT_AWARDS),
        ("kept results", worker._results_size, results),
    ]


def seen_at(engine: Engine, member: NodeId) -> Seconds | None:
    """When the member's last datagram was read; None for a stranger."""
    row = view_of(engine).get(member)
    return None if row is None else row.last_seen


def timers_of(engine: Engine) -> Timers:
    """When its membership wants to be woken, and for what; the same for all its life."""
    return engine._swim._parts.timers
