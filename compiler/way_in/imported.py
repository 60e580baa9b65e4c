"""A module of torch as an architecture: text, derivation, and the module's weights under the network's names."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import Tensor, nn

from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.compiler.way_in.calls import Trace
from ein.compiler.way_in.examples import batch, typed
from ein.compiler.way_in.finishing import fused
from ein.compiler.way_in.network import KINDS, UNKIND, Network, Node
from ein.compiler.way_in.reading import Problem, read
from ein.compiler.way_in.recognising import recognise
from ein.compiler.way_in.same import difference
from ein.compiler.way_in.separating import readers, separated
from ein.compiler.way_in.state import state
from ein.compiler.way_in.trace import trace
from ein.compiler.way_in.views import Value, Weight
from ein.compiler.way_in.written import Written, write
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import EinError, Source, fail
from ein.grammar.notation.lexer import tokenize
from ein.grammar.types import ValueType

BATCH = 3
"""Examples that a model is traced with; one more is taken to see whether it can be had with another number."""


@dataclass(frozen=True, eq=False)
class Imported:
    """`text` is an `.ein` file with the network as its only `arch`, `derivation` that network."""

    text: str
    derivation: Derivation
    _network: Network = field(repr=False)
    _written: Written = field(repr=False)

    def state_dict(self) -> dict[str, Tensor]:
        """The weights of the model under the names of the module that `ein.build(derivation)` gives."""
        return state(self._network, self._written, lower(self.derivation.term))

    def build(self) -> nn.Module:
        """The network as a module, with the weights of the model."""
        module: nn.Module = load(optimise(lower(self.derivation.term)).graph)
        module.load_state_dict(self.state_dict())
        return module


def imported(model: nn.Module, example: Any, name: str = "net", comment: str = "") -> Imported:
    """Raises EinError: where the model cannot be traced, with each call that cannot be said, and where what was read
    is not the model."""
    input = typed(example)
    if any(weight.device.type != "cpu" for weight in model.parameters()):
        model = copy.deepcopy(model).cpu()
    inputs = batch(example, input, model, BATCH, 0)
    made = trace(model, inputs)
    net, results, problems = read(made, input)
    if problems:
        raise _unsaid(made, problems)
    if not results or any(value.node == 0 for value in results):
        text = "the model gives back what it takes, and a network needs one operator at least"
        raise fail("E733", text, help="import a model that computes something")
    results = separated(net, results)
    fused(net, results)
    recognise(net, results)
    problems = _without_a_kind(net, results)
    if problems:
        raise _unsaid(made, problems)
    written, derivation = _checked(net, results, input, _word(name), comment)
    problems = _shared(net, results, derivation)
    if problems:
        raise _unsaid(made, problems)
    found = Imported(written.text, derivation, net, written)
    apart = difference(model, found.build(), batch(example, input, model, BATCH + 1, 1))
    if apart is not None:
        raise _wrong(apart)
    return found


def _checked(
    net: Network, results: Sequence[Value], input: ValueType, name: str, comment: str
) -> tuple[Written, Derivation]:
    """The file, with the macros of std where those check."""
    for with_macros in (True, False):
        try:
            written = write(net, results, input, name, comment, with_macros)
            return written, architecture(load_grammar(Source(f"{name}.ein", written.text)))
        except EinError as error:
            found = error
    raise _wrong(f"the file does not check: {found}")


def _shared(net: Network, results: Sequence[Value], derivation: Derivation) -> list[Problem]:
    """Uses of a weight that another use has too, where the file could not say so."""
    first: dict[str, Node] = {}
    count = 0
    problems = []
    for number in sorted(readers(net, results)):
        node = net.nodes[number]
        for view in node.weights.values():
            assert isinstance(view.base, Weight)
            other = first.setdefault(view.base.name, node)
            count += prod(view.sizes) * (view.base.trained and other is node)
            if other is not node and other.call is not None and node.call is not None:
                why = f"it shares the weight `{view.base.name}` with {other.call.name}: only copies of a term can"
                problems.append(Problem(node.call, tuple(value.sizes for value in node.inputs), why))
    return problems if count != derivation.cost.parameters else []


def _without_a_kind(net: Network, results: Sequence[Value]) -> list[Problem]:
    why = f"std has no kind of tensor for what it gives: it has kinds of one to {len(KINDS)} axes behind the batch"
    nodes = [net.nodes[number] for number in sorted(readers(net, results))]
    lost = [node for node in nodes if any(type.kind == UNKIND for type in node.types)]
    return [
        Problem(node.call, tuple(value.sizes for value in node.inputs), why) for node in lost if node.call is not None
    ]


def _word(name: str) -> str:
    """A name of the language: `ResNet` is `res_net`, and a keyword is no name."""
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", name, flags=re.ASCII).strip("_").lower()
    tokens = tokenize(Source("", word))[0]
    return word if tokens and tokens[0].kind == "NAME" and tokens[0].end == len(word) else "net"


def _wrong(what: str) -> EinError:
    help = (
        "the trace is of training with a batch of 3: a model that does something else in evaluation, or that depends on"
        " the number of examples, is not one network"
    )
    return fail("E734", f"what was read is not the model: {what}", help=help)


def _unsaid(made: Trace, problems: Sequence[Problem]) -> EinError:
    count = f"{len(problems)} of the {len(made.calls)} calls"
    lines = [f"{count} that the model makes cannot be said in the language", *map(_told, problems)]
    help = "write these lines with what `ein list std` shows, or import the parts of the model around them"
    return fail("E733", "\n".join(lines), help=help)


def _told(problem: Problem) -> str:
    call = problem.call
    sizes = ", ".join(str(list(each)) for each in problem.given)
    gives = f" -> {list(call.sizes)}" if call.sizes is not None else ""
    lines = [f"  {call.name}: {call.op}({sizes}){gives}: {problem.why}"]
    if call.place or call.module:
        lines.append(f"      {call.place}{f', in {call.module}' if call.module else ''}")
    return "\n".join(lines)
