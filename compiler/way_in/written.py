"""The network as the text of a file, and which weight of the module each use of an operator has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ein.compiler.standard import application
from ein.compiler.way_in.declared import Learned, declaration
from ein.compiler.way_in.folding import folded
from ein.compiler.way_in.formulas import Apply, Expr, Formula, Given, Infix
from ein.compiler.way_in.network import Network, Node
from ein.compiler.way_in.own import OWN, standard_names
from ein.compiler.way_in.own import application as own_application
from ein.compiler.way_in.pieces import Leaf, leaves, text
from ein.compiler.way_in.shape import wires
from ein.compiler.way_in.terms import term
from ein.compiler.way_in.views import Value, View, Weight
from ein.grammar.diagnostics import Source
from ein.grammar.notation.printer import format_source
from ein.grammar.types import ValueType, bundle

_VERBS = {"+": "plus", "-": "minus", "*": "times", "/": "divided", "**": "power", ">": "above"}


@dataclass(frozen=True, slots=True)
class Written:
    """`uses`: the leaves of the term in their order, each with its node; None where it is no node."""

    text: str
    uses: tuple[Leaf, ...]


def write(
    net: Network, results: Sequence[Value], input: ValueType, name: str, comment: str, with_macros: bool = True
) -> Written:
    """The file with one architecture `name`."""
    namer = _Namer(net)
    hung = wires(
        [tuple((value.node, value.port) for value in node.inputs) for node in net.nodes],
        [len(node.types) for node in net.nodes],
        [(value.node, value.port) for value in results],
    )
    namer.read(node for node in hung.order if node < len(net.nodes))
    types = [value.type for value in results]
    output = types[0] if len(types) == 1 else bundle(types)
    made = folded(term(hung, namer.said, lambda node: len(set(net.nodes[node].types)) == 1), net, with_macros)
    lines = ["ein 1", *(f"# {line}" for line in comment.splitlines()), "", f"grammar {name}", "import std", ""]
    lines += namer.declarations()
    lines += ["", f"arch {name} : {input!r} -> {output!r} = {text(made)}", ""]
    return Written(format_source(Source(name, "\n".join(lines))), tuple(leaves(made)))


class _Namer:
    """Names for the operators of the file's own: equal declarations are one operator."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.texts: dict[int, str] = {}
        self.own: dict[str, str] = {}
        """By the declaration with its name left open."""
        self.brought: list[str] = []

    def read(self, nodes: object) -> None:
        for number in nodes:  # type: ignore[attr-defined]
            node = self.net.nodes[number]
            if node.formula is not None:
                self.texts[number] = self._declared(node, node.formula)
            elif node.name in OWN:
                self.brought += [node.name] if node.name not in self.brought else []
                self.texts[number] = _tidy(own_application(node.name, *node.given).text)
            else:
                self.texts[number] = _tidy(application(node.name, *node.given).text)

    def said(self, node: int) -> str:
        return self.texts[node]

    def declarations(self) -> list[str]:
        written = [declared.replace("op ?", f"op {name}", 1) for declared, name in self.own.items()]
        return [*(OWN[name].strip() for name in self.brought), *written]

    def _declared(self, node: Node, formula: Formula) -> str:
        kept = {name: _start(self.net, view) for name, view in node.weights.items()}
        kinds = [value.type.kind for value in node.inputs]
        declared = declaration("?", formula, kinds, node.types[0].kind, kept)
        if declared not in self.own:
            self.own[declared] = self._fresh(formula.body)
        return self.own[declared]

    def _fresh(self, body: Expr) -> str:
        stem = _stem(body)
        taken = {*self.own.values(), *OWN, *standard_names()}
        return next(name for n in range(1, 10_000) if (name := stem if n == 1 else f"{stem}_{n}") not in taken)


def _tidy(said: str) -> str:
    """`1e-6` for `1e-06`."""
    return re.sub(r"e-0(\d)", r"e-\1", said)


def _stem(body: Expr) -> str:
    match body:
        case Given():
            return "rearranged"
        case Infix(operator):
            return _VERBS[operator]
        case Apply(name):
            return f"{re.sub(r'[^a-z0-9_]', '', name.removeprefix('F.'))}_of"
        case _:
            return "computed"


def _start(net: Network, view: View) -> Learned:
    """A constant, or the mean and the deviation of the values that it has."""
    assert isinstance(view.base, Weight)
    values = net.weights[view.base.name].double().flatten()
    first, mean, std = float(values[0]), float(values.mean()), float(values.std(correction=0))
    constant = bool((values == values[0]).all())
    start = f"= {first:.6g}" if constant else f"~ normal({mean:.3g}, {max(std, 1e-6):.3g})"
    return Learned(start, view.base.trained)
