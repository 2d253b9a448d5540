from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from meshp2p.cli import main

PYTHON = re.compile(r"\b[a-z_]+=")
"""An argument as Python writes it: nobody types that in a shell."""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--handle", "no spaces"], "--handle 'no spaces': allowed are"),
        (["up", "--namespace", "no spaces"], "--namespace 'no spaces': allowed are"),
        (["up", "--mesh", ""], "--mesh '': allowed is a path"),
        (["up", "--state-dir", ""], "--state-dir '': allowed is a path"),
        (["up", "--seed", "[nowhere"], "--seed '[nowhere' is not an address"),
        (["up", "--seed", "192.0.2.1"], "but without --mesh a node only knows"),
        (["up", "--bind", "[nowhere"], "--bind '[nowhere' is not an address"),
        (["up", "--bind", "192.0.2.1"], "give --mesh 'path of a mesh key' to share one"),
        (["up", "--capability", "no spaces"], "--capability 'no spaces': allowed are"),
        (["up", "--capability", "echo"], "--capability 'echo' twice"),
        (["status", "--seed", "192.0.2.1"], "--seed '192.0.2.1' is on another machine"),
        (["discover", "text*"], "pattern 'text*': allowed are"),
        (["call", "no spaces"], "NAME 'no spaces': allowed are"),
        (["call", "echo", "--timeout", "1e12"], "--timeout: '1e12': allowed are seconds"),
    ],
)
def test_a_wrong_option_is_called_what_the_user_typed(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence and as JSON; the advice, too, names options and not Python's arguments."""
    assert main(words) == main([*words, "--json"]) == 2
    seen = capsys.readouterr()
    sentence, message = seen.err, json.loads(seen.out)["error"]["message"]

    assert sentence.startswith(f"meshp2p: {message}")
    assert said in sentence
    assert not PYTHON.search(sentence)


@pytest.mark.parametrize("command", [["up", "--handle", "alice"], ["status"]])
def test_a_state_directory_that_cannot_be_used_is_no_matter_of_python(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The advice is something that one can do from a shell."""
    Path(tmp_path, "file").touch()

    assert main([*command, "--state-dir", str(tmp_path / "file" / "state")]) == 1

    said = capsys.readouterr().err
    assert "set MESHP2P_STATE to another directory" in said
    assert not PYTHON.search(said)


@pytest.mark.parametrize("words", [["status"], ["discover"], ["call", "echo", "1"]])
def test_with_nobody_there_it_says_how_to_start_one(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 3, in words and as JSON."""
    alone = [*words, "--state-dir", str(tmp_path)]
    assert main(alone) == main([*alone, "--json"]) == 3

    seen = capsys.readouterr()
    assert seen.err == "meshp2p: no node of this mesh runs here; start one with `meshp2p up`\n"
    assert json.loads(seen.out)["error"]["exit_status"] == 3


def test_what_a_value_holds_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the user's own text, whatever it looks like."""
    assert main(["up", "--handle", "my mesh=1"]) == 2
    assert "--handle 'my mesh=1': allowed" in capsys.readouterr().err
