"""`meshp2p demo`: it works, it notices when something does not, it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.shell import Ended, Shell, children, eventually, is_gone

KEYS = [
    "ok",
    "agents",
    "join_seconds",
    "calls",
    "call_p50_us",
    "auction_ms",
    "vote_ms",
    "vote_certificate_valid",
    "killed",
    "failover_seconds",
    "lost_tasks",
]

SABOTAGED = """
import sys, signal
from meshp2p.cli.demo.plan import Plan
from meshp2p.cli.demo.show import play
sys.exit(play(Plan({}), as_json=True))
"""


def sabotaged(shell: Shell, change: str) -> Ended:
    """Run the demo with one thing changed."""
    return shell.python("-c", SABOTAGED.format(change))


def test_the_demo_keeps_its_promises(shell: Shell) -> None:
    """One command: five agents, calls, an auction, a vote, a kill, and nothing is lost.

    Agents take the library's modules, whatever lies where the demo is started.
    """
    Path(shell.home, "trio.py").write_text("raise SystemExit('not this one')", "utf-8")
    ended = shell.python("-P", "-m", "meshp2p", "demo", "--json")

    report = ended.json
    assert (ended.status, ended.err) == (0, "")
    assert list(report) == KEYS
    assert report["ok"] is True
    assert report["agents"] == 5
    assert report["calls"] >= 100
    assert report["vote_certificate_valid"] is True
    assert report["killed"] in {"bob", "carol", "dave", "erin"}
    assert 0 < report["failover_seconds"] < 5
    assert report["lost_tasks"] == 0
    assert min(report[key] for key in KEYS if key.endswith(("_us", "_ms", "_seconds"))) > 0


def test_the_demo_shows_itself_without_escape_codes_in_a_pipe(shell: Shell) -> None:
    """Scenes, a table, a verdict; in a pipe neither colours nor a moving cursor."""
    ended = shell.meshp2p("demo")

    assert ended.status == 0, ended
    assert re.findall(r"^(\d) ", ended.out, re.MULTILINE) == list("12345")
    assert "kill to work elsewhere" in ended.out
    assert not set("\x1b\r") & set(ended.out)
    assert not list((shell.home / "tmp").iterdir())
    assert not (shell.home / "state").exists()


def test_work_goes_on_when_an_agent_only_falls_silent(shell: Shell) -> None:
    """A stopped process closes no connection; its work moves within five seconds all the same."""
    ended = sabotaged(shell, "signal=signal.SIGSTOP")

    assert (ended.status, ended.json["ok"]) == (0, True), ended
    assert 0.5 < ended.json["failover_seconds"] < 5


def test_without_retries_the_demo_fails(shell: Shell) -> None:
    """Work that must not be done twice is lost with its agent, and the demo says so."""
    ended = sabotaged(shell, "idempotent=False")

    assert (ended.status, ended.json["ok"]) == (1, False)
    assert ended.json["lost_tasks"] > 0
    assert "it may have run" in ended.err


def test_with_a_forged_certificate_the_demo_fails(shell: Shell) -> None:
    """One byte of the vote's proof is changed, and everything else is right."""
    ended = sabotaged(shell, "forge=True")

    assert (ended.status, ended.json["ok"]) == (1, False)
    assert ended.json["vote_certificate_valid"] is False
    assert ended.json["lost_tasks"] == 0


def test_with_an_agent_missing_the_demo_fails(shell: Shell) -> None:
    """Four that find each other are not five."""
    ended = sabotaged(shell, "absent='erin', join_timeout=4.0")

    assert (ended.status, ended.json["ok"]) == (1, False)
    assert ended.json["agents"] == 0
    counts = re.findall(r"(\w+) sees (\d)", ended.err)
    assert [name for name, _ in counts] == ["alice", "bob", "carol", "dave", "erin"]
    assert all(int(seen) <= (1 if name == "erin" else 4) for name, seen in counts)


def started(shell: Shell, agents: int = 5) -> tuple[subprocess.Popen[str], list[int]]:
    """A demo under way, and the processes of its agents."""
    demo = shell.start("-m", "meshp2p", "demo")
    # Not any children: while a library is imported it starts one of its own.
    assert eventually(lambda: len(children(demo.pid, "meshp2p.cli.demo.agent")) >= agents)
    return demo, children(demo.pid, "meshp2p.cli.demo.agent")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("agents", [1, 5])
def test_whoever_interrupts_the_demo_is_left_with_nothing(
    shell: Shell, how: signal.Signals, agents: int
) -> None:
    """Neither processes nor files stay behind, and there is no traceback."""
    demo, agents_of_it = started(shell, agents)

    ended = shell.end(demo, how)

    assert (ended.status, ended.err) == (130, "meshp2p: interrupted\n")
    assert all(is_gone(agent) for agent in agents_of_it)
    assert not list((shell.home / "tmp").iterdir())


@pytest.mark.parametrize("agents", [1, 5])
def test_a_demo_that_is_killed_leaves_nothing_behind(shell: Shell, agents: int) -> None:
    """Nobody can tell its agents to end then; the closed pipe does, and the last clears up."""
    demo, agents_of_it = started(shell, agents)

    shell.end(demo, signal.SIGKILL)

    assert eventually(lambda: all(is_gone(agent) for agent in agents_of_it))
    assert not list((shell.home / "tmp").iterdir())
