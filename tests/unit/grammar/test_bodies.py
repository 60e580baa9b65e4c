"""Expressions of operator bodies: what is refused, where, and in which words; sizes, element types and costs."""

from __future__ import annotations

import re
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar.bodies.contractions import macs
from ein.grammar.bodies.tensors import MAX_ELEMENTS, Body
from ein.grammar.check import check, load_grammar
from ein.grammar.diagnostics import Diagnostic, EinError, Source
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, ValueType, bundle, tensor

HEAD = "ein 1\nimport std\ntype flag[l] : bool\ntype graph[n, m]\n"


def found(line: str) -> list[Diagnostic]:
    return check(Source("f.ein", HEAD + line))[1]


def body(line: str, *inputs: Tensor, **arguments: int) -> Body:
    """The steps of an operator on a type, without a proof of its signature."""
    operators = load_grammar(Source("f.ein", HEAD + line)).operators["f"]
    given: ValueType = inputs[0] if len(inputs) == 1 else bundle(inputs)
    return operators[0].apply(operators[0].arguments(arguments), given).body


SEQ = tensor("seq", [6, 8])

REFUSED = {
    # axes
    "roll[l, d](x, 1)": ("E417", "`roll` works on one axis"),
    "windows[l](x, 1)": ("E417", "`windows` takes an axis and the name of a new one"),
    "topk[l, d](x, 1)": ("E418", "`d` is the name of a new axis"),
    "stack[l](x, x)": ("E418", "two axes are called `l`"),
    "copies[l](x, 2)": ("E417", "`copies` takes the name of a new axis"),
    "copies[n](x)": ("E403", "the axis `n` has no size"),
    "x + range[n]": ("E403", "the axis `n` has no size"),
    "range[l, d]": ("E417", "`range` takes one axis"),
    "irfft[l, n](fft[l](x))": ("E403", "the axis `n` has no size"),
    "one_hot[d](x)": ("E417", "`one_hot` takes the name of a new axis"),
    "gather[l, d](x, argmax[d](x))": ("E417", "`gather[a, b](table, i, j)` takes an index for each axis"),
    "gather[n](x, argmax[d](x))": ("E418", "there is no axis `n` here"),
    "gather[l](nn.Linear(d, d)(x), argmax[d](x))": ("E418", "`gather` works on named axes"),
    "dot[d](nn.Linear(d, d)(x), nn.Linear(d, d)(x))": ("E418", "`dot` works on named axes"),
    "sort[n](x)": ("E418", "there is no axis `n` here"),
    "softmax(x)": ("E417", "`softmax` needs the axes it works on"),
    "relu[d](x)": ("E404", "`relu` is not on the list of axis functions"),
    "sum[d = 3](x)": ("E419", "the axes of a function are names"),
    "x[2, d]": ("E419", "an axis is a name"),
    # arguments
    "dropout(x)": ("E405", "`dropout` takes 2 argument(s), 1 given"),
    "dropout(x, q = 0.1)": ("E405", "`dropout` has no argument `q`"),
    "dropout(x, 0.1, p = 0.1)": ("E405", "`p` of `dropout` is given twice"),
    "dropout(x, relu(x))": ("E416", "`p` is a number"),
    "roll[l](x, 0.5)": ("E416", "a whole number is needed here"),
    "dot[d](x, y = x)": ("E405", "`dot` takes its arguments by position"),
    "clamp(x, 0)": ("E405", "`clamp` takes 3 argument(s), 2 given"),
    "concat[d]()": ("E405", "applied to none"),
    "slice[l](x)": ("E405", "`slice` takes 3 argument(s), 1 given"),
    "F.interpolate(x, 2, mode = 3)": ("E405", "`mode` of F.interpolate is of kind name"),
    "nn.Bilinear(d, d, d)": ("E414", "say what `nn.Bilinear` is applied to"),
    "nn.Bilinear(d, d, d)(x)": ("E414", "`nn.Bilinear` is applied to 2 tensors, and 1 given"),
    "nn.LSTM(d, d, batch_first = true)": ("E405", "nn.LSTM has no argument `batch_first` here"),
    # what is no tensor
    "x and true": ("E415", "`and` is not for tensors and numbers"),
    "(x, x) + 1": ("E416", "this is a bundle"),
    "x * -(x, x)": ("E416", "this is a bundle"),
    "x * -none": ("E416", "a tensor is needed here"),
    "where(not (x, x), x, 0)": ("E416", "this is a bundle"),
    "exp(none)": ("E416", "needs a tensor"),
    "dropout[l](range[l] + 0.5, 0.1)": ("E416", "`dropout` is applied to what depends on the input"),
    "where(range[l] > 2, 1, 0)": ("E416", "the result does not depend on the input"),
    # sizes, at the first ones that show it
    "pad[l](x, -1, 1)": ("E401", "a padding is at least 0"),
    "slice[l](x, 1, 1)": ("E401", "1 to 1 is no slice"),
    "topk[l, n](x, 0)": ("E401", "no 0 largest"),
    "dropout(x, 1)": ("E401", "a dropout rate is at least 0 and below 1, not 1"),
    "concat[l](x, x, x -> [d, l])": ("E401", "the body gives"),
    "index[l](x, l)": ("E401", "none has the number"),
    "irfft[l, n](x, 2 * l)": ("E401", "is none of"),
    "x * sum[l](x)[l]": ("E401", "`l` is"),
    # element types
    "argmax[d](x)[l] + x": ("E401", None),
    "exp(argmax[d](x))": ("E401", "`exp` computes with float or complex, and this is int; `1.0 * x` makes it float"),
    "mean[l](range[l]) * x": ("E401", "`mean` computes with float or complex, and this is int"),
    "fft[d](x)": ("E401", "the body gives complex, and `seq` holds float"),
    "relu(fft[d](x))": ("E401", "`relu` computes with float or int, and this is complex"),
    "fft[d](x) < 1": ("E401", "`<` computes with float or int, and this is complex"),
    "real(x)": ("E401", "`real` computes with complex, and this is float"),
    "complex(x, 0)": ("E401", "`complex` takes two tensors"),
    "x * range[l] ** -1": ("E401", "a negative power of integers"),
    "nn.Linear(d, d)(argmax[d](x))": ("E401", "`nn.Linear` computes with float, and this is int"),
    "concat[l](x, copies[l](range[d], 1))": ("E401", "`concat` joins equal elements, not float and int"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    """With the place in the body."""
    code, words = REFUSED[text]
    line = f"op f : seq[l, d] -> seq[l, d] = {text}"
    diagnostics = [d for d in found(line) if d.severity == "error"]
    if words is None:
        assert not diagnostics
        return
    assert [d.code for d in diagnostics] == [code], diagnostics
    shown = f"{diagnostics[0].message} {diagnostics[0].label} {diagnostics[0].help}"
    assert words in shown, shown
    assert diagnostics[0].span is not None and diagnostics[0].span.start >= len(HEAD) + line.index(text)


OTHERS = {
    "op f : seq[l, d] -> tok[l] = mean[d](x)": ("E401", "the body gives float, and `tok` holds int"),
    "op f : tok[l] -> vec[l] = x": ("E401", "the body gives int, and `vec` holds float"),
    "op f : flag[l] -> vec[l] = x + 1": ("E401", "`+` computes with float or int or complex, and this is bool"),
    "op f : tok[l] -> seq[l, 4] = nn.Linear(4, 4)(x)": ("E401", "`nn.Linear` computes with float, and this is int"),
    "op f(g: fn = gellu) : t -> t = g(x)": ("E404", "`g` is `gellu`, and no function of one tensor is called so"),
    "op f : graph[n, n] -> graph[n, n] = rearrange": ("E418", "`rearrange` needs a name for every axis on the left"),
    "op f : (seq[l, d], vec[d]) -> vec[d] = rearrange": ("E418", "`rearrange` takes one tensor, or equal ones"),
    "op f : seq[l, d] ^ 2 -> seq[l, 2 * d] = rearrange": ("E418", "the number of tensors needs a name"),
    "op f : (seq[l, d], seq[d, m]) -> seq[l, m + 1] = einsum": ("E418", "is not there"),
    "op f : (t, t) -> t = einsum": ("E418", "the right side names the axes of one tensor"),
    "op f : t ^ b -> t = wires": ("E424", "is chosen by the only parameter"),
    "op f(i) : t ^ b -> t = wires": ("E401", "none has the number"),
}


@pytest.mark.parametrize("line", OTHERS)
def test_refusals_of_signatures(line: str) -> None:
    code, words = OTHERS[line]
    [diagnostic] = [d for d in found(line) if d.severity == "error"]
    assert diagnostic.code == code
    assert words in f"{diagnostic.message} {diagnostic.label} {diagnostic.help}", diagnostic


@pytest.mark.parametrize("term", ["gelu", "linear(4)", "norm", "softmax", "dropout", "rms_norm"])
def test_integers_stay_out_of_what_is_for_floats(term: str) -> None:
    with pytest.raises(EinError) as caught:
        load_grammar(Source("f.ein", f"{HEAD}input tok[5]\narch net = {term}\n"))
    assert re.search("computes with float( or complex)?, and this is int", str(caught.value))


@pytest.mark.parametrize(
    "term", ["identity", "clone(2) >> take(1)", "clone(2) >> add", "zero", "clone(2) >> swap >> take(2)"]
)
def test_integers_may_be_moved_and_added(term: str) -> None:
    from ein.grammar.architecture import architecture

    grammar = load_grammar(Source("f.ein", f"{HEAD}input tok[5]\narch net = {term}\n"))
    assert repr(architecture(grammar).type) == "tok[5]" and architecture(grammar).type.element == "int"  # type: ignore[union-attr]


# --- sizes


def test_an_axis_of_one_never_stretches() -> None:
    line = "op f(n) : seq[l, d] -> seq[l, d] where n >= 1 param p[l = n, d] ~ normal(0, 1) = x + p"
    diagnostic = found(line)[0]
    assert diagnostic.code == "E401" and "`l` is" in diagnostic.label
    assert found("op f : seq[l, d] -> seq[l, d] = x + (sum[l](x) -> [1, d])[l = 1, d]")[0].code == "E401"


@pytest.mark.parametrize(
    "text",
    [
        "sum[n](copies[n](x, 2 ** 38))",
        "x + sum[n](range[n](2 ** 41))",
        "sum[n](one_hot[n](argmax[d](x), 2 ** 38)) * x",
        "slice[l](pad[l](x, 2 ** 40, 0), 0, 6)",
        "sum[n, m](x * (range[n](2 ** 20) * range[m](2 ** 20)))",
    ],
)
def test_no_intermediate_value_is_too_large(text: str) -> None:
    operator = f"op f : seq[l, d] -> seq[l, d] where l == 6, d == 8 = {text}"
    assert MAX_ELEMENTS == 2**40
    [diagnostic] = [d for d in found(operator) if d.severity == "error"]
    assert "an intermediate value of" in diagnostic.label


def test_elements_of_steps() -> None:
    made = body(
        "op f : tok[l] -> seq[l, 4] where l > 1\n param t[n = 9, d = 4] ~ normal(0, 1)\n"
        " = where(x > 2, gather[n](t, x), 1.0 * x)",
        tensor("tok", [6], element="int"),
    )
    elements = {step.op: step.element for step in made.steps}
    assert (elements["input"], elements["lookup"], elements["weight"]) == ("int", "float", "float")
    assert [step.element for step in made.steps if step.name == ">"] == ["int"]


# --- costs


@given(
    st.lists(st.text("acdef", min_size=0, max_size=3).map(lambda t: "".join(sorted(set(t)))), min_size=1, max_size=4),
    st.data(),
)
def test_products_are_counted_from_left_to_right(terms: list[str], data: st.DataObject) -> None:
    """The count of a chain is that of its pairs, and a product in which nothing is summed is free."""
    letters = sorted(set("".join(terms)))
    sizes = {letter: data.draw(st.integers(2, 5)) for letter in letters}
    result = "".join(data.draw(st.lists(st.sampled_from(letters), unique=True))) if letters else ""
    found = macs(terms, result, sizes)
    assert macs(terms, "".join(letters), sizes) == 0
    assert found <= (len(terms) - 1) * prod(sizes.values())
    if len(terms) == 2 and all(letter in terms[0] and letter in terms[1] for letter in set(letters) - set(result)):
        assert found == (prod(sizes.values()) if set(letters) - set(result) else 0)


def test_layers_are_counted() -> None:
    made = body("op f : seq[l, d] -> seq[l, 5] = nn.LSTM(d, 5, num_layers = 2)", SEQ)
    assert made.macs == 6 * 4 * 5 * (8 + 5) + 6 * 4 * 5 * (5 + 5)
    assert made.parameters == 4 * 5 * (8 + 5 + 2) + 4 * 5 * (5 + 5 + 2)


def test_what_the_signature_refuses() -> None:
    with pytest.raises(Inapplicable) as caught:
        body("op f(i) : t ^ b -> t where i >= 1, i <= b = wires", SEQ, SEQ, i=3)
    assert caught.value.reason == "needs `i <= b`, and b = 2, i = 3"
