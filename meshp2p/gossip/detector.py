"""Finding out who is no longer there. Accusations come from anyone, death only from here."""

from __future__ import annotations

from math import inf
from typing import Final, Literal

import attrs

from meshp2p.gossip.accusation import REFUSED, RESET, TIMEOUT, Accusation, Evidence
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import Datagram, Ping
from meshp2p.gossip.outputs import IndirectProbe
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.probe import Probe, ProbeOrder, Probes
from meshp2p.gossip.suspicion import Suspicion
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

PROBE: Final = "probe"
"""Timers ("probe", seq) and ("suspicion", node id)."""
SUSPICION: Final = "suspicion"

_CONFIRMERS: Final = 4
"""Members, on average, that look for themselves when they first hear of a suspicion: as
many as Lifeguard's K + 1, so that the countdown is short if the suspect is dead, and the
suspect hears of it at once if it is not."""

_REASONS: Final[dict[int, str]] = {
    TIMEOUT: "it did not answer",
    REFUSED: "its machine refuses packets to it",
    RESET: "its connection was reset",
}


@attrs.define
class Detector:
    """Probes members, counts accusers, declares the dead.

    Source: SWIM (2002) for probes and suspicion, Lifeguard (arXiv:1707.00788) for the
    countdown; accusations are signed, and only this node's own timer or evidence kills.

    Args:
        _probes: With the number from which questions are counted.
    """

    _parts: Parts
    _probes: Probes
    order: ProbeOrder = attrs.field(factory=ProbeOrder, init=False)
    _amnesty_until: Seconds = attrs.field(default=-inf, init=False)

    def probe_next(self, now: Seconds) -> Row | None:
        """Ask the next member in turn; return it, or None if there is nobody."""
        node_id = self.order.next(self._parts.rng, self._parts.view.live)
        row = None if node_id is None else self._parts.view.get(node_id)
        if row is not None:
            self.probe(row, now)
        return row

    def probe(self, row: Row, now: Seconds) -> None:
        """Ask a member whether it is there, unless it is being asked."""
        if self._probes.of(row.id) is None and not self._parts.guest:
            self._ask(row, now, wait=self._parts.config.ack_timeout)

    def call_out(self, row: Row, now: Seconds) -> None:
        """Ask somebody who is believed dead, and accuse nobody of silence."""
        probe = self._probes.ask(row.id, row.version, now)
        self._parts.send(row.id, self._ping(probe))
        self._probes.give_up(probe)

    def answered(self, row: Row, seq: int, now: Seconds) -> None:
        """An ack came, on whatever path and however late."""
        probe = self._probes.answered(row.id, seq)
        if probe is None:
            return
        self._parts.timers.cancel((PROBE, seq))
        if probe.stage == "direct":
            row.learn_rtt(now - probe.sent_at)
        self._acquit(row, "it answered")

    def traffic(self, row: Row) -> None:
        """It answered a call: as good as an ack."""
        probe = self._probes.of(row.id)
        if probe is not None:
            self._probes.give_up(probe)
            self._parts.timers.cancel((PROBE, probe.seq))
        self._acquit(row, "it answered a call")

    def evidence(self, row: Row, kind: Literal["refused", "reset"], now: Seconds) -> None:
        """The member's machine says that nobody is there: ask once more, and quickly.

        Death is silence to a question that is refused itself. Silence alone is only a
        suspicion: closed connections and lost packets are no proof. Nor are refusals,
        which anybody can forge: those of a member that answers are worth nothing, and
        those that come together with the first are of packets sent before the question.
        """
        if not row.is_live or self._parts.guest:
            return
        before = self._probes.of(row.id)
        if before is not None and before.decides:
            if kind == "refused" and now > before.sent_at:
                before.refused = True
            return
        if before is not None:
            self._stop_waiting(before)
        probe = self._ask(row, now, wait=self._parts.config.ack_timeout / 2)
        probe.stage = "last"
        probe.evidence = REFUSED if kind == "refused" else RESET

    def expire_probe(self, seq: int, now: Seconds) -> None:
        """No ack in time: ask through others, then suspect."""
        probe = self._probes.waiting(seq)
        row = None if probe is None else self._parts.view.get(probe.target)
        if probe is None:
            return
        if row is None or not row.is_live or row.version != probe.version:
            self._probes.give_up(probe)  # it left, died, or said something meanwhile
        elif probe.stage == "direct":
            self._ask_through_others(probe, now)
        elif probe.stage == "last":
            self._ask_again(probe, now)
        else:
            self._probes.give_up(probe)
            if probe.refused:
                self._bury(row, REFUSED, now)
            else:
                self._suspect(row, probe.evidence, now)

    def accused(self, row: Row, accusation: Accusation, now: Seconds) -> None:
        """Somebody, signature verified, accuses a live member's present version."""
        accuser = accusation.accuser
        row.heard[accuser] = accusation.unix
        row.accusation = accusation.raw
        if row.suspicion is None:
            population = self._parts.view.population
            row.suspicion = Suspicion.of(accuser, self._parts.config, population, now)
            self._parts.view.change(row, state="suspect")
            self._parts.tell("member.suspected", row, self._reason(accusation))
            self._parts.news.put_accusation(accusation)
            curious = self._parts.rng.random() * population < _CONFIRMERS
            if accuser != self._parts.identity.node_id and (curious or accusation.evidence):
                self.probe(row, now)
        elif row.suspicion.confirm(accuser):
            self._parts.news.put_accusation(accusation)
        # A late confirmation may end it in the past, which must not look like a stall.
        self._parts.timers.set((SUSPICION, row.id), max(now, row.suspicion.deadline()))

    def expire_suspicion(self, node_id: NodeId, now: Seconds) -> None:
        """The countdown is over; after a stall of our own the suspect gets another chance."""
        row = self._parts.view.get(node_id)
        if row is None or row.suspicion is None:
            return
        if now < self._amnesty_until:
            self._parts.timers.set((SUSPICION, node_id), self._amnesty_until)
            self.probe(row, now)
            return
        self._bury(row, TIMEOUT, now)

    def exonerate(self, row: Row) -> None:
        """A newer line arrived: whatever was said of the older one is void."""
        row.acquit()
        self._parts.timers.cancel((SUSPICION, row.id))

    def forgive(self, now: Seconds) -> None:
        """This node itself was late: whoever seems silent may have been answering."""
        for probe in self._probes:
            self._stop_waiting(probe)
        config = self._parts.config
        self._amnesty_until = now + config.ack_timeout + config.indirect_timeout
        self._parts.counters["amnesties"] += 1

    def may_hear(self, row: Row, accusation: Accusation) -> bool:
        """Whether an accusation would be news, judged before its signature is checked."""
        accuser = accusation.accuser
        if accuser not in row.heard and len(row.heard) >= limits.MAX_SUSPICIONS:
            return False
        return row.heard.get(accuser, -1) < accusation.unix

    def _ask(self, row: Row, now: Seconds, *, wait: Seconds) -> Probe:
        probe = self._probes.ask(row.id, row.version, now)
        self._parts.send(row.id, self._ping(probe))
        self._parts.timers.set((PROBE, probe.seq), now + wait)
        return probe

    def _ping(self, probe: Probe) -> list[Value]:
        return Ping(probe.seq, self._parts.view.hash).wire()

    def _ask_through_others(self, probe: Probe, now: Seconds) -> None:
        """Also ask directly again: one lost packet is likelier than a death."""
        parts = self._parts
        count = parts.config.indirect_probes
        helpers = parts.view.live.sample(parts.rng, count, but=probe.target)
        probe.stage = "indirect"
        if helpers:
            datagram = Datagram()
            for item in (self._ping(probe), *parts.about(probe.target)):
                datagram.add(item)
            parts.put(IndirectProbe(probe.target, tuple(helpers), datagram.encode()))
        parts.send(probe.target, self._ping(probe))
        parts.timers.set((PROBE, probe.seq), now + parts.config.indirect_timeout)

    def _ask_again(self, probe: Probe, now: Seconds) -> None:
        """One lost packet and a forged refusal must not make a death."""
        probe.stage = "again"
        self._parts.send(probe.target, self._ping(probe))
        self._parts.timers.set((PROBE, probe.seq), now + self._parts.config.ack_timeout / 2)

    def _stop_waiting(self, probe: Probe) -> None:
        self._probes.give_up(probe)
        self._parts.timers.cancel((PROBE, probe.seq))

    def _suspect(self, row: Row, evidence: Evidence, now: Seconds) -> None:
        own_id = self._parts.identity.node_id
        if row.suspicion is not None and own_id in row.heard:
            return  # said so already, and nothing has happened since
        self.accused(row, self._parts.accuse(row, evidence, now), now)

    def _acquit(self, row: Row, reason: str) -> None:
        """Proof of life for this node alone; the others need the member's own word."""
        if row.state != "suspect":
            return
        row.suspicion = None
        self._parts.timers.cancel((SUSPICION, row.id))
        self._parts.news.drop_accusations(row.id, of=self._parts.identity.node_id)
        self._parts.view.change(row, state="alive")
        self._parts.tell("member.updated", row, reason)

    def _bury(self, row: Row, evidence: Evidence, now: Seconds) -> None:
        parts = self._parts
        if evidence != TIMEOUT:
            accusation = parts.accuse(row, evidence, now)
            row.accusation = accusation.raw
            parts.news.put_accusation(accusation)
        row.suspicion = None
        parts.timers.cancel((SUSPICION, row.id))
        parts.view.change(row, state="dead")
        parts.tell("member.failed", row, _REASONS[evidence])

    def _reason(self, accusation: Accusation) -> str:
        reason = _REASONS.get(accusation.evidence, "it did not answer")
        accuser = self._parts.view.get(accusation.accuser)
        if accuser is None or accusation.accuser == self._parts.identity.node_id:
            return reason
        return f"{accuser.member().name} says: {reason}"
