"""A run on disk: a trace of all that happens, and a page to look at."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

import meshp2p
from meshp2p.ids import NodeId
from meshp2p.simulation.happening import Happening
from meshp2p.simulation.timeline_page import write_page
from meshp2p.simulation.trace import FORMAT, TraceWriter
from meshp2p.testing.agent import Agent
from meshp2p.testing.chosen import Files
from meshp2p.testing.internet import Internet


@contextmanager
def recorded(internet: Internet, files: Files, title: str) -> Iterator[None]:
    """Write what happens within the block to those files that are named."""
    happenings: list[Happening] = []
    writer = None
    if files.trace:
        header = {
            "trace": FORMAT,
            "meshp2p": meshp2p.__version__,
            "python": platform.python_version(),
            "seed": internet.seed,
            "scenario": title,
            "nodes": [],
        }
        writer = TraceWriter(Path(files.trace), header, internet.watchers)
    if files.html:
        internet.watchers.append(happenings.append)
    try:
        yield
    finally:
        if writer is not None:
            writer.remove()
        if files.html:
            internet.watchers.remove(happenings.append)
            write_page(happenings, files.html, title=f"{title}, seed {internet.seed}")


@attrs.define(eq=False)
class Views:
    """Tells watchers what agents believe of one another, whenever that has changed.

    Args:
        agents: By name.
    """

    _internet: Internet
    _agents: dict[str, Agent]
    _known: dict[tuple[str, str], str] = attrs.field(factory=dict, init=False)
    _names: dict[NodeId, str] = attrs.field(factory=dict, init=False)

    def look(self) -> None:
        """To be called before time moves."""
        running = [agent for agent in self._agents.values() if agent.is_running]
        for agent in running:
            self._names[agent.engine.identity.node_id] = agent.name
        for agent in running:
            self._look_at(agent)

    def _look_at(self, agent: Agent) -> None:
        for member in agent.engine.members():
            name = self._names.get(member.id, member.name)
            key = (agent.name, name)
            if self._known.get(key) != member.state:
                self._known[key] = member.state
                self._internet.tell(
                    "view",
                    agent.name,
                    member=name,
                    state=member.state,
                    event="",
                    reason="",
                )
