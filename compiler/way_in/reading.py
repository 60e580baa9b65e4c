"""A trace -> the network, call by call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ein.compiler.way_in import (
    rules_elements,
    rules_layers,
    rules_pools,
    rules_products,
    rules_random,
    rules_shape,
)
from ein.compiler.way_in.attention import follow
from ein.compiler.way_in.calls import Call, Ref, Trace, Unsaid
from ein.compiler.way_in.network import KINDS, Network, Node
from ein.compiler.way_in.views import Value, View, Weight, whole, whole_weight
from ein.grammar.types import ValueType, leaves, tensor

RULES: Mapping[str, Callable[[Network, Call], Any]] = {
    **rules_elements.RULES,
    **rules_layers.RULES,
    **rules_pools.RULES,
    **rules_products.RULES,
    **rules_shape.RULES,
    **dict.fromkeys(("new_empty", "empty", "empty_like"), rules_random.empty),
}
"""By the name of torch's operator."""

_PARTS = frozenset(("select", "slice", "narrow", "chunk", "split", "unbind", "getitem"))


@dataclass(frozen=True, slots=True)
class Problem:
    """A call that cannot be said, and why."""

    call: Call
    given: tuple[tuple[int, ...], ...]
    """The sizes of the tensors that it takes."""
    why: str


class _Missing:
    """The result of a call that could not be said, or that depends on one."""


MISSING = _Missing()


def read(trace: Trace, input: ValueType) -> tuple[Network, tuple[Value, ...], list[Problem]]:
    """The network, its results, and what could not be said; the results are whole where that is nothing."""
    return _Reading(trace, input).run()


class _Reading:
    def __init__(self, trace: Trace, input: ValueType) -> None:
        self.trace = trace
        self.net = Network(trace.batch, trace.weights)
        types = tuple(leaves(input))
        given = self.net.add(Node("", (), (), types))
        self.seen: dict[str, Any] = {
            name: whole(value, trace.batch) for name, value in zip(trace.inputs, given, strict=False)
        }
        for node, name in trace.homes.items():
            value = trace.weights[name]
            self.seen[node] = whole_weight(Weight(name, tuple(value.shape), name in trace.trained))
        self.makers = {call.name: call for call in trace.calls}
        self.problems: list[Problem] = []
        self.net.tables.update(_tables(trace))
        ends = ".running_mean"
        self.net.counters.update(
            (name, name.removesuffix(ends) + ".num_batches_tracked")
            for name in trace.weights
            if name.endswith(ends) and name.removesuffix(ends) + ".num_batches_tracked" in trace.weights
        )

    def run(self) -> tuple[Network, tuple[Value, ...], list[Problem]]:
        for call in self.trace.calls:
            self._call(call)
        results: list[Value] = []
        for ref in self.trace.outputs:
            found = self.seen.get(ref.name, MISSING)
            if isinstance(found, View):
                call = self.makers.get(ref.name) or Call(ref.name, "output", {}, found.sizes)
                value = self._tried(
                    replace(call, arguments={"self": found}), lambda net, call: net.forced(call.arguments["self"])
                )
                results += [value] if isinstance(value, Value) else []
        return self.net, tuple(results), self.problems

    def _call(self, call: Call) -> None:
        given = replace(call, arguments={name: self._resolved(value) for name, value in call.arguments.items()})
        if any(value is MISSING for each in given.arguments.values() for value in _flat(each)):
            found: Any = MISSING
        else:
            found = self._tried(given, lambda net, call: _ruled(net, call, self._into_a_part(call)))
            follow(self.net, given, found)
        self.seen[call.name] = found
        if call.in_place:
            target = call.arguments.get("self", call.arguments.get("input"))
            if isinstance(target, Ref):
                self.seen[target.name] = found

    def _into_a_part(self, call: Call) -> bool:
        target = self.makers[call.name].arguments.get("self")
        maker = self.makers.get(target.name) if isinstance(target, Ref) else None
        return call.in_place and maker is not None and maker.op in _PARTS

    def _tried(self, call: Call, rule: Callable[[Network, Call], Any]) -> Any:
        self.net.call = call
        try:
            return rule(self.net, call)
        except Exception as error:
            known = isinstance(error, Unsaid)
            why = str(error) if known else f"a case that the import does not know ({type(error).__name__}: {error})"
            sizes = tuple(v.sizes for each in call.arguments.values() for v in _flat(each) if isinstance(v, View))
            self.problems.append(Problem(call, sizes, why))
            return self._anything(call)

    def _anything(self, call: Call) -> Any:
        """A value of the right sizes, so that what follows is read too: all that cannot be said is told at once."""
        sizes = call.sizes or ()
        if sizes[:1] != (self.trace.batch,) or len(sizes) - 1 not in KINDS:
            return MISSING
        (value,) = self.net.add(Node("", (), (), (tensor(KINDS[len(sizes) - 1], sizes[1:]),)))
        return whole(value, self.trace.batch)

    def _resolved(self, value: Any) -> Any:
        match value:
            case Ref(name):
                return self.seen.get(name, MISSING)
            case list():
                return [self._resolved(each) for each in value]
            case _:
                return value


def _ruled(net: Network, call: Call, into_a_part: bool) -> Any:
    if any(isinstance(each, rules_random.Noise) for each in call.arguments.values()):
        if call.op not in rules_random.RULES:
            raise Unsaid("it computes with numbers that are drawn")
        return rules_random.RULES[call.op](net, call)
    if call.op not in RULES:
        raise Unsaid("the language has no operator for it")
    if into_a_part:
        raise Unsaid("it writes into a part of a tensor")
    return RULES[call.op](net, call)


def _flat(value: Any) -> list[Any]:
    return [each for part in value for each in _flat(part)] if isinstance(value, list | tuple) else [value]


def _tables(trace: Trace) -> dict[str, str]:
    """Tables of words that a linear map uses too, with keys: the last word of their path."""
    homes = trace.homes
    looked_up = [
        ref.name
        for call in trace.calls
        if isinstance(ref := call.arguments.get({"embedding": "weight", "index": "self"}.get(call.op, "")), Ref)
    ]
    mapped = {
        ref.name for call in trace.calls if call.op == "linear" and isinstance(ref := call.arguments["weight"], Ref)
    }
    names = [homes[name] for name in looked_up if name in mapped and name in homes]
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        path = name.removesuffix(".weight").rpartition(".")[2]
        word = re.sub(r"\W", "_", path.lower()).strip("_") or "table"
        word = word if word[0].isalpha() else f"table_{word}"
        found[name] = word if word not in found.values() else f"{word}_{len(found) + 1}"
    return found
