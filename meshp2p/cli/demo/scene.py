"""The five scenes of the demo. Each does one thing, checks it, and tells what it found."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from meshp2p.cli.demo.plan import OPTIONS, Plan, Role, clock, next_prime
from meshp2p.cli.demo.report import Report
from meshp2p.cli.demo.screen import Screen
from meshp2p.cli.demo.troupe import Actor, Failed, Troupe, command, environment, run_to_end
from meshp2p.identity.keyfile import MESH_KEY, MESH_KEY_NAME, load_secret
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.trust import MeshKeys

_WORDS: Final = ["node", "mesh", "agent", "quorum", "ballot"]
_FIRST_NUMBER: Final = 1_000
_ELSEWHERE: Final = "elsewhere"
_STARTED: Final = 0.5
"""Share of a task's time in which all of them must have begun; then one agent is killed."""


@attrs.define
class Play:
    """One run: its plan, its processes, where it is shown, and what it finds."""

    plan: Plan
    troupe: Troupe
    screen: Screen
    report: Report

    async def perform(self, nursery: trio.Nursery) -> None:
        """All scenes, in order.

        Raises:
            Failed: One of them made the next pointless.
        """
        await self.join(nursery)
        await self.call()
        await self.auction()
        await self.vote()
        await self.survive()

    # --- 1 ---------------------------------------------------------------------

    async def join(self, nursery: trio.Nursery) -> None:
        """Start all; wait until each sees all."""
        cast, troupe, report = self.plan.cast, self.troupe, self.report
        self.screen.scene(1, "five processes find each other")
        began = clock()
        for role in cast:
            await troupe.start(role.handle, self._part(role), nursery)
            self.screen.live(f"starting {role.handle}")

        def complete() -> bool:
            seen = [actor.sees for actor in troupe.actors.values()]
            self.screen.progress(sum(seen), len(cast) ** 2, "seen")
            return min(seen) == len(cast) or any(a.silent.is_set() for a in troupe.actors.values())

        await troupe.until(complete, self.plan.join_timeout)
        report.join_seconds = clock() - began
        report.agents = sum(actor.sees == len(cast) for actor in troupe.actors.values())
        if report.agents < len(cast):
            report.join_seconds = None
            short = [
                f"{actor.handle} ended ({actor.last_words()})"
                if actor.silent.is_set()
                else f"{actor.handle} sees {actor.sees}"
                for actor in troupe.actors.values()
            ]
            raise Failed(f"not everyone sees everyone: {', '.join(short)}")
        for role in cast:
            self.screen.good(f"{role.handle:<6} can {role.skill}")
        self.screen.note(f"each sees all five after {report.join_seconds:.2f} s")

    def _part(self, role: Role) -> dict[str, Any]:
        plan = self.plan
        return {
            "handle": role.handle,
            "skill": role.skill,
            "price": role.price,
            "ballot": role.ballot,
            "namespace": _ELSEWHERE if role.handle == plan.absent else "default",
            "everyone": [other.handle for other in plan.cast],
            "works": role is not plan.cast[0],
            "idempotent": plan.idempotent,
            "task_seconds": plan.task_seconds,
        }

    # --- 2 ---------------------------------------------------------------------

    async def call(self) -> None:
        """Everyone calls the next, one call after the other; every answer is checked."""
        cast, times = self.plan.cast, self.plan.quick_calls
        self.screen.scene(2, "encrypted calls")
        right = 0
        for caller, callee in pairwise([*cast, cast[0]]):
            answer = await self.troupe.ask(
                caller.handle,
                "calls",
                self.plan.patience,
                target=f"@{callee.handle}/{callee.skill}",
                sample=callee.sample,
                answer=callee.answer,
                times=times,
            )
            self.report.call_seconds += answer["seconds"]
            right += answer["right"]
            made = len(self.report.call_seconds)
            self.screen.progress(made, times * len(cast), f"{caller.handle} > {callee.handle}")
        wrong = len(self.report.call_seconds) - right
        self.report.find(f"{wrong} quick calls had a wrong answer", unless=not wrong)
        if not wrong:
            self.screen.good(f"{right} calls around the ring, every answer right")
        self.screen.note(f"half of them took less than {self.report.call_p50_us:.0f} us")

    # --- 3 ---------------------------------------------------------------------

    async def auction(self) -> None:
        """The first offers work; its result is checked, and who made it."""
        self.screen.scene(3, "an auction")
        owner = self.plan.cast[0].handle
        found = await self.troupe.ask(
            owner, "auction", self.plan.patience, words=_WORDS, timeout=self.plan.patience
        )
        winner, result = found["winner"], found["result"]
        self.report.auction_ms = found["ms"]
        honest = result == {"words": sorted(_WORDS), "by": winner}
        bidders = {role.handle for role in self.plan.cast if role.price is not None}
        self.report.find(f"the auction's result is wrong: {result}", unless=honest)
        self.report.find(f"{winner} won without bidding", unless=winner in bidders)
        self.screen.note(f"{owner} has words to sort; bids: {', '.join(map(str, found['bids']))}")
        if honest:
            self.screen.good(f"{winner} wins and does it right")

    # --- 4 ---------------------------------------------------------------------

    async def vote(self) -> None:
        """All vote; a fresh process judges the proof, and forged copies of it."""
        self.screen.scene(4, "a vote")
        path = self.troupe.folder / "vote.cert"
        caller = self.plan.cast[0].handle
        patience = self.plan.patience
        found = await self.troupe.ask(
            caller, "vote", patience, options=list(OPTIONS), path=str(path), timeout=patience
        )
        self.report.vote_ms = found["ms"]
        ballots = ", ".join(f"{who} {what}" for who, what in sorted(found["ballots"].items()))
        self.screen.note(ballots)
        if self.plan.forge:
            _forge(path)
        await self._judge(path, found["choice"])

    async def _judge(self, path: Path, choice: str) -> None:
        self.screen.live("a fresh process judges the proof")
        words = command("judge", str(path), self._root().hex())
        verdict = json.loads(await run_to_end(words, environment(), self.plan.patience))
        forged, refused = verdict["forged"], verdict["refused"]
        valid = verdict["valid"] and verdict["outcome"] == choice
        self.report.vote_certificate_valid = valid and forged > 0 and refused == forged
        if self.report.vote_certificate_valid:
            self.screen.good(f"decided: {choice}; the proof holds in a process that only has it")
            self.screen.good(f"{refused} copies with one byte changed: all refused")
        else:
            said = f"{verdict['explanation']}; {refused} of {forged} forgeries refused"
            self.report.problems.append(f"the vote's certificate does not hold: {said}")

    def _root(self) -> bytes:
        """The public key at the top of every credential of this run's mesh."""
        secret = load_secret(self.troupe.folder / "state" / MESH_KEY_NAME, MESH_KEY)
        return MeshKeys.from_easy_key(secret, "default", OpenSSL()).root_public

    # --- 5 ---------------------------------------------------------------------

    async def survive(self) -> None:
        """Kill the busiest agent at work; all answers must come nevertheless."""
        plan, troupe = self.plan, self.troupe
        self.screen.scene(5, f"{plan.tasks} calls of {plan.task_seconds} s, and a kill")
        caller = troupe.actors[plan.cast[0].handle]
        numbers = [_FIRST_NUMBER + 37 * task for task in range(plan.tasks)]
        answers: list[dict[str, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_progress, caller)
            async with trio.open_nursery() as both:
                both.start_soon(self._make_work, caller, numbers, answers)
                victim, killed_at = await self._kill_the_busiest(caller)
            nursery.cancel_scope.cancel()
        self._count_lost(numbers, answers)
        await self._measure_failover(victim, killed_at)
        self._tell_survival(victim)

    async def _make_work(
        self, caller: Actor, numbers: list[int], answers: list[dict[str, Any]]
    ) -> None:
        patience = self.plan.patience
        answer = await self.troupe.ask(
            caller.handle, "work", patience, numbers=numbers, timeout=patience
        )
        answers.extend(answer["answers"])

    async def _show_progress(self, caller: Actor) -> None:
        while True:
            self.screen.progress(caller.answered, self.plan.tasks, "answers")
            await trio.sleep(0.03)

    async def _kill_the_busiest(self, caller: Actor) -> tuple[Actor, float]:
        """Once all tasks have begun: end the process that runs most of them.

        Returns:
            Whom, and the moment just before.
        """
        plan, troupe = self.plan, self.troupe
        workers = [actor for actor in troupe.actors.values() if actor is not caller]

        def begun() -> bool:
            return sum(len(actor.starts) for actor in workers) >= plan.tasks

        await troupe.until(
            lambda: caller.answered > 0 or any(actor.starts for actor in workers), plan.patience
        )
        await troupe.until(begun, plan.task_seconds * _STARTED)
        victim = max(workers, key=lambda actor: len(actor.running))
        killed_at = clock()
        troupe.end(victim, plan.signal)
        self.report.killed = victim.handle
        if not victim.stopped:
            await victim.silent.wait()  # what it told before its end is read to the last line
        held = len(victim.running)
        self.report.interrupted = held
        self.report.find(f"{victim.handle} was idle when it was killed", unless=held > 0)
        self.screen.note(f"{plan.signal.name} for {victim.handle}, which runs {held} of them")
        return victim, killed_at

    def _count_lost(self, numbers: list[int], answers: list[dict[str, Any]]) -> None:
        right = sum(
            answer.get("prime") == next_prime(number)
            for number, answer in zip(numbers, answers, strict=False)
        )
        self.report.lost_tasks = len(numbers) - right
        failed = [answer["error"] for answer in answers if "error" in answer]
        why = f", for example: {failed[0]}" if failed else ""
        self.report.find(
            f"{len(numbers) - right} of {len(numbers)} calls have no right answer{why}",
            unless=right == len(numbers),
        )

    async def _measure_failover(self, victim: Actor, killed_at: float) -> None:
        """From the kill to the last start elsewhere of what the victim was running."""
        others = [actor for actor in self.troupe.actors.values() if actor is not victim]

        def restarts() -> dict[int, float]:
            return {s.task: s.at for a in others for s in a.starts if s.at >= killed_at}

        # Its handler told the start before the answer left, but on another pipe.
        await self.troupe.until(lambda: victim.running <= restarts().keys(), 1.0)
        found = restarts()
        orphans = victim.running - found.keys()
        self.report.find(f"{len(orphans)} interrupted calls began nowhere else", unless=not orphans)
        if found and not orphans:
            self.report.failover_seconds = max(found.values()) - killed_at

    def _tell_survival(self, victim: Actor) -> None:
        report = self.report
        if not report.lost_tasks and report.failover_seconds is not None:
            self.screen.good(f"all {self.plan.tasks} answers came, and every one is right")
            self.screen.good(
                f"what {victim.handle} was running began elsewhere within "
                f"{report.failover_seconds:.3f} s"
            )


def _forge(path: Path) -> None:
    """Change one byte in the middle of the certificate."""
    with path.open("r+b") as file:
        middle = os.fstat(file.fileno()).st_size // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 2]))
