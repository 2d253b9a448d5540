"""The processes of the demo: started, heard, asked, and in the end all gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs
import trio

import meshp2p

_LEAVE: Final = 1.5
"""Seconds for agents to say goodbye before they are killed."""
_MAX_LINE: Final = 1 << 20
_SLACK: Final = 2.0
"""Seconds: an agent tells of its own timeouts before we lose patience with it."""


class Failed(Exception):  # of a scene, it reads better
    """The demo cannot go on; the text says why."""


def command(module: str, *words: str) -> list[str]:
    """A process of this Python that runs a module of this package.

    -P: files in the current directory shall not be taken for the library's.
    """
    return [sys.executable, "-P", "-m", f"meshp2p.cli.demo.{module}", *words]


def environment(**changes: str) -> dict[str, str]:
    """This process's, with the package to be found, and nothing of the user's own mesh."""
    inherited = {name: value for name, value in os.environ.items() if name != "MESHP2P_STATE"}
    paths = [str(Path(meshp2p.__file__).parents[1]), inherited.get("PYTHONPATH", "")]
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **changes}


@attrs.define(eq=False)
class Start:
    """A task that a handler has begun: which, and when on the clock of all processes."""

    task: int
    at: float


@attrs.define(eq=False)
class Actor:
    """One agent's process, and what it has told.

    Args:
        sees: Agents that it has seen.
        starts: Tasks that its handler has begun.
        ended: Tasks that its handler has finished.
        answered: Answers that its own calls have got.
    """

    handle: str
    process: trio.Process
    log: Path
    sees: int = 0
    starts: list[Start] = attrs.field(factory=list)
    ended: set[int] = attrs.field(factory=set)
    answered: int = 0
    silent: trio.Event = attrs.field(factory=trio.Event)
    stopped: bool = False
    replies: dict[int, dict[str, Any]] = attrs.field(factory=dict)

    @property
    def running(self) -> set[int]:
        """Tasks begun and not finished, as far as it has told."""
        return {start.task for start in self.starts} - self.ended

    def last_words(self) -> str:
        """The last line of what it complained about."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no last words"


class Troupe:
    """All agents of one run."""

    def __init__(self, folder: Path) -> None:
        """Keep state, run and log files below a folder that is this run's alone."""
        self.folder = folder
        self.actors: dict[str, Actor] = {}
        self._numbers = count(1)
        self._news = trio.Event()
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        self._environment = environment(
            MESHP2P_STATE=str(folder / "state"), XDG_RUNTIME_DIR=str(runtime)
        )

    async def start(self, handle: str, part: Mapping[str, Any], nursery: trio.Nursery) -> Actor:
        """Start an agent and give it its part."""
        log = self.folder / f"{handle}.log"
        with log.open("wb") as errors:
            process = await trio.lowlevel.open_process(
                command("agent", str(self.folder)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                # A group of its own: Ctrl-C is for us alone. If we die, the kernel wakes
                # whom we had stopped (setpgid(2), "orphaned"), so that it can end too.
                process_group=0,
            )
        actor = self.actors[handle] = Actor(handle, process, log)
        nursery.start_soon(self._listen, actor)
        await self._send(actor, part)
        return actor

    async def _send(self, actor: Actor, line: Mapping[str, Any]) -> None:
        if actor.process.stdin is None:
            raise Failed(f"{actor.handle} has no ears")
        try:
            await actor.process.stdin.send_all(json.dumps(line).encode() + b"\n")
        except trio.BrokenResourceError:
            raise Failed(f"{actor.handle} has ended: {actor.last_words()}") from None

    async def _listen(self, actor: Actor) -> None:
        """Take in line after line until the process ends."""
        rest = b""
        if actor.process.stdout is not None:
            async for data in actor.process.stdout:
                lines = (rest + bytes(data)).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    self._hear(actor, json.loads(line))
                if len(rest) > _MAX_LINE:
                    break
        actor.silent.set()
        self._wake()

    def _hear(self, actor: Actor, line: dict[str, Any]) -> None:
        match line:
            case {"event": "sees", "count": int(number)}:
                actor.sees = number
            case {"event": "start", "task": int(task), "at": float(at)}:
                actor.starts.append(Start(task, at))
            case {"event": "end", "task": int(task)}:
                actor.ended.add(task)
            case {"event": "answer"}:
                actor.answered += 1
            case {"n": int(number)}:
                actor.replies[number] = line
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Wait until what the agents tell makes it true; whether it did in time."""
        with trio.move_on_after(seconds):
            while not happened():
                await self._news.wait()
        return happened()

    async def ask(self, handle: str, do: str, seconds: float, **words: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Let an agent do something; what it answers.

        Raises:
            Failed: It could not, or did not in time.
        """
        actor, number = self.actors[handle], next(self._numbers)
        await self._send(actor, {"n": number, "do": do, **words})
        await self.until(lambda: number in actor.replies or actor.silent.is_set(), seconds + _SLACK)
        reply = actor.replies.pop(number, None)
        if reply is None:
            why = actor.last_words() if actor.silent.is_set() else f"no answer in {seconds:.0f} s"
            raise Failed(f"{handle}, {do}: {why}")
        if "error" in reply:
            raise Failed(f"{handle}, {do}: {reply['error']}")
        answer: dict[str, Any] = reply["answer"]
        return answer

    def end(self, actor: Actor, how: signal.Signals) -> None:
        """Kill or stop an agent's process."""
        actor.stopped = how == signal.SIGSTOP
        actor.process.send_signal(how)

    async def dismiss(self, *, gently: bool) -> None:
        """End every process, and wait until it is gone; nothing interrupts this."""
        with trio.CancelScope() as scope:
            scope.shield = True
            for actor in self.actors.values():
                if actor.process.stdin is not None and gently and not actor.stopped:
                    await actor.process.stdin.aclose()
            with trio.move_on_after(_LEAVE if gently else 0):
                for actor in self.actors.values():
                    if not actor.stopped:
                        await actor.process.wait()
            for actor in self.actors.values():
                actor.process.kill()  # a stopped process dies of this as well
                await actor.process.wait()


async def run_to_end(words: Sequence[str], environ: Mapping[str, str], seconds: float) -> bytes:
    """What a process prints that ends by itself.

    Raises:
        Failed: It did not, or complained.
    """
    with trio.move_on_after(seconds):
        done = await trio.run_process(
            words,
            stdin=b"",
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environ,
            process_group=0,
        )
        if done.returncode == 0:
            return bytes(done.stdout)
        complaint = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing"]
        raise Failed(f"{words[3]} said: {complaint[-1]}")
    raise Failed(f"{words[3]} did not end within {seconds:.0f} s")
