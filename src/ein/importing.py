"""Models of torch as architectures: from a module, or from the file that declares it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ein.grammar.diagnostics import EinError, fail
from ein.grammar.numbers import nearest

if TYPE_CHECKING:
    from torch import nn

    from ein.compiler.way_in.imported import Imported


def from_torch(model: nn.Module, example: Any, *, name: str | None = None) -> Imported:
    """A module of torch as an `.ein` file, a derivation, and its weights under the names of the network.

    `example`: a tensor with the batch in front, a tuple of them, or a type as text, `"im[3, 32, 32]"`. The model is
    traced in training mode and left as it was; that the network computes the same is tried, in evaluation and in
    training. Raises EinError: E732 where the model cannot be traced, E733 with each call that the language cannot
    say, E734 where the network computes something else, E735 for an example of no kind.
    """
    from torch import nn

    from ein.compiler.way_in.imported import imported

    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a module of torch, not {type(model).__name__}")
    return imported(model, example, name or type(model).__name__)


def model_of(path: str, name: str) -> nn.Module:
    """The model that a Python file has under a name: a module, or what is called without arguments to make one.

    Runs the file. Raises EinError (E731).
    """
    from torch import nn

    file = Path(path)
    if not file.is_file():
        raise fail(
            "E731",
            f"there is no file `{path}`",
            help="write `module.py:Net`, the path of a Python file and a name in it",
        )
    module = _run(file)
    found = getattr(module, name, None)
    if found is None:
        known = sorted(each for each, value in vars(module).items() if _is_model(value, module.__name__))
        help = nearest(name, known, f"it declares {', '.join(known)}" if known else "it declares no module of torch")
        raise fail("E731", f"`{file.name}` has no `{name}`", help=help)
    made = found if isinstance(found, nn.Module) else _made(file, name, found)
    if not isinstance(made, nn.Module):
        text = f"`{name}` of `{file.name}` is a {type(made).__name__}, and a module of torch is needed"
        raise fail("E731", text, help="name a class of nn.Module, a function that makes one, or a module")
    return made


def _is_model(value: Any, module: str) -> bool:
    from torch import nn

    own = isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module
    return own or isinstance(value, nn.Module)


def _made(file: Path, name: str, found: Any) -> Any:
    if not callable(found):
        return found
    try:
        with redirect_stdout(sys.stderr):
            return found()
    except (Exception, SystemExit) as error:
        help = f"add a function without arguments that makes it, `def small(): return {name}(…)`, and import that"
        raise fail(
            "E731", f"`{name}` of `{file.name}` cannot be made without arguments: {_said(error)}", help=help
        ) from None


def _run(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise fail("E731", f"`{file.name}` is no Python file", help="write `module.py:Net`")
    module = importlib.util.module_from_spec(spec)
    with _beside(file), redirect_stdout(sys.stderr):
        try:
            spec.loader.exec_module(module)
        except EinError:
            raise
        except (Exception, SystemExit) as error:
            raise fail("E731", f"`{file.name}` cannot be run: {_said(error)}{_line(error, file)}") from None
    return module


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """The file finds what lies beside it, and is found by its name."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _line(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return ""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == file.name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""
