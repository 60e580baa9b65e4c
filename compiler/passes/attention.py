"""Attention: what a term or a body spells as two products with a softmax between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes import views
from ein.compiler.passes.attention_parts import Chain, chain_at
from ein.compiler.passes.dataflow import At, Dataflow, replayed
from ein.compiler.passes.layouts import Layout, declared, layout
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.passes.traced import LOOKING
from ein.grammar.bodies.tensors import Step
from ein.grammar.cfg import Application
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import ValueType, bundle, merge


def fuse_attention(graph: OpGraph) -> Rewritten:
    """Queries times keys, softmax along the keys, times values.

        k -> permute -\\
        q -----------> matmul -> softmax -> matmul -> y
        v --------------------------------/
        -->
        q, k, v -> attention -> y

    So are they where one operator does it all, by `dot` in its body; with scales of the queries, keys or scores; with
    `where(range[i] >= range[j], scores, -inf)`; head by head along one more axis. (Along two more torch goes a slower
    way than the products and the softmax by themselves, 0.9 to 1.0 of their speed on a CPU; along one it is 1.1 to 6.)
    Keeps: every other node, and what something else reads. How tensors are laid out before and after is done by the
    attention. Needs: no wires between; what is between the two products is read by the next step alone; just one
    axis of queries, of keys, of features and of values; a causal mask on as many queries as keys; no scale behind the
    softmax, and none below 0 behind the mask. Anything else that the operators between compute forbids it.
    Exact: the same sums and the same softmax; torch may add in another order.

    All are known by what their bodies do, not by their names.
    """
    if not graph.names("einsum", "softmax"):
        return Rewritten(graph)
    flow = Dataflow(graph)
    found = [match for at, step in flow.uses() if step.op == "einsum" and (match := _match(flow, at)) is not None]
    if not found:
        return Rewritten(graph)
    draft = graph.draft()
    fused: set[int] = set()
    for match in found:
        if match.between.isdisjoint(fused):  # what one attention gives may be the scores of another
            draft.replace(match.last, match.new, match.sources)
            fused.add(match.last)
    draft.remove_unused()
    return Rewritten(draft.done())


@dataclass(frozen=True, slots=True)
class _Match:
    """An attention that is to stand at `last`; `between` are the nodes whose results it makes superfluous."""

    last: int
    between: frozenset[int]
    new: Use
    sources: tuple[Port, ...]


def _match(flow: Dataflow, at: At) -> _Match | None:
    """The attention of which the second product is at `at`, if it is one."""
    chain = chain_at(flow, at)
    node = flow.graph.node(at.node)
    if chain is None or not isinstance(node, Use):
        return None
    after = _after(node, at.step)
    if after is None or any(_gives_more(flow, number) for number in chain.nodes - {at.node}):
        return None
    application = _application(flow.graph, chain, after, node)
    if application is None:
        return None
    sources = tuple(each.port for each in chain.operands)
    try:
        applied = application.at(bundle(flow.graph.type(port) for port in sources))
    except Inapplicable:
        return None
    if merge((applied.output, node.outputs[0])) is None:
        return None
    new = Use(application, applied, node.key, node.span, node.path)
    return _Match(at.node, chain.nodes - {at.node}, new, sources)


def _gives_more(flow: Dataflow, number: int) -> bool:
    node = flow.graph.node(number)
    return not isinstance(node, Use) or len(node.outputs) > 1


def _after(node: Use, product: int) -> list[Step] | None:
    """What a body does to the layout of its product before it gives it; None if it does anything else."""
    body = node.applied.body
    if len(body.results) > 1:
        return None
    found: list[Step] = []
    at = body.results[0]
    while at != product:
        step = body.steps[at]
        if step.op == "input" or step.op not in LOOKING or len(step.inputs) != 1:
            return None
        found.insert(0, step)
        at = step.inputs[0]
    return found


def _application(graph: OpGraph, chain: Chain, after: Sequence[Step], node: Use) -> Application | None:
    """That of `attention` where tensors are laid out as it wants them, else an operator written for it."""
    names = (f"a{number}" for number in count())
    made = [layout(each.view, graph.type(each.port).sizes, names) for each in chain.operands]
    result = views.permuted(views.whole("result", chain.sizes), chain.order)
    shown = replayed(after, result)
    behind = None if shown is None else layout(shown, chain.sizes, names)
    laid = [each for each in (*made, behind) if each is not None]
    if len(laid) < 4:
        return None
    types = [graph.type(each.port) for each in chain.operands]
    plain = all(each.is_plain for each in laid)
    if plain and not chain.causal and len({type.kind for type in (*types, node.outputs[0])}) == 1:
        return standard.application("attention", ("scale", chain.scale if chain.scale != 1 else 1))
    text = declared("attention", list(zip("qkv", types, strict=True)), node.outputs[0], _body(chain, laid))
    return None if text is None else _attend(chain, written := standard.written(text), bundle(types)) or written


def _attend(chain: Chain, written: Application, given: ValueType) -> Application | None:
    """That of `attend`, if it does the same."""
    heads = chain.sizes[0] if len(chain.sizes) > 2 else 1
    application = standard.application("attend", ("heads", heads), ("causal", chain.causal))
    found, wanted = application.look(given), written.look(given)
    if isinstance(found, Inapplicable) or isinstance(wanted, Inapplicable):
        return None
    return application if found.body.steps == wanted.body.steps else None


def _body(chain: Chain, laid: Sequence[Layout]) -> str:
    given = [each.of(name) for each, name in zip(laid, "qkv", strict=False)]
    if chain.scale != chain.features**-0.5:
        given.append(f"scale = {chain.scale!r}")
    if chain.causal:
        given.append("is_causal = true")
    return laid[3].of(f"F.scaled_dot_product_attention({', '.join(given)})")
