"""What is likely meant by a form that cannot stand where a term is expected."""

from __future__ import annotations

from ein.grammar.foreign import COMMENTS, JOINED
from ein.grammar.notation import syntax as s


def term_meant(expr: s.Expr) -> str:
    """The help for a form that is no term; empty where nothing is known."""
    match expr:
        case s.Binary(">", _, right) if not isinstance(right, s.Number):
            return JOINED
        case s.Binary(">" | "<" | ">=" | "<=" | "==" | "!="):
            return "conditions are joined with `and` and `or`"
        case s.Binary("//"):
            return COMMENTS
        case s.Binary("+", left, right):
            return f"sums are taken of branches: `clone(2) >> ({written(left, 'a')} & {written(right, 'b')}) >> add`"
        case s.ChoiceSet():
            return "a choice between terms is written `(a | b)`"
    return ""


def written(expr: s.Expr, other: str) -> str:
    """The form as it is written, or `other` in its place where that is long or would need parentheses."""
    text = expr.span.text
    is_one = isinstance(expr, s.Name | s.Call | s.Camel)
    return text if is_one and len(text) <= 20 and text.isprintable() else other


class LetNames:
    """The names that the `let` of a rule bind, and what to do where one is used and does not hold."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[s.LetBinder, int]] = {}
        self.reading: dict[int, int] = {}

    def read(self, binder: s.LetBinder, index: int) -> None:
        """The value of this binding is read next: it and those behind it are not named yet."""
        if not index:
            for i, binding in enumerate(binder.bindings):
                self.places.update((name, (binder, i)) for name in binding.names)
        self.reading[id(binder)] = index

    def over(self, binder: s.LetBinder) -> None:
        """The value is read."""
        self.reading.pop(id(binder), None)

    def advice(self, name: str) -> str:
        """Empty where no `let` binds the name."""
        if name not in self.places:
            return ""
        binder, place = self.places[name]
        now = self.reading.get(id(binder), len(binder.bindings))
        if place > now:
            return f"`{name}` is named later; put it before `{binder.bindings[now].names[0]}`"
        if place == now:
            return f"`{name}` is named by this line, and holds behind it"
        return f"`{name}` is named by a `let` of this rule, and holds only inside of it"
