"""Finding out who is no longer there. Accusations come from anyone, death only from here."""

from __future__ import annotations

from math import inf
from typing import Final, Literal

import attrs

from meshp2p.gossip.accusation import REFUSED, RESET, TIMEOUT, Accusation, Evidence
from meshp2p.gossip.evidence import ANSWERED, ANSWERED_CALL, REASONS
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import Datagram, Ping
from meshp2p.gossip.outputs import AskByStream, IndirectProbe
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.probe import Probe, Probes
from meshp2p.gossip.suspicion import Suspicion
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

PROBE: Final = "probe"
"""Timers ("probe", seq) and ("suspicion", node id)."""
SUSPICION: Final = "suspicion"

_CONFIRMERS: Final = 8
"""Members, on average, that look for themselves when they first hear of a suspicion: so many
that nearly always Lifeguard's K = 3 do. Then the countdown is short if the suspect is dead,
and the suspect hears of it at once if it is not."""

_CHECKS_AT_ONCE: Final = 32
"""Suspects that this node asks itself before it buries them: after the death of half a mesh
the word of several must do."""
_CERTIFIED: Final = 3
"""Accusers whose word does then."""


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
    _amnesty_until: Seconds = attrs.field(default=-inf, init=False)

    def probe_next(self, now: Seconds) -> Row | None:
        """Ask the next member in turn; return it, or None if there is nobody."""
        node_id = self._parts.view.live.next(self._parts.rng)
        row = None if node_id is None else self._parts.view.get(node_id)
        if row is not None:
            self.probe(row, now)
        return row

    def probe(self, row: Row, now: Seconds) -> None:
        """Ask a member whether it is there, unless it is being asked."""
        if self._probes.of(row.id) is None and not self._parts.guest:
            self._ask(row, now, wait=self._direct_wait(row))

    def call_out(self, row: Row, now: Seconds) -> None:
        """Ask somebody who is believed dead, and accuse nobody of silence."""
        probe = self._probes.ask(row.id, row.version, now)
        self._parts.send(row.id, self._ping(probe))
        self._probes.give_up(probe)

    def answered(self, row: Row, seq: int, now: Seconds, *, direct: bool) -> Seconds | None:
        """An ack came, on whatever path and however late.

        Args:
            direct: Whether it came without help. Otherwise the member is there, and that is
                all: nothing is learnt about the path between the two of us.

        Returns:
            Seconds since it was asked, first if it was twice; None if it was not.
        """
        in_time = self._probes.waiting(seq) is not None
        probe = self._probes.answered(row.id, seq)
        if probe is None:
            return None
        took = now - probe.sent_at
        self._parts.timers.cancel((PROBE, seq))
        if direct:
            row.by_stream = False
            if probe.stage == "direct":
                row.learn_rtt(took)
        if in_time and not probe.decides:
            self._parts.health.better()
        how = "" if direct else "through another member"
        self._parts.evidence.note(row.id, "answered", how, rtt=took)
        self._acquit(row, ANSWERED)
        return took

    def traffic(self, row: Row) -> None:
        """It answered a call: as good as an ack."""
        probe = self._probes.of(row.id)
        if probe is not None:
            self._probes.give_up(probe)
            self._parts.timers.cancel((PROBE, probe.seq))
        self._acquit(row, ANSWERED_CALL)

    def answered_by_stream(self, row: Row) -> None:
        """It answered there, and did not answer a datagram: ask it there next time too."""
        row.by_stream = True
        self.traffic(row)

    def nacked(self, helper: NodeId, target: NodeId) -> None:
        """A helper has passed a question on, and heard nothing either."""
        probe = self._probes.of(target)
        if probe is not None and helper in probe.helpers:
            probe.nacks.add(helper)

    def evidence(self, row: Row, kind: Literal["refused", "reset"], now: Seconds) -> None:
        """The member's machine says that nobody is there: ask once more, and quickly.

        Death is silence to a question that is refused itself. Silence alone is only a
        suspicion: closed connections and lost packets are no proof. Nor are refusals,
        which anybody can forge: those of a member that answers are worth nothing, and
        those that come together with the first are of packets sent before the question.
        """
        if not row.is_live or self._parts.guest:
            return
        if now < self._amnesty_until:  # it may speak of the time that this node slept through
            self.probe(row, now)
            return
        before = self._probes.of(row.id)
        if before is not None and before.decides:
            if kind == "refused" and now > before.sent_at:
                before.refused = True
            return
        if before is not None:
            self._stop_waiting(before)
        self._parts.evidence.note(row.id, kind)
        probe = self._ask(row, now, wait=self._direct_wait(row) / 2)
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
            row.miss_rtt()
            self._parts.evidence.note(row.id, "silent", "no ack, asking through others")
            self._ask_through_others(row, probe, now)
        elif probe.stage == "last":
            self._ask_again(row, probe, now)
        else:
            self._parts.evidence.note(row.id, "silent", "no ack on any path")
            self._probes.give_up(probe)
            if probe.refused:
                self._bury(row, REFUSED, now)
                return
            if self._may_be_us(row, probe):
                self._parts.health.worse()
            self._suspect(row, probe.evidence, now)

    def _may_be_us(self, row: Row, probe: Probe) -> bool:
        """Whether a silence may be this node's own trouble: nothing shows that others hear it."""
        others = row.suspicion is not None or (probe.helpers and not probe.unheard)
        return not (others or probe.decides)

    def accused(self, row: Row, accusation: Accusation, now: Seconds) -> None:
        """Somebody, signature verified, accuses a live member's present version."""
        accuser, population = accusation.accuser, self._parts.view.population
        row.hear(accuser, accusation.unix)
        own = accuser == self._parts.identity.node_id
        if not (own or self._parts.reputation.trusts(accuser, population, now)):
            self._parts.counters["accusers_distrusted"] += 1
            self.probe(row, now)  # it may be right for once
            return
        row.accusation = accusation.raw
        if row.suspicion is None:
            row.suspicion = Suspicion.of(accuser, self._parts.config, population, now)
            self._parts.view.change(row, state="suspect")
            self._parts.tell("member.suspected", row, self._reason(accusation))
            self._parts.news.put_accusation(accusation)
            curious = self._parts.rng.random() * population < _CONFIRMERS
            if not own and (curious or accusation.evidence):
                self.probe(row, now)
        elif row.suspicion.confirm(accuser):
            self._parts.news.put_accusation(accusation)
        if own:
            row.suspicion.seen_silent = True
        self._count_down(row, row.suspicion, now)

    def _count_down(self, row: Row, suspicion: Suspicion, now: Seconds) -> None:
        """Wake at the end, or before it, if there is a question to be asked by then."""
        end = suspicion.deadline()
        if self._parts.config.lifeguard and not (suspicion.seen_silent or suspicion.checked):
            end -= self._whole_wait(row)
        # A late confirmation may end it in the past, which must not look like a stall.
        self._parts.timers.set((SUSPICION, row.id), max(now, end))

    def expire_suspicion(self, node_id: NodeId, now: Seconds) -> None:
        """The countdown is over; after a stall of our own the suspect gets another chance."""
        row = self._parts.view.get(node_id)
        if row is None or row.suspicion is None:
            return
        if now < self._amnesty_until:
            self._parts.timers.set((SUSPICION, node_id), self._amnesty_until)
            self.probe(row, now)
        elif row.suspicion.seen_silent or not self._checks(row, row.suspicion, now):
            self._bury(row, TIMEOUT, now)

    def _checks(self, row: Row, suspicion: Suspicion, now: Seconds) -> bool:
        """Whether this node still has to ask the suspect itself, or waits for its answer.

        Others may be unable to reach somebody who answers us: a cut between them and it,
        or their own trouble, is no reason to break off.
        """
        if not self._parts.config.lifeguard:
            return False
        if not suspicion.checked:
            suspicion.checked = True
            if len(self._probes) >= _CHECKS_AT_ONCE and suspicion.accusers >= _CERTIFIED:
                self._parts.counters["deaths_unchecked"] += 1
            else:
                self.probe(row, now)
        probe = self._probes.of(row.id)
        answer_by = None if probe is None else self._parts.timers.get((PROBE, probe.seq))
        wake = max(suspicion.deadline(), answer_by or now)
        if wake <= now:
            return False
        self._parts.timers.set((SUSPICION, row.id), wake)
        return True

    def exonerate(self, row: Row, now: Seconds) -> None:
        """A newer line arrived: whatever was said of the older one is void."""
        for accuser in row.heard:
            self._parts.reputation.refuted(accuser, now)
        row.acquit()
        self._parts.timers.cancel((SUSPICION, row.id))

    def forgive(self, now: Seconds) -> None:
        """This node itself was late: whoever seems silent may have been answering."""
        if not self._parts.config.lifeguard:
            return
        self._parts.health.worse()
        for probe in self._probes:
            self._stop_waiting(probe)
        config = self._parts.config
        self._amnesty_until = now + config.ack_timeout + config.indirect_timeout
        self._parts.counters["amnesties"] += 1

    def may_hear(self, row: Row, accusation: Accusation) -> bool:
        """Whether an accusation would be news, judged before its signature is checked.

        An accuser counts once for each version, whenever it says so again: a member that
        lives makes the version void. Where it did not hear of it, and answered this node
        otherwise, there are others to accuse it next time, and this node's own questions.
        """
        heard = row.heard
        return accusation.accuser not in heard and len(heard) < limits.MAX_SUSPICIONS

    def _ask(self, row: Row, now: Seconds, *, wait: Seconds) -> Probe:
        self._parts.counters["probes"] += 1
        probe = self._probes.ask(row.id, row.version, now)
        self._parts.send(row.id, self._ping(probe))
        self._parts.timers.set((PROBE, probe.seq), now + wait)
        return probe

    def _ping(self, probe: Probe) -> list[Value]:
        return Ping(probe.seq, self._parts.view.hash).wire()

    def _direct_wait(self, row: Row) -> Seconds:
        """How long a direct answer may take: a little longer than it usually does."""
        config, longest = self._parts.config, self._parts.config.ack_timeout
        shortest = config.ack_timeout_min if config.lifeguard else longest
        return row.latest_answer(shortest, longest) * self._parts.health.factor

    def _whole_wait(self, row: Row) -> Seconds:
        """How long it takes to find out that somebody is silent."""
        indirect = self._parts.config.indirect_timeout * self._parts.health.factor
        return self._direct_wait(row) + indirect

    def _ask_through_others(self, row: Row, probe: Probe, now: Seconds) -> None:
        """Also ask directly again: one lost packet is likelier than a death."""
        parts = self._parts
        count = parts.config.indirect_probes
        helpers = parts.view.live.sample(parts.rng, count, but=probe.target)
        probe.stage, probe.helpers = "indirect", tuple(helpers)
        if helpers:
            datagram = Datagram()
            for item in (self._ping(probe), *parts.about(probe.target)):
                datagram.add(item)
            parts.put(IndirectProbe(probe.target, tuple(helpers), datagram.encode()))
        parts.send(probe.target, self._ping(probe))
        self._ask_by_stream(row, b"", dial=row.by_stream)
        wait = parts.config.indirect_timeout * parts.health.factor
        parts.timers.set((PROBE, probe.seq), now + wait)

    def _ask_by_stream(self, row: Row, accusation: bytes, *, dial: bool) -> None:
        """Perhaps only datagrams are blocked; a suspect hears by stream that it should object."""
        if self._parts.config.lifeguard:
            self._parts.put(AskByStream(row.id, accusation, dial=dial))

    def _ask_again(self, row: Row, probe: Probe, now: Seconds) -> None:
        """One lost packet and a forged refusal must not make a death."""
        probe.stage = "again"
        self._parts.send(probe.target, self._ping(probe))
        self._parts.timers.set((PROBE, probe.seq), now + self._direct_wait(row) / 2)

    def _stop_waiting(self, probe: Probe) -> None:
        self._probes.give_up(probe)
        self._parts.timers.cancel((PROBE, probe.seq))

    def _suspect(self, row: Row, evidence: Evidence, now: Seconds) -> None:
        own_id = self._parts.identity.node_id
        if row.suspicion is not None and own_id in row.heard:
            return  # said so already, and nothing has happened since
        accusation = self._parts.accuse(row, evidence, now)
        self.accused(row, accusation, now)
        self._ask_by_stream(row, accusation.raw, dial=True)

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
        parts.tell("member.failed", row, REASONS[evidence])

    def _reason(self, accusation: Accusation) -> str:
        reason = REASONS.get(accusation.evidence, "it did not answer")
        accuser = self._parts.view.get(accusation.accuser)
        if accuser is None or accusation.accuser == self._parts.identity.node_id:
            return reason
        return f"{accuser.member().name} says: {reason}"
