from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import MeshError, Refused, RemoteError

STEERING = "\x1b]0;owned\x07\x1b[2J\rgone\u202e\x9b"


@pytest.mark.parametrize(
    "error",
    [
        RemoteError("ValueError", STEERING, member="bob"),
        RemoteError(STEERING, "no", member="bob"),
        Refused(STEERING, "bob"),
    ],
)
def test_the_other_side_cannot_steer_the_terminal(error: MeshError) -> None:
    """Printing an error shows escape codes instead of obeying them."""
    assert r"\x1b]0;owned\x07\x1b[2J\rgone\u202e\x9b" in str(error)


def test_a_message_of_several_lines_stays_one() -> None:
    """Line breaks and tabs, which many exceptions have, are shown as they are."""
    error = RemoteError("ValueError", "two errors:\n\tname\n\tage", member="bob")

    assert str(error) == "bob raised ValueError: two errors:\n\tname\n\tage"
    assert error.message == "two errors:\n\tname\n\tage"


@given(st.text(), st.text(), st.text())
def test_no_text_from_elsewhere_can_do_anything_but_be_read(
    kind: str, message: str, reason: str
) -> None:
    """What is printed consists of printable characters, line breaks and tabs."""
    for error in (RemoteError(kind, message, member="bob"), Refused(reason)):
        shown = str(error).replace("\n", "").replace("\t", "")
        assert shown.isprintable()
