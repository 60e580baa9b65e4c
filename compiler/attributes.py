"""How layers, parameters, buffers and modules are called in a class: `conv1`, `conv2`, `squeeze_linear`, `stage1`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from keyword import kwlist

from ein.compiler.blocks import Block, Call, Part, Run
from ein.compiler.class_names import snake
from ein.compiler.program import Slot, home_of
from ein.compiler.weights import TIED
from ein.compiler.weights import Slot as Kept

MAX_ATTRIBUTE = 24
"""Characters of an operator's name that go into the name of its layer."""

RESERVED = frozenset(
    "T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval"
    " extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules"
    " mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook"
    " register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook"
    " register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook"
    " register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_"
    " set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu zero_grad".split()
)
"""What every module of torch has."""


def attributes(block: Block) -> dict[Slot, str]:
    """Names of all that is built in a class, distinct from each other and from what every module has."""
    found: dict[Slot, str] = {}
    for item in block.items:
        if isinstance(item, Part) and item.slots:
            found |= {slot.home(""): f"{TIED}_{slot.key}" for slot in item.slots if slot.key is not None}
    taken = {*found.values(), *RESERVED, *kwlist, *(each.name for each in block.parameters.given)}
    wanted = _wanted(block, found)
    totals = Counter(word for _, word, _ in wanted)
    counts: Counter[str] = Counter()
    for homes, word, ends in wanted:
        names = _names(word, ends, totals[word] == 1, counts, taken)
        taken.update(names)
        found |= zip(homes, names, strict=True)
    return found


def _wanted(block: Block, tied: Mapping[Slot, str]) -> list[tuple[list[Slot], str, list[str]]]:
    """For all that is built: where it is kept, what it is called after, and what tells several slots apart."""
    found: list[tuple[list[Slot], str, list[str]]] = []
    seen: set[Slot] = set(tied)
    for number, item in enumerate(block.items):
        if isinstance(item, Part):
            if not item.slots:
                continue
            own = [slot for slot in item.slots if slot.key is None]
            homes = [(item.key, slot.name) for slot in own]
            ends = [""] if len(own) == 1 else [f"_{_word(slot)}" for slot in own]
            word = item.word
        else:
            homes, ends, word = [home_of(item, number)], [""], _called(item)
        if homes and homes[0] not in seen:
            seen.update(homes)
            found.append((homes, word[:MAX_ATTRIBUTE].strip("_") or "op", ends))
    return found


def _called(item: Call | Run) -> str:
    if isinstance(item, Call):
        return snake(item.structure.name) or "block"
    group = item.calls[0].group
    if group is not None and group.name:
        return snake(group.name)
    return f"{snake(item.calls[0].structure.name) or 'block'}s"


def _names(word: str, ends: list[str], alone: bool, counts: Counter[str], taken: Set[str]) -> list[str]:
    """What there is one of has no number."""
    names = [f"{word}{end}" for end in ends] if alone else []
    stem = f"{word}_" if word[-1].isdigit() else word
    while not names or not taken.isdisjoint(names) or len(set(names)) < len(names):
        counts[word] += 1
        names = [f"{stem}{counts[word]}{end}" for end in ends]
    return names


def _word(slot: Kept) -> str:
    return slot.name.removeprefix("param_").removeprefix("buffer_")
