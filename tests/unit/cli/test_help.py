from __future__ import annotations

import pytest

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
