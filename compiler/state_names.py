"""Where what the interpreter keeps is kept in emitted classes."""

from __future__ import annotations

from collections.abc import Iterator

from ein.compiler.blocks import Blocks, Call, Part, Run
from ein.compiler.emit_class import ClassText
from ein.compiler.program import Slot, home_of
from ein.compiler.structures import Structure
from ein.compiler.weights import slots


def state_names(plan: Blocks) -> dict[str, str]:
    """Names of the state of the interpreter, each with its name in the state of the network's class."""
    texts = {block.structure: ClassText(block) for block in plan.blocks}
    found: dict[str, str] = {}
    stack: list[tuple[Structure, int, str]] = [(plan.found.root, 0, "")]
    while stack:
        structure, first, prefix = stack.pop()
        text = texts[structure]
        for number, item in enumerate(text.block.items):
            if isinstance(item, Part):
                found |= _entries(plan, item, first + item.place, text, prefix)
            elif home_of(item, number) in text.slots:
                name = f"{prefix}{text.names[home_of(item, number)]}"
                stack += ((call.structure, first + call.place, at) for call, at in _instances(item, name))
    return found


def _instances(item: Call | Run, name: str) -> Iterator[tuple[Call, str]]:
    if isinstance(item, Call):
        yield item, f"{name}."
    else:
        yield from ((call, f"{name}.{at}.") for at, call in enumerate(item.calls))


def _entries(plan: Blocks, part: Part, place: int, text: ClassText, prefix: str) -> Iterator[tuple[str, str]]:
    """Of the node at this place, which is written as `part`."""
    use = plan.found.flow.uses[plan.found.order[place]]
    entries = use.weights
    for slot in slots(use.applied.body):
        home: Slot = slot.home(part.key)
        if home not in text.slots:
            continue
        name = f"{prefix}{text.names[home]}"
        if slot.key is not None:
            yield ".".join(home), name
        for entry in entries:
            if entry == slot.name or entry.startswith(f"{slot.name}."):
                yield f"{use.key}.{entry}", name + entry.removeprefix(slot.name)
