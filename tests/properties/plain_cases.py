"""Grammars for test_sampling.py: alternatives, weights, guards, choices, rule parameters, copies, macros."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

from .enumerated_types import (
    ADD,
    COL2IM,
    MATMUL,
    Type,
    clone,
    concat,
    conv,
    im2col,
    linear,
    max_pool,
    permute,
    same,
    size,
    split,
    tensor_rank,
)
from .enumeration import Alt, Case, Copies, Goal, Par, Repeat, Use, computed, seq


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


KEEP = Goal(computed(lambda type: type))
PLAIN = [
    Case("each", EACH, IMAGE, each_copy, 5),
    Case("percentages", PERCENT, IMAGE, percentages, 5),
    Case("dependent", DEPENDENT, ("seq", (3, 4)), dependent, 7),
    Case(
        "goals",
        GOALS,
        ("im", (2, 8, 4)),
        goals,
        8,
        {"Down": Goal(computed(_halved)), "Keep": KEEP},
    ),
    Case("routes", ROUTES, ("im", (2, 6, 6)), routes, 5),
    Case("macros", MACROS, ("im", (2, 3, 4)), macros, 7),
]
