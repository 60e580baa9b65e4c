"""Views as the language writes them: `x[(a = 2, b), c] -> [(b, c), a]`, and operators made of such text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod

from ein.compiler.passes.views import Atoms, Sizes, View
from ein.grammar.types import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """`named`: a group of axes for each axis of the tensor; `laid`: their order, one group for each axis made."""

    named: tuple[tuple[str, ...], ...]
    laid: tuple[tuple[str, ...], ...]
    sizes: dict[str, int]

    @property
    def is_plain(self) -> bool:
        return self.named == self.laid

    def of(self, name: str) -> str:
        """The tensor `name` laid out so."""
        return name if self.is_plain else f"{name}{self._brackets(self.named, True)} -> {self._brackets(self.laid)}"

    def _brackets(self, groups: tuple[tuple[str, ...], ...], sized: bool = False) -> str:
        return f"[{', '.join(self._group(group, sized) for group in groups)}]"

    def _group(self, group: tuple[str, ...], sized: bool) -> str:
        if len(group) < 2:
            return group[0] if group else "1"
        return f"({', '.join(f'{name} = {self.sizes[name]}' if sized else name for name in group)})"


def layout(view: View, sizes: Sizes, names: Iterator[str]) -> Layout | None:
    """How a view of all of a tensor of these sizes is written; None where an axis would have to be cut unevenly."""
    if view.start or not _is_whole(view, sizes):
        return None
    parts = [_parted(axis, sizes) for axis in view.axes]
    called: dict[int, str] = {}
    length: dict[str, int] = {}
    for part in parts:
        if part is None:
            return None
        for size, stride in part:
            called[stride] = next(names)
            length[called[stride]] = size
    laid = [tuple(called[stride] for _, stride in part or ()) for part in parts]
    named: list[tuple[str, ...]] = []
    single: list[str] = []
    for at, size in enumerate(sizes):
        inner = prod(sizes[at + 1 :])
        if size == 1:
            single.append(next(names))
            length[single[-1]] = 1
            named.append((single[-1],))
        else:
            within = sorted((stride for stride in called if inner <= stride < inner * size), reverse=True)
            named.append(tuple(called[stride] for stride in within))
    for at, group in enumerate(laid):
        if not group and single:
            laid[at] = (single.pop(0),)
    if single and not laid:
        return None
    if single:
        laid[0] = (*single, *laid[0])
    return Layout(tuple(named), tuple(laid), length)


def _is_whole(view: View, sizes: Sizes) -> bool:
    """Whether every element is shown once."""
    step = 1
    for size, stride in sorted((atom for axis in view.axes for atom in axis), key=lambda atom: atom[1]):
        if stride != step:
            return False
        step *= size
    return step == prod(sizes)


def _parted(atoms: Atoms, sizes: Sizes) -> list[tuple[int, int]] | None:
    """The atoms cut where an axis of the tensor ends."""
    found: list[tuple[int, int]] = []
    for size, stride in atoms:
        inner, ends = stride, sorted({prod(sizes[at:]) for at in range(len(sizes))})
        pieces: list[tuple[int, int]] = []
        for end in [end for end in ends if stride < end < stride * size] + [stride * size]:
            if end % inner:
                return None
            pieces.insert(0, (end // inner, inner))
            inner = end
        found += pieces
    return found


def declared(name: str, inputs: Sequence[tuple[str, Tensor]], output: Tensor, body: str) -> str | None:
    """An operator for tensors of just these types, and their kinds; `name` and a digest of all this is its name.

    None where tensors of one kind differ in their axes, as copies in one tensor do: no text can say both.
    """
    types = (*(type for _, type in inputs), output)
    kinds = {type.kind: type for type in types}
    if any(len(kinds[type.kind].sizes) != len(type.sizes) for type in types):
        return None
    lines = [
        f"type {kind}[{', '.join(f'a{at}' for at in range(len(t.sizes)))}]{_element(t)}" for kind, t in kinds.items()
    ]
    given = ", ".join(f"{called}: {_plain(type)}" for called, type in inputs)
    taken = f"({given})" if len(inputs) > 1 else _plain(inputs[0][1])
    said = f"{taken} -> {output!r} = {body}"
    return "\n".join([*lines, f"op {name}_{sha256(said.encode()).hexdigest()[:8]} : {said}"])


def _element(type: Tensor) -> str:
    return "" if type.element == "float" else f" : {type.element}"


def _plain(type: Tensor) -> str:
    return f"{type.kind}{list(type.sizes)}"
