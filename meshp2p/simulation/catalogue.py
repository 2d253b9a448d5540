"""Where scenarios are found: by name in the folder that comes with meshp2p, or by path.

A scenario's file defines `SCENARIO`, a `Scenario` or `Script`, and begins with its claim:

    "Nobody who runs is buried because one cable is bad."

In a checkout the folder is `simulations/`; a wheel carries it inside the package.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from contextlib import redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Final

import attrs

import meshp2p
from meshp2p.errors import UsageError
from meshp2p.simulation.script import LARGE, Script
from meshp2p.simulation.swarm import Scenario

_PACKAGE: Final = Path(meshp2p.__file__).parent
_CHECKOUT: Final = _PACKAGE.parent / "simulations"
_SHIPPED: Final = _PACKAGE / "simulation" / "scenarios"
_SEEDS: Final = range(40)
"""Of a scenario that states none."""


@attrs.frozen
class Found:
    """A scenario as it can be asked for.

    Args:
        word: Its name, or the path that was given: either finds it again.
    """

    word: str
    path: Path
    scenario: Scenario

    @property
    def seeds(self) -> range:
        """Those that it runs if nobody asks for others."""
        return self.scenario.seeds if isinstance(self.scenario, Script) else _SEEDS

    @property
    def size(self) -> int:
        """Nodes in its first run."""
        return len(self.scenario.draw(self.seeds.start).names)

    @property
    def is_large(self) -> bool:
        """Whether one seed takes seconds."""
        return self.size > LARGE


def folder() -> Path:
    """Where the scenarios lie that have names."""
    return _CHECKOUT if _CHECKOUT.is_dir() else _SHIPPED


def names() -> list[str]:
    """Of all scenarios that come with meshp2p, in order."""
    return sorted(path.stem for path in folder().glob("*.py") if path.stem != "__init__")


def find(word: str) -> Found:
    """The scenario of that name, or in that file.

    Raises:
        UsageError: There is none, or the file does not define one.
    """
    path = Path(word)
    if path.suffix != ".py":
        path = folder() / f"{word}.py"
        if word not in names():
            raise UsageError(f"no scenario is called {word!r}; `meshp2p simulate --list` shows all")
    elif not path.is_file():
        raise UsageError(f"there is no file {word!r}")
    return Found(word, path, _load(path))


def claim_of(name: str) -> str:
    """The claim of a named scenario, read without running anything: its file's first sentence."""
    text = (folder() / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0].replace("\n", " ")


def _load(path: Path) -> Scenario:
    """Run the file as a module of its own; once in a process.

    Raises:
        UsageError: It fails, or defines no `SCENARIO`.
    """
    mark = hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()
    name = f"{path.stem}_{mark}"  # two files of one name are two modules
    module = sys.modules.get(name)
    if module is None:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise UsageError(f"{path} is no Python file")
        module = module_from_spec(spec)
        sys.modules[name] = module  # attrs looks there for the module of its classes
        try:
            with redirect_stdout(sys.stderr):  # what a command prints may be for a program
                spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise UsageError(f"{path} cannot be run: {error!r}") from error
    scenario = getattr(module, "SCENARIO", None)
    if not isinstance(scenario, Scenario):
        raise UsageError(f"{path} defines no SCENARIO (a meshp2p.simulation.script.Script)")
    seeds: object = Found(str(path), path, scenario).seeds  # of a file that nobody checked
    if not isinstance(seeds, range) or not seeds:
        raise UsageError(f"{path}: seeds={seeds!r}: allowed is a range with a seed in it")
    return scenario
