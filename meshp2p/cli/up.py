"""`meshp2p up`: a node from the shell."""

from __future__ import annotations

import logging
import signal
from argparse import Namespace
from typing import Any

from meshp2p.cli import output
from meshp2p.node import Node
from meshp2p.runtime.capability import capability


@capability("echo", idempotent=True, inline=True)
def echo(value: Any = None) -> Any:  # noqa: ANN401  # anything that can be sent
    """Give back what was given."""
    return value


def up(options: Namespace) -> int:
    """Run a node until Ctrl-C or SIGTERM, then leave the mesh.

    Raises:
        StartError: It cannot start here.
        UsageError: An option that is not allowed.
    """
    node = Node(
        options.handle,
        capabilities=[echo, *options.capability],
        namespace=options.namespace,
        mesh=options.mesh,
        seeds=options.seed,
        bind=options.bind,
        state_dir=options.state_dir,
    )
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup: it shall outlive the terminal
            signal.signal(number, signal.default_int_handler)
    try:
        node.start()
        _tell(node, as_json=options.json)
        node.run_forever()
    except KeyboardInterrupt:
        node.stop()
    return output.DONE


def _tell(node: Node, *, as_json: bool) -> None:
    addresses = node.addresses
    if as_json:
        facts = {"handle": node.handle, "id": node.id, "addresses": list(addresses)}
        output.print_json(facts)
        return
    name = f"@{node.handle} " if node.handle else ""
    print(f"{name}#{node.id} is up at {', '.join(addresses)}; Ctrl-C to leave", flush=True)
