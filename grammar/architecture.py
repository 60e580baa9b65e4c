"""Finished architectures of a file: exactly one alternative survives everywhere."""

from __future__ import annotations

from ein.grammar.analyses.advice import ending
from ein.grammar.analyses.blame import blame
from ein.grammar.cfg import Architecture, Grammar, Limits
from ein.grammar.derivations.attempt import Attempt, DeadEnd
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import Diagnostic, EinError, Span, fail
from ein.grammar.numbers import Inapplicable, nearest
from ein.grammar.space import Space
from ein.grammar.steps import Candidate, Instance, Options
from ein.grammar.term import TypedTerm
from ein.grammar.ties import check_ties, may_conflict
from ein.grammar.types import merge

MAX_MODULES = 1_000_000
"""Of a finished architecture: copies are written out when it is compiled."""


class _Several(Exception):
    """More than one alternative is left, so this is no finished architecture."""

    def __init__(self, instance: Instance, count: int, span: Span) -> None:
        self.diagnostic = Diagnostic(
            "E310", f"an architecture leaves nothing to choose, and {count} alternatives apply here", span,
            help="a space with choices is made of rules: `rule Net = …`",
        )  # fmt: skip


def architecture(grammar: Grammar, name: str | None = None) -> Derivation:
    """The architecture of that name (or the only one) as a derivation with a single outcome."""
    names = list(grammar.architectures)
    if name is None:
        if len(names) != 1:
            help = f"there are {', '.join(names)}: write `file.ein:name`" if names else "declare one with `arch`"
            many = f"{len(names)} architectures" if names else "no architecture"
            raise fail("E705", f"`{grammar.name}` has {many}", help=help)
        name = names[0]
    if name not in grammar.architectures:
        raise fail(
            "E705",
            f"`{grammar.name}` has no architecture `{name}`",
            help=nearest(name, names, f"it has {', '.join(names) or 'none'}"),
        )
    arch = grammar.architectures[name]
    if arch.input is None:
        raise unsized(grammar, arch)
    space = Space(grammar, arch.rule)
    attempt = Attempt(space, Limits(elements=None))

    def only(instance: Instance, table: Options) -> Candidate:
        if len(table.candidates) != 1:
            raise _Several(instance, len(table.candidates), instance.rule.span)
        return table.candidates[0]

    try:
        output = attempt.run(arch.input, only)
    except _Several as several:
        raise EinError((several.diagnostic,)) from None
    except DeadEnd as dead:
        found = blame(space, arch.input, attempt.made, dead.span or arch.span)
        text = f"`{name}` does not type-check: {dead.reason}"
        raise fail("E301", text, found.span, labels=found.labels, help=found.help) from None
    except Inapplicable as error:
        raise fail("E301", f"`{name}` does not type-check: {error.reason}", error.span or arch.span) from None
    if arch.output is not None and merge((arch.output, output)) is None:
        end = ending(grammar, output, arch.output)
        help = f"`{end}` at its end would give it" if end else ""
        raise fail("E303", f"`{name}` declares {arch.output!r} and gives {output!r}", arch.span, help=help)
    choices = tuple(candidate.choice for candidate in attempt.made)
    modules = (1 << 60) - attempt.modules_left
    if modules > MAX_MODULES:
        raise fail("E708", f"`{name}` is built of {modules:,} modules, and {MAX_MODULES:,} is the limit", arch.span)
    derivation = Derivation(space, choices, modules, arch.input)
    if may_conflict(instance.rule for instance in space.instances.values()):
        check_ties(derivation.term)
    return derivation


def unsized(grammar: Grammar, arch: Architecture) -> EinError:
    """What is missing where the input of an architecture is not known."""
    signature = grammar.rules[arch.rule].signature
    if signature is not None:
        text = f"the sizes of the input of `{arch.name}` are open"
        return fail("E701", text, signature.input.span, help='give them: `--input "im[3, 32, 32]"`')
    help = f"write `arch {arch.name} : im[3, 32, 32] -> vec[10] = …`, or give --input"
    return fail("E701", f"`{arch.name}` does not say its input", arch.span, help=help)


def architecture_term(grammar: Grammar, name: str | None = None) -> TypedTerm:
    """The typed term of an architecture; raises EinError where it does not type-check."""
    return architecture(grammar, name).term
