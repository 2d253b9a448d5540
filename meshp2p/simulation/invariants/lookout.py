"""What invariants watch through: every transition of every engine, told once and in words.

Looking at all rows of all lists after each input would cost more than the run. So a list
is read again only when its hash has changed or its owner has told of a change, and what
is found is told to whoever asked for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from meshp2p.effects import Announce, Effect
from meshp2p.engine import Engine
from meshp2p.events import MemberEvent, State
from meshp2p.gossip.member import Row
from meshp2p.gossip.record import Record
from meshp2p.gossip.suspicion import Suspicion
from meshp2p.gossip.timers import Timers
from meshp2p.gossip.view import View
from meshp2p.ids import NodeId, Seconds, show_id
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.overheard import Ears, Overheard
from meshp2p.simulation.invariants.statement import Statements
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.world import World

_T = TypeVar("_T")

_SMALL: Final = 64
"""Members up to which a list is read at each change; longer ones in proportion less often."""
_LOOK_EVERY: Final[Seconds] = 0.5
"""Virtual seconds between two looks at what no change announces, per node of `_SMALL`."""


@attrs.frozen
class Glimpse:
    """One member in one list, as it was when last looked at."""

    record: Record
    state: State
    suspicion: Suspicion | None
    since: Seconds
    """When this node's list came to hold this version."""

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, seq)."""
        return self.record.version


@attrs.define(eq=False)
class Outlook:
    """What one life of one node has shown so far.

    Args:
        began: When it had its first input, as all times here on the node's own monotonic
            clock: it may have slept.
        glimpses: Its list of members at the last look.
        woke_at: When it last went on after having stood still for longer than an ack
            may take; minus infinity if it never did.
        stall: How late it was then.
        due: When its membership wanted to be woken, as of its input at `last`.
        read_unix: What it took for the time of day at the last look at its list.
    """

    node: Node
    life: int
    engine: Engine
    began: Seconds
    name: str = attrs.field(init=False)
    view: View = attrs.field(init=False)
    timers: Timers = attrs.field(init=False)
    ack_timeout: Seconds = attrs.field(init=False)
    glimpses: dict[NodeId, Glimpse] = attrs.field(factory=dict)
    woke_at: Seconds = -inf
    stall: Seconds = 0.0
    due: Seconds = inf
    last: Seconds = -inf
    changed: bool = True
    hash: int = -1
    unread: int = 0
    look_at: Seconds = -inf
    read_unix: float = -inf

    def __attrs_post_init__(self) -> None:
        self.name = self.node.name
        self.view = inside.view_of(self.engine)
        self.timers = inside.timers_of(self.engine)
        self.ack_timeout = self.engine.config.ack_timeout

    @property
    def now(self) -> Seconds:
        """On its monotonic clock."""
        return self.node.clock.monotonic


OnRow: TypeAlias = Callable[[Outlook, NodeId, Glimpse | None, Glimpse | None], None]
"""Told of a member that entered (before is None), changed, or left a list (after is None)."""


class Lookout:
    """One world's hooks, shared by all its invariants.

    Args:
        scenario: Named in the command that replays a violation.
    """

    def __init__(self, world: World, scenario: str = "swarm") -> None:
        """Begin to watch; nothing is looked at that nobody asked for.

        Those who lie are not watched any more: no promise binds them.
        """
        self.world = world
        self.scenario = scenario
        self.outlooks: dict[str, Outlook] = {}
        """By name, the newest life of each node that had an input."""
        self.on_row: list[OnRow] = []
        self.on_input: list[Callable[[Outlook], None]] = []
        """Told after every input; whoever waits for something is there only meanwhile."""
        self.on_another: list[Callable[[Outlook], None]] = []
        """Told after every input that is not the first of its moment."""
        self.on_look: list[Callable[[Outlook], None]] = []
        """Told of a node now and then, for what no change announces."""
        self._on_effect: defaultdict[type, list[Callable[[Outlook, Any], None]]]
        self._on_effect = defaultdict(list)
        self._names: dict[NodeId, str] = {}
        self.statements = Statements(world)
        """What members promise each other under their signatures."""
        self.ears = Ears()
        """What is told of the mathematics of nodes that start from now on."""
        self.ears.on_next_key.append(self._next_key)
        self._make_engine = world.make_engine
        world.make_engine = self._make_overheard
        world.on_effects.append(self._effects)
        world.on_transition.append(self._transition)
        self.hear(MemberEvent, self._member_event)

    def _make_overheard(self, **options: Any) -> Engine:  # noqa: ANN401  # as `Engine`
        options["crypto"] = Overheard(options["crypto"], options["identity"].node_id, self.ears)
        return self._make_engine(**options)

    def _next_key(self, _owner: NodeId) -> None:
        self.world.coverage["rekey.stream"] += 1

    def hear(self, kind: type[_T], listener: Callable[[Outlook, _T], None]) -> None:
        """Be told of all effects of a class, or of all events of one that are announced."""
        self._on_effect[kind].append(listener)

    # --- who is who ----------------------------------------------------------

    def name_of(self, node_id: NodeId) -> str:
        """The world's name of a node, or the beginning of its id."""
        node = self.node_of(node_id)
        return show_id(node_id)[:8] if node is None else node.name

    def node_of(self, node_id: NodeId) -> Node | None:
        """The node with that id; None if the world has none."""
        name = self._names.get(node_id)
        if name is None:
            self._names |= {node.id: name for name, node in self.world.nodes.items() if node.life}
            name = self._names.get(node_id)
        return None if name is None else self.world.nodes.get(name)

    def is_honest(self, node_id: NodeId) -> bool:
        """Whether its promises are its own: liars make promises to break them."""
        return self.name_of(node_id) not in self.world.byzantine

    def outlook(self, node: Node) -> Outlook:
        """What the present life of a running node has shown."""
        outlook = self.outlooks.get(node.name)
        if outlook is None or outlook.life != node.life or outlook.node is not node:
            outlook = Outlook(node, node.life, node.engine, node.now)
            self.outlooks[node.name] = outlook
        return outlook

    def present(self) -> Iterator[Outlook]:
        """Those of honest nodes that run now."""
        for outlook in list(self.outlooks.values()):
            node = outlook.node
            if node.is_running and node.engine is outlook.engine and self.is_honest(node.id):
                yield outlook

    # --- what happens --------------------------------------------------------

    def _effects(self, node: Node, effects: Sequence[Effect]) -> None:
        if node.name in self.world.byzantine:
            return
        outlook = self.outlook(node)
        listeners_of = self._on_effect.get
        for effect in effects:
            said = effect.event if type(effect) is Announce else effect
            for listener in listeners_of(type(said), ()):
                listener(outlook, said)

    @staticmethod
    def _member_event(outlook: Outlook, _event: MemberEvent) -> None:
        outlook.changed = True

    def _transition(self, node: Node) -> None:
        if node.name in self.world.byzantine:
            return
        outlook = self.outlook(node)
        now = node.clock.monotonic
        if now == outlook.last:
            for told in self.on_another:
                told(outlook)
        elif now - outlook.last > outlook.ack_timeout:
            _notice_lag(outlook, now)
        outlook.last, outlook.due = now, outlook.timers.soonest
        if outlook.changed or outlook.view.hash != outlook.hash:
            self._read_again(outlook)
        for told in tuple(self.on_input):
            told(outlook)
        if now >= outlook.look_at:
            outlook.look_at = now + _LOOK_EVERY * max(1.0, len(outlook.glimpses) / _SMALL)
            self.read(outlook)  # also what changed without a word
            for told in self.on_look:
                told(outlook)

    def _read_again(self, outlook: Outlook) -> None:
        outlook.unread += 1
        members = len(outlook.view)
        if members > _SMALL and outlook.unread < members // _SMALL:
            return
        outlook.unread, outlook.changed, outlook.hash = 0, False, outlook.view.hash
        self.read(outlook)

    def read(self, outlook: Outlook) -> None:
        """Look at all rows of a list, and tell of those that changed."""
        view, seen = outlook.view, outlook.glimpses
        for row in view:
            record = row.record
            before = seen.get(row.id)
            if (
                before is None
                or before.record is not record
                or before.state != row.state
                or before.suspicion is not row.suspicion
            ):
                self._tell(outlook, row.id, before, _glimpse(outlook, row, before))
        if len(seen) != len(view):
            for gone in [node_id for node_id in seen if view.get(node_id) is None]:
                self._tell(outlook, gone, seen[gone], None)
        outlook.read_unix = inside.unix_of(outlook.engine, outlook.now)

    def _tell(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        if after is None:
            del outlook.glimpses[member]
        else:
            outlook.glimpses[member] = after
        for told in self.on_row:
            told(outlook, member, before, after)


def _notice_lag(outlook: Outlook, now: Seconds) -> None:
    """A node that should have been woken long ago stood still until now."""
    lag = now - max(outlook.due, outlook.last)
    if lag > outlook.ack_timeout:
        outlook.woke_at, outlook.stall = now, lag


def _glimpse(outlook: Outlook, row: Row, before: Glimpse | None) -> Glimpse:
    same = before is not None and before.version == row.version
    since = before.since if before is not None and same else outlook.now
    return Glimpse(row.record, row.state, row.suspicion, since)
