"""Draws against an enumeration of the stated distribution, written here anew from its definition.

The oracle knows nothing of `ein.grammar`: grammars are encoded by hand beside their text, types are
plain tuples, operators small functions. It lists every derivation up to a number of modules with its
probability given that it is valid and fits. False alarms are rarer than 1e-6 for each comparison.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, permutations
from math import log, prod, sqrt
from typing import Any, TypeAlias

import pytest

from ein.grammar.cfg import Limits
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.sample import Sampler

DRAWS = 20_000
FALSE_ALARM = 1e-6

# --- the oracle: types, operators, terms

Type: TypeAlias = Any
"""`("im", (2, 4, 4))`, or `("bundle", (type, type))`; a dimension is a number or a tuple of numbers."""


class NoFit(Exception):
    pass


def need(condition: bool) -> None:
    if not condition:
        raise NoFit


def size(dim: Any) -> int:
    return dim if isinstance(dim, int) else prod(map(size, dim))


def alike(first: Type, second: Type) -> Type:
    """Equal types up to structure; structure stays where both agree."""
    if first[0] == "bundle" and second[0] == "bundle":
        need(len(first[1]) == len(second[1]))
        return "bundle", tuple(alike(a, b) for a, b in zip(first[1], second[1], strict=True))
    need(first[0] == second[0] and [size(d) for d in first[1]] == [size(d) for d in second[1]])
    return first[0], tuple(a if a == b else size(a) for a, b in zip(first[1], second[1], strict=True))


def all_alike(types: tuple[Type, ...]) -> Type:
    merged = types[0]
    for other in types[1:]:
        merged = alike(merged, other)
    return merged


@dataclass(frozen=True)
class Op:
    """An operator with its arguments: as it is printed, and what it does to a type."""

    text: str
    act: Callable[[Type], Type]


@dataclass(frozen=True)
class Use:
    rule: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Seq:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Par:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Copies:
    body: Any
    count: int


@dataclass(frozen=True)
class Repeat:
    body: Any
    count: int
    tied: bool = False


@dataclass(frozen=True)
class Alt:
    """One value of an alternative's choices. `weight` is that of the whole alternative, `each` sums over the
    values, `share` is the weight of this value; `percent` says that `weight` is a probability."""

    index: int
    body: Any
    values: tuple[Any, ...] = ()
    weight: float = 1.0
    share: float = 1.0
    percent: bool = False
    each: bool = False
    by_value: bool = False


def seq(*parts: Any) -> Seq:
    return Seq(parts)


def tensor_rank(type: Type) -> int | None:
    if type[0] != "bundle":
        return len(type[1])
    ranks = {tensor_rank(member) for member in type[1]}
    return ranks.pop() if len(ranks) == 1 else None


def single(type: Type) -> Type:
    need(type[0] != "bundle")
    return type


def same(name: str) -> Op:
    return Op(name, single)


def clone(n: int) -> Op:
    return Op(f"clone({n})", lambda t: ("bundle", (t,) * n))


def bundled(type: Type) -> tuple[Type, ...]:
    need(type[0] == "bundle")
    return type[1]  # type: ignore[no-any-return]


ADD = Op("add", lambda t: single(all_alike(bundled(t))))


def linear(out: int) -> Op:
    return Op(f"linear({out})", lambda t: (single(t)[0], (*t[1][:-1], out)))


def concat(axis: int) -> Op:
    def act(type: Type) -> Type:
        parts = [single(member) for member in bundled(type)]
        kinds = {(kind, len(shape)) for kind, shape in parts}
        need(len(kinds) == 1 and len(parts[0][1]) >= axis)
        shape = []
        for i, column in enumerate(zip(*(shape for _, shape in parts), strict=True)):
            if i == axis - 1:
                shape.append(sum(map(size, column)))
            else:
                need(len(set(map(size, column))) == 1)
                shape.append(column[0] if len(set(column)) == 1 else size(column[0]))
        return parts[0][0], tuple(shape)

    return Op(f"concat({axis})", act)


def split(n: int, axis: int) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(len(shape) >= axis and size(shape[axis - 1]) % n == 0)
        part = kind, (*shape[: axis - 1], size(shape[axis - 1]) // n, *shape[axis:])
        return "bundle", (part,) * n

    return Op(f"split({n}, {axis})", act)


def _matmul(type: Type) -> Type:
    members = bundled(type)
    need(len(members) == 2)
    (kind, x), (other, y) = map(single, members)
    need(kind == other and len(x) == len(y) >= 2 and size(x[-1]) == size(y[-2]))
    need(all(size(a) == size(b) for a, b in zip(x[:-2], y[:-2], strict=True)))
    lead = tuple(a if a == b else size(a) for a, b in zip(x[:-2], y[:-2], strict=True))
    return kind, (*lead, x[-2], y[-1])


MATMUL = Op("matmul", _matmul)


def im2col(k: int) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(kind == "im" and size(shape[1]) >= k and size(shape[2]) >= k)
        return "seq", ((size(shape[1]) - k + 1, size(shape[2]) - k + 1), size(shape[0]) * k * k)

    return Op(f"im2col({k})", act)


def _col2im(type: Type) -> Type:
    kind, shape = single(type)
    need(kind == "seq" and isinstance(shape[0], tuple) and len(shape[0]) == 2)
    return "im", (shape[1], *shape[0])


COL2IM = Op("col2im", _col2im)


def permute(order: tuple[int, ...]) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(len(shape) == len(order))
        return kind, tuple(shape[i - 1] for i in order)

    return Op(f"permute({order})", act)


def max_pool() -> Op:
    def act(type: Type) -> Type:
        kind, (c, h, w) = single(type) if single(type)[0] == "im" else (None, (0, 0, 0))
        need(kind == "im" and size(h) >= 2 and size(w) >= 2)
        return "im", (c, (size(h) - 2) // 2 + 1, (size(w) - 2) // 2 + 1)

    return Op("max_pool", act)


# --- the oracle: derivations

Found: TypeAlias = tuple[float, tuple[Any, ...], Type, str, int]
"""Probability, choices in pre-order, output, text of the term, modules."""


@dataclass(frozen=True, eq=False)
class Case:
    """A grammar as text, and by hand: alternatives of a rule at its values and a type, in the order of the file.

    `goals` are the outputs that rules declare. `planted` is the same by hand with one weight changed by a fifth.
    """

    name: str
    text: str
    input: Type
    rules: Callable[[float], Callable[[str, tuple[Any, ...], Type], list[Alt]]]
    modules: int
    goals: Mapping[str, Callable[[Type], Type]]


class Oracle:
    def __init__(self, case: Case, weight: float) -> None:
        self.rules = case.rules(weight)
        self.goals = case.goals
        self.rule = cache(self._rule)

    def _rule(self, use: Use, type: Type, budget: int) -> tuple[Found, ...]:
        if budget < 1:
            return ()
        found = []
        for alt, probability in self.shares(use, type):
            for p, choices, out, text, used in self.term(alt.body, type, budget):
                if use.rule in self.goals:
                    try:
                        alike(self.goals[use.rule](type), out)
                    except NoFit:
                        continue
                found.append((probability * p, ((alt.index, alt.values), *choices), out, text, used))
        return tuple(found)

    def shares(self, use: Use, type: Type) -> list[tuple[Alt, float]]:
        """The alternatives that apply, with their probabilities."""
        applying = [a for a in self.rules(use.rule, use.values, type) if self.applies(a.body, type)]
        groups = [list(alts) for _, alts in groupby(applying, lambda a: a.index)]
        weights = []
        for alts in groups:
            inside = sum(a.share * (a.weight if a.by_value else 1) for a in alts)
            weights.append(inside if alts[0].each or alts[0].by_value else alts[0].weight)
        percent = sum(w for alts, w in zip(groups, weights, strict=True) if alts[0].percent)
        rest = sum(w for alts, w in zip(groups, weights, strict=True) if not alts[0].percent)
        scale = percent if rest == 0 or percent > 1 else 1.0
        found = []
        for alts, weight in zip(groups, weights, strict=True):
            whole = weight / scale if alts[0].percent else max(0.0, 1 - percent) * weight / rest
            values = [a.share * (a.weight if a.by_value else 1) for a in alts]
            found += [(a, whole * v / sum(values)) for a, v in zip(alts, values, strict=True) if whole]
        return found

    def applies(self, body: Any, type: Type) -> bool:
        try:
            self.before_rule(body, type)
        except NoFit:
            return False
        return True

    def before_rule(self, body: Any, type: Type) -> Type | None:
        """The type after `body`, or None where its first rule was met."""
        match body:
            case Use():
                return None
            case Op(_, act):
                return act(type)
            case Seq(parts):
                current: Type | None = type
                for part in parts:
                    current = self.before_rule(part, current)
                    if current is None:
                        return None
                return current
            case Par(parts):
                need(len(bundled(type)) == len(parts))
                outs = []
                for part, member in zip(parts, bundled(type), strict=True):
                    outs.append(self.before_rule(part, member))
                    if outs[-1] is None:
                        return None
                return "bundle", tuple(outs)
            case Copies(inner, count):
                need(len(bundled(type)) == count)
                out = self.before_rule(inner, all_alike(bundled(type)))
                return None if out is None else ("bundle", (out,) * count)
            case Repeat(inner, count):
                for _ in range(count):
                    after = self.before_rule(inner, type)
                    if after is None:
                        return None
                    if body.tied:
                        alike(type, after)
                    type = after
                return type
        raise AssertionError(body)

    def term(self, body: Any, type: Type, budget: int) -> Iterator[Found]:
        """Everything that `body` can become on `type` within `budget` modules."""
        match body:
            case Op(text, act):
                if budget >= 1:
                    try:
                        yield 1.0, (), act(type), text, 1
                    except NoFit:
                        return
            case Use():
                yield from self.rule(body, type, budget)
            case Seq(parts):
                yield from self.series(parts, type, budget)
            case Par(parts):
                if type[0] == "bundle" and len(type[1]) == len(parts):
                    for p, choices, outs, texts, used in self.parallel(parts, type[1], budget):
                        joined = " & ".join(within(text, 1) for text in texts)
                        yield p, choices, ("bundle", outs), joined, used
            case Copies(inner, count):
                try:
                    need(len(bundled(type)) == count)
                    member = all_alike(type[1])
                except NoFit:
                    return
                for p, choices, out, text, used in self.term(inner, member, budget // count):
                    yield p, choices, ("bundle", (out,) * count), f"{within(text, 3)} ^ {count}", used * count
            case Repeat(inner, count, tied):
                yield from self.repeated(inner, count, tied, type, budget)

    def series(self, parts: tuple[Any, ...], type: Type, budget: int) -> Iterator[Found]:
        if len(parts) == 1:
            yield from self.term(parts[0], type, budget)
            return
        for p, choices, middle, text, used in self.term(parts[0], type, budget - len(parts) + 1):
            for q, more, out, following, others in self.series(parts[1:], middle, budget - used):
                yield p * q, (*choices, *more), out, f"{within(text, 1)} >> {within(following, 1)}", used + others

    def parallel(
        self, parts: tuple[Any, ...], types: tuple[Type, ...], budget: int
    ) -> Iterator[tuple[float, tuple[Any, ...], tuple[Type, ...], tuple[str, ...], int]]:
        if not parts:
            yield 1.0, (), (), (), 0
            return
        for p, choices, out, text, used in self.term(parts[0], types[0], budget - len(parts) + 1):
            for q, more, outs, texts, others in self.parallel(parts[1:], types[1:], budget - used):
                yield p * q, (*choices, *more), (out, *outs), (text, *texts), used + others

    def repeated(self, inner: Any, count: int, tied: bool, type: Type, budget: int) -> Iterator[Found]:
        """With rules inside the type must stay; without, the part is typed copy by copy."""
        for p, choices, out, text, used in self.term(inner, type, budget // count):
            if holds_use(inner):
                if count > 1 and out != type:
                    continue
            else:
                try:
                    for _ in range(count - 1):
                        if tied:
                            alike(type, out)
                        [(_, _, out, _, _)] = self.term(inner, out, 99)
                except (NoFit, ValueError):
                    continue
            yield p, choices, out, f"{'tied ' * tied}{within(text, 3)} * {count}", used * count


def holds_use(body: Any) -> bool:
    match body:
        case Use():
            return True
        case Seq(parts) | Par(parts):
            return any(map(holds_use, parts))
        case Copies(inner, _) | Repeat(inner, _):
            return holds_use(inner)
    return False


def within(text: str, least: int) -> str:
    """The text in parentheses unless what is outermost in it binds as tightly as `least`."""
    depth, found = 0, 3
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth == 0 and char in "&>^*":
            found = min(found, {"&": 0, ">": 1}.get(char, 2))
    return text if found >= least else f"({text})"


# --- the grammars


def each_copy(weight: float) -> Callable[[str, tuple[Any, ...], Type], list[Alt]]:
    """Guards, `@ each`, percentages, rule parameters, copies, routes that come to dead ends."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule, values:
            case "S", ():
                forks = [Alt(2, seq(clone(b), Use("I", (b,)), Use("J", (b,))), (b,), each=True) for b in (2, 3)]
                routes = [Alt(3, seq(im2col(k), Use("S"), COL2IM), (k,), weight=2) for k in (1, 2, 8)]
                return [
                    Alt(0, Use("C"), weight=0.4 * weight, percent=True),
                    Alt(1, seq(Use("S"), Use("S"))),
                    *forks,
                    *routes,
                ]
            case "I", (2,):
                return [Alt(0, Par((Use("S"), Use("S"))))]
            case "I", (b,):
                return [Alt(1, Copies(Use("S"), b))]
            case "J", (b,):
                found = [Alt(0, ADD), *(Alt(1, concat(a), (a,), each=True) for a in (1, 2, 3))]
                return [*found, Alt(2, MATMUL)] if b == 2 else found
            case "C", ():
                # `out in {3, 5 @ 2}` has one share of the alternative
                return [
                    Alt(0, same("relu")),
                    Alt(1, linear(3), (3,)),
                    Alt(1, linear(5), (5,), share=2),
                    Alt(2, same("norm")),
                ]
        raise AssertionError(rule)

    return rules


EACH = """
rule S
  = C @ 40%
  | S >> S
  | for b in {2, 3} : clone(b) >> I(b) >> J(b) @ each
  | im2col(k in {1, 2, 8}) >> S >> col2im @ 2
rule I(b) = (S & S) if b == 2 | S ^ b if b > 2
rule J(b) = add | concat(axis in {1..3}) @ each | matmul if b == 2
rule C = relu | linear(out in {3, 5 @ 2}) | norm
"""


def percentages(weight: float) -> Callable[[str, tuple[Any, ...], Type], list[Alt]]:
    """Remainders: what is left when an alternative is gone; only percentages left; they reach 100."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        deep = tensor_rank(type) == 3
        match rule:
            case "S":
                found = [
                    Alt(0, same("relu"), weight=0.25 * weight, percent=True),
                    Alt(1, seq(im2col(1), Use("S")), weight=0.35, percent=True),
                    Alt(2, same("softmax"), weight=3),
                ]
                return (
                    [*found, Alt(3, seq(Use("S"), Use("T"))), Alt(4, Use("U"))] if deep else [*found, Alt(4, Use("U"))]
                )
            case "T":
                return [
                    Alt(0, same("relu"), weight=0.2, percent=True),
                    Alt(1, max_pool(), weight=0.3, percent=True),
                    Alt(2, im2col(2), weight=2),
                ]
            case "U":
                return [
                    Alt(0, same("norm"), weight=0.7, percent=True),
                    Alt(1, same("pos_enc"), weight=0.5, percent=True),
                    Alt(2, same("relu")),
                ]
        raise AssertionError(rule)

    return rules


PERCENT = """
rule S = relu @ 25% | im2col(1) >> S @ 35% | softmax @ 3 | S >> T if rank == 3 | U
rule T = relu @ 20% | max_pool @ 30% | im2col(2) @ 2
rule U = norm @ 70% | pos_enc @ 50% | relu
"""


def dependent(weight: float) -> Callable[[str, tuple[Any, ...], Type], list[Alt]]:
    """`for` with a set that depends on another, weights that depend on a value, groups, drawn counts."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule, values:
            case "S", ():
                pairs = [(a, b) for a in (1, 2, 3) for b in range(a, 5, 2)]
                found = [
                    Alt(0, seq(Use("group", (a, b)), Use("T", (a + b,))), (a, b), weight=a, by_value=True)
                    for a, b in pairs
                ]
                return [*found, Alt(1, same("relu"), weight=weight)]
            case "group", (a, b):
                return [Alt(0, linear(a)), Alt(1, linear(b), weight=2), Alt(2, same("norm"))]
            case "T", (n,):
                found = [Alt(0, linear(k), (k,), share=w) for k, w in ((n, 1), (2 * n, 3)) if k % 2 == 0]
                return [
                    *found,
                    Alt(1, Repeat(same("pos_enc"), 2, tied=True)),
                    *(Alt(2, Repeat(seq(same("relu"), linear(2)), n), (n,)) for n in (1, 3)),
                ]
        raise AssertionError(rule)

    return rules


DEPENDENT = """
rule S
  = for a in {1..3}, b in {a..4 by 2} : (linear(a) | linear(b) @ 2 | norm) >> T(a + b) @ a
  | relu
rule T(n)
  = for k in {n, 2*n @ 3} : linear(k) if k % 2 == 0
  | tied pos_enc * 2
  | (relu >> linear(2)) * {1, 3}
"""


def goals(weight: float) -> Callable[[str, tuple[Any, ...], Type], list[Alt]]:
    """Rules with signatures: dimensions in arguments and choice sets, a goal that rejects."""

    def conv(out: int) -> Op:
        def act(type: Type) -> Type:
            kind, shape = single(type)
            need(kind == "im")
            return "im", (out, size(shape[1]), size(shape[2]))

        return Op(f"conv({out})", act)

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        if rule in ("Down", "Keep"):
            if type[0] != "im":
                return []
            c, h, w = map(size, type[1])
        match rule:
            case "S":
                return [Alt(0, seq(Use("Down"), Use("S")), weight=weight), Alt(1, Use("Keep")), Alt(2, max_pool())]
            case "Down":
                if h % 2 or w % 2:
                    return []
                return [
                    *(Alt(0, seq(conv(k), Use("P")), (k,)) for k in (c, 2 * c)),
                    Alt(1, seq(max_pool(), conv(2 * c)), weight=2),
                ]
            case "Keep":
                return [Alt(0, same("relu")), Alt(1, seq(Use("Keep"), Use("Keep"))), Alt(2, Repeat(Use("P"), 2))]
            case "P":
                return [Alt(0, max_pool()), Alt(1, same("relu"))]
        raise AssertionError(rule)

    return rules


GOALS = """
rule S = Down >> S | Keep | max_pool
rule Down : im[c, h, w] -> im[2*c, h/2, w/2] = for k in {c, 2*c} : conv(k) >> P | max_pool >> conv(2*c) @ 2
rule Keep : im[c, h, w] -> im[c, h, w] = relu | Keep >> Keep | P * 2
rule P = max_pool | relu
"""


def routes(weight: float) -> Callable[[str, tuple[Any, ...], Type], list[Alt]]:
    """Orders of axes, splits by type, structure that is lost, copies with a drawn number, tied or not."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        n = tensor_rank(type)
        match rule:
            case "S":
                return [
                    Alt(0, Use("C"), weight=0.5 * weight, percent=True),
                    Alt(1, seq(Use("C"), Use("S"))),
                    *(
                        Alt(2, seq(split(b, a), Copies(Use("C"), b), Use("J")), (b, a), each=True)
                        for b in (2, 3)
                        for a in (1, 2, 3)
                    ),
                    *(Alt(3, Repeat(Use("C"), k), (k,)) for k in (2, 3)),
                ]
            case "C":
                orders = [o for o in permutations(range(1, (n or 0) + 1)) if list(o) != sorted(o)]
                return [
                    *(Alt(0, permute(o), (o,), each=True) for o in orders),
                    Alt(1, im2col(1)),
                    Alt(2, COL2IM, weight=4),
                    Alt(3, same("relu")),
                ]
            case "J":
                return [Alt(0, ADD), *(Alt(1, concat(a), (a,)) for a in (1, 2, 3))]
        raise AssertionError(rule)

    return rules


ROUTES = """
rule S
  = C @ 50%
  | C >> S
  | for b in {2, 3}, axis in {1..3} : split(b, axis) >> C ^ b >> J @ each
  | C * {2, 3}
rule C = permute(order in orders(rank)) @ each | im2col(1) | col2im @ 4 | relu
rule J = add | concat(axis in {1..3})
"""


def macros(weight: float) -> Callable[[str, tuple[Any, ...], Type], list[Alt]]:
    """A term argument is copied, its choice drawn at each use; a value argument is drawn once; a signature."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule, values:
            case "S", ():
                c = size(type[1][0])
                widths = ((2, 1), (3, 1), (5, 2))
                return [
                    *(
                        Alt(0, seq(linear(a), linear(b)), (a, b), weight=0.5 * weight, percent=True)
                        for a in (2, 3)
                        for b in (2, 3)
                    ),
                    *(Alt(1, seq(linear(n), linear(n)), (n,), share=w) for n, w in widths),
                    Alt(2, seq(Use("S"), Use("S"))),
                    Alt(3, seq(Use("twice"), Use("twice"))),
                    Alt(4, seq(Use("S"), Repeat(same("relu"), c)), weight=0.5),
                ]
            case "twice", ():
                return [Alt(0, same("relu")), Alt(1, same("norm"), weight=3)]
        raise AssertionError(rule)

    return rules


MACROS = """
def twice(f) = f >> f
def wide(n) = linear(n) >> linear(n)
def many : im[c, h, w] -> im[c, h, w] = relu * c
rule S
  = twice(linear(out in {2, 3})) @ 50%
  | wide(n in {2, 3, 5 @ 2})
  | S >> S
  | twice((relu | norm @ 3))
  | S >> many @ 0.5
"""

IMAGE = ("im", (2, 4, 4))


def _halved(type: Type) -> Type:
    c, h, w = map(size, type[1])
    return "im", (2 * c, h // 2, w // 2)


CASES = [
    Case("each", EACH, IMAGE, each_copy, 5, {}),
    Case("percentages", PERCENT, IMAGE, percentages, 5, {}),
    Case("dependent", DEPENDENT, ("seq", (3, 4)), dependent, 7, {}),
    Case("goals", GOALS, ("im", (2, 8, 4)), goals, 8, {"Down": _halved, "Keep": lambda type: type}),
    Case("routes", ROUTES, ("im", (2, 6, 6)), routes, 5, {}),
    Case("macros", MACROS, ("im", (2, 3, 4)), macros, 7, {}),
]
cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@cache
def expected(case: Case, weight: float = 1.0) -> dict[tuple[Any, ...], tuple[float, Type, str, int]]:
    """Every derivation by its choices: probability given that it fits, output, text, modules."""
    found = Oracle(case, weight).rule(Use("S"), case.input, case.modules)
    total = sum(p for p, *_ in found)
    by_choices = {choices: (p / total, out, text, used) for p, choices, out, text, used in found}
    assert len(by_choices) == len(found)
    return by_choices


@cache
def drawn(case: Case) -> tuple[Any, ...]:
    kind, shape = case.input
    head = f"ein 1\nimport std\ninput {kind}{list(shape)}\nlimit modules <= {case.modules}\n"
    sampler = Sampler.of(load_grammar(Source(f"{case.name}.ein", head + case.text)))
    return tuple(sampler.samples(DRAWS, seed=7))


def plain(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((i, tuple(tuple(v) if isinstance(v, tuple) else v for v in values)) for i, values in choices)


def departs(observed: Counter[Any], probabilities: dict[Any, float], least: float = 8.0) -> bool:
    """Pearson's test. A chi-square of k degrees exceeds k + 2 sqrt(k t) + 2 t with probability below exp(-t)
    (Laurent and Massart 2000, lemma 1); values that are expected fewer than `least` times are taken together."""
    n = observed.total()
    bins = [(observed[key], n * p) for key, p in probabilities.items() if n * p >= least]
    rest = (n - sum(o for o, _ in bins), n - sum(e for _, e in bins))
    if rest[1] >= least:
        bins.append(rest)
    statistic = sum((o - e) ** 2 / e for o, e in bins)
    k, t = len(bins) - 1, log(1 / FALSE_ALARM)
    return statistic > k + 2 * sqrt(k * t) + 2 * t


@cases
def test_only_what_can_be_derived_is_drawn_and_reads_as_the_oracle_says(case: Case) -> None:
    table = expected(case)
    for d in drawn(case):
        choices = plain(d.choices)
        assert choices in table, d.text
        _, out, text, modules = table[choices]
        assert (d.text, d.modules, d.cost.modules) == (text, modules, modules)
        assert repr(d.type) == shown(out)


def shown(type: Type) -> str:
    kind, shape = type
    if kind == "bundle":
        same_ = len(set(shape)) == 1
        return f"{shown(shape[0])} ^ {len(shape)}" if same_ else f"({', '.join(map(shown, shape))})"
    return f"{kind}[{', '.join(map(str, shape))}]"


@cases
def test_draws_follow_the_stated_distribution(case: Case) -> None:
    table = expected(case)
    observed = Counter(plain(d.choices) for d in drawn(case))
    assert not departs(observed, {choices: p for choices, (p, *_) in table.items()})
    sizes: defaultdict[int, float] = defaultdict(float)
    for p, _, _, modules in table.values():
        sizes[modules] += p
    assert not departs(Counter(d.modules for d in drawn(case)), sizes)


@cases
def test_a_weight_that_is_wrong_by_a_fifth_is_seen(case: Case) -> None:
    """Each grammar has one weight planted; the draws of the true one must not pass for it."""
    table = expected(case, 1.2)
    observed = Counter(plain(d.choices) for d in drawn(case))
    first: defaultdict[Any, float] = defaultdict(float)
    for choices, (p, *_) in table.items():
        first[choices[0][0]] += p
    tops: Counter[Any] = Counter(choices[0][0] for choices in observed.elements())
    whole = departs(observed, {choices: p for choices, (p, *_) in table.items()})
    assert whole or departs(tops, first)


@cases
def test_probabilities_of_single_derivations(case: Case) -> None:
    """`log10_probability` is of the choices alone: ratios are those of the oracle."""
    table = expected(case)
    some = sorted({d: None for d in drawn(case)}, key=lambda d: d.trace)[:40]
    shift = [log(table[plain(d.choices)][0]) / log(10) - d.log10_probability for d in some]
    assert max(shift) - min(shift) < 1e-9


def test_everything_that_can_be_derived_is_drawn() -> None:
    """Where all is likely enough: drawn and enumerated are the same set."""
    for case in CASES:
        small = replace(case, modules=3)
        table = expected(small)
        kind, shape = case.input
        head = f"ein 1\nimport std\ninput {kind}{list(shape)}\nlimit modules <= 3\n"
        sampler = Sampler.of(load_grammar(Source(f"{case.name}.ein", head + case.text)))
        likely = {choices for choices, (p, *_) in table.items() if p > 0.004}
        seen = {plain(d.choices) for d in sampler.samples(6000, seed=3)}
        assert likely <= seen <= set(table)  # one of probability 0.004 stays away from 6,000 draws with 4e-11


def test_a_window_of_sizes_is_the_same_distribution_given_the_size() -> None:
    case = CASES[0]
    kind, shape = case.input
    head = f"ein 1\nimport std\ninput {kind}{list(shape)}\nlimit modules <= 500\n"
    sampler = Sampler.of(load_grammar(Source("window.ein", head + case.text)))
    observed = Counter(plain(d.choices) for d in sampler.samples(6000, seed=5, size=(3, 5)))
    window = {choices: p for choices, (p, _, _, n) in expected(replace(case, modules=5)).items() if n >= 3}
    total = sum(window.values())
    assert not departs(observed, {choices: p / total for choices, p in window.items()})


def test_limits_on_cost_only_cut() -> None:
    """A limit on parameters keeps the ratios of what stays."""
    case = CASES[0]
    kind, shape = case.input
    head = f"ein 1\nimport std\ninput {kind}{list(shape)}\nlimit modules <= 4, params <= 20\n"
    sampler = Sampler.of(load_grammar(Source("cut.ein", head + case.text)))
    draws = list(sampler.samples(6000, seed=5))
    assert max(d.cost.parameters for d in draws) <= 20
    free = Sampler.of(load_grammar(Source("cut.ein", head + case.text)), Limits(modules=4, elements=None))
    parameters = {plain(d.choices): d.cost.parameters for d in free.samples(6000, seed=6)}
    table = expected(replace(case, modules=4))
    kept = {c: p for c, (p, *_) in table.items() if p > 0.002 and parameters[c] <= 20}
    observed = Counter({c: n for c, n in Counter(plain(d.choices) for d in draws).items() if c in kept})
    assert not departs(observed, {c: p / sum(kept.values()) for c, p in kept.items()})
