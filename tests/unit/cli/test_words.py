from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.cli import output
from meshp2p.cli.call import read_arguments
from meshp2p.cli.demo.report import Report
from meshp2p.cli.demo.screen import Screen
from meshp2p.errors import (
    DeadlineExceeded,
    MeshError,
    NoCapableMember,
    Overloaded,
    PeerLost,
    Refused,
    RemoteError,
    UnknownMember,
    UsageError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RemoteError("ValueError", "no"), 1),
        (Refused("no"), 1),
        (Overloaded(1.0), 1),
        (PeerLost("bob", "gone", maybe_executed=False), 1),
        (UsageError("what?"), 2),
        (NoCapableMember("cook", 3), 3),
        (UnknownMember("@bob", 3), 3),
        (output.NobodyThere(), 3),
        (DeadlineExceeded("cook", 1.0, maybe_executed=True), 4),
        (DeadlineExceeded("cook", 1.0, maybe_executed=False), 4),
        (PeerLost("bob", "gone", maybe_executed=True), 4),
    ],
)
def test_the_exit_status_says_what_a_script_must_know(error: MeshError, status: int) -> None:
    """Above all whether the work may have been done (4) or surely was not (1, 3)."""
    assert output.exit_status(error) == status


def test_an_error_as_json_has_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """A script need not read the sentence."""
    output.fail(PeerLost("bob", "gone", maybe_executed=True), as_json=True)

    facts = json.loads(capsys.readouterr().out)["error"]
    assert facts["type"] == "PeerLost"
    assert facts["maybe_executed"] is True
    assert facts["exit_status"] == 4


@given(st.text())
def test_what_others_wrote_cannot_steer_the_terminal(text: str) -> None:
    """Whatever a handler raised, it is shown as one line without control characters."""
    assert output.printable(text).isprintable()
    assert len(output.printable(text)) == len(text)
    assert output.to_json(text).isascii()


@pytest.mark.parametrize(
    ("target", "text", "args", "kwargs"),
    [
        ("cook", None, [], {}),
        ("cook", '{"dish": "soup"}', [], {"dish": "soup"}),
        ("cook", '["soup", 2]', ["soup", 2], {}),
        ("cook", '"soup"', ["soup"], {}),
        ("@bob/cook", "null", [None], {}),
        ("@bob", '{"dish": "soup"}', [{"dish": "soup"}], {}),
        ("@bob", "[1, 2]", [[1, 2]], {}),
    ],
)
def test_json_becomes_arguments(
    target: str, text: str | None, args: list[object], kwargs: dict[str, object]
) -> None:
    """An object is keywords, an array positional, all else one argument; agents take any."""
    assert read_arguments(target, text) == (args, kwargs)


@pytest.mark.parametrize("text", ["", "soup", "{", "[" * 100_000, '{"timeout": 3}'])
def test_what_cannot_be_arguments_is_a_usage_error(text: str) -> None:
    """No JSON, or a keyword that calls keep for themselves."""
    with pytest.raises(UsageError):
        read_arguments("cook", text)


def a_good_report() -> Report:
    """What a run without flaws finds."""
    return Report(
        agents=5,
        join_seconds=1.0,
        call_seconds=[0.0002] * 100,
        auction_ms=10.0,
        vote_ms=10.0,
        vote_certificate_valid=True,
        killed="bob",
        interrupted=1,
        failover_seconds=0.1,
        lost_tasks=0,
    )


def test_a_report_is_ok_if_everything_was_verified() -> None:
    """Only then."""
    assert a_good_report().ok
    assert not Report().ok


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agents", 4),
        ("call_seconds", [0.0002] * 99),
        ("auction_ms", None),
        ("vote_ms", None),
        ("vote_certificate_valid", False),
        ("killed", None),
        ("interrupted", 0),
        ("failover_seconds", 5.0),
        ("failover_seconds", None),
        ("lost_tasks", 1),
        ("lost_tasks", None),
        ("problems", ["something was wrong"]),
    ],
)
def test_one_flaw_is_enough(field: str, value: object) -> None:
    """Each promise counts alone."""
    report = a_good_report()

    setattr(report, field, value)

    assert not report.ok
    assert report.to_dict()["ok"] is False


class Terminal(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Yes."""
        return True


def show(screen: Screen) -> None:
    """A bit of everything."""
    screen.title("meshp2p demo", "five agents, five processes, no coordinator")
    screen.scene(5, "40 calls of 0.3 s, and a kill of whoever runs most")
    screen.progress(3, 40, "answers")
    screen.good("what bob was running began elsewhere within 0.012 s")
    screen.bad("10 of 40 calls have no right answer")
    screen.table(a_good_report().rows())


@pytest.mark.parametrize("width", [24, 40, 72])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """A narrow terminal breaks no line by itself."""
    stream = Terminal()
    show(Screen(stream, width=width, unicode=True))

    assert max(map(len, stream.getvalue().splitlines())) <= width


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_whoever_wants_no_colour_gets_none(environ: dict[str, str]) -> None:
    """Nor does anything move then."""
    plain, coloured = Terminal(), Terminal()
    show(Screen.of(plain, environ))
    show(Screen.of(coloured, {"TERM": "xterm"}))

    assert "\x1b" in coloured.getvalue()
    assert not set("\x1b\r") & set(plain.getvalue())
