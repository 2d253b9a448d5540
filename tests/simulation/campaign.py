"""Many small meshes, each with troubles of its own: `python -m tests.simulation.campaign`.

Each seed draws a mesh, its network, faults and work. First comes a hostile phase, then a
calm one, in which everything must come right. Promises are watched at every step. The
last line says how much of everything happened, because a promise that is never put to the
test is not kept but untested; over many seeds nothing may stay at zero.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from random import Random

import attrs

from meshp2p.config import lan, loopback
from meshp2p.consensus import AwardData, VoteResult
from meshp2p.errors import MeshError
from meshp2p.simulation import Agent, Conditions, Handler, Node, Onward, Pending, Violation, World
from meshp2p.simulation.promises import Watch

_HOSTILE = 8.0
"""Virtual seconds of trouble."""
_MANY = 100
"""Seeds among which everything must have happened."""
_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
_MUST_HAPPEN = ("crashes", "cuts", "pauses", "holds", "calls answered", "calls failed",
                "awards", "successors", "votes decided", "votes undecided", "retries")  # fmt: skip


@attrs.define(eq=False)
class Story:
    """One seed: what happens, and whether it ended well.

    Args:
        broken: What everybody adds with instead, to see whether that is noticed.
    """

    seed: int
    broken: Handler | None = None
    counts: Counter[str] = attrs.field(factory=Counter)
    asked: list[tuple[Node, int, Pending, object]] = attrs.field(factory=list)
    auctions: list[Pending] = attrs.field(factory=list)
    votes: list[Pending] = attrs.field(factory=list)
    rng: Random = attrs.field(init=False)
    world: World = attrs.field(init=False)
    watch: Watch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)
        config = self.rng.choice([loopback, loopback, lan])()
        quick = self.rng.choice([0.0002, 0.002, 0.02])
        conditions = Conditions(
            delay=(quick, quick * self.rng.uniform(1, 5)),
            loss=self.rng.choice([0.0, 0.0, 0.02, 0.2]),
            duplicate=self.rng.choice([0.0, 0.01, 0.1]),
        )
        self.world = World(self.seed, config, conditions=conditions)
        self.watch = Watch(self.world)

    def run(self) -> None:
        """Everything, from the first node to the last check.

        Raises:
            Violation: Something did not end well.
        """
        for name in _NAMES[: self.rng.randint(3, len(_NAMES))]:
            self.world.start(name, agent=self._agent(name))
            if self.rng.random() < 0.3:
                self.world.run_for(self.rng.random())
        if self.rng.random() < 0.7:
            self.world.run_until_quiet()
        self._hostile()
        self._calm()
        for node in self.world.nodes.values():
            if node.is_running:
                self.counts["retries"] += node.engine.stats().get("call_retried", 0)
        self.counts["steps"] += self.world.events

    def _agent(self, name: str) -> Agent:
        slow = self.rng.choice([0.0, 0.01, 0.3, 1.0])
        likes = self.rng.choice(["yes", "yes", "yes", "no"])
        handlers = {
            "add": self.broken or Handler(function=lambda a, b: a + b, takes=slow, idempotent=True),
            "charge": Handler(function=lambda n: n, takes=slow),
            "relay": Handler(function=lambda a, b: Onward("add", (a, b))),
        }
        if self.rng.random() < 0.3:
            del handlers[self.rng.choice(sorted(handlers))]
        return Agent(handlers, on_message=lambda body: [name, body], voter=lambda _: likes)

    # --- trouble -----------------------------------------------------------------

    def _hostile(self) -> None:
        world, rng = self.world, self.rng
        end = world.now + _HOSTILE
        faults = rng.sample([self._crash, self._cut, self._pause, self._hold], rng.randint(0, 4))
        share = rng.choice([0.1, 0.3])
        while world.now < end:
            world.run_for(rng.expovariate(8.0))
            if faults and rng.random() < share:
                rng.choice(faults)()
            else:
                self._work()

    def _crash(self) -> None:
        running = self.world.running
        if len(running) > 1:
            node = self.rng.choice(running)
            kept = self.rng.randint(0, node.disk.unsynced)
            self.world.crash(node, silent=self.rng.random() < 0.3, kept=kept)
            self.counts["crashes"] += 1
            self.world.after(self.rng.uniform(0.01, 4), lambda: self._restart(node))

    def _restart(self, node: Node) -> None:
        if not node.is_running:
            self.world.restart(node)

    def _cut(self) -> None:
        nodes = list(self.world.nodes.values())
        self.rng.shuffle(nodes)
        at = self.rng.randint(1, len(nodes) - 1)
        self.world.cut(nodes[:at], nodes[at:])
        self.counts["cuts"] += 1
        self.world.after(self.rng.uniform(0.1, 4), self.world.heal)

    def _pause(self) -> None:
        node = self.rng.choice(list(self.world.nodes.values()))
        if node.is_running and not node.is_paused:
            node.pause()
            self.counts["pauses"] += 1
            self.world.after(self.rng.uniform(0.1, 4), node.resume)

    def _hold(self) -> None:
        one, other = self.rng.sample(list(self.world.nodes.values()), 2)
        links = self.world.links
        for link in ((one.name, other.name), (other.name, one.name)):
            links.hold(link)
            self.world.after(self.rng.uniform(0.1, 2), lambda link=link: links.release(link))  # type: ignore[misc]  # mypy cannot infer it
        self.counts["holds"] += 1

    # --- work ----------------------------------------------------------------------

    def _work(self) -> None:
        awake = [node for node in self.world.running if not node.is_paused]
        if not awake:
            return
        node, number = self.rng.choice(awake), self.rng.randrange(1_000)
        kind = self.rng.choices(["add", "charge", "relay", "@", "auction", "vote"],
                                [4, 4, 2, 1, 1, 1])[0]  # fmt: skip
        try:
            if kind == "auction":
                self.auctions.append(self.world.auction(node, "add", number, 1, deadline=6.0))
            elif kind == "vote":
                faulty = self.rng.choice([None, 0])
                self.votes.append(
                    self.world.vote(node, f"{number}?", ["yes", "no"], closes_in=2, faulty=faulty)
                )
            else:
                self._call(node, kind, number)
        except MeshError:
            self.counts["refused at once"] += 1

    def _call(self, node: Node, kind: str, number: int) -> None:
        wait = self.rng.choice([0.2, 5.0])
        if kind == "@":
            other = self.rng.choice(list(self.world.nodes.values()))
            pending = node.call(f"@{other.name}", number, timeout=wait)
            expected: object = [other.name, number]
        elif kind == "charge":
            key = self.rng.choice(["", "", f"{self.rng.randrange(5)}"])
            pending = node.call("charge", number, timeout=wait, key=key)
            expected = None if key else number
        else:
            pending, expected = node.call(kind, number, 1, timeout=wait), number + 1
        self.asked.append((node, node.life, pending, expected))
        if self.rng.random() < 0.05:
            node.cancel(pending)
            self.asked.pop()

    # --- the end -------------------------------------------------------------------

    def _calm(self) -> None:
        world = self.world
        world.run_for(4.0)  # whatever was going to end by itself has ended
        world.heal()
        world.links.usual = Conditions()
        for node in list(world.nodes.values()):
            if node.is_paused:
                node.resume()
            self._restart(node)
        world.run_until_quiet(120.0)
        world.run_for(8.0)
        world.require(world.is_quiet(), "the view does not stay whole")
        self._check_ends()
        self._check_it_works()

    def _check_ends(self) -> None:
        for node, life, pending, expected in self.asked:
            if node.life != life:
                continue
            self.world.require(pending.is_done, f"{node!r}: a call never ended")
            if pending.error is None:
                right = expected is None or pending.result == expected
                self.world.require(right, f"{pending.result!r} instead of {expected!r}")
            else:
                known = isinstance(pending.error, MeshError)
                self.world.require(known, f"a call ended with {pending.error!r}")
            self.counts["calls failed" if pending.error else "calls answered"] += 1
        for pending in self.auctions:
            if pending.error is None and isinstance(pending.value, AwardData):
                self.counts["awards"] += 1
                self.counts["successors"] += pending.value.epoch > 1
        for pending in self.votes:
            if isinstance(pending.value, VoteResult):
                root = self.world.keys().root_public
                self.watch.decided(pending.value, root)
                self.counts["votes decided"] += 1
            elif pending.is_done:
                self.counts["votes undecided"] += 1

    def _check_it_works(self) -> None:
        """In the calm, everybody is of use again."""
        world = self.world
        there = world.running
        pending = [node.call("@" + other.name, 1) for node in there for other in there]
        world.run_until(lambda: all(call.is_done for call in pending))
        for call in pending:
            world.require(call.error is None, f"in the calm a call failed: {call.error!r}")
        for node in world.running:
            stats = node.engine.stats()
            for gauge in ("calls_open", "handlers_running"):
                world.require(stats[gauge] == 0, f"{node!r}: {gauge} is {stats[gauge]}")


def say(text: str) -> None:
    """Show progress at once, also in a log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def happened_in(seed: int) -> Counter[str] | None:
    """Run one seed; return what happened, or None after telling what went wrong."""
    story = Story(seed)
    try:
        story.run()
    except Exception as error:  # noqa: BLE001  # whatever it is, the seed matters more
        if not isinstance(error, Violation):
            traceback.print_exc()
        say(f"seed {seed} failed after {story.world.events} steps: {error}")
        say(f"replay: python -m tests.simulation.campaign --seeds {seed}")
        return None
    return story.counts


def main() -> int:
    """Run the seeds that were asked for; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:200", help="FROM:TO, or one seed")
    first, _, last = parser.parse_args().seeds.partition(":")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    counts: Counter[str] = Counter()
    began = time.perf_counter()
    for done, seed in enumerate(seeds, start=1):
        happened = happened_in(seed)
        if happened is None:
            return 1
        counts += happened
        if done % 50 == 0:
            say(f"{done} seeds, {done / (time.perf_counter() - began):.1f}/s")
    took = time.perf_counter() - began
    say(", ".join(f"{name} {number}" for name, number in sorted(counts.items())))
    many = len(seeds) >= _MANY
    idle = [name for name in _MUST_HAPPEN if many and not counts[name]]
    if idle:
        say(f"never happened, so nothing was shown: {', '.join(idle)}")
    verdict = "not ok" if idle else "ok"
    say(f"{len(seeds)} seeds in {took:.1f} s ({len(seeds) / took:.1f}/s): {verdict}")
    return 1 if idle else 0


if __name__ == "__main__":
    sys.exit(main())
