"""A module of torch -> the calls that it makes, by `torch.export`, in training mode with constants computed."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ein.compiler.way_in.calls import Call, Ref, Trace
from ein.grammar.diagnostics import fail

_RANDOM = frozenset("rand rand_like randn randn_like randint bernoulli empty_like empty uniform normal".split())
_FRAME = re.compile(r'File "(.*)", line (\d+), in .*\n\s*(.*)')
_TORCH = str(Path(torch.__file__).parent)


def trace(module: nn.Module, inputs: Sequence[Tensor]) -> Trace:
    """`inputs` have the batch in front. The mode of the module is left as it was. Raises EinError."""
    with modes_kept(module), _quiet():
        module.train()
        try:
            exported = torch.export.export(module, tuple(inputs), strict=False)
        except Exception as error:
            raise fail("E732", f"the model cannot be traced: {_first_line(error)}", help=_WAY_OUT) from None
    return _Reader(exported, len(inputs[0])).read()


_WAY_OUT = (
    "forward has to run on the example as it is given, a batch of it in front,"
    " and may branch on sizes and not on values"
)


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Training flags, and the buffers that training changes, as they were."""
    flags = {name: each.training for name, each in module.named_modules()}
    kept = {name: value.clone() for name, value in module.named_buffers()}
    try:
        yield
    finally:
        for name, each in module.named_modules():
            each.training = flags.get(name, each.training)
        with torch.no_grad():
            for name, value in module.named_buffers():
                if name in kept and kept[name].shape == value.shape:
                    value.copy_(kept[name])


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch says while it traces is about its own workings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


class _Reader:
    def __init__(self, exported: Any, batch: int) -> None:
        self.exported = exported
        self.batch = batch
        self.weights: dict[str, Any] = {}
        self.homes: dict[str, str] = {}
        self.trained: set[str] = set()
        self.inputs: list[str] = []
        self.constants: dict[str, Any] = {}
        """Values of nodes that depend on nothing that is trained or given."""

    def read(self) -> Trace:
        self._given()
        calls = [
            call for node in self.exported.graph.nodes if node.op == "call_function" and (call := self._call(node))
        ]
        (end,) = (node for node in self.exported.graph.nodes if node.op == "output")
        names = {
            spec.arg.name for spec in self.exported.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"
        }
        outputs = tuple(self._ref(node) for node in end.args[0] if node is not None and node.name in names)
        return Trace(
            tuple(calls), tuple(self.inputs), self.homes, self.weights, frozenset(self.trained), outputs, self.batch
        )

    def _given(self) -> None:
        state = {**self.exported.state_dict, **self.exported.constants}
        first: dict[int, str] = {}
        for spec in self.exported.graph_signature.input_specs:
            node, target = spec.arg.name, spec.target
            if spec.kind.name == "USER_INPUT":
                self.inputs.append(node)
            elif spec.kind.name == "PARAMETER":
                self.homes[node] = first.setdefault(id(state[target]), target)
                self.weights[self.homes[node]] = state[target].detach()
                self.trained.add(self.homes[node])
            elif isinstance(state.get(target), Tensor):
                self.homes[node] = target
                self.weights[target] = self.constants[node] = state[target].detach()

    def _ref(self, node: Any) -> Ref:
        if node.name in self.constants and node.name not in self.homes:
            self.homes[node.name] = node.name
            self.weights[node.name] = self.constants[node.name]
        return Ref(node.name)

    def _call(self, node: Any) -> Call | None:
        if all(given.name in self.constants for given in node.all_input_nodes) and self._fold(node):
            return None
        schema = getattr(node.target, "_schema", None)
        found = node.meta.get("val")
        sizes = tuple(map(int, found.shape)) if isinstance(found, Tensor) else None
        place, module = _place(node), _module(node)
        if schema is None:
            arguments = {str(at): self._argument(value) for at, value in enumerate(node.args)}
            return Call(node.name, node.target.__name__, arguments, sizes, False, place, module)
        arguments = {each.name: each.default_value for each in schema.arguments if each.has_default_value()}
        given = {each.name: value for each, value in zip(schema.arguments, node.args, strict=False)}
        arguments |= {name: self._argument(value) for name, value in (given | dict(node.kwargs)).items()}
        name = schema.name.rpartition("::")[2]
        in_place = name.endswith("_") and not name.endswith("__")
        return Call(node.name, name.removesuffix("_") if in_place else name, arguments, sizes, in_place, place, module)

    def _fold(self, node: Any) -> bool:
        name = getattr(node.target, "__name__", "").partition(".")[0]
        if name.removesuffix("_") in _RANDOM:
            return False
        arguments = torch.fx.node.map_arg(node.args, lambda n: _copied(self.constants[n.name]))
        named = torch.fx.node.map_arg(node.kwargs, lambda n: _copied(self.constants[n.name]))
        with torch.no_grad():
            self.constants[node.name] = node.target(*arguments, **named)
        return True

    def _argument(self, value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            found = self.constants.get(value.name)
            return found.item() if isinstance(found, Tensor) and found.ndim == 0 else self._ref(value)
        if isinstance(value, list | tuple):
            return [self._argument(each) for each in value]
        return value


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _place(node: Any) -> str:
    """The innermost line that is not torch's."""
    for path, line, code in reversed(_FRAME.findall(node.meta.get("stack_trace") or "")):
        if not path.startswith(_TORCH):
            return f"{Path(path).name}:{line}: {code.strip()}"
    return ""


def _module(node: Any) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    path, kind = stack[-1]
    name = (kind if isinstance(kind, str) else kind.__qualname__).rpartition(".")[2]
    return f"{path} ({name})" if path else name
