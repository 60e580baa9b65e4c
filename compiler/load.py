"""Emitted source -> a module that can be trained."""

from __future__ import annotations

import linecache
import re
import weakref
from collections.abc import Iterator
from functools import wraps
from itertools import count, islice
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
        _explain(file, text, kind, space)
    net: nn.Module = kind()
    return net


def _show_in_tracebacks(file: str, text: str, kind: type) -> None:
    """Until `kind` is collected, so that a search that loads thousands of networks does not keep their text."""
    weakref.finalize(kind, linecache.cache.pop, file, None)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


_EXPLAINED = compile(
    """
def explained(plain, explain):
    def forward(self, *inputs):
        try:
            return plain(self, *inputs)
        except Exception as error:
            explain(error)
            raise

    return forward
""",
    "<ein>",
    "exec",
)


def _explain(file: str, text: EmittedSource, kind: type[nn.Module], space: dict[str, Any]) -> None:
    """Adds a note to errors of the network: the rule, macro and place that their lines come from.

    The function around `forward` lives in the namespace of the network, or torch.compile would look for two modules.
    """

    def explain(error: Exception) -> None:
        places = tuple(_places(error, file, text))
        said = text.origins().told(places) if text.origins is not None else ""
        if said:
            error.add_note(said)

    exec(_EXPLAINED, space)
    plain = kind.forward
    kind.forward = wraps(plain)(space.pop("explained")(plain, explain))


def _places(error: Exception, file: str, text: str) -> Iterator[tuple[int, str]]:
    """The lines of the source that an error came through, each with the layer that it called, or nothing."""
    rows = text.splitlines()
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_filename == file:
            line, _, first, end = next(islice(code.co_positions(), at.tb_lasti // 2, None))
            called = _CALLED.match(rows[line - 1][first:end]) if line else None
            yield at.tb_lineno, called[1] if called else ""
        at = at.tb_next


_CALLED = re.compile(r"self\.(\w+)\(")
