"""Whether the text of a class or function can stand in another file, and what it would import there."""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import dedent
from types import ModuleType
from typing import Any

TAKEN = ("Net", "F", "nn", "torch")
"""Names that mean something else in emitted source."""


@dataclass(frozen=True, slots=True)
class Text:
    """`source` is None where it cannot stand elsewhere; then the place it is defined in is imported."""

    source: str | None
    imports: tuple[str, ...] = ()


def standing_alone(thing: Callable[..., Any]) -> Text:
    """The text of a class or function without its decorators, if what it mentions is its own, built in, or imported
    from torch or the standard library.

    Raises ValueError where it neither can stand alone nor be imported by its name.
    """
    name = thing.__name__
    if name in TAKEN or not name.isidentifier():
        raise ValueError(f"`{name}` means something else in the source of a network: give it another name")
    text = _text(thing)
    unknown = "its text is not to be had" if text is None else ""
    imports: list[str] = []
    for mentioned in () if text is None else sorted(_global_names(text) - {name}):
        line = _import_line(mentioned, _globals(thing))
        if line is None:
            unknown = f"it mentions `{mentioned}`"
            break
        imports.append(line)
    if not unknown:
        return Text(text, tuple(line for line in imports if line))
    if "." in thing.__qualname__:
        help = "define it at the top of a module, or with torch and the standard library alone"
        raise ValueError(f"`{thing.__qualname__}` cannot be written into the source of a network: {unknown}; {help}")
    return Text(None)


def _text(thing: Callable[..., Any]) -> str | None:
    """Without decorators; None where there is no text, or a decorator that is not `operator`."""
    try:
        text = dedent(inspect.getsource(thing))
        [node] = ast.parse(text).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(node, ast.ClassDef | ast.FunctionDef):
        return None
    if not all(_is_ours(decorator) for decorator in node.decorator_list):
        return None
    return "\n".join(text.splitlines()[node.lineno - 1 :])


def _is_ours(decorator: ast.expr) -> bool:
    """`@operator(…)`, `@ein.operator(…)`."""
    if not isinstance(decorator, ast.Call):
        return False
    return ast.unparse(decorator.func).rpartition(".")[2] == "operator"


def _global_names(text: str) -> set[str]:
    """Names that a definition takes from around it; those that are built in left out."""
    found = set()
    for table in _tables(symtable.symtable(text, "<operator>", "exec")):
        for symbol in table.get_symbols():
            outer = table.get_type() == "module" and symbol.is_referenced() and not symbol.is_assigned()
            if symbol.is_global() or outer:
                found.add(symbol.get_name())
    return found - set(dir(builtins))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for inner in table.get_children():
        yield from _tables(inner)


def _globals(thing: Callable[..., Any]) -> dict[str, Any]:
    module = sys.modules.get(thing.__module__)
    return {} if module is None else vars(module)


def _import_line(name: str, around: dict[str, Any]) -> str | None:
    """How a name is imported from torch or the standard library, None if it is not."""
    if name not in around:
        return None
    value = around[name]
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    if not isinstance(home, str) or not (home.partition(".")[0] == "torch" or _is_standard(home)):
        return None
    if isinstance(value, ModuleType):
        package, _, last = home.rpartition(".")
        if name == home:
            return f"import {home}"
        return f"from {package} import {last}" if name == last and package else f"import {home} as {name}"
    own = getattr(value, "__name__", None)
    if not isinstance(own, str) or getattr(sys.modules.get(home), own, None) is not value:
        return None
    return f"from {home} import {own}" if own == name else f"from {home} import {own} as {name}"


def _is_standard(home: str) -> bool:
    top = home.partition(".")[0]
    return top in sys.stdlib_module_names and top != "__main__" and not top.startswith("_")
