from __future__ import annotations

import ast
from pathlib import Path

import pytest

import meshp2p
from meshp2p.cli import main


@pytest.mark.parametrize("words", [[], ["demo"], ["up"], ["status"], ["discover"], ["call"]])
def test_every_command_explains_itself(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` ends well and says more than its usage."""
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])

    assert ended.value.code == 0
    assert "--help" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [[], ["dance"], ["call"], ["status", "now"], ["call", "x", "1", "--timeout", "nan"]],
)
def test_wrong_words_end_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence on stderr that says where help is."""
    assert main(words) == 2
    assert capsys.readouterr().err.endswith("--help`\n")


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "cli/__init__.py"])
def test_an_old_python_can_read_what_tells_it_so(name: str) -> None:
    """Else it would show a syntax error instead of a sentence."""
    source = Path(meshp2p.__file__).parent / name

    module = ast.parse(source.read_text("utf-8"), feature_version=(3, 8))

    assert module.body
