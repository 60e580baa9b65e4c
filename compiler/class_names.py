"""Names of classes, after rules and macros."""

from __future__ import annotations

import re
from collections.abc import Iterable
from keyword import iskeyword

MAX_NAME = 40
_OWN = frozenset(("torch", "nn", "F", "super", "range", "zip"))


class ClassNames:
    """Hands out names that are not taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = {*taken, *_OWN}

    def of(self, name: str) -> str:
        """`BasicBlock` for `basic_block`, `BasicBlock2` for the next one."""
        word = camel(name)[:MAX_NAME] or "Block"
        number, found = 1, word
        while found in self.taken or iskeyword(found):
            number += 1
            found = f"{word}{'_' * word[-1].isdigit()}{number}"
        self.taken.add(found)
        return found


def camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_") if word)


def snake(name: str) -> str:
    """`basic_block` for `BasicBlock`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
