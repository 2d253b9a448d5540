from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.events import Log, Member, MemberEvent
from meshp2p.ids import Address, NodeId, show_id
from meshp2p.runtime.logs import LOGGER, MAX_VALUE, plain, report

BOB = Member(
    id=NodeId(bytes(16)),
    handle="bob",
    namespace="default",
    role="member",
    capabilities=(),
    addresses=(Address("127.0.0.1", 7001),),
    state="dead",
)


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER.name)


@pytest.mark.parametrize(
    ("level", "number"), [("debug", 10), ("info", 20), ("warning", 30), ("error", 40)]
)
def test_a_line_says_who_says_what_about_whom(
    level: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Text for people and fields for machines, at the level that the engine chose."""
    event = Log(level, "stream lost", (("peer", "bob"), ("tries", 3), ("key", b"\x01\xff")))  # type: ignore[arg-type]

    report(event, "alice")

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("meshp2p", number)
    assert record.getMessage() == "alice: stream lost (peer=bob, tries=3, key=01ff)"
    assert vars(record)["node"] == "alice"
    assert vars(record)["fields"] == {"peer": "bob", "tries": 3, "key": "01ff"}


def test_a_change_of_membership_is_one_info_line(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log sees members come and go, and why."""
    report(MemberEvent("member.failed", BOB, "connection refused"), "alice")

    (record,) = caplog.records
    told = (
        f"member.failed (member=bob, id={show_id(BOB.id)}, state=dead, reason=connection refused)"
    )
    assert (record.levelno, record.getMessage()) == (logging.INFO, f"alice: {told}")


def test_a_stranger_cannot_forge_a_line_or_paint_the_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Line breaks, escape codes and marks that reverse text are shown, not obeyed."""
    nasty = "bob\nERROR alice: all lost\x1b[2J\u202e\ud800"

    report(Log("info", "joined", (("member", nasty),)), "alice\r")

    (record,) = caplog.records
    shown = r"bob\nERROR alice: all lost\x1b[2J\u202e\ud800"
    assert record.getMessage() == rf"alice\r: joined (member={shown})"
    assert vars(record)["fields"] == {"member": shown}


def test_a_megabyte_does_not_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Long values are cut, and the line says by how much."""
    report(Log("info", "joined", (("member", "x" * 1_000_000),)), "alice")

    assert caplog.messages == [f"alice: joined (member={'x' * MAX_VALUE}... and 999800 more)"]


def test_a_field_may_have_any_name(caplog: pytest.LogCaptureFixture) -> None:
    """Fields named as attributes of logging's own records do not collide with them."""
    report(Log("info", "looked up", (("name", "bob"), ("args", 1), ("message", "hi"))), "alice")

    assert caplog.messages == ["alice: looked up (name=bob, args=1, message=hi)"]


@given(
    st.text()
    | st.binary(max_size=300)
    | st.integers()
    | st.floats()
    | st.none()
    | st.lists(st.text(), max_size=3)
)
def test_what_is_logged_is_printable_bounded_and_json(value: object) -> None:
    """Whatever a field holds, a structured log can write it on one line."""
    shown = plain(value)

    assert str(shown).isprintable()
    assert json.loads(json.dumps(shown)) == shown or shown != shown  # noqa: PLR0124  # NaN
    assert not isinstance(shown, str) or len(shown) <= 10 * MAX_VALUE + 40


def test_a_program_that_configures_no_logging_sees_none() -> None:
    """A library is silent until asked: not even errors appear on the terminal."""
    script = """
from meshp2p.events import Log
from meshp2p.runtime.logs import report

report(Log("error", "key cloned"), "alice")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout + done.stderr == ""
