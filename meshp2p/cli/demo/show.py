"""One run of the demo: shown, judged, and cleaned up after, however it ends."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from meshp2p.cli import output
from meshp2p.cli.demo.plan import Plan
from meshp2p.cli.demo.report import Report
from meshp2p.cli.demo.scene import Play
from meshp2p.cli.demo.screen import Screen, for_people, silent
from meshp2p.cli.demo.stage import Stage
from meshp2p.cli.demo.troupe import Failed, Troupe
from meshp2p.runtime.exceptions import single

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def play(plan: Plan | None = None, *, as_json: bool = False) -> int:
    """Run the demo and show it.

    Args:
        plan: What to do; None for what users see.
        as_json: Print one object instead of a show.

    Returns:
        The exit status: 0 only if everything that the demo claims was verified.

    Raises:
        KeyboardInterrupt: Somebody ended it early; no process is left.
    """
    screen = silent() if as_json else for_people()
    with _interruptible(), tempfile.TemporaryDirectory(prefix="meshp2p-demo-") as folder:
        stage = Stage.enter(Path(folder))
        try:
            report = run(plan or Plan(), Path(folder), screen)
        finally:
            stage.leave()
    problems = report.problems or list(report.missing())
    if as_json:
        for problem in problems:
            print(f"meshp2p: {output.printable(problem)}", file=sys.stderr)
        output.print_json(report.to_dict())
    else:
        screen.table(report.rows())
        for problem in problems:
            screen.bad(output.printable(problem))
        if report.ok:
            screen.good("everything above was verified, not just claimed")
    return output.DONE if report.ok else output.FAILED


def run(plan: Plan, folder: Path, screen: Screen) -> Report:
    """Play all scenes; what was found, also if one of them failed.

    Raises:
        KeyboardInterrupt: A signal came first; no process is left.
    """
    report = Report()
    if trio.run(_run, plan, folder, screen, report):
        raise KeyboardInterrupt
    return report


async def _run(plan: Plan, folder: Path, screen: Screen, report: Report) -> bool:
    """Play; whether a signal ended it."""
    troupe = Troupe(folder)
    interrupted = done = False
    screen.title("meshp2p demo", "five agents, five processes, no coordinator")
    with trio.open_signal_receiver(*_ENDINGS) as signals:
        try:
            async with trio.open_nursery() as nursery:

                async def watch_signals() -> None:
                    nonlocal interrupted
                    async for _ in signals:
                        interrupted = True
                        nursery.cancel_scope.cancel()

                nursery.start_soon(watch_signals)
                await Play(plan, troupe, screen, report).perform(nursery)
                done = True
                nursery.cancel_scope.cancel()
        except BaseException as raised:
            cause = single(raised)
            if not isinstance(cause, Failed):
                raise
            report.problems.append(str(cause))
        finally:
            await troupe.dismiss(gently=done)
    return interrupted


@contextmanager
def _interruptible() -> Iterator[None]:
    """Before and after trio watches for them, signals end us as Ctrl-C does: tidily."""
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    try:
        for number in _ENDINGS:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
