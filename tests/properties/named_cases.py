"""Grammars for test_sampling.py: `let`, groups that mention values, goals, claims of macros, `live`, imported rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .enumerated_types import (
    ADD,
    COL2IM,
    IDENTITY,
    MATMUL,
    MUL,
    SWAP,
    Op,
    Type,
    clone,
    concat,
    conv,
    im2col,
    linear,
    max_pool,
    need,
    same,
    single,
    size,
    split,
    take,
)
from .enumeration import Alt, Case, Claim, Copies, Goal, Let, Repeat, Use, Var, computed, group, let, par, seq

Rules = Callable[[str, tuple[Any, ...], Type], list[Alt]]

A, B, X, Y = map(Var, "abxy")
E, J = Use("E"), Use("J")
RELU, GELU, TANH, NORM, SOFTMAX = map(same, ("relu", "gelu", "tanh", "norm", "softmax"))


def values(weight: float) -> Rules:
    """Names used more than once, of one and of several values; in loops; over again in a rule; hidden by others."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule:
            case "S":
                pair = (("p", "q"), seq(clone(2), par(E, NORM)))
                p, q = Var("p"), Var("q")
                joined = let(seq(par(A, IDENTITY), J), a=E)
                inner = let(par(X, Y), x=seq(Y, RELU))
                return [
                    Alt(0, let(seq(par(seq(A, E), B), J), a=E, b=seq(par(A, E), ADD)), weight=0.4, percent=True),
                    *(Alt(1, Let((pair,), seq(par(q, p, q), concat(axis))), (axis,)) for axis in (1, 2)),
                    *(Alt(2, let(seq(Copies(A, n), ADD), a=E), (n,), weight=2 * weight) for n in (2, 3)),
                    *(Alt(3, Repeat(joined, n), (n,)) for n in (1, 2)),
                    Alt(4, let(seq(inner, J), x=IDENTITY, y=seq(X, E))),
                    Alt(5, let(seq(A, Use("S")), a=E), weight=0.5),
                ]
            case "E":
                return [Alt(0, RELU), *(Alt(1, linear(n), (n,)) for n in (2, 4))]
            case "J":
                return [Alt(0, ADD), Alt(1, MUL, weight=2), Alt(2, concat(2))]
        raise AssertionError(rule)

    return rules


VALUES = """
rule S
  = let a = E, b = (a & E) >> add : (a >> E & b) >> J @ 40%
  | let (p, q) = clone(2) >> (E & norm) : (q & p & q) >> concat(axis in {1, 2})
  | let a = E : a ^ {2, 3} >> add @ 2
  | (let a = E : (a & identity) >> J) * {1, 2}
  | let x = identity, y = x >> E : (let x = y >> relu : (x & y)) >> J
  | let a = E : a >> S @ 0.5
rule E = relu | linear(out in {2, 4})
rule J = add | mul @ 2 | concat(2)
"""


def branches(weight: float) -> Rules:
    """Branches without an input: beside several that share a bundle, beside one that takes all, alone; as copies."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule:
            case "S":
                halves = [
                    (axis, Let(((("a", "b"), seq(split(2, axis), par(IDENTITY, E))),), seq(par(B, E, seq(A, RELU)), J)))
                    for axis in (1, 2)
                ]
                taken = Let(((("a", "b"), IDENTITY), (("c",), seq(SWAP, take(1)))), par(take(2), A, Var("c"), B))
                return [
                    Alt(0, let(seq(clone(2), par(E, A, GELU), J), a=E), weight=2 * weight),
                    *(Alt(1, body, (axis,)) for axis, body in halves),
                    Alt(2, let(seq(par(A, B), MATMUL, E), a=E, b=E)),
                    Alt(3, let(seq(clone(2), Copies(seq(par(A, E), ADD), 2), J), a=RELU)),
                    Alt(4, let(seq(Copies(seq(A, E), 2, tied=True), J), a=E), weight=2),
                    Alt(5, seq(clone(2), par(E, GELU), taken, J)),
                    Alt(6, let(Repeat(seq(A, E), 2), a=E)),
                    Alt(7, let(seq(Repeat(seq(A, RELU), 2, tied=True), E), a=E)),
                ]
            case "E":
                return [Alt(0, RELU), *(Alt(1, linear(n), (n,)) for n in (2, 4)), Alt(2, TANH, weight=0.5)]
            case "J":
                return [Alt(0, ADD), Alt(1, MUL, weight=2), Alt(2, concat(2))]
        raise AssertionError(rule)

    return rules


BRANCHES = """
rule S
  = let a = E : clone(2) >> (E & a & gelu) >> J @ 2
  | let (a, b) = split(2, axis in {1, 2}) >> (identity & E) : (b & E & a >> relu) >> J
  | let a = E, b = E : (a & b) >> matmul >> E
  | let a = relu : clone(2) >> ((a & E) >> add) ^ 2 >> J
  | let a = E : tied (a >> E) ^ 2 >> J @ 2
  | clone(2) >> (E & gelu) >> (let (a, b) = identity, c = swap >> take(1) : (take(2) & a & c & b)) >> J
  | let a = E : (a >> E) * 2
  | let a = E : tied (a >> relu) * 2 >> E
rule E = relu | linear(out in {2, 4}) | tanh @ 0.5
rule J = add | mul @ 2 | concat(2)
"""


def groups(weight: float) -> Rules:
    """Groups that mention values: what applies depends on the types of those too."""

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule, values:
            case "S", ():
                first = [
                    (k, let(seq(par(group("first", k, takes=False), group("second", k, takes=False)), J), a=im2col(k)))
                    for k in (1, 2)
                ]
                pairs = let(seq(group("pairs", takes=False), group("last")), a=E, b=conv(2))
                return [
                    *(Alt(0, Let((*bound.bindings, (("b",), E)), bound.body), (k,)) for k, bound in first),
                    Alt(1, pairs, weight=2 * weight),
                ]
            case "first", (k,):
                return [
                    Alt(0, A),
                    Alt(1, seq(B, im2col(1)), weight=k),
                    Alt(2, seq(par(B, B), ADD, im2col(k)), weight=0.3, percent=True),
                ]
            case "second", (k,):
                cut = [(n, axis) for n in (2, 4) for axis in (1, 2, 3)]
                found = [
                    *(Alt(0, seq(A, linear(n)), (n,), each=True) for n in (4, 8)),
                    Alt(1, seq(A, COL2IM, im2col(1)), weight=0.5),
                    *(Alt(2, seq(B, split(*each), take(1)), each, each=True) for each in cut),
                ]
                return [*found, Alt(3, seq(B, im2col(2)), weight=3)] if k == 2 else found
            case "pairs", ():
                return [Alt(0, seq(par(A, B), ADD)), Alt(1, seq(par(B, A), concat(1)), weight=2)]
            case "last", ():
                return [Alt(0, E), Alt(1, seq(RELU, group("inner", takes=False))), Alt(2, seq(par(IDENTITY, A), ADD))]
            case "inner", ():
                return [Alt(0, A), Alt(1, B, weight=3)]
            case "E", ():
                return [Alt(0, RELU), *(Alt(1, conv(n), (n,)) for n in (1, 2)), Alt(2, max_pool())]
            case "J", ():
                return [Alt(0, ADD), Alt(1, concat(2), weight=2), Alt(2, concat(1))]
        raise AssertionError(rule)

    return rules


GROUPS = """
rule S
  = for k in {1, 2} : let a = im2col(k), b = E :
      ( (a | b >> im2col(1) @ k | (b & b) >> add >> im2col(k) @ 30%)
      & ( a >> linear(out in {4, 8}) @ each
        | a >> col2im >> im2col(1) @ 0.5
        | b >> split(b in {2, 4}, axis in {1..3}) >> take(1) @ each
        | b >> im2col(2) @ 3 if k == 2)
      ) >> J
  | let a = E, b = conv(2) : ((a & b) >> add | (b & a) >> concat(1) @ 2)
      >> (E | relu >> (a | b @ 3) | (identity & a) >> add) @ 2
rule E = relu | conv(out in {1, 2}) | max_pool
rule J = add | concat(2) @ 2 | concat(1)
"""


def claims(weight: float) -> Rules:
    """Computed and open outputs of rules and macros, some of which forget how a size was put together."""

    def half(body: Any) -> Claim:
        def inside(type: Type) -> Any:
            need(type[0] == "im")
            return body

        return Claim(inside, Goal(computed(_half)), rules=not isinstance(body, Op))

    def square(type: Type) -> Any:
        need(type[0] == "im")
        return Use("Grow")

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        if rule in ("Grid", "Plain", "Grow") and type[0] != "im":
            return []
        match rule:
            case "S":
                return [
                    Alt(0, seq(Use("Rows"), Use("Back")), weight=0.5 * weight, percent=True),
                    Alt(1, seq(Use("Grow"), Use("S"))),
                    Alt(2, Claim(square, Goal(_square), rules=True)),
                    Alt(3, seq(half(max_pool()), Use("Rows")), weight=2),
                    Alt(4, seq(half(Use("Cut")), half(max_pool()))),
                ]
            case "Cut":
                return [Alt(0, max_pool()), Alt(1, RELU)]
            case "Rows":
                return [Alt(0, Use("Grid")), Alt(1, Use("Plain"), weight=2)]
            case "Grid":
                found = [Alt(0, im2col(k), (k,)) for k in (1, 2, 3)]
                return [*found, Alt(1, seq(im2col(2), linear(size(type[1][0]))))]
            case "Plain":
                found = [Alt(1, seq(im2col(1), linear(n)), (n,)) for n in (2, 3)]
                return [Alt(0, im2col(1)), *found, Alt(2, im2col(2))]
            case "Back":
                return [
                    Alt(0, COL2IM, weight=0.5, percent=True),
                    Alt(1, SOFTMAX),
                    Alt(2, seq(linear(2), Use("Back"))),
                    Alt(3, seq(COL2IM, Use("S"))),
                ]
            case "Grow":
                return [*(Alt(0, conv(n), (n,)) for n in (2, 4)), Alt(1, max_pool()), Alt(2, RELU)]
        raise AssertionError(rule)

    return rules


CLAIMS = """
def half(f) : im[c, h, w] -> im[c, h / 2, w / 2] = f
def square(f) : im[c, h, w] -> im[d, d, _] = f
rule S = Rows >> Back @ 50% | Grow >> S | square(Grow) | half(max_pool) >> Rows @ 2 | half(Cut) >> half(max_pool)
rule Cut = max_pool | relu
rule Rows = Grid | Plain @ 2
rule Grid : im[c, h, w] -> seq[l, _] = im2col(k in {1, 2, 3}) | im2col(2) >> linear(c)
rule Plain : im[c, h, w] -> seq[h * w, c] = im2col(1) | im2col(1) >> linear(out in {2, 3}) | im2col(2)
rule Back = col2im @ 50% | softmax | linear(2) >> Back | col2im >> S
rule Grow : im[c, h, w] -> im[_, h, w] = conv(out in {2, 4}) | max_pool | relu
"""


def _half(type: Type) -> Type:
    c, h, w = map(size, single(type)[1])
    need(h % 2 == 0 and w % 2 == 0)
    return "im", (c, h // 2, w // 2)


def _square(input: Type, out: Type) -> Type:
    need(out[0] == "im" and size(out[1][0]) == size(out[1][1]))
    return out


def _grid(input: Type, out: Type) -> Type:
    need(out[0] == "seq")
    return out


def _plain(input: Type) -> Type:
    c, h, w = map(size, input[1])
    return "seq", (h * w, c)


def _grown(input: Type, out: Type) -> Type:
    need(out[0] == "im" and list(map(size, out[1][1:])) == list(map(size, input[1][1:])))
    return out


def _kept(input: Type, out: Type) -> Type:
    return computed(lambda type: type)(input, out)


NOTHING = Op("nothing", single, kills=True)


def life(weight: float) -> Rules:
    """What does not depend on the input is a dead end of `live`; each copy has its own life."""

    def alive(body: Any) -> Claim:
        return Claim(lambda type: body, Goal(_kept, live=True), rules=holds(body))

    def holds(body: Any) -> bool:
        return not isinstance(body, Op)

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        match rule:
            case "S":
                mixed = seq(par(E, GELU), group("turn"))
                return [
                    Alt(0, seq(clone(2), par(E, E), J), weight=2 * weight),
                    Alt(1, let(seq(par(A, E), J), a=E)),
                    Alt(2, seq(Use("S"), Use("S"))),
                    Alt(3, Repeat(E, 2)),
                    Alt(4, seq(alive(E), E)),
                    Alt(5, seq(clone(2), par(E, RELU), Copies(E, 2), J)),
                    *(Alt(6, seq(clone(2), Repeat(mixed, n), J), (n,)) for n in (2, 3)),
                    Alt(7, let(seq(clone(2), par(E, TANH), Copies(seq(par(IDENTITY, A), ADD), 2), J), a=E)),
                ]
            case "E":
                return [Alt(0, RELU), Alt(1, NOTHING, weight=2), Alt(2, IDENTITY), Alt(3, alive(TANH))]
            case "J":
                return [Alt(0, ADD), *(Alt(1, take(i), (i,)) for i in (1, 2)), Alt(2, seq(SWAP, take(2)))]
            case "turn":
                return [Alt(0, SWAP), Alt(1, IDENTITY, weight=0.5)]
        raise AssertionError(rule)

    return rules


NOTHING_TEXT = "op nothing : t -> t = zeros\n"
LIFE = """
def alive(f) : t -> live t = f
rule S : t -> live t
  = clone(2) >> (E & E) >> J @ 2
  | let a = E : (a & E) >> J
  | S >> S
  | E * 2
  | alive(E) >> E
  | clone(2) >> (E & relu) >> E ^ 2 >> J
  | clone(2) >> ((E & gelu) >> (swap | identity @ 0.5)) * {2, 3} >> J
  | let a = E : clone(2) >> (E & tanh) >> ((identity & a) >> add) ^ 2 >> J
rule E : t -> t = relu | nothing @ 2 | identity | alive(tanh)
rule J = add | take(i in {1, 2}) | swap >> take(2)
"""


def imported(weight: float) -> Rules:
    """Rules of another file, with its parameter, its macro and its own rule of the same name; under another name."""

    def bend(body: Any) -> Claim:
        def inside(type: Type) -> Any:
            need(type[0] == "im")
            return seq(body, group("bend"))

        return Claim(inside, Goal(_kept), rules=True)

    def rules(rule: str, values: tuple[Any, ...], type: Type) -> list[Alt]:
        other = Use("parts Act")
        match rule, values:
            case "S", ():
                return [
                    Alt(0, seq(Use("Part", (2,)), Use("S")), weight=0.3 * weight, percent=True),
                    Alt(1, Use("Part", (1,))),
                    Alt(2, let(seq(par(X, seq(X, Use("Act"))), ADD), x=Use("More")), weight=2),
                    Alt(3, bend(Use("Act"))),
                ]
            case "Act", ():
                return [Alt(0, same("silu")), Alt(1, other)]
            case "Part", (n,):
                return [
                    Alt(0, seq(bend(other), other), weight=2),
                    Alt(1, conv(n)),
                    Alt(3, Repeat(other, n)),
                    Alt(4, Use("More"), weight=0.1, percent=True),
                ]
            case "bend", ():
                return [Alt(0, RELU), Alt(1, GELU, weight=2)]
            case "parts Act", ():
                return [Alt(0, RELU), Alt(1, TANH, weight=3)]
            case "More", ():
                if type[0] != "im":
                    return []
                widths = [(1, 1), (size(type[1][0]), 1)]
                both = [Alt(0, let(seq(par(A, other), ADD), a=conv(n)), (n,)) for n, _ in widths]
                return [*both, Alt(1, max_pool()), Alt(2, conv(2)), Alt(3, conv(3))]
        raise AssertionError(rule)

    return rules


IMPORTED = """
import "parts.ein" (Part as Piece, Act as Other, More, bend)
rule S
  = Piece >> S @ 30%
  | Piece(1)
  | let x = More : (x & x >> Act) >> add @ 2
  | bend(Act)
rule Act = silu | Other
"""
PARTS = """\
ein 1
grammar parts(wide = 2)
import std
def bend(f) : im[c, h, w] -> im[c, h, w] = f >> (relu | gelu @ wide)
rule Part(n = 2) = bend(Act) >> Act @ wide | conv(n) | conv(7) if wide > 2 | Act * n | More @ 10%
rule Act = relu | tanh @ 3
rule More : im[c, h, w] -> im[_, h, w] = let a = conv(out in {1, c}) : (a & Act) >> add
  | max_pool | conv(wide) | conv(3)
"""

SQUARE = ("im", (2, 4, 4))
GOALS = {"Grid": Goal(_grid), "Plain": Goal(computed(_plain)), "Grow": Goal(_grown)}
NAMED = [
    Case("values", VALUES, ("seq", (2, 4)), values, 6),
    Case("branches", BRANCHES, ("seq", (4, 4)), branches, 8),
    Case("groups", GROUPS, SQUARE, groups, 7),
    Case("claims", CLAIMS, SQUARE, claims, 5, GOALS),
    Case(
        "life", LIFE, ("seq", (2, 2)), life, 6, {"S": Goal(_kept, live=True), "E": Goal(_kept)}, operators=NOTHING_TEXT
    ),
    Case("imported", IMPORTED, SQUARE, imported, 5, {"More": Goal(_grown)}, files={"parts.ein": PARTS}),
]
