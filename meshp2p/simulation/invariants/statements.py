"""V3, A1, A2 and the disk: what was signed once is stood by, and was written down before."""

from __future__ import annotations

from collections import Counter

from meshp2p.consensus.award import AWARD
from meshp2p.effects import Persist
from meshp2p.ids import NodeId
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.invariants.statement import ON_DISK, Statement, awards_in


class StatementInvariant(Invariant):
    """One that looks at each statement when somebody first believes it."""

    def __init__(self, lookout: Lookout) -> None:
        """Be told of statements."""
        super().__init__(lookout)
        self.believed_of: Counter[str] = Counter()
        """How many different statements of each kind were believed."""
        lookout.statements.hear(self._read)

    def _read(self, statement: Statement) -> None:
        if self.lookout.is_honest(statement.author):
            self.believed_of[statement.kind] += 1
            self.believed(statement)

    def believed(self, statement: Statement) -> None:
        """Somebody believes it from now on; its author is no known liar."""


class SignsOnce(StatementInvariant):
    """V3: no honest member ever signs two messages for a slot, also across crashes."""

    name = "V3"
    promise = "Nobody votes twice, accepts twice or tells two results, whatever crashes."

    def __init__(self, lookout: Lookout) -> None:
        """No slot is taken."""
        super().__init__(lookout)
        self._slots: dict[tuple[str, NodeId, bytes, int], bytes] = {}

    def believed(self, statement: Statement) -> None:
        """Compare with what fills the slot."""
        if statement.kind == AWARD:
            return  # A1 has its own words for that
        slot = (statement.kind, statement.author, statement.subject, statement.epoch)
        if self._slots.setdefault(slot, statement.payload) != statement.payload:
            who = self.call(statement.author)
            self.violate(f"{who} signed two statements of kind {statement.kind} for one slot", who)


class WrittenFirst(StatementInvariant):
    """Law of ownership: what promises something is on disk before it leaves the node."""

    name = "disk-first"
    promise = "What a node has promised survives its crash: it was written before it was said."

    def believed(self, statement: Statement) -> None:
        """Look for the very bytes on the author's platter."""
        node = self.lookout.node_of(statement.author)
        if node is None or statement.kind not in ON_DISK:
            return
        if not node.disk.ever_held(statement.payload):
            text = f"{node.name} sent a statement of kind {statement.kind} that was not on its disk"
            self.violate(text, node.name)


class OneWinner(StatementInvariant):
    """A1: <= 1 winner per (task, epoch)."""

    name = "A1"
    promise = "In one epoch a task is awarded to one bidder, or to none."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing was awarded."""
        super().__init__(lookout)
        self.winners: dict[tuple[bytes, int], NodeId] = {}

    def believed(self, statement: Statement) -> None:
        """Compare with the winner that is known."""
        if statement.kind != AWARD or statement.winner is None:
            return
        slot = (statement.subject, statement.epoch)
        first = self.winners.setdefault(slot, statement.winner)
        if first != statement.winner:
            names = (self.call(first), self.call(statement.winner))
            text = f"epoch {statement.epoch} of a task of {self.call(statement.author)} "
            self.violate(text + f"went to {names[0]} and to {names[1]}", *names)


class EpochsRise(StatementInvariant):
    """A2: epochs strictly increase across crashes."""

    name = "A2"
    promise = "A later award of a task has a higher fencing token than every earlier one."

    def __init__(self, lookout: Lookout) -> None:
        """No award has left, and none is being written."""
        super().__init__(lookout)
        self._left: dict[bytes, int] = {}
        self._asked: dict[tuple[str, int, bytes], int] = {}
        lookout.hear(Persist, self._persist)

    def believed(self, statement: Statement) -> None:
        """Remember the newest that somebody has seen."""
        if statement.kind == AWARD:
            newest = self._left.get(statement.subject, 0)
            self._left[statement.subject] = max(newest, statement.epoch)

    def _persist(self, outlook: Outlook, effect: Persist) -> None:
        if not self.lookout.is_honest(outlook.node.id):
            return
        for task, award in awards_in(effect):
            self._write(outlook, task, award.epoch)

    def _write(self, outlook: Outlook, task: bytes, epoch: int) -> None:
        life = (outlook.name, outlook.life, task)
        newest = max(self._left.get(task, 0), self._asked.get(life, 0))
        if epoch <= newest:
            text = f"{outlook.name} awards epoch {epoch} of a task, after epoch {newest}"
            self.violate(text, outlook.name)
        self._asked[life] = epoch
