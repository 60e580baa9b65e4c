"""What a model is tried on: tensors with their type in the language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import EinError, Source, fail
from ein.grammar.types import Tensor as Kind
from ein.grammar.types import ValueType, bundle, leaves, tensor

_KINDS = {1: "vec", 2: "seq", 3: "im"}
_WAY_OUT = 'say it as a type, without the batch: "im[3, 32, 32]", "seq[64, 16]", "vec[8]", "tok[128]"'


def typed(example: Any) -> ValueType:
    """The type of an example: of a text such as `im[3, 32, 32]`, or of tensors with the batch in front.

    Raises EinError, and TypeError for what is neither.
    """
    if isinstance(example, str):
        return _written(example)
    tensors = example if isinstance(example, list | tuple) else (example,)
    if not tensors or not all(isinstance(each, Tensor) for each in tensors):
        raise TypeError(f"example is a tensor, a tuple of tensors or a type as text, not {type(example).__name__}")
    types = [_type(each) for each in tensors]
    return types[0] if len(types) == 1 else bundle(types)


def _written(text: str) -> ValueType:
    source = Source("<input>", f"ein 1\nimport std\n\ninput {text}\n\narch net = identity\n")
    try:
        found = load_grammar(source).input
    except EinError as error:
        first = error.diagnostics[0]
        raise fail("E735", f"`{text}` is no type of an example: {first.message}", help=_WAY_OUT) from None
    assert found is not None
    return found


def _type(example: Tensor) -> Kind:
    sizes = tuple(example.shape[1:])
    whole = not example.is_floating_point()
    if example.ndim == 2 and whole:
        return tensor("tok", sizes, element="int")
    if whole or example.ndim - 1 not in _KINDS or 0 in example.shape:
        element = str(example.dtype).removeprefix("torch.")
        text = f"an example of {list(example.shape)} and {element} is of no kind of `std`"
        raise fail(
            "E735", text, help="the batch comes first, then one to three axes of floats, or one of whole numbers"
        )
    return tensor(_KINDS[example.ndim - 1], sizes)


def batch(example: Any, type: ValueType, module: nn.Module, size: int, seed: int) -> tuple[Tensor, ...]:
    """`size` examples of a type in the model's precision, of the numbers of an example given in tensors."""
    generator = torch.Generator().manual_seed(seed)
    given: Sequence[Any] = (
        () if isinstance(example, str) else example if isinstance(example, list | tuple) else (example,)
    )
    element = next((each.dtype for each in module.parameters() if each.is_floating_point()), torch.float32)
    words = min((each.num_embeddings for each in module.modules() if isinstance(each, nn.Embedding)), default=2)
    found = []
    for number, leaf in enumerate(leaves(type)):
        known = given[number].detach().cpu()[:1].flatten() if given else None
        rows = torch.stack([_row(leaf, known, words, generator) for _ in range(size)])
        found.append(rows.to(element) if rows.is_floating_point() else rows)
    return tuple(found)


def _row(leaf: Kind, known: Tensor | None, words: int, generator: torch.Generator) -> Tensor:
    if known is not None:
        return known[torch.randperm(len(known), generator=generator)].reshape(leaf.sizes)
    if leaf.element == "int":
        return torch.randint(0, words, leaf.sizes, generator=generator)
    return torch.randn(leaf.sizes, generator=generator)
