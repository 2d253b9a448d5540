"""What `meshp2p simulate` refuses before it starts a single process."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshp2p.cli import main


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["nowhere.py"],
        ["swarm", "--seeds", "3"],
        ["swarm", "--seeds", "3:3"],
        ["swarm", "--seeds", "0:99999999999999999999"],
        ["swarm", "--seed", "-1"],
        ["swarm", "--seed", "1", "--seeds", "0:2"],
        ["swarm", "--seed", "1", "--minutes", "1"],
        ["swarm", "--jobs", "0"],
        ["swarm", "--minutes", "nan"],
        ["swarm", "--state", "x.json"],
        ["swarm", "--html", "no/such/folder/x.html"],
        ["all", "--large-seeds", "0:3"],
        ["all", "swarm"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_ends_with_two(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and no campaign."""
    assert main(["simulate", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "-3:2"], "argument --seeds: '-3': allowed are whole numbers from 0"),
        (["--large-seeds", "-1:2"], "argument --large-seeds: '-1': allowed are whole numbers"),
        (["all"], "`all` is every scenario there is: leave it out, or leave out swarm"),
    ],
    ids=" ".join,
)
def test_it_says_what_is_wrong(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words of the one who typed it, not of what reads it."""
    assert main(["simulate", "swarm", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trace", "page"),
    [("run", "run"), ("run", "./here/../run"), ("run", "link"), ("run", "twin"), ("new", "./new")],
)
def test_a_trace_and_a_page_need_a_file_each(
    trace: str, page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By whatever name: the second would overwrite the first. What was there is still there."""
    (tmp_path / "here").mkdir()
    (tmp_path / "run").write_text("mine")
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "twin").hardlink_to(tmp_path / "run")
    files = ["--trace", f"{tmp_path}/{trace}", "--html", f"{tmp_path}/{page}"]
    assert main(["simulate", "swarm", "--seed", "1", *files]) == 2
    assert "are the same file" in capsys.readouterr().err
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("raise SystemExit", "mine.py cannot be run: SystemExit()"),
        ("SCENARIO = 5", "mine.py defines no SCENARIO"),
        ("SCENARIO = script([1, 2])", "seeds=[1, 2]: allowed is a range with a seed in it"),
        ("SCENARIO = script(range(0))", "seeds=range(0, 0): allowed is a range"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(
    rest: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that ends Python without a word, or has no seed to run: nothing was shown."""
    (tmp_path / "mine.py").write_text(
        "from meshp2p.simulation.script import Script\n"
        "def script(seeds): return Script('mine', 'All is well.', lambda _: None, seeds=seeds)\n"
        f"{rest}\n"
    )
    assert main(["simulate", f"{tmp_path}/mine.py"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"simulate": 1, "scenarios": {"swarm": {"next": "3"}}}',
        '{"simulate": 1, "scenarios": {"swarm": {"next": -3}}}',
        '{"simulate": 1, "scenarios": {"swarm": {"next": 3, "seeds": "3"}}}',
        '{"simulate": 1, "scenarios": {"swarm": {"next": 3, "node_hours": 1e999}}}',
        '{"simulate": 1, "scenarios": {"swarm": {"next": 3, "failed": 1}}}',
        '{"simulate": 1, "scenarios": {"swarm": {"next": 3, "failed": ["1"]}}}',
        '{"simulate": 1, "scenarios": {"swarm": 3}}',
    ],
    ids=range(8),
)
def test_a_state_that_somebody_else_wrote_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs: after an hour it could not be added to."""
    (tmp_path / "done.json").write_text(text)
    words = ["swarm", "--at-least", "1", "--state", f"{tmp_path}/done.json"]
    assert main(["simulate", *words]) == 2
    assert "was not written by" in capsys.readouterr().err
    assert (tmp_path / "done.json").read_text() == text


def test_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """With examples, and what the exit status means."""
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--help"])
    assert ended.value.code == 0
    assert "meshp2p simulate --list" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["1 / 0", "SCENARIO = 7", "import no_such_thing"])
def test_a_file_that_is_no_scenario_says_so(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose fault it is, in one sentence."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert main(["simulate", str(path)]) == 2
    assert "mine.py" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{}", "[", '{"simulate": 2, "scenarios": {}}', "\0"])
def test_a_state_of_something_else_is_not_overwritten(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is somebody's."""
    path = tmp_path / "done.json"
    path.write_text(text)
    assert main(["simulate", "swarm", "--at-least", "1", "--state", str(path)]) == 2
    assert path.read_text() == text
    assert "was not written by" in capsys.readouterr().err
