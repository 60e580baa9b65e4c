"""Which findings say something of their own, and which only follow from another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ein.grammar.diagnostics import Diagnostic
from ein.grammar.load import Module, library_file, library_names
from ein.grammar.notation import syntax as s

_MISSING = ("E201", "E202")
_COMMENT = re.compile(r"#.*")
_QUOTED = re.compile(r"`(\w+)`$")


def distinct(diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Without repeats: a macro that is used twice is wrong once."""
    seen = set()
    for diagnostic in diagnostics:
        place = (diagnostic.span.source.name, diagnostic.span.start) if diagnostic.span else None
        key = (diagnostic.code, place, diagnostic.message)
        if key not in seen:
            seen.add(key)
            yield diagnostic


def independent(diagnostics: list[Diagnostic], module: Module, unset: Iterable[str]) -> list[Diagnostic]:
    """Without names that are missing because their declaration, or the import of it, could not be read, and
    without uses of the `unset` parameters of the grammar, whose default is wrong."""
    files = {each.source: each for each in _modules(module)}
    places = [(d.code, d.span.source) for d in diagnostics if d.span is not None]
    cut_off = {source.name for code, source in places if code.startswith("E60")}
    hidden = {f"`{name}`" for name in unset}
    for source in {source for code, source in places if code.startswith("E1") and source in files}:
        heads = _unread_heads(files[source].file)
        hidden |= {f"`{name}`" for name in heads}
        if heads & {"import", *library_names()}:
            cut_off.add(source.name)

    def follows(d: Diagnostic) -> bool:
        if d.span is None or d.code not in (*_MISSING, "E203", "E302"):
            return False
        if d.code in _MISSING and d.help.startswith("did you mean"):
            return False
        return (d.code in _MISSING and d.span.source.name in cut_off) or any(name in d.message for name in hidden)

    return list(_without_import([d for d in diagnostics if not follows(d)], module))


def _modules(module: Module) -> list[Module]:
    """The module and all that it imports, each once, however many ways lead to it."""
    found = {id(module): module}
    stack = [module]
    while stack:
        imported = {id(other): other for _, other in stack.pop().imports if id(other) not in found}
        found |= imported
        stack += imported.values()
    return list(found.values())


def _unread_heads(file: s.File) -> set[str]:
    """Of what is in no statement, the words where names are declared: before the first `=`, before each other, and
    all of `grammar`."""
    text, end, unread = file.source.text, 0, []
    for statement in file.statements:
        unread.append(text[end : statement.span.start])
        end = statement.span.end
    unread.append(text[end:])
    pieces = re.split(r"(?m)^(?=\S)", "\n".join(_COMMENT.sub("", part) for part in unread))
    heads = [piece if re.match(r"\W*grammar\b", piece) else piece.partition("=")[0] for piece in pieces]
    words = {word for head in heads for word in re.findall(r"\w+", head)}
    return words | {word for piece in pieces for word in re.findall(r"\b(\w+)[^\w=]*=(?!=)", piece)}


def _without_import(diagnostics: list[Diagnostic], module: Module) -> Iterator[Diagnostic]:
    """Of a file that imports nothing: the names that `std` declares are one mistake, not one for each use."""
    if any(isinstance(statement, s.Import) for statement in module.file.statements):
        yield from diagnostics
        return
    missing = [d for d in diagnostics if d.code in _MISSING]
    names = _names_of_std() if missing else frozenset()
    missing = [d for d in missing if not names.isdisjoint(_QUOTED.findall(d.message))]
    first = min(missing, key=lambda d: d.span.start if d.span else 0, default=None)
    for diagnostic in diagnostics:
        if diagnostic is first:
            yield replace(diagnostic, help="`import std` declares it" + (", and others" if len(missing) > 1 else ""))
        elif diagnostic not in missing:
            yield diagnostic


def _names_of_std() -> frozenset[str]:
    return frozenset(
        x.name for x in library_file("std")[0].statements if isinstance(x, s.OpDecl | s.MacroDecl | s.TypeDecl)
    )
