"""Long chains in columns: nothing is lost at a cut."""

from ein.compiler.drawing.changes import cost_change
from ein.compiler.drawing.columns import in_columns
from ein.compiler.drawing.draw import Options, drawn
from ein.compiler.drawing.scene import Box, Change, Look, Scene, Wire
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Cost
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source


def chain(length: int, *more: Wire) -> Scene:
    boxes = tuple(Box(f"n{i}", f"box {i}", Look.COMPUTATION) for i in range(length))
    wires = tuple(Wire(f"n{i}", f"n{i + 1}", "im 3 x 8 x 8") for i in range(length - 1))
    return Scene("chain", "", "", boxes, (*wires, *more))


def test_a_cut_chain_holds_together() -> None:
    scene = in_columns(chain(40), 2)
    assert [wire.target for wire in scene.wires if wire.target.startswith("a")] == ["a1"]
    assert [wire.source for wire in scene.wires if wire.source.startswith("b")] == ["b1"]
    assert len(scene.items) == 42 and len(scene.wires) == 40


def test_unlike_wires_reach_a_sign_each() -> None:
    first = in_columns(chain(40), 2).wires
    cut = next(wire for wire in first if wire.target == "a1")
    other = Wire(cut.source, "n39", "vec 5", change=Change.ADDED)
    scene = in_columns(chain(40, other, Wire(cut.source, "n38", cut.text)), 2)
    reached = [(wire.text, wire.change) for wire in scene.wires if wire.target == "a1"]
    assert reached == [("im 3 x 8 x 8", None), ("vec 5", Change.ADDED)]


def test_costs_of_a_change_have_the_units_of_others() -> None:
    before, after = Cost(1, 0, 0, 1_000_000), Cost(1, 10, 0, 2_000_000)
    assert cost_change(before, after, ("params", "memory")) == ["0 -> 10 params", "4 M -> 8 MB"]


def test_mermaid_takes_the_depth() -> None:
    text = "import std\ninput im[3, 8, 8]\n" + "".join(
        f"def f{i} = {f'f{i - 1} >> ' if i else ''}relu >> norm\n" for i in range(5)
    )
    net = architecture(load_grammar(Source("deep.ein", f"ein 1\n{text}arch net = f4 >> gelu\n")), "net")
    texts = [drawn([net], "mmd", [Options(depth=depth)])[0] for depth in (0, 2, 5)]
    counts = [text.count(b"subgraph") for text in texts if isinstance(text, bytes)]
    assert counts[0] == 0 < counts[1] == 2 < counts[2]
