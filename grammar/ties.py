"""Weights that several places share must have one shape: those with one key, and those of tied copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar import term as t
from ein.grammar.bodies.tensors import Step, all_steps
from ein.grammar.diagnostics import EinError, Label, fail
from ein.grammar.numbers import Inapplicable

_Kept: TypeAlias = tuple[Any, ...]


def may_conflict(rules: Iterable[cfg.Rule]) -> bool:
    """Whether a term of these rules can share weights in a way that `check_ties` has to look at."""
    stack: list[cfg.Term] = [alternative.body for rule in rules for alternative in rule.alternatives]
    while stack:
        match stack.pop():
            case cfg.Use(overloads, arguments):
                given = {name for name, _ in arguments}
                if any(operator.keys & given for operator in overloads):
                    return True
            case cfg.Repeated(tied=True):
                return True
            case cfg.Series(parts) | cfg.Parallel(parts):
                stack += parts
            case cfg.Copies(body) | cfg.Repeated(body) | cfg.Expanded(_, body) | cfg.Unpacked(_, body):
                stack.append(body)
            case cfg.Let(bindings, body):
                stack += [body, *(value for _, value in bindings)]
            case _:
                pass
    return False


def check_ties(term: t.TypedTerm) -> None:
    """Raises EinError that shows both places."""
    first: dict[str, tuple[t.Op, tuple[int, ...]]] = {}
    for node in t.walk(term):
        if isinstance(node, t.Op) and node.applied.operator.keys:
            for key, sizes in _keyed(node):
                other, known = first.setdefault(key, (node, sizes))
                if known != sizes:
                    raise _differ(f"what has the key `{key}` is one tensor", (node, sizes), (other, known))
        elif isinstance(node, t.Repeated) and node.tied and node.parts[0] is not node.parts[-1]:
            _check_copies(node)


def _steps(op: t.Op) -> list[Step]:
    """Of its body; none where the body does not fit its signature, which is reported elsewhere."""
    try:
        return list(all_steps(op.applied.body))
    except Inapplicable:
        return []


def _keyed(op: t.Op) -> Iterator[tuple[str, tuple[int, ...]]]:
    for step in _steps(op):
        key = dict(step.arguments).get("key") if step.op == "weight" else None
        if key is not None:
            yield key, step.sizes


def _differ(what: str, here: tuple[t.Op, tuple[int, ...]], there: tuple[t.Op, tuple[int, ...]]) -> EinError:
    (op, sizes), (other, known) = here, there
    label = f"{list(sizes)} in `{op.application.text}`"
    labels = [Label(other.span, f"{list(known)} in `{other.application.text}`")]
    return fail("E309", f"{what}, and its places have different shapes", op.span, label=label, labels=labels)


def _check_copies(node: t.Repeated) -> None:
    """Of copies that differ in their types each use of an operator must keep what it keeps in the first one."""
    first = list(_uses(node.parts[0]))
    for part in node.parts[1:]:
        uses = list(_uses(part))
        for op, other in zip(uses, first, strict=False):
            if _kept(op) != _kept(other):
                raise _copies(op, other)
        if len(uses) != len(first):
            raise _copies(uses[-1], first[-1])


def _uses(term: t.TypedTerm) -> Iterator[t.Op]:
    return (node for node in t.walk(term) if isinstance(node, t.Op))


def _kept(op: t.Op) -> list[_Kept]:
    """What an operator keeps: weights and buffers with their shapes, layers with their arguments."""
    steps = [step for step in _steps(op) if step.op in ("weight", "buffer", "layer")]
    return [(step.op, step.name, step.arguments if step.op == "layer" else step.sizes) for step in steps]


def _copies(op: t.Op, first: t.Op) -> EinError:
    message = f"tied copies share their weights, and `{op.application.text}` needs others in a later copy"
    label = f"at {op.input!r}, after {first.input!r} in the first copy"
    help = "the copies must have the type of the input, grids included"
    return fail("E309", message, op.span, label=label, help=help)
