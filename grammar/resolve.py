"""Numbers, conditions and types with every name in them replaced by what it stands for."""

from __future__ import annotations

from dataclasses import replace

from ein.grammar.diagnostics import EinError, Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import FUNCTIONS, Choices, Formula, Inapplicable, choices, formula, nearest, no_function
from ein.grammar.scopes import Closure, Context, Value, Variable

MAX_TERM = 100_000
"""Parts of all rules of a file after their macros are expanded."""


class Resolver:
    """Counts the parts of rules as they grow, now of the rule `owner`; names that it makes are unique in a file."""

    def __init__(self) -> None:
        self.owner = ""
        self.size = 0
        self.before = 0
        self.count = 0

    def begin(self, owner: str) -> None:
        self.owner, self.before = owner, self.size

    def grow(self, span: Span) -> None:
        """One part more. Raises E506, once: when there are too many, what follows is refused without a word."""
        self.size += 1
        if self.size > MAX_TERM + 1:
            raise EinError()
        if self.size > MAX_TERM:
            text = f"`{self.owner}` has more than {MAX_TERM:,} parts after its macros are expanded"
            if self.before:
                text = f"`{self.owner}` and what stands before it have more than {MAX_TERM:,} parts after expansion"
            raise fail("E506", text, span)

    def fresh(self, name: str) -> str:
        self.count += 1
        return f"{name}${self.count}"

    def formula(self, expr: s.Expr, context: Context) -> Formula:
        return formula(self.resolve(expr, context))

    def choices(self, expr: s.Expr, context: Context) -> Choices:
        """A choice set; one that needs no values from around it is tried at once."""
        compiled = choices(self.resolve(expr, context))
        if not compiled.names:
            try:
                compiled.evaluate({})
            except Inapplicable as error:
                raise fail("E207", error.reason, error.span or expr.span) from None
        return compiled

    def resolve(self, expr: s.Expr, context: Context) -> s.Expr:
        """The expression with every name replaced by what it stands for."""
        self.grow(expr.span)
        resolve = self.resolve
        match expr:
            case s.Number() | s.Percent() | s.String() | s.Boolean() | s.Name("rank"):
                return expr
            case s.Name(name):
                return self._name(name, expr, context)
            case s.Unary(operator, operand):
                return s.Unary(operator, resolve(operand, context), span=expr.span)
            case s.Binary(operator, left, right):
                return s.Binary(operator, resolve(left, context), resolve(right, context), span=expr.span)
            case s.Star(operand):
                return s.Star(resolve(operand, context), span=expr.span)
            case s.Call(function, arguments):
                if not isinstance(function, s.Name) or function.name not in FUNCTIONS:
                    raise no_function(expr)
                return s.Call(function, self._all(arguments, context), span=expr.span)
            case s.Group(items):
                return s.Group(self._all(items, context), span=expr.span)
            case s.ChoiceSet(items):
                return s.ChoiceSet(tuple(self._item(item, context) for item in items), span=expr.span)
            case s.Alternative(body, (), None, guard, otherwise) if guard is not None and otherwise is not None:
                parts = (resolve(body, context), resolve(guard, context), resolve(otherwise, context))
                return s.Alternative(parts[0], (), None, parts[1], parts[2], span=expr.span)
            case _:
                raise fail("E205", "a number or condition is expected here", expr.span)

    def _name(self, name: str, expr: s.Name, context: Context) -> s.Expr:
        meaning = context.names.get(name)
        match meaning:
            case Value(unique):
                return s.Name(unique, span=expr.span)
            case Closure(inner, outer):
                return self.resolve(inner, outer)
            case Variable():
                raise fail("E205", f"`{name}` is the value of a term, and a number is needed here", expr.span)
            case None:
                if name in context.scope.operators or name in context.scope.macros:
                    what = "an operator" if name in context.scope.operators else "a macro"
                    text = f"`{name}` is {what}, and a number is needed here"
                    help = "a parameter of a macro (`def`) can stand for a term, where the body uses it as one"
                    raise fail("E203", text, expr.span, help=help)
                known = {n for n in context.names if "$" not in n} | {"rank"}
                raise fail("E203", f"there is no value named `{name}` here", expr.span, help=nearest(name, known))

    def _all(self, arguments: tuple[s.Argument, ...], context: Context) -> tuple[s.Argument, ...]:
        return tuple(s.Argument(self.resolve(a.value, context), a.name, a.choice, span=a.span) for a in arguments)

    def _item(self, item: s.Item, context: Context) -> s.Item:
        def maybe(expr: s.Expr | None) -> s.Expr | None:
            return None if expr is None else self.resolve(expr, context)

        first = self.resolve(item.first, context)
        last, step = maybe(item.last), maybe(item.step)
        return s.Item(first, last, step, item.geometric, maybe(item.weight), span=item.span)

    def type(self, type: s.Type, context: Context) -> s.Type:
        match type:
            case s.KindType(kind, dims):
                return s.KindType(kind, tuple(self._dim(dim, context) for dim in dims), span=type.span)
            case s.TypeName(name):
                meaning = context.names.get(name)
                return s.TypeName(meaning.name if isinstance(meaning, Value) else name, span=type.span)
            case s.BundleType(members):
                return replace(type, members=tuple(replace(m, type=self.type(m.type, context)) for m in members))
            case s.PowerType(base, count):
                return s.PowerType(self.type(base, context), self.resolve(count, context), span=type.span)
            case s.Blank():
                return type

    def _dim(self, dim: s.Dim, context: Context) -> s.Dim:
        match dim:
            case s.EachDim(name):
                meaning = context.names.get(name)
                return s.EachDim(meaning.name if isinstance(meaning, Value) else name, span=dim.span)
            case s.Blank():
                return dim
            case _:
                return self.resolve(dim, context)
