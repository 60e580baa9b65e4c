"""The prover: operators of the library pass it, and what is made wrong in them is refused.

Mutants change one number, name or sign of a signature, a parameter line or a body. Those that are still
right are listed by hand, each with the reason. Guards are apart: a guard only says where an operator applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest

from ein.grammar.check import check
from ein.grammar.diagnostics import Diagnostic, Source
from ein.grammar.load import LIBRARY

SWAPPED = {"+": "-", "-": "+", "*": "+", "//": "*", "/": "//"}
WORDS = set(
    "where param each im seq vec any wires rearrange x y xs and or not relu nn F softmax mean dot sum split concat"
    " normal unfold permuted len true false".split()
)

STILL_RIGHT = {
    # another operator, whose signature says what it does
    "op matmul : (x: any[*a, n, p], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y)",
    "op matmul : (x: any[*a, n, m], y: any[*a, n, p]) -> any[*a, n, p] = dot[m](x, y)",
    "op scaled_matmul : (x: any[*a, n, p], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y) * m ** -0.5",
    "op scaled_matmul : (x: any[*a, n, m], y: any[*a, n, p]) -> any[*a, n, p] = dot[m](x, y) * m ** -0.5",
    # other values of the same sizes
    "op scaled_matmul : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y) + m ** -0.5",
    "op scaled_matmul : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y) * n ** -0.5",
    "op scaled_matmul : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y) * p ** -0.5",
    "op scaled_matmul : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y) * m ** -1.5",
    "op pos_enc(std: real = 1) : any[*s] -> any[*s] param p[*s] ~ normal(1, std) = x + p",
    "op pos_enc(std: real = 1) : any[*s] -> any[*s] param p[*s] ~ normal(0, std) = x - p",
    "op pos_enc(std: real = 1) : any[*s] -> any[*s] param p[*s] ~ normal(0, std) = x + std",
    # the number of inputs has to be the number of the axis, or the size of it: odd, and what it then does fits
    "op concat(axis) : any[*s, each d, *r] ^ axis -> any[*s, sum(d), *r] where len(s) == axis - 1 = concat[d](xs)",
    "op concat(axis) : any[*s, each d, *r] ^ d -> any[*s, sum(d), *r] where len(s) == axis - 1 = concat[d](xs)",
}


NAMES = set(
    "identity clone split concat add matmul scaled_matmul permute im2col col2im linear conv max_pool pool norm"
    " batch_norm relu leaky_relu softmax pos_enc".split()
)


@cache
def statements() -> tuple[str, list[str]]:
    """The kinds of the standard library, and the operators that einspace uses, each on one line."""
    text = re.sub(r"#.*", "", (LIBRARY / "std.ein").read_text(encoding="utf-8"))
    found = re.findall(r"(?ms)^(?:type|op|def) .*?(?=^(?:type|op|def) |\Z)", text)
    kinds = "".join(x for x in found if x.startswith("type"))
    operators = [" ".join(x.split()) for x in found if x.startswith("op")]
    return f"ein 1\n{kinds}", [x for x in operators if re.split(r"[ (]", x)[1] in NAMES]


def judged(operator: str) -> list[Diagnostic]:
    return check(Source("op.ein", f"{statements()[0]}{operator}\n"))[1]


def replacements(word: str, names: list[str]) -> list[str]:
    if word in WORDS:
        return []
    if word.isdigit():
        return [str(int(word) + 1)]
    if word in SWAPPED:
        return [SWAPPED[word]]
    return [name for name in names if name != word][:2] if word in names else []


def mutants(operator: str) -> Iterator[str]:
    """One token changed, outside the parameters and the guards."""
    start = operator.index(" : ", operator.rindex(") : ") if ") : " in operator else 0)
    after = operator.index(" = ", operator.index("->"))
    guards = operator.find(" where ")
    names = sorted(set(re.findall(r"(?<![\w.*])[a-z]\w*(?![\w(.\[])", operator[start:])) - WORDS)
    for token in re.finditer(r"(?<![\w.])(?:[a-z]\w*|\d+|//|[-+*/])(?![\w*])", operator):
        if token.start() < start or 0 <= guards < token.start() < after or operator[token.start() - 1] == "*":
            continue
        for other in replacements(token.group(), names):
            yield operator[: token.start()] + other + operator[token.end() :]


ALL = [(operator, mutant) for operator in statements()[1] for mutant in mutants(operator)]


def test_the_library_passes() -> None:
    for operator in statements()[1]:
        assert judged(operator) == []


def test_mutants_are_refused_unless_they_are_still_right() -> None:
    assert len({mutant for _, mutant in ALL}) > 200
    accepted = {mutant for _, mutant in ALL if not judged(mutant)}
    assert accepted == {mutant for _, mutant in ALL} & STILL_RIGHT
    assert len(accepted) >= 10


@pytest.mark.parametrize(
    ("operator", "without", "is_needed"),
    [
        ("max_pool", "k >= 1, ", True),  # a window of nothing
        ("max_pool", ", 2 * p <= k", True),  # torch refuses a padding of more than half the window
        ("conv", "k >= 1, ", True),
        ("conv", "dilation >= 1, ", True),
        ("conv", "c % groups == 0, ", True),
        ("conv", "out % groups == 0, ", True),
        ("conv", ", w + 2 * p > dilation * (k - 1)", False),  # the size on the right would be below 1 anyway
        ("im2col", ", w + 2 * p >= k", False),
        ("clone", " where b >= 2", False),  # no bundle has one member
    ],
)
def test_guards_that_a_body_needs_are_missed(operator: str, without: str, is_needed: bool) -> None:
    [text] = [x for x in statements()[1] if x.startswith(f"op {operator}(")]
    assert without in text
    assert [d.code for d in judged(text.replace(without, ""))] == (["E401"] if is_needed else [])


def wrong(line: str) -> Diagnostic:
    [found] = judged(line)
    return found


def test_coincidence_of_sizes_does_not_hide_a_mistake() -> None:
    found = wrong("op square(out) : any[*s, d] -> any[*s, out] = nn.Linear(d, d)")
    assert found.code == "E401"
    assert found.span is not None and found.span.text == "nn.Linear(d, d)"
    assert wrong("op turned : seq[l, d] -> seq[d, l] = nn.Linear(d, d)").code == "E401"


def test_the_smallest_sizes_are_shown_with_the_arguments() -> None:
    found = wrong("op wide(n) : vec[d] -> vec[2*n] = nn.Linear(d, n)")
    shown = re.fullmatch(r"vec\[(\d+)\] at vec\[\d+\] with n = (\d+)", found.labels[0].text)
    assert shown and int(shown[1]) == 2 * int(shown[2])
    assert found.label == f"the body gives [{shown[2]}], and the signature [{shown[1]}]"


def test_every_flag_is_tried() -> None:
    line = "op odd(flag: bool = true) : any[*s, d] -> any[*s, d] = nn.Linear(d, d if flag else d + 1)"
    assert wrong(line).code == "E401"
    assert judged(line.replace("d + 1", "d * 1")) == []


def test_an_optional_parameter_is_not_only_tried_at_its_default() -> None:
    assert wrong("op shrink(k = 1) : vec[d] -> vec[d] = nn.Linear(d, d * k)").code == "E401"


@pytest.mark.parametrize("guard", ["", " where l >= 1", " where l >= 2", " where l != 2"])
def test_sizes_at_the_edge_are_tried(guard: str) -> None:
    assert wrong(f"op third : seq[l, d] -> vec[d]{guard} = index[l](x, 2)").code == "E401"
    assert judged("op third : seq[l, d] -> vec[d] where l > 2 = index[l](x, 2)") == []


def test_a_weight_has_no_axis_of_size_0() -> None:
    """Also where the size is a parameter that the signature does not mention."""
    line = "op wide(n) : vec[d] -> vec[d] where n >= 1 param p[n, d] = 1 = x + sum[n](p)"
    assert judged(line) == []
    found = wrong(line.replace(" where n >= 1", ""))
    assert found.code == "E401" and found.label == "`n` is 0, and a size is at least 1"


@pytest.mark.parametrize("at", [7, 31, 1000])
def test_neighbours_of_the_numbers_in_a_declaration_are_tried(at: int) -> None:
    line = f"op f : vec[d] -> vec[d] where d >= {at} = nn.Linear(d, d if d > {at} else 3)"
    found = wrong(line)
    assert found.code == "E401" and found.labels[0].text == f"vec[{at}] at vec[{at}]"
    assert judged(line.replace(">=", ">")) == []


def test_sizes_that_never_fit_are_a_warning() -> None:
    found = wrong("op never(b) : vec[d] -> vec[d] where d < 0 = relu(x)")
    assert (found.code, found.severity) == ("W401", "warning")


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("op f(b) : t -> b ^ b = wires", "E302", "`b` is a size, not a type"),
        ("op f(b) : any[*s] -> any[*b] = rearrange", "E302", "`*` stands before a run of axes"),
        ("op f : vec[d] -> any[d] = relu(x)", "E302", "`any` on the right"),
        ("op f(t) : t -> t = relu(x)", "E302", "`t` is a size, not a type"),
        ("op f : any[d, *d] -> any[d, *d] = relu(x)", "W401", "no sizes were found"),
        ("op f : vec[d] -> vec[d] = nn.Linear(d, d, bias = true, bias = false)", "E405", "given twice"),
        ("op f : seq[_, d] -> vec[d] = first(x)", "E404", "`first` is not on the list"),
        ("op f : seq[_, d] -> seq[d, 1] = relu(x)", "E401", "does not give"),
        ("op f : (_, vec[d]) -> vec[d] = relu(y)", None, ""),
        ("op f : seq[l, d] -> vec[d] = sum[l, l](x)", "E418", "two axes are called `l`"),
        ('op f : t -> t = F.gelu(x, approximate = "abs")', "E401", "does not give"),
        ("op f(g) : im[c, h, w] -> im[c, h, w] where g >= 1, c % g == 0 = nn.GroupNorm(g, c)", "E401", "does not give"),
        ("op f : t -> t = relu(relu)", "E403", "there is no value `relu`"),
        ("op f : vec[d] -> vec[d] = x + inf", None, ""),
        ("op f : any[*s, d] -> any[*s, d] where max(s) > 2 = relu(x)", None, ""),
        ("op f : seq[n, d] ^ n -> seq[n, d] = sum(xs)", None, ""),
    ],
)
def test_names_of_the_wrong_sort_are_told_and_never_a_crash(line: str, code: str | None, words: str) -> None:
    found = judged(line)
    assert [d.code for d in found] == ([code] if code else [])
    assert all(words in d.message for d in found)
