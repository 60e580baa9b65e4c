"""Emitted source -> a module that can be trained."""

from __future__ import annotations

import linecache
import traceback
import weakref
from itertools import count
from typing import Any

from torch import nn

from ein.compiler.emit import EmittedSource, emit
from ein.compiler.graph import OpGraph

_numbers = count(1)


def load(source: OpGraph | EmittedSource, name: str = "Net") -> nn.Module:
    """The network of a graph, or of what `emit` made of one in this process; `name` is that of its class.

    Weights start from torch's generator. As long as the module's class lives, lines of the source show in tracebacks,
    and an error in one of them says where in the `.ein` file it comes from. Raises TypeError for any other text:
    nothing that was written elsewhere is run.
    """
    text = emit(source, name) if isinstance(source, OpGraph) else source
    if not isinstance(text, EmittedSource):
        raise TypeError(f"source is a graph or the result of emit, not {type(source).__name__}: no other text is run")
    file = f"<ein {name} {next(_numbers)}>"
    space: dict[str, Any] = {"__name__": file}
    exec(compile(text, file, "exec"), space)
    kind = space.get(name)
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise ValueError(f"name={name!r}: the source has no such class")
    _show_in_tracebacks(file, text, kind)
    if getattr(text, "origins", None) is not None:
        _explain(file, text, kind)
    net: nn.Module = kind()
    return net


def _show_in_tracebacks(file: str, text: str, kind: type) -> None:
    """Until `kind` is collected, so that a search that loads thousands of networks does not keep their text."""
    weakref.finalize(kind, linecache.cache.pop, file, None)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def _explain(file: str, text: EmittedSource, kind: type[nn.Module]) -> None:
    """Adds a note to errors of the network: the rule, macro and place that their lines come from."""

    def call(self: nn.Module, *inputs: Any, **named: Any) -> Any:
        try:
            return nn.Module.__call__(self, *inputs, **named)
        except Exception as error:
            frames = traceback.walk_tb(error.__traceback__)
            lines = [line for frame, line in frames if frame.f_code.co_filename == file]
            said = text.origins().told(lines) if text.origins is not None else ""
            if said and said not in getattr(error, "__notes__", ()):
                error.add_note(said)
            raise

    kind.__call__ = call
