"""`meshp2p simulate` as a user types it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from meshp2p.simulation.coverage import COVERED
from tests.docs.pages import chapters, fits
from tests.end_to_end.shell import REPOSITORY, Ended, Shell, children, eventually, is_gone

Write: TypeAlias = Callable[[str], str]

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is full")

HEAD = '''
"""Written for a test."""

from meshp2p.simulation.faults import Crash, Loss, Stall, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import Script, plan_of

def draw(seed):
    faults = [Timed(1.0, Loss(0.1), 3.0), Timed(1.5, Stall("carol"), 1.6)]
    if seed % 2:
        faults.append(Timed(2.0, Crash("bob", silent=True), 6.0))
    return plan_of(seed, ["alice", "bob", "carol"], faults, hostile=6.5, profile="loopback")

def act(run: Run):
    run.trouble()
    run.measure("deaths", len(run.told("member.failed")))
    {act}

SCENARIO = Script("crashes", "Nobody ever fails.", draw, act=act, seeds=range(4))
'''
KEPT = HEAD.format(act="pass")
BROKEN = HEAD.format(act='run.nobody_was("member.failed", ["bob"])')
ENDLESS = HEAD.format(act='open(f"busy-{run.plan.seed}", "w").close()\n    while True: pass')
DYING = "import os\n    if run.plan.seed == 2: os._exit(3)"
HANGING = "import threading\n    if run.plan.seed == 1: threading.Event().wait()"
FINDING = HEAD.format(
    act='if run.plan.seed == 2:\n        open("busy", "w").close()\n        while True: pass\n'
    '    run.nobody_was("member.failed", ["bob"])'
)
VANISHING = HEAD.format(act='import shutil; shutil.rmtree("gone")')
SILENT = HEAD.format(act=DYING + "\n    " + HANGING)


@pytest.fixture
def write(shell: Shell) -> Write:
    """Save a scenario where the command will look for it."""

    def save(text: str) -> str:
        (shell.home / "mine.py").write_text(text)
        return "mine.py"

    return save


def simulate(shell: Shell, *words: str) -> Ended:
    """Run the command on one process of its own, so that the order is known."""
    return shell.meshp2p("simulate", *words, "--jobs", "1")


# --- what there is ---------------------------------------------------------------------


def test_the_list_has_one_name_a_line_and_as_json_each_claim(shell: Shell) -> None:
    """Names are the files of `simulations/`; nothing else is printed."""
    names = shell.meshp2p("simulate", "--list").out.splitlines()
    claims = shell.meshp2p("simulate", "--list", "--json").json["scenarios"]
    files = sorted(path.stem for path in (REPOSITORY / "simulations").glob("[!_]*.py"))
    assert names == files == [each["name"] for each in claims]
    assert len(names) >= 14
    assert all(each["claim"].endswith(".") for each in claims)


# --- promises that are kept --------------------------------------------------------------


def test_a_scenario_of_ones_own_is_run_and_summed_up(shell: Shell, write: Write) -> None:
    """Seeds, pace, figures, and what really happened, in forty columns as in any number."""
    environment = {**shell.environment(), "COLUMNS": "40"}
    words = [sys.executable, "-m", "meshp2p", "simulate", write(KEPT), "--jobs", "1"]
    done = subprocess.run(
        words, cwd=shell.home, env=environment, capture_output=True, text=True, check=True
    )
    assert max(map(len, done.stdout.splitlines())) <= 40
    told = " ".join(done.stdout.split())
    assert "mine.py: 4 seeds, all promises kept" in told
    assert re.search(r"deaths [0-9.]+ \(most [1-9]\)", told)
    assert "simulated seconds a second" in told
    assert "crash 2" in told


def test_json_is_one_object_with_all_figures(shell: Shell, write: Write) -> None:
    """For programs, nothing on stderr; faults that never happened can be made to fail it."""
    ended = simulate(shell, write(KEPT), "--seeds", "0:2", "--cover", "1", "--json")
    facts = ended.json
    assert (ended.status, ended.err) == (1, "")
    assert (facts["kept"], facts["violations"]) == (False, [])
    assert facts["seeds"] == facts["scenarios"]["mine.py"]["seeds"] == 2
    assert facts["coverage"]["crash"] == facts["coverage"]["restart"] == 1
    assert facts["simulated_seconds"] >= 9.0
    assert facts["node_hours"] == pytest.approx(3 * facts["simulated_seconds"] / 3_600, abs=1e-3)
    assert not {"crash", "stall", "loss"} & set(facts["too_rare"])
    assert {"nat", "skew"} <= set(facts["too_rare"]) <= set(COVERED)


def test_what_a_scenario_prints_does_not_spoil_the_object(shell: Shell, write: Write) -> None:
    """Not when its file is read, and not while it runs, in whatever process."""
    talking = HEAD.format(act='print("it runs")') + 'print("it is read")\n'
    ended = simulate(shell, write(talking), "--seed", "0", "--json")
    assert ended.json["seeds"] == 1
    assert ended.out.count("\n") == 1
    assert {"it is read", "it runs"} <= set(ended.err.splitlines())


def test_a_figure_without_a_median_is_an_error_of_its_seed(shell: Shell, write: Write) -> None:
    """Neither ends the campaign, nor is shown as something that JSON cannot hold."""
    odd = '[run.measure("odd", value) for value in [float("nan")][run.plan.seed:]]'
    ended = simulate(shell, write(HEAD.format(act=odd)), "--seeds", "0:2", "--json")
    (found,) = ended.json["violations"]
    assert (found["seed"], found["invariant"]) == (0, "no error")
    assert "odd: nan is no figure" in found["text"]


def test_a_run_can_be_looked_at(shell: Shell, write: Write) -> None:
    """Also one that went well."""
    words = ("--seed", "1", "--trace", "run.jsonl", "--html", "run.html")
    assert simulate(shell, write(KEPT), *words).status == 0
    lines = (shell.home / "run.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["seed"] == 1
    assert any(json.loads(line)["k"] == "crash" for line in lines[1:])
    assert "crashes, seed 1" in (shell.home / "run.html").read_text()


def test_the_file_of_a_scenario_is_a_program(shell: Shell) -> None:
    """`python simulations/flapping_link.py` is the command itself."""
    path = str(REPOSITORY / "simulations" / "flapping_link.py")
    ended = shell.python(path, "--seed", "0", "--json")
    assert ended.status == 0
    assert ended.json["scenarios"][path]["seeds"] == 1


# --- promises that are broken --------------------------------------------------------------


def test_a_broken_promise_is_shrunk_shown_and_can_be_replayed(shell: Shell, write: Write) -> None:
    """Which, whose, when; the one command; and code to paste that breaks it again."""
    words = ("--trace", "run.jsonl", "--html", "run.html", "--json")
    ended = simulate(shell, write(BROKEN), *words)
    assert ended.status == 1
    found = ended.json["violations"]
    assert [each["seed"] for each in found] == [1, 3]
    first = found[0]
    assert first["invariant"] == "claim of crashes"
    assert "alice: bob" in first["text"]
    assert first["replay"] == "meshp2p simulate mine.py --seed 1"
    assert first["shrunk"]["faults_before"] == 3
    assert first["shrunk"]["faults"] == 1
    assert "violation" in (shell.home / "run.jsonl").read_text()
    assert (shell.home / "run.html").stat().st_size > 10_000

    replayed = shell.python(
        "-c",
        f"import sys; sys.argv[1:] = {first['replay'].split()[1:]!r}\n"
        "from meshp2p.cli import main; sys.exit(main())",
    )
    assert replayed.status == 1
    assert "claim of crashes: member.failed" in replayed.out
    pasted = shell.python("-c", first["shrunk"]["code"])
    assert f"at {first['shrunk']['at']:.6f} s: claim of crashes" in pasted.out


def test_people_see_where_it_broke(shell: Shell, write: Write) -> None:
    """Seed, moment, promise, replay, and the schedule that is left."""
    ended = simulate(shell, write(BROKEN), "--fail-fast")
    assert ended.status == 1
    assert "mine.py, seed 1: at 6.5" in ended.out
    assert "replay: meshp2p simulate mine.py --seed 1" in " ".join(ended.out.split())
    assert "    from meshp2p.simulation.faults import Crash, Schedule, Timed\n" in ended.out
    assert "Timed(2.0, Crash(node='bob', silent=True" in ended.out
    assert "mine.py: 2 seeds, 1 broke a promise" in ended.out


def test_a_seed_that_never_answers_is_reported_and_the_others_go_on(
    shell: Shell, write: Write
) -> None:
    """Be it that its process hangs or that it dies: it is ended and replaced."""
    ended = simulate(shell, write(SILENT), "--patience", "5", "--json")
    assert ended.status == 1
    assert ended.json["seeds"] == 4
    told = {each["seed"]: (each["invariant"], each["text"]) for each in ended.json["violations"]}
    assert told == {
        1: ("no answer", "it did not end within 5 s"),
        2: ("no answer", "its process ended with status 3"),
    }


# --- pictures that cannot be written --------------------------------------------------------


@needs_full
@pytest.mark.parametrize("option", ["--trace", "--html"])
def test_a_full_disk_is_no_broken_promise(shell: Shell, write: Write, option: str) -> None:
    """The run is judged all the same; a sentence says what is missing, and the status does."""
    words = (write(KEPT), "--seed", "1", option, str(FULL))
    ended, facts = simulate(shell, *words), simulate(shell, *words, "--json").json
    what = option.replace("--html", "--page").strip("-")
    sentence = f"the {what} /dev/full could not be written: No space left on device"
    assert (ended.status, ended.err) == (2, f"meshp2p: {sentence}\n")
    assert "mine.py: 1 seed, all promises kept" in ended.out
    assert (facts["kept"], facts["violations"]) == (True, [])
    assert facts["unwritten"] == [sentence]


def test_a_folder_that_vanishes_is_no_broken_promise(shell: Shell, write: Write) -> None:
    """However late it does: what was run is not lost."""
    (shell.home / "gone").mkdir()
    ended = simulate(shell, write(VANISHING), "--seed", "0", "--html", "gone/run.html")
    assert ended.status == 2
    assert ended.err == (
        "meshp2p: the page gone/run.html could not be written: No such file or directory\n"
    )


@needs_full
def test_a_broken_promise_is_told_though_its_picture_cannot_be(shell: Shell, write: Write) -> None:
    """It counts more: shrunk as ever, and its exit status."""
    ended = simulate(shell, write(BROKEN), "--trace", str(FULL), "--json")
    assert ended.status == 1
    assert {each["invariant"] for each in ended.json["violations"]} == {"claim of crashes"}
    assert ended.json["violations"][0]["shrunk"]["faults"] == 1
    assert len(ended.json["unwritten"]) == 1


# --- going on, and ending ------------------------------------------------------------------


def test_a_campaign_goes_on_where_the_last_one_ended(shell: Shell, write: Write) -> None:
    """Night after night other seeds, and the totals of all nights."""
    words = (write(KEPT), "--at-least", "3", "--state", "done.json")
    assert simulate(shell, *words).status == 0
    first = json.loads((shell.home / "done.json").read_text())["scenarios"]["mine.py"]
    assert simulate(shell, *words).status == 0
    both = json.loads((shell.home / "done.json").read_text())["scenarios"]["mine.py"]
    assert (first["next"], first["seeds"], first["failed"]) == (3, 3, [])
    assert (both["next"], both["seeds"]) == (6, 6)
    assert both["node_hours"] == pytest.approx(2 * first["node_hours"], rel=0.1)


def test_what_was_found_until_ctrl_c_is_printed_as_json(shell: Shell, write: Write) -> None:
    """One object of the usual shape, which says that there is no more to come."""
    words = [write(FINDING), "--seeds", "0:3", "--jobs", "1", "--json"]
    process = shell.start("-m", "meshp2p", "simulate", *words)
    assert eventually((shell.home / "busy").exists)
    ended = shell.end(process, signal.SIGINT)
    whole = simulate(shell, write(KEPT), "--seed", "0", "--json").json
    assert (ended.status, ended.err) == (130, "")
    assert ended.json.keys() == whole.keys()
    assert (ended.json["interrupted"], whole["interrupted"]) == (True, False)
    assert ended.json["seeds"] == 2
    (found,) = ended.json["violations"]
    assert (found["seed"], found["shrunk"]["faults"]) == (1, 1)


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_the_command(
    shell: Shell, write: Write, how: signal.Signals, status: int
) -> None:
    """However it is ended, and though its processes are in the midst of a seed."""
    words = [write(ENDLESS), "--seeds", "1:3", "--jobs", "2"]
    process = shell.start("-m", "meshp2p", "simulate", *words)
    assert eventually(lambda: len(list(shell.home.glob("busy-*"))) == 2)
    started = children(process.pid)
    assert len(started) >= 2
    ended = shell.end(process, how)
    assert ended.status == status
    assert eventually(lambda: all(is_gone(each) for each in started))
    assert "Traceback" not in ended.err


def test_the_page_shows_a_violation_as_it_is_found(shell: Shell) -> None:
    """The program of `docs/simulating.md`, and what it prints."""
    (blocks,) = chapters(REPOSITORY / "docs" / "simulating.md")
    program, terminal = (block for block in blocks if block.mark)
    (shell.home / program.mark.removeprefix("file: ")).write_text(program.text)
    (command,) = terminal.commands
    words = [sys.executable, "-m", *command.split()]
    environment = {**shell.environment(), "COLUMNS": "100"}
    done = subprocess.run(
        words, cwd=shell.home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    printed = "\n".join(line for line in done.stdout.splitlines() if line)
    expected = "\n".join(line for line in terminal.printed if line)
    assert fits(printed, expected), done.stdout
