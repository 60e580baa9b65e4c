"""Which names a type binds, and which a term needs from around it."""

from __future__ import annotations

from collections.abc import Mapping

from ein.grammar import cfg
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import free_names


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


def mentioned(type: s.Type) -> set[str]:
    """All names of a type, those in its expressions among them."""
    found = set(type_names(type))

    def visit(node: s.Type) -> None:
        match node:
            case s.KindType(_, dims):
                for dim in dims:
                    found.update(() if isinstance(dim, s.Blank | s.EachDim) else free_names(dim))
            case s.BundleType(members):
                for member in members:
                    visit(member.type)
            case s.PowerType(base, count):
                visit(base)
                found.update(free_names(count))
            case _:
                pass

    visit(type)
    return found


def leaves_open(type: s.Type, bound: set[str]) -> bool:
    """Whether a type has a `_`, or a name that is not bound, in the place of a size or type."""

    def dim(node: s.Dim) -> bool:
        match node:
            case s.Name(name) | s.EachDim(name) | s.Star(s.Name(name)):
                return name not in bound
            case s.Group(items):
                return any(dim(item.value) for item in items)
            case _:
                return isinstance(node, s.Blank)

    match type:
        case s.KindType(_, dims):
            return any(map(dim, dims))
        case s.TypeName(name):
            return name not in bound
        case s.BundleType(members):
            return any(leaves_open(member.type, bound) for member in members)
        case s.PowerType(base, count):
            return leaves_open(base, bound) or (isinstance(count, s.Name) and count.name not in bound)
        case s.Blank():
            return True


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
    """The names of numbers that a term needs from around it."""
    names = set().union(*map(term_names, cfg.parts(term)))
    match term:
        case cfg.Use(_, arguments):
            return {name for _, value in arguments for name in value.names}
        case cfg.RuleUse(_, values):
            return {name for value in values for name in value.names}
        case cfg.Copies(_, count) | cfg.Repeated(_, count):
            return names | count.names
        case cfg.Expanded(bound=bound):
            return names - bound
        case _:
            return names


def variables(term: cfg.Term) -> set[str]:
    """The variables of a `let` around it that a term mentions. Their names are unique in a rule."""
    names = set().union(*map(variables, cfg.parts(term)))
    match term:
        case cfg.Variable(name):
            return {name}
        case cfg.RuleUse(packed=packed):
            return set(packed)
        case cfg.Let(bindings):
            return names - {name for bound, _ in bindings for name in bound}
        case cfg.Unpacked(bound):
            return names - set(bound)
        case _:
            return names


def takes_input(term: cfg.Term, groups: Mapping[str, cfg.Rule]) -> set[bool]:
    """Whether a term needs what flows in; one that begins with a variable does not. Of a group, all answers."""
    match term:
        case cfg.Variable():
            return {False}
        case cfg.RuleUse(rule) if rule in groups:
            return set().union(*(takes_input(alternative.body, groups) for alternative in groups[rule].alternatives))
        case cfg.Series(parts):
            return takes_input(parts[0], groups)
        case cfg.Parallel(_, takes):
            return {any(takes)}
        case cfg.Copies() | cfg.Repeated() | cfg.Expanded() | cfg.Unpacked():
            return takes_input(term.body, groups)
        case cfg.Let():
            answers = [takes_input(part, groups) for part in cfg.parts(term)]
            return {True} if {True} in answers else set().union(*answers)
        case cfg.Use() | cfg.RuleUse():
            return {True}
