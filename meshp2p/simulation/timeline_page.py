"""One page of HTML that holds a whole run: lanes, messages, faults, and who believes what of whom.

    write_page("run.jsonl", "run.html")

The page needs nothing but a browser: style, program and data lie in the one file, and its own
Content-Security-Policy forbids it to load or send anything and to run any other program. Names
and reasons come from a run, which may have been hostile: they enter as data only, and the
program writes them as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from meshp2p.simulation.happening import Happening
from meshp2p.simulation.timeline import BELIEFS, LIVES, Timeline
from meshp2p.simulation.trace import CutTrace, Trace, read_trace

_PARTS: Final = ("run.js", "paint.js", "lanes.js", "flights.js", "map.js", "controls.js")
"""The page's program, in the order in which its parts use each other."""
_POLICY: Final = (
    "default-src 'none'; script-src {script}; style-src {style};"
    " base-uri 'none'; form-action 'none'"
)


def write_page(
    run: Path | str | Iterable[Happening], html_path: Path | str, *, title: str = ""
) -> None:
    """Draw a run.

    A trace whose last line is cut off, because the run was stopped, is drawn up to there and
    the page says so.

    Args:
        run: A trace's file, a `Trace`, or what happened, in order.
        html_path: What it held before is lost.
        title: Of the page; by default the trace's scenario, else its file.

    Raises:
        OSError: A file cannot be read or written.
        BrokenTrace: The file holds no trace.
    """
    source = read_trace(run) if isinstance(run, Path | str) else run
    timeline, notes, facts = Timeline(), [], []
    if isinstance(source, Trace):
        timeline = Timeline(names=list(source.nodes))
        title = title or source.scenario or source.path.name
        facts = [f"seed {source.seed}"]
        facts += [f"{name} {version}" for name, version in source.versions.items()]
    try:
        timeline.add_all(source)
    except CutTrace as cut:
        notes = [str(cut)]
    Path(html_path).write_text(page_of(timeline, title or "a run", facts, notes), encoding="utf-8")


def page_of(
    timeline: Timeline, title: str, facts: Iterable[str] = (), notes: Iterable[str] = ()
) -> str:
    """The page as text.

    Args:
        facts: Shown under the title.
        notes: Shown before what the timeline itself leaves out.
    """
    drawing = dict(timeline.drawing())
    drawing["facts"] = list(facts)
    drawing["notes"] = [*notes, *timeline.notes]
    drawing["LIVES"], drawing["BELIEFS"] = LIVES, BELIEFS
    page = files("meshp2p.simulation") / "page"
    script = '"use strict";\n' + "\n".join(
        (page / part).read_text(encoding="utf-8") for part in _PARTS
    )
    style = (page / "page.css").read_text(encoding="utf-8")
    holes = {
        "policy": _POLICY.format(script=_fingerprint(script), style=_fingerprint(style)),
        "title": escape(title),
        "style": style,
        "script": script,
        "run": _harmless(json.dumps(drawing, separators=(",", ":"), allow_nan=False)),
    }
    whole = (page / "page.html").read_text(encoding="utf-8")
    # In one go, so that nothing which fills a hole is looked at for holes itself.
    return re.sub(r"\{\{(\w+)\}\}", lambda hole: holes[hole[1]], whole)


def _fingerprint(text: str) -> str:
    """The source expression that allows exactly this inline text (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _harmless(data: str) -> str:
    """JSON that cannot end the element in which it lies, and means the same."""
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
