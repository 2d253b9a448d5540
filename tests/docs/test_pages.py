"""The pages speak of what is there: links lead somewhere, names exist, verbs are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshp2p import AsyncNode, Node
from meshp2p.wire import limits
from tests.docs.pages import REPOSITORY

PAGES = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:meshp2p|tests|benchmarks|docs|simulations|\.ci)/[\w./-]*)`")
_LIMIT = re.compile(r"`(MAX_\w+|STREAM_CREDIT|DATAGRAM_OVERHEAD)`")


def _named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def _headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to another page, and to a heading in it, arrives."""
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _headings(target), link


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_files_that_a_page_names_exist(page: Path) -> None:
    """Who looks for what a page talks about finds it there."""
    missing = {path for path in _PATH.findall(page.read_text()) if not (REPOSITORY / path).exists()}

    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_limits_that_a_page_names_exist(page: Path) -> None:
    """A limit is called in a page as in the code."""
    assert {name for name in _LIMIT.findall(page.read_text()) if not hasattr(limits, name)} == set()


def test_the_readme_tells_every_verb() -> None:
    """What a node can do is in the README's table; what it cannot is not."""
    table = (
        (REPOSITORY / "README.md").read_text().partition("## The verbs")[2].partition("\n## ")[0]
    )
    told = set(re.findall(r"`(\w+)\(", table))
    verbs = _verbs(Node)

    assert told == verbs
    assert _verbs(AsyncNode) >= verbs - {"start", "stop", "run_forever"}


def _verbs(face: type) -> set[str]:
    return {name for name in dir(face) if name[0] != "_" and callable(getattr(face, name))}


def test_every_page_is_in_the_index() -> None:
    """`docs/README.md` leads to every page of the documentation."""
    index = REPOSITORY / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text())}

    assert {page for page in PAGES if index.parent in page.parents} - linked <= {index}
