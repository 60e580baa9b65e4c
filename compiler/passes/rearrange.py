"""Rearrangements: several in a row become one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.made import MadeApplied
from ein.compiler.memo import per_body
from ein.compiler.nodes import Use
from ein.compiler.passes import views
from ein.compiler.passes.dataflow import replayed
from ein.compiler.passes.layouts import declared, layout
from ein.compiler.passes.rewritten import Rewritten, in_turn
from ein.grammar.bodies.tensors import Body, Step
from ein.grammar.types import Tensor


def fuse_rearrangements(graph: OpGraph) -> Rewritten:
    """Operators that only lay a tensor out otherwise: permutations, grids, flattenings, shuffles of channels.

        x -> col2im -> permute((2, 3, 1)) -> channel_shuffle(2) -> y
        -->
        x -> rearranged -> y            (an operator that is written for it, `x[(a = 2, b), c] -> [(b, a), c]`)

    Keeps: every other node; the first of two, too, where something else reads it.
    Needs: no wires between the two. Of views, which move nothing, and of moves of memory the one has no more than the
    two: so it has no more steps, and where the first stays, it moves no memory.
    Exact: it moves elements and computes nothing.
    """
    return in_turn(_fuse, graph)


def _fuse(graph: OpGraph) -> Rewritten:
    found = {
        number: steps
        for number, node in graph.having(row)
        if not isinstance(node.applied, MadeApplied) and (steps := rearranging(node)) is not None
    }
    pairs = [(number, graph.sources(number)[0]) for number in found]
    if not any(source.node in found for _, source in pairs):
        return Rewritten(graph)
    draft, changed = graph.draft(), False
    for number, source in pairs:
        if source.node in found and source.node != number:
            node = draft.node(number)
            first = draft.sources(source.node)[0]
            given = draft.node(first.node).outputs[first.port]
            alone = len(draft.targets(source.node)) == 1
            assert isinstance(node, Use)
            one = _one(node, given, [*found[source.node], *found[number]], alone)
            if one is not None:
                draft.replace(number, one.use, [first])
                found[number], changed = one.steps, True
    if not changed:
        return Rewritten(graph)
    draft.remove_unused()
    return Rewritten(draft.done())


_STEPS = frozenset(("permute", "unflatten", "flatten", "unsqueeze"))


def rearranging(node: Use) -> list[Step] | None:
    """The steps of an operator of one tensor that only rearranges it."""
    steps = row(node.applied.body)
    return list(steps) if steps and len(node.inputs) == 1 else None


@per_body
def row(body: Body) -> tuple[Step, ...]:
    """The steps of a body that only rearranges its first input; none of any other."""
    given, *rest = body.steps
    if not rest or given.op != "input" or body.results != (len(rest),):
        return ()
    return tuple(rest) if all(step.op in _STEPS and step.inputs == (at,) for at, step in enumerate(rest)) else ()


@dataclass(frozen=True, slots=True)
class _One:
    use: Use
    steps: list[Step]


def _one(node: Use, given: Tensor, steps: list[Step], alone: bool) -> _One | None:
    """What does all the steps, in the place of `node`; None where it cannot be written, or does not pay."""
    view = replayed(steps, views.whole(Port(0, 0), given.sizes))
    if view is None or (view.copies and not alone):
        return None
    found = layout(view, given.sizes, (f"a{number}" for number in count()))
    if found is None or found.is_plain:
        return None
    text = declared("rearranged", [("x", given)], node.outputs[0], found.of("x"))
    if text is None:
        return None
    application = standard.written(text)
    applied = application.at(given)
    own = list(applied.body.steps[1:])
    if len(own) > len(steps):
        return None
    return _One(Use(application, applied, node.key, node.span, node.path), own)
