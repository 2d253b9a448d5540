from __future__ import annotations

from pathlib import Path

import pytest

from meshp2p.cli.demo.stage import Stage


def test_whoever_leaves_last_clears_up(tmp_path: Path) -> None:
    """Nobody takes the directory away from those who still play."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "alice.log").touch()
    shares = [Stage.enter(folder) for _ in range(3)]

    for share in shares:
        assert list(folder.iterdir())
        share.leave()

    assert list(tmp_path.iterdir()) == []


def test_nobody_plays_where_all_was_cleared_away(tmp_path: Path) -> None:
    """An agent that starts too late makes no directory of its own."""
    with pytest.raises(FileNotFoundError):
        Stage.enter(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
