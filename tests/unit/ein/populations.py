"""What tests of populations and albums share: folders of architectures, and a tiny study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.search.evolution import Evolution
from ein.search.executor import Inline
from ein.search.loop import run
from ein.search.study import Study, header

NET = "ein 1\nimport std\ninput im[3, 8, 8]\narch net = conv(4, k = 3) >> relu\n"
TWO = "ein 1\nimport std\ninput im[3, 8, 8]\narch one = relu\narch two = relu >> norm\n"
SPACE = "ein 1\ngrammar toy(p = 3)\nimport std\ninput im[3, 8, 8]\nrule S = relu @ p | gelu >> S | norm >> S\n"


def filled(folder: Path, **texts: str) -> Path:
    """With a file of each text, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.ein").write_text(text, "utf-8")
    return folder


def searched(folder: Path, trials: int = 12, **values: str) -> Path:
    """A study of the space above; what it seeks is size."""
    sampler = Sampler.of(load_grammar(Source("toy.ein", SPACE), Request(values, None, None, {})))

    def size(derivation: Any) -> float:
        return float(derivation.modules)

    with Study.open(folder, header(Evolution(sampler, 1, 4, 2), sampler, 4)) as study:
        run(study, Evolution(sampler, 1, 4, 2), Inline(size), trials, lambda derivation: derivation.text)
    return folder
