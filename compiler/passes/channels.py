"""Operators on images that do to channels what an operator on sequences does to features.

Axes have names in a body, so it is the signature alone that changes: `op rms_norm : any[*s, d] -> any[*s, d] = …`
becomes `op rms_norm_channels : im[d, h, w] -> im[d, h, w] = …`. Whether that computes the same is for whoever asks
to see from its steps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ein.grammar.cfg import Application, Operator
from ein.grammar.check import declared_grammar
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.notation import syntax as s
from ein.grammar.notation.printer import print_statement

_KIND = "type im[c, h, w]"
_SPOTS = (s.Name("rows"), s.Name("columns"))


def on_channels(application: Application) -> Application | None:
    """The use of the new operator with the same arguments; None where the signature is of other types."""
    operators = [made for operator in application.overloads if (made := _declared(operator.declaration)) is not None]
    return Application(tuple(operators), application.given) if operators else None


@lru_cache(maxsize=256)
def _declared(declaration: s.OpDecl) -> Operator | None:
    given, made = _on_image(declaration.input), _on_image(declaration.output)
    if given is None or made is None or declaration.body is None:
        return None
    new = replace(declaration, name=f"{declaration.name}_channels", input=given, output=made)
    try:
        grammar = declared_grammar(Source("channels", f"ein 1\n{_KIND}\n{print_statement(new)}\n"))
    except EinError:
        return None
    return grammar.operators[new.name][0]


def _on_image(type: s.Type) -> s.Type | None:
    match type:
        case s.KindType("any" | "seq", (_, s.Name() as features)):
            return s.KindType("im", (features, *_SPOTS))
        case s.BundleType(members):
            types = [_on_image(member.type) for member in members]
            pairs = zip(members, types, strict=True)
            found = tuple(replace(member, type=type) for member, type in pairs if type is not None)
            return s.BundleType(found) if len(found) == len(members) else None
        case s.PowerType(base, count):
            one = _on_image(base)
            return None if one is None else s.PowerType(one, count)
        case _:
            return None
