"""Names with what they stand for, of which some is read only when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from functools import cached_property
from typing import Generic, TypeVar

T = TypeVar("T")


class _Unread(Generic[T]):
    def __init__(self, read: Callable[[], T]) -> None:
        self.read = read

    @cached_property
    def value(self) -> T:
        return self.read()


class Names(MutableMapping[str, T]):
    """Whether a name is there, and which there are, is known without reading."""

    def __init__(self) -> None:
        self._found: dict[str, T | _Unread[T]] = {}

    def leave(self, name: str, read: Callable[[], T]) -> None:
        """What the name stands for is to be had of `read`, which may raise EinError."""
        self._found[name] = _Unread(read)

    def take(self, other: Names[T], name: str, alias: str) -> None:
        """A name of another file, under a name of this one; what is not read stays so, and is read for both."""
        self._found[alias] = other._found[name]

    def take_all(self, other: Names[T]) -> None:
        self._found.update(other._found)

    def __getitem__(self, name: str) -> T:
        found = self._found[name]
        return found.value if isinstance(found, _Unread) else found

    def __setitem__(self, name: str, value: T) -> None:
        self._found[name] = value

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
