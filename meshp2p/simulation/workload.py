"""What the agents of a simulated mesh do all day: calls, keyed calls, auctions, votes."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Final, Literal, TypeAlias

import attrs

from meshp2p.consensus import AwardData, Bid, Offer, VoteResult
from meshp2p.errors import MeshError, Overloaded, ResultError
from meshp2p.ids import Seconds
from meshp2p.simulation.handlers import Agent, Bidder, Handler, Onward
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.witness import START
from meshp2p.simulation.world import World

What: TypeAlias = Literal["add", "charge", "relay", "message", "auction", "vote"]

_KINDS: Final[tuple[What, ...]] = ("add", "charge", "relay", "message", "auction", "vote")
_WEIGHTS: Final = (4, 4, 2, 1, 1, 1)
_KEYS: Final = 5
"""So few, that the same one is often used twice."""
_PRICES: Final = 10
_BUDGETS: Final = (0, 0, 0, 7)
"""What an owner would pay at most, 0 for any price."""
_AUCTION: Final[Seconds] = 6.0
_VOTE: Final[Seconds] = 2.0
_CANCELLED: Final = 0.05
_SECOND_THOUGHTS: Final[tuple[Seconds, ...]] = (0.0, 0.01, 0.1, 0.5)
"""After so long, by its number, a call is given up that is: at once, or while somebody works."""
_PATIENCE: Final[tuple[Seconds, ...]] = (0.2, 5.0)
LONGEST: Final[Seconds] = 8.0
"""After so long whatever was begun has ended, one way or the other."""
_LOOK_EVERY: Final[Seconds] = 0.2


@attrs.frozen
class Errand:
    """One thing that somebody asks for.

    Args:
        at: Seconds after the world's start.
        who: Asks; nobody if it is not running then.
        whom: Of a message.
        number: What it is about.
        key: Of a call that must run once; empty for others.
        timeout: Of a call.
        cancelled: Whether a call is given up, unless it ends within `_SECOND_THOUGHTS`.
    """

    at: Seconds
    who: str
    what: What
    whom: str
    number: int
    key: str
    timeout: Seconds
    cancelled: bool


def draw_errands(
    rng: Random, names: tuple[str, ...], until: Seconds, rate: float
) -> tuple[Errand, ...]:
    """`rate` errands a second until then."""
    errands: list[Errand] = []
    at = rng.expovariate(rate)
    while at < until:
        errands.append(
            Errand(
                at=at,
                who=rng.choice(names),
                what=rng.choices(_KINDS, _WEIGHTS)[0],
                whom=rng.choice(names),
                number=rng.randrange(1_000),
                key=rng.choice(["", "", f"key-{rng.randrange(_KEYS)}"]),
                timeout=rng.choice(_PATIENCE),
                cancelled=rng.random() < _CANCELLED,
            )
        )
        at += rng.expovariate(rate)
    return tuple(errands)


def draw_agent(rng: Random, name: str) -> Agent:
    """Somebody who adds, charges, relays, listens and votes, at its own pace."""
    slow = rng.choice([0.0, 0.01, 0.3, 1.0])
    likes = rng.choice([("yes",), ("yes",), ("no",), ("yes", "no")])
    asked = count()  # who likes both changes its mind each time: what it signed must not
    handlers = {
        "add": Handler(function=lambda a, b: a + b, takes=slow, idempotent=True),
        "charge": Handler(function=lambda n: n, takes=slow),
        "relay": Handler(function=lambda a, b: Onward("add", (a, b))),
    }
    if rng.random() < 0.3:  # noqa: PLR2004  # not everybody can do everything
        del handlers[rng.choice(sorted(handlers))]
    return Agent(
        handlers,
        on_message=lambda body: [name, body],
        bidder=_draw_bidder(rng),
        voter=lambda _: likes[next(asked) % len(likes)],
    )


def _draw_bidder(rng: Random) -> Bidder | None:
    """As nodes bid by themselves; else at a price, in a time, that differ from offer to offer."""
    if rng.random() < 0.3:  # noqa: PLR2004  # most ask for something
        return None
    costs, slowness = rng.randrange(1, _PRICES), rng.choice([0, 20, 500])
    offers = count()

    def bid(_offer: Offer) -> Bid | None:
        number = next(offers) * costs
        if number % _PRICES == _PRICES - 1:
            return None
        return Bid(price=number % _PRICES, eta_ms=number % 3 * slowness)

    return bid


@attrs.frozen(eq=False)
class _Begun:
    """Something that a node waits for, unless it has ended itself."""

    node: Node
    life: int
    pending: Pending

    @property
    def is_open(self) -> bool:
        """Whether an answer is still to come, or the result of what was awarded."""
        result = self.pending.outcome
        over = self.pending.is_done and (result is None or result.is_done)
        return self.node.life == self.life and not over


def _is_busy(node: Node) -> bool:
    """Whether it still works or asks for somebody, who may be gone."""
    stats = node.engine.stats()
    return bool(stats["calls_open"] or stats["handlers_running"])


def _answer_of(pending: Pending) -> object:
    """What the user gets; an answer that is none is raised as what it is, in words we know."""
    try:
        return pending.result
    except ResultError as error:
        return error


@attrs.define(eq=False)
class Workload:
    """Runs errands in a world, and knows afterwards what must have become of them.

    Args:
        faulty: As votes are called; None for the usual bound.
    """

    world: World
    faulty: int | None = None
    _asked: list[tuple[Node, int, Pending, object]] = attrs.field(factory=list, init=False)
    _auctions: list[Pending] = attrs.field(factory=list, init=False)
    _votes: list[Pending] = attrs.field(factory=list, init=False)
    _begun: list[_Begun] = attrs.field(factory=list, init=False)

    def plan(self, errands: tuple[Errand, ...]) -> None:
        """Let each happen at its hour."""
        for errand in errands:
            self.world.at_time(
                max(START + errand.at, self.world.now),
                lambda errand=errand: self._run(errand),  # type: ignore[misc]  # mypy cannot infer it
            )

    def _run(self, errand: Errand) -> None:
        node = self.world.nodes.get(errand.who)
        if node is None or not node.is_running or node.is_paused:
            return
        try:
            self._begin(node, errand)
        except MeshError:
            self.world.coverage["work.refused"] += 1

    def _begin(self, node: Node, errand: Errand) -> None:
        number, wait = errand.number, errand.timeout
        pending: Pending | None
        match errand.what:
            case "auction":
                pending = self._hold(node, errand)
                self._auctions.append(pending)
            case "vote":
                pending = self._call_vote(node, errand)
                self._votes.append(pending)
            case "message":
                asked = node.call(f"@{errand.whom}", number, timeout=wait)
                pending = self._keep(node, errand, asked, [errand.whom, number])
            case "charge":
                asked = node.call("charge", number, timeout=wait, key=errand.key)
                pending = self._keep(node, errand, asked, None if errand.key else number)
            case _:
                asked = node.call(errand.what, number, 1, timeout=wait)
                pending = self._keep(node, errand, asked, number + 1)
        if pending is not None:
            self._begun.append(_Begun(node, node.life, pending))

    def _call_vote(self, caller: Node, errand: Errand) -> Pending:
        question, options = f"{errand.number}?", ["yes", "no"]
        return self.world.vote(caller, question, options, closes_in=_VOTE, faulty=self.faulty)

    def _hold(self, owner: Node, errand: Errand) -> Pending:
        """Auction off a sum, or a charge, under a key if there is one."""
        work = "charge" if errand.key else "add"
        args = (errand.number,) if errand.key else (errand.number, 1)
        budget = _BUDGETS[errand.number % len(_BUDGETS)]
        rules = {"deadline": _AUCTION, "key": errand.key, "budget": budget}
        return self.world.auction(owner, work, *args, **rules)

    def _keep(
        self, node: Node, errand: Errand, pending: Pending, expected: object
    ) -> Pending | None:
        """Look at the answer when all is over; None if it is given up."""
        if errand.cancelled:
            wait = _SECOND_THOUGHTS[errand.number % len(_SECOND_THOUGHTS)]
            if wait:
                self.world.after(wait, self._give_up, node, node.life, pending)
            else:
                node.cancel(pending)
            return None
        self._asked.append((node, node.life, pending, expected))
        return pending

    def _give_up(self, node: Node, life: int, pending: Pending) -> None:
        if node.life == life and not pending.is_done:
            self.world.coverage["work.given_up"] += 1
            node.cancel(pending)

    # --- the end -------------------------------------------------------------------

    def finish(self, longer: Seconds = 1.0) -> None:
        """Let time pass until all that was begun has ended, or must have.

        Args:
            longer: And so much for what comes late, or should not come any more.
        """
        ends = self.world.now + LONGEST
        waiting = self._begun
        while self.world.now < ends:
            waiting = [each for each in waiting if each.is_open]
            if not waiting and not any(map(_is_busy, self.world.running)):
                break
            self.world.run_for(_LOOK_EVERY)
        self.world.run_for(min(longer, max(ends - self.world.now, 0.0)))

    def check(self) -> None:
        """Everything has ended, and what was answered is right.

        Raises:
            Violation: It is not so.
        """
        for asked in self._asked:
            self._check_call(*asked)
        coverage = self.world.coverage
        for pending in self._auctions:
            if pending.error is None and isinstance(pending.value, AwardData):
                coverage["work.awards"] += 1
                coverage["work.successors"] += pending.value.epoch > 1
        for pending in self._votes:
            if isinstance(pending.value, VoteResult):
                coverage["work.votes_decided"] += 1
            elif pending.is_done:
                coverage["work.votes_undecided"] += 1

    def _check_call(self, node: Node, life: int, pending: Pending, expected: object) -> None:
        if node.life != life:
            return
        world, who = self.world, (node.name,)
        world.require(pending.is_done, "a call never ended", name="ends once", nodes=who)
        if pending.error is None:
            world.coverage["work.answered"] += 1
            answer = _answer_of(pending)
            # What a liar answers is its own affair.
            right = expected is None or answer == expected or bool(world.byzantine)
            text = f"{answer!r} instead of {expected!r}"
            world.require(right, text, name="right answer", nodes=who)
        else:
            world.coverage["work.failed"] += 1
            world.coverage["overloaded"] += isinstance(pending.error, Overloaded)
            known = isinstance(pending.error, MeshError)
            world.require(known, f"a call ended with {pending.error!r}", nodes=who)
