"""What a simulated node does when its engine asks for it: the pure half of a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from meshp2p.consensus import AwardData, VoteResult
from meshp2p.effects import (
    Announce,
    CancelInvoke,
    CloseStream,
    Effect,
    Invoke,
    OpenStream,
    Persist,
    Resolve,
    SendDatagram,
    StreamReady,
)
from meshp2p.events import CallFinished, ClockSkew, Log, MemberEvent
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.links import Lane
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.process import Process
from meshp2p.simulation.streams import End

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World

_SYNC: Final[tuple[Seconds, Seconds]] = (0.0005, 0.004)
"""How long a write takes to reach the platter."""
_LOOK_UP: Final[Seconds] = 0.001


@attrs.define(eq=False)
class Performer:
    """Performs one node's effects, through all its lives.

    Args:
        pending: Commands of this life's user, by number.
    """

    _node: Node
    _world: World
    pending: dict[int, Pending] = attrs.field(factory=dict, init=False)
    _writes: int = attrs.field(default=0, init=False)
    _draws: dict[str, Draws] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        names = ("sync", "slow", "fails")
        self._draws = {what: Draws(self._world.seed, self._node.name, what) for what in names}

    def perform(self, process: Process, effect: Effect) -> None:
        """Do one thing, or begin it."""
        if isinstance(effect, SendDatagram):  # no pattern: most effects are such
            world = self._world
            if world.charges is not None:
                process.owed += world.charges.datagram
            world.datagrams.send(self._node, effect.to, effect.data)
            return
        match effect:
            case StreamReady(stream=stream):
                process.dirty[stream] = None
            case Invoke():
                self._begin(effect)
            case CancelInvoke(call=call):
                self._node.jobs.cancel(call)
            case Persist():
                self._persist(process, effect)
            case Announce(event=event):
                self._hear(event)
            case _:
                self._perform_on_the_network(process, effect)

    def _perform_on_the_network(self, process: Process, effect: Effect) -> None:
        world, node = self._world, self._node
        match effect:
            case OpenStream(stream=stream, to=to):
                end = End(node, process, stream, Lane((node.name, node.name)))
                process.streams[stream] = end
                world.tell("open", node.name, stream=stream, to=str(to))
                world.streams.connect(end, to)
            case CloseStream(stream=stream, flush=flush):
                if stream in process.streams:
                    world.tell("close", node.name, stream=stream, reason="closed by this end")
                    world.streams.close(process.streams[stream], flush=flush)
            case Resolve(host=host, port=port):
                process.later(
                    _LOOK_UP,
                    lambda engine, now: engine.receive_resolved(
                        host, port, [Address(host, port)], now=now
                    ),
                )

    def _begin(self, invoke: Invoke) -> None:
        self._world.tell("handler", self._node.name, method=invoke.method, call=invoke.call)
        self._world.handler_begins(self._node, self._node.jobs.begin(invoke))

    # --- disk ------------------------------------------------------------------

    def _persist(self, process: Process, effect: Persist) -> None:
        world, node = self._world, self._node
        world.persisting(node, effect.records)
        world.tell("persist", node.name, token=effect.token, records=len(effect.records))
        node.disk.write(effect.records)
        self._writes += 1
        number, draws = self._writes, self._draws
        wait = _SYNC[0] + (_SYNC[1] - _SYNC[0]) * draws["sync"].at(number)
        extra, why = node.disk.extra_wait(draws["slow"].at(number))
        if why:
            world.coverage[why] += 1

        def synced() -> None:
            if not process.has_ended:  # the platter turns also while the process stands still
                self._synced(process, effect.token, draws["fails"].at(number))

        world.after_in_order((node.name, node.life), wait + extra, synced)

    def _synced(self, process: Process, token: int, draw: float) -> None:
        world, node = self._world, self._node
        why = node.disk.refuses(draw)
        if why:
            world.coverage[why] += 1
        node.disk.sync_oldest(ok=not why)
        world.tell("sync", node.name, token=token, ok=not why)
        process.feed(lambda engine, now: engine.receive_persisted(token, ok=not why, now=now))

    # --- ears ------------------------------------------------------------------

    def _hear(self, event: object) -> None:
        node, world = self._node, self._world
        if isinstance(event, MemberEvent):
            node.events.append(event)
            if world.watchers:
                member = event.member
                world.tell(
                    "view",
                    node.name,
                    member=member.name,
                    state=member.state,
                    event=event.name,
                    reason=event.reason,
                )
            world.note(node, event.name, event.member.id)
        elif isinstance(event, CallFinished):
            self._finished(event)
        elif isinstance(event, ClockSkew):
            node.skews.append(event)
        elif isinstance(event, Log):
            node.logs.append(event)
            world.tell("log", node.name, level=event.level, text=event.text)

    def _finished(self, event: CallFinished) -> None:
        world, node = self._world, self._node
        world.note(node, "finished", str(event.number).encode())
        world.tell("finish", node.name, call=event.number, error=_named(event.error))
        if isinstance(event.value, AwardData | VoteResult):
            world.tell("decide", node.name, call=event.number, text=_decision(event.value))
        if node.jobs.finished(event):
            return
        pending = self.pending.get(event.number)
        if pending is None:
            return
        world.require(not pending.is_done, "a command ended twice", nodes=(node.name,))
        following = pending.finish(event, world.now)
        if following is not None:
            self.pending[following.number] = following


def _named(error: Exception | None) -> str:
    return "" if error is None else type(error).__name__


def _decision(value: AwardData | VoteResult) -> str:
    if isinstance(value, VoteResult):
        return f"vote: {value.choice}"
    return f"award, epoch {value.epoch}"
