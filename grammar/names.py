"""Which names a type binds, and which a term needs from around it."""

from __future__ import annotations

from ein.grammar import cfg
from ein.grammar import syntax as s


def type_names(type: s.Type) -> list[str]:
    """The names of a type in order, each once."""
    found: dict[str, None] = {}

    def dim(node: s.Dim) -> None:
        match node:
            case s.Name(name) | s.EachDim(name) | s.Star(s.Name(name)):
                found[name] = None
            case s.Group(items):
                for item in items:
                    dim(item.value)
            case _:
                pass

    def visit(node: s.Type) -> None:
        match node:
            case s.KindType(_, dims):
                for entry in dims:
                    dim(entry)
            case s.TypeName(name):
                found[name] = None
            case s.BundleType(members):
                for member in members:
                    visit(member.type)
            case s.PowerType(base, count):
                visit(base)
                if isinstance(count, s.Name):
                    found[count.name] = None
            case s.Blank():
                pass

    visit(type)
    return list(found)


def free_of_alternative(alternative: cfg.Alternative) -> set[str]:
    """The names that an alternative needs from around it."""
    names: set[str] = set()
    bound = {choice.name for choice in alternative.choices}
    for choice in alternative.choices:
        names |= choice.values.names
    for part in (alternative.weight, alternative.guard):
        names |= part.names if part is not None else set()
    names |= term_names(alternative.body)
    return {n for n in names - bound if not (set(n) & {"$"} and n in bound)}


def term_names(term: cfg.Term) -> set[str]:
    match term:
        case cfg.Use(_, arguments):
            return {name for _, value in arguments for name in value.names}
        case cfg.RuleUse(_, values):
            return {name for value in values for name in value.names}
        case cfg.Series(parts) | cfg.Parallel(parts):
            return set().union(*map(term_names, parts))
        case cfg.Copies(body, count) | cfg.Repeated(body, count):
            return term_names(body) | count.names
        case cfg.Expanded(_, body):
            return term_names(body) - term.bound
