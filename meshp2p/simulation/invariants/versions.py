"""I1-I4, I6, I7: what a node believes of a member is what that member said last."""

from __future__ import annotations

from meshp2p.errors import WireError
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.record import MAX_LINE_VALIDITY, Record, VersionLine, body_hash
from meshp2p.identity.credential import Credential
from meshp2p.identity.keys import node_id_of
from meshp2p.ids import NodeId
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.chains import Chains
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Glimpse, Lookout, Outlook
from meshp2p.simulation.invariants.overheard import silent

_LIVE = ("alive", "suspect")


class RowInvariant(Invariant):
    """One that looks at rows of lists as they change."""

    def __init__(self, lookout: Lookout) -> None:
        """Be told of every change."""
        super().__init__(lookout)
        lookout.on_row.append(self.row)

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Look at a member that entered, changed in, or left the list of one node."""


class VersionsRise(RowInvariant):
    """I1: a stored version for a subject never decreases unless its tombstone expired."""

    name = "I1"
    promise = "What a member said is never replaced by something that it said before."

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Compare versions; who leaves the list must have been gone for long."""
        if before is None:
            return
        who = self.call(member)
        if after is None:
            self._forgotten(outlook, who, before)
        elif after.record.rank < before.record.rank:
            text = f"{who} went back from version {before.version} to {after.version}"
            self.violate(text, outlook.name, who)

    def _forgotten(self, outlook: Outlook, who: str, before: Glimpse) -> None:
        self.require(
            before.state not in _LIVE, f"{who} was forgotten while {before.state}", outlook.name
        )
        unix = inside.unix_of(outlook.engine, outlook.now)
        expires = before.record.valid_until + outlook.engine.config.clock_tolerance
        if expires >= unix:
            text = f"the tombstone of {who} was forgotten {expires - unix:.0f} s before it expired"
            self.violate(text, outlook.name, who)


class NobodyRises(RowInvariant):
    """I2: no member becomes alive without an owner-signed line newer than any death seen."""

    name = "I2"
    promise = "Who is dead or has left returns only by a newer word of its own."

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """A return needs a newer version; after a farewell, a newer epoch."""
        if before is None or after is None or before.state in _LIVE or after.state not in _LIVE:
            return
        newer = after.version > before.version
        if before.state == "left":
            newer = after.version[0] > before.version[0]
        if not newer:
            who = self.call(member)
            text = f"{who} was {before.state} at {before.version}, is {after.state} at "
            self.violate(f"{text}{after.version}", outlook.name, who)


class OwnersSpeak(RowInvariant):
    """I3: every stored body and line verifies; no peer's bytes change another's record.

    Dates are judged when something enters a list, by the clock of the list's owner and with
    its tolerance.
    """

    name = "I3"
    promise = "Nobody can make a member appear, change or leave but that member itself."

    def __init__(self, lookout: Lookout) -> None:
        """Trust nothing that was not looked at."""
        super().__init__(lookout)
        self._crypto = silent(lookout.world.crypto)
        self._chains = Chains(self._crypto)
        self._proved: set[tuple[VersionLine, bytes, bytes, Credential]] = set()

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Check a record that is new to this list, each signature once in the world."""
        if after is None or (before is not None and before.record is after.record):
            return
        record, held = after.record, None if before is None else before.record
        known = (record.line, record.body_raw, record.chain, record.credential)
        wrong = self._what_is_untimely(outlook, held, record)
        if not wrong and known not in self._proved:
            wrong = self._what_is_wrong(outlook, member, record)
        if wrong:
            who = self.call(member)
            self.violate(f"a record of {who} is believed, but {wrong}", outlook.name, who)
        self._proved.add(known)

    def _what_is_wrong(self, outlook: Outlook, member: NodeId, record: Record) -> str:
        line, body, keys = record.line, record.body, outlook.node.keys
        if line.node_id != member or node_id_of(body.node_key) != member:
            return "it is another member's"
        if body_hash(record.body_raw) != line.body_hash:
            return "its body is not the one that the line names"
        if not line.is_signed_by(self._crypto, body.node_key, keys.group_id):
            return "its owner did not sign it"
        if VersionLine.from_bytes_untrusted(line.raw) != line:
            return "its line says something else than was signed"
        if record.credential.node_key != body.node_key:
            return "its credential is somebody else's"
        return self._chains.wrong_with(record.credential, record.chain, keys.root_public)

    def _what_is_untimely(self, outlook: Outlook, before: Record | None, after: Record) -> str:
        """What is new in a record must be of this time, by the clock of whoever believes it.

        What was held already may have grown old: a clock may have been set right since.
        A longer lease is no news, so nobody knows when it came since the last look.
        """
        unix = inside.unix_of(outlook.engine, outlook.now)
        tolerance, until = outlook.engine.config.clock_tolerance, after.line.valid_until
        if before is None or before.line.raw != after.line.raw:
            is_lease = before is not None and before.line.version == after.line.version
            came = min(outlook.read_unix, unix) if is_lease else unix
            if until + tolerance < came:
                return f"its line expired {came - until:.0f} s ago"
            if until - tolerance > unix + MAX_LINE_VALIDITY:
                return f"its line lasts {until - unix:.0f} s"
        if before is None or before.chain != after.chain:
            root = outlook.node.keys.root_public
            return self._chains.untimely(after.chain, root, unix, tolerance)
        return ""


class OneBody(RowInvariant):
    """I4: one body hash per (id, epoch, seq), else a clone event."""

    name = "I4"
    promise = "A member says one thing in one version, to everybody."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing was said yet."""
        super().__init__(lookout)
        self._said: dict[tuple[NodeId, tuple[int, int]], tuple[bytes, int]] = {}

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Compare with what anybody holds of this version."""
        if after is None or (before is not None and before.version == after.version):
            return
        line = after.record.line
        said = (line.body_hash, line.state)
        first = self._said.setdefault((member, line.version), said)
        if first != said and self.lookout.is_honest(member):
            who = self.call(member)
            self.violate(f"{who} said two things in version {line.version}", outlook.name, who)


class OwnName(RowInvariant):
    """I6: I never mark myself suspect or dead while running; leave is final for that epoch."""

    name = "I6"
    promise = "A running node never doubts itself, and never takes back a farewell."

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Look at the node's own row; what it signs anew must be newer."""
        if member != outlook.node.id:
            return
        who = outlook.name
        if after is None or after.state not in ("alive", "left"):
            self.violate(f"{who} thinks of itself: {after and after.state}", who)
        if before is None:
            return
        self.require(
            before.state != "left" or after.version == before.version,
            f"{who} spoke after its farewell",
            who,
        )
        if _is_longer_lease(before.record.line, after.record.line):
            return
        if before.record.line.raw != after.record.line.raw and after.version <= before.version:
            text = f"{who} signed version {after.version} after {before.version}"
            self.violate(text, who)


def _is_longer_lease(before: VersionLine, after: VersionLine) -> bool:
    """Whether one version was only signed again, for longer."""
    same = (before.version, before.body_hash, before.state) == (
        after.version,
        after.body_hash,
        after.state,
    )
    return same and after.valid_until > before.valid_until


class OneSuspicion(RowInvariant):
    """I7: each suspicion timer belongs to exactly one version."""

    name = "I7"
    promise = "A newer word of a member ends every suspicion of an older one."

    def row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Suspect means a running countdown, and one that began with this version."""
        if after is None:
            return
        who = self.call(member)
        if (after.state == "suspect") is not (after.suspicion is not None):
            self.violate(f"{who} is {after.state}, countdown: {after.suspicion}", outlook.name, who)
        if after.suspicion is None:
            return
        moved = before is not None and before.version != after.version
        if moved and before is not None and before.suspicion is after.suspicion:
            text = f"{who} has spoken, and the countdown of its older version goes on"
            self.violate(text, outlook.name, who)
        self._shown(outlook, member, after)

    def _shown(self, outlook: Outlook, member: NodeId, after: Glimpse) -> None:
        row = inside.view_of(outlook.engine).get(member)
        if row is None or row.accusation is None:
            return
        try:
            accused = Accusation.from_bytes_untrusted(row.accusation)
        except WireError as error:
            self.violate(f"an accusation that nobody can read: {error}", outlook.name)
        if (accused.subject, accused.version) != (member, after.version):
            who = self.call(member)
            self.violate(f"{who} is shown an accusation of another version", outlook.name, who)
