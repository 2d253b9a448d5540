"""A6 and whose work is whose: one run for a token; nobody else awards it, or is told of it."""

from __future__ import annotations

from meshp2p.consensus.award import AwardNote, ResultNote
from meshp2p.effects import Persist
from meshp2p.errors import WireError
from meshp2p.ids import NodeId
from meshp2p.simulation.handlers import Ran
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.invariants.statement import awards_in
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.sayings import sayings_in
from meshp2p.wire import codec


class OwnerInvariant(Invariant):
    """One that knows all awards of all honest owners, from before anybody is told of them."""

    def __init__(self, lookout: Lookout) -> None:
        """Nothing is awarded."""
        super().__init__(lookout)
        self.owners: dict[bytes, NodeId] = {}
        """Of each task that was awarded."""
        self.winners: dict[tuple[bytes, int], NodeId] = {}
        """By task and epoch."""
        lookout.hear(Persist, self._persist)

    def _persist(self, _outlook: Outlook, effect: Persist) -> None:
        for task, award in awards_in(effect):
            self._awarded(task, award)

    def _awarded(self, task: bytes, award: AwardNote) -> None:
        self.owners[task] = award.owner
        self.winners[task, award.epoch] = award.winner


class OneRunPerToken(OwnerInvariant):
    """A6: a fenced sink never applies a lower token after a higher; one token, one run.

    Not judged are tasks of liars, who may give one token to as many as they like.
    """

    name = "A6"
    promise = "A fencing token is held by one run of one member, so a sink can trust it."

    def __init__(self, lookout: Lookout) -> None:
        """No token was used."""
        super().__init__(lookout)
        self._runs: dict[tuple[str, int], str] = {}
        self.world.on_running.append(self._handler_begins)

    def _handler_begins(self, node: Node, job: Ran) -> None:
        if not job.token or job.head is None or not self._is_of_the_honest(job):
            return
        slot = (job.head.key, job.token)
        if slot in self._runs:
            where = (self._runs[slot], node.name)
            text = f"{job.method!r} ran twice with token {job.token}: on {' and '.join(where)}"
            self.violate(text, *where)
        self._runs[slot] = node.name

    def _is_of_the_honest(self, job: Ran) -> bool:
        """Whoever asks for it: the task's name says whose it is."""
        owner = None if job.head is None else self.owners.get(bytes.fromhex(job.head.key))
        return self.lookout.is_honest(job.caller if owner is None else owner)


class Awarded(OwnerInvariant):
    """Awarded work is done for its owner alone: the owner has written that very award down.

    Not judged are tasks of liars: they may award them as they like, and say that they did not.
    """

    name = "awarded"
    promise = "Nobody works for a member that did not ask for it, whoever says that it did."

    def __init__(self, lookout: Lookout) -> None:
        """Watch handlers."""
        super().__init__(lookout)
        self.world.on_running.append(self._handler_begins)

    def _handler_begins(self, node: Node, job: Ran) -> None:
        if not job.token or job.head is None or not self.lookout.is_honest(node.id):
            return
        task = bytes.fromhex(job.head.key)
        if not self.lookout.is_honest(self.owners.get(task, job.caller)):
            return
        asks = self.owners.get(task) == job.caller
        if not asks or self.winners.get((task, job.token)) != node.id:
            owner = self.call(job.caller)
            text = f"{node.name} does {job.method!r} for {owner} with token {job.token}, "
            self.violate(f"{text}which {owner} did not award to it", node.name, owner)


class Owed(OwnerInvariant):
    """A result is told to the owner of its task: whoever else knows the task's name gets none.

    Looked at is what honest members say by stream once somebody lies; nobody else would ask.
    """

    name = "owed"
    promise = "What came of a task is told to its owner, and to nobody else who asks for it."

    def __init__(self, lookout: Lookout) -> None:
        """Listen to whoever reads streams."""
        super().__init__(lookout)
        lookout.ears.on_read.append(self._read)

    def _read(self, reader: NodeId, teller: NodeId, plaintext: bytes) -> None:
        if not self.world.byzantine or not self.lookout.is_honest(teller):
            return
        for saying in sayings_in(plaintext):
            note = None if saying.is_request else _result_in(saying.body)
            owner = None if note is None else self.owners.get(note.task_id)
            if owner not in (None, reader) and self.lookout.is_honest(owner):
                names = (self.call(teller), self.call(reader), self.call(owner))
                text = f"{names[0]} tells {names[1]} what came of a task of {names[2]}"
                self.violate(text, *names)


def _result_in(body: bytes) -> ResultNote | None:
    """The signed note in the answer to a claim; None in any other."""
    try:
        match codec.unpack_untrusted(body):
            case [int(), bytes(answer), *_]:
                statement, *_ = codec.unpack_list_untrusted(answer, 2)
                return ResultNote.read_untrusted(statement)
    except WireError:
        pass
    return None
