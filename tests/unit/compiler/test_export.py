"""Programs for other runtimes: they give the network's results for batches of any size."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ein
from ein.compiler import export as export_module
from ein.compiler.export import disagreement, examples, exported
from ein.grammar.diagnostics import EinError
from ein.grammar.types import tensor

OWN = """ein 1
import std
op spectrum : seq[l, d] -> seq[l, d] = real(fft[l, d](x))
input (tok[6], seq[6, 4])
arch net = (embed(9, 4) & spectrum) >> clone(2) >> (add & swap)
"""


def own(folder: Path, text: str = OWN) -> Any:
    (folder / "own.ein").write_text(text, "utf-8")
    return ein.architecture(str(folder / "own.ein"))


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
@pytest.mark.parametrize("name", ["zoo/resnet8", "zoo/vit"])
def test_a_program_gives_the_results_of_the_network(tmp_path: Path, name: str, ending: str) -> None:
    what = ein.architecture(name)
    net = ein.build(what, seed=3)
    path = ein.compile(what, tmp_path / "deep" / f"net.{ending}", net=net)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    apart = disagreement(net, [what.input], path)  # type: ignore[list-item]
    assert apart is not None and apart < 1e-4
    assert net.training


def test_drawn_networks_are_exported(tmp_path: Path) -> None:
    """Three operators at a time would prove little: these have 20 to 60."""
    limits = {"modules": 60, "params": 200_000, "macs": 3_000_000, "elements": 300_000}
    space = ein.load("einspace", input="im[3, 16, 16]", limits=limits)
    for d in space.samples(3, seed=2, size=(20, 60)):
        net = ein.build(d)
        path = ein.compile(d, tmp_path / "net.onnx", net=net)
        apart = disagreement(net, [d.input], path)  # type: ignore[list-item]
        assert apart is not None and apart < 1e-3


def test_a_program_that_is_wrong_is_seen(tmp_path: Path) -> None:
    what = ein.architecture("zoo/resnet8")
    path = ein.compile(what, tmp_path / "net.pt2", seed=1)
    apart = disagreement(ein.build(what, seed=2), [what.input], path)  # type: ignore[list-item]
    assert apart is not None and apart > 0.01


def test_several_inputs_and_results_of_other_elements(tmp_path: Path) -> None:
    what = own(tmp_path, OWN.replace("real(fft[l, d](x))", "cumsum[l](x)"))
    net = ein.build(what)
    leaves = ein.lower(what).node(0).outputs
    for ending in ("onnx", "pt2"):
        apart = disagreement(net, leaves, ein.compile(what, tmp_path / f"net.{ending}", net=net))
        assert apart is not None and apart < 1e-5


def test_what_an_exporter_cannot_say_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * int(x.sum().item())

    with pytest.raises(EinError, match=r"torch\.export cannot say this network: .+"):
        exported(Odd(), [tensor("vec", (3,))])
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **named: (_ for _ in ()).throw(RuntimeError("no\nway")))
    with pytest.raises(EinError) as caught:
        ein.compile(ein.architecture("zoo/resnet8"), tmp_path / "net.onnx")
    assert str(caught.value).startswith("error[E860]: torch's ONNX exporter cannot say this network: no\n")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    with pytest.raises(EinError, match=r"ONNX is written with onnxscript, which is not installed") as caught:
        ein.compile(ein.architecture("zoo/resnet8"), tmp_path / "net.onnx")
    assert "pip install 'ein-lang[export]'" in str(caught.value)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EinError, match="cannot be written"):
        ein.compile(ein.architecture("zoo/resnet8"), tmp_path / "file" / "net.pt2")
    with pytest.raises(ValueError, match=r"the name ends in \.py, \.graph, \.onnx or \.pt2"):
        ein.compile(ein.architecture("zoo/resnet8"), tmp_path / "net.bin")


def test_source_and_graph_are_written_by_their_ending(tmp_path: Path) -> None:
    what = ein.architecture("zoo/resnet8")
    assert ein.compile(what, tmp_path / "net.py").read_text("utf-8") == ein.emit(what)
    text = ein.compile(what, tmp_path / "net.graph").read_text("utf-8")
    assert text == ein.graph_text(ein.optimise(ein.lower(what)))


@pytest.mark.parametrize("name", ["zoo/resnet8", "zoo/vit"])
def test_networks_compile_without_breaks(name: str) -> None:
    """With a backend that needs no compiler of C++; `fullgraph` refuses any line that is not traced."""
    what = ein.architecture(name)
    net = ein.build(what).eval()
    given = examples([what.input])  # type: ignore[list-item]
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*given), net(*given), rtol=1e-4, atol=1e-4)


def test_a_network_of_shapes_alone() -> None:
    net = ein.build(ein.architecture("zoo/resnet18"), device="meta")
    assert {value.device.type for value in net.state_dict().values()} == {"meta"}
    assert sum(value.numel() for value in net.parameters()) == 11_689_512
    assert net(torch.empty(5, 3, 224, 224, device="meta")).shape == (5, 1000)


@pytest.mark.parametrize("name", ["zoo/vit", "zoo/einspace/resnet8", "zoo/einspace/vit"])
def test_weights_move_between_forms(name: str) -> None:
    what = ein.architecture(name)
    optimised, plain = ein.build(what, seed=1), ein.build(ein.lower(what), seed=2)
    given = examples([what.input])  # type: ignore[list-item]
    state = ein.carry(optimised.state_dict(), what)
    assert plain.load_state_dict(state, strict=False).unexpected_keys == []
    torch.testing.assert_close(plain.eval()(*given), optimised.eval()(*given), rtol=1e-4, atol=1e-4)
    back = ein.carry(plain.state_dict(), what, (), None)
    assert back.keys() == optimised.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in optimised.state_dict().items())


def test_a_state_that_lacks_an_entry_is_told() -> None:
    with pytest.raises(KeyError, match="weight"):
        ein.carry({}, ein.architecture("zoo/resnet8"))
