"""ein: spaces of neural architectures as text, from a grammar to trained networks.

Everything that the command line does is one call of what is named here. Importing this loads
neither torch nor networkx; what needs them imports them when it is called. `ein.strategies`, for tests with
hypothesis, is loaded when it is first named.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ein.grammar.diagnostics import DISTRIBUTION

if TYPE_CHECKING:
    from ein import strategies as strategies
    from ein.compiler.graph import OpGraph
    from ein.grammar.alignment.align import distance
    from ein.grammar.derivations.derivation import Derivation
    from ein.grammar.diagnostics import Diagnostic, EinError
    from ein.host import operator
    from ein.importing import from_torch
    from ein.networks import build, carry, compile, draw, emit, graph_text, lower, optimise, read_graph
    from ein.searching import search
    from ein.space import Space, architecture, check, load, pack
    from ein.training import Task

__version__ = "0.1.0"
_HOMES = {
    "Derivation": "ein.grammar.derivations.derivation",
    "Diagnostic": "ein.grammar.diagnostics",
    "EinError": "ein.grammar.diagnostics",
    "OpGraph": "ein.compiler.graph",
    "Space": "ein.space",
    "Task": "ein.training",
    "architecture": "ein.space",
    "build": "ein.networks",
    "carry": "ein.networks",
    "check": "ein.space",
    "compile": "ein.networks",
    "distance": "ein.grammar.alignment.align",
    "draw": "ein.networks",
    "emit": "ein.networks",
    "from_torch": "ein.importing",
    "graph_text": "ein.networks",
    "load": "ein.space",
    "lower": "ein.networks",
    "operator": "ein.host",
    "optimise": "ein.networks",
    "pack": "ein.space",
    "read_graph": "ein.networks",
}

__all__ = [
    "DISTRIBUTION",
    "Derivation",
    "Diagnostic",
    "EinError",
    "OpGraph",
    "Space",
    "Task",
    "__version__",
    "architecture",
    "build",
    "carry",
    "check",
    "compile",
    "distance",
    "draw",
    "emit",
    "from_torch",
    "graph_text",
    "load",
    "lower",
    "operator",
    "optimise",
    "pack",
    "read_graph",
    "search",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("ein.strategies")
    if name not in _HOMES:
        raise AttributeError(f"module 'ein' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Search(ModuleType):
    """The package of the algorithms, which is called to search: `ein.search(space, …)`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return import_module("ein.searching").search(*arguments, **named)


class _Page(ModuleType):
    """This module; importing the package `ein.search` does not hide the function of that name."""

    @property
    def search(self) -> ModuleType:
        package = import_module("ein.search")
        package.__class__ = _Search
        return package

    @search.setter
    def search(self, package: ModuleType) -> None:
        """What the import system sets is found in `sys.modules` anyway."""


sys.modules[__name__].__class__ = _Page
