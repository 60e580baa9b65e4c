"""Copies: uses of one operator that differ only in their weights and inputs are computed at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ein.compiler.copies import RULES, parts
from ein.compiler.copying import Layout
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.memo import per_body
from ein.compiler.nodes import Scope, Use
from ein.compiler.passes.batched import Batched, Made, Memory, Source, concatenation, moves
from ein.compiler.passes.packs import Chunks, Group, Operand, Pack, Shared, Whole, find_packs
from ein.compiler.passes.pays import MARGIN, gain, join_gain
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.weights import Moved
from ein.grammar.bodies.tensors import Body
from ein.grammar.types import Bundle, Tensor

_PARTS, _WHOLE = ".parts", ".whole"
"""Ends of the keys of what this pass adds to cut tensors up and to lay them together; no other key has a dot."""

_COPIED = {"input", "weight", "buffer", "number", "range", *RULES}


def batch_copies(graph: OpGraph) -> Rewritten:
    """Uses of one operator side by side, and what follows them, as one use for all of them.

        x -> f -> g -\\
        x -> f -> g --> add -> y
        x -> f -> g -/
        -->
        x -> f ^ 3 shared -> g ^ 3 -> add of 3 -> y

    Keeps: every other node; a tensor that something else reads is cut out of the whole.
    Needs: equal applications to inputs of equal types that are made alike, each with weights of its own; the uses
    read one tensor, or each its part of one, or each its own result of others that are computed at once. And it has
    to pay: see `ein.compiler.passes.pays`. A sum or a concatenation of all of them is one step then.
    Exact: the same sums, in which torch may add in another order. The weights are laid side by side, and fresh ones
    start from the same distributions.

    Copies within copies are batched from the inside out, one depth in each round.
    """
    found = Rewritten(graph)
    memory = Memory()
    while True:
        after = _Round(found.graph, memory).run()
        if after.graph is found.graph:
            return found
        found = Rewritten(after.graph, found.weights + after.weights)


@per_body
def _is_copied(body: Body) -> bool:
    return not body.starts and all(step.op in _COPIED for step in body.steps)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a pack becomes, and what it reads: None is what its members read apart."""

    batched: Batched
    groups: tuple[Group | None, ...]
    apart: int


class _Round:
    def __init__(self, graph: OpGraph, memory: Memory) -> None:
        self.graph = graph
        self.memory = memory
        self.keys = Counter([node.key for _, node in graph.uses()])
        self.packs = find_packs(graph, self._may)
        self.plans: dict[int, _Plan] = {}
        self.whole: dict[tuple[int, int], Port] = {}
        """Where the results of a pack are, by its index and the number of the result."""
        self.moves: dict[str, Moved] = {}

    def _may(self, number: int, node: Use) -> bool:
        body = node.applied.body
        if node.ties or not _is_copied(body):
            return False
        if node.key.endswith(_WHOLE):
            return False
        if isinstance(node.applied.input, Bundle) and any(isinstance(m, Bundle) for m in node.applied.input.members):
            return False
        return self.keys[node.key] == 1 or not node.weights

    def run(self) -> Rewritten:
        self._choose()
        if not self.plans:
            return Rewritten(self.graph)
        draft = self.graph.draft()
        cuts = [cut for index, plan in self.plans.items() for cut in self._put(draft, index, plan)]
        for number, layout in cuts:
            self._join(draft, number, layout)
        draft.remove_unused()
        return Rewritten(draft.done(), (self.moves,) if self.moves else ())

    # --- what pays

    def _choose(self) -> None:
        """Of packs that hang together all, where that pays; else those that pay by themselves, if together they do."""
        self._add(self._planned(range(len(self.packs)), hopeful=True))
        self._add(self._planned([index for index in range(len(self.packs)) if index not in self.plans], hopeful=False))
        self.plans = dict(sorted(self.plans.items()))

    def _add(self, plans: dict[int, _Plan]) -> None:
        """Those whose region pays. What only cuts tensors up is no reason: it would be cut up another way."""
        regions = _regions(plans)
        read = {group[1] for plan in plans.values() for group in plan.groups if group is not None}
        total: dict[int, float] = defaultdict(float)
        for index, plan in plans.items():
            total[regions[index]] += self._gain(index, plan, index in read)
        computes = {regions[index] for index, plan in plans.items() if parts(plan.batched.one) is None}
        good = {region for region in computes if total[region] > MARGIN}
        self.plans |= {index: plan for index, plan in plans.items() if regions[index] in good}

    def _gain(self, index: int, plan: _Plan, read: bool) -> float:
        count = len(self.packs[index].members)
        join = self._joined(self.packs[index], plan.batched)
        elsewhere = read or join is not None or not self._is_gathered(self.packs[index])
        found = gain(plan.batched, count, plan.apart, elsewhere)
        return found if join is None else found + join_gain(count, plan.batched, join[1].body)

    def _is_gathered(self, pack: Pack) -> bool:
        """Whether one node reads the results of all."""
        return len({port.node for member in pack.members for _, port in self.graph.targets(member)}) == 1

    def _joined(self, pack: Pack, batched: Batched) -> Made | None:
        """What a node that reads the results of all, and nothing else, becomes if it can read them as one."""
        readers = {port.node for _, port in self.graph.targets(pack.members[0])}
        layout = batched.copies.results[0]
        for reader in readers if layout is not None else ():
            node = self.graph.node(reader)
            if isinstance(node, Use) and [s.node for s in self.graph.sources(reader)] == list(pack.members):
                source = Source(batched.outputs[0], layout)
                return self.memory.join(node, len(pack.members), source)
        return None

    def _planned(self, indices: Sequence[int], hopeful: bool) -> dict[int, _Plan]:
        """`hopeful`: also what costs more than it brings."""
        plans: dict[int, _Plan] = {}
        for index in indices:
            plan = self._plan(self.packs[index], plans)
            if plan is not None and (hopeful or self._gain(index, plan, read=False) > 0):
                plans[index] = plan
        return plans

    def _plan(self, pack: Pack, plans: dict[int, _Plan]) -> _Plan | None:
        use = self.graph.node(pack.members[0])
        assert isinstance(use, Use)
        chunk = next((operand.size for operand in pack.operands if isinstance(operand, Chunks)), 0)
        groups = tuple(self._readable(operand, plans) for operand in pack.operands)
        if chunk and groups[0] is None:
            return None
        sources = []
        for at, (operand, group) in enumerate(zip(pack.operands, groups, strict=True)):
            source = self._source(pack, at, operand, group, plans)
            if source is None:
                return None
            sources.append(source)
        batched = self.memory.batch(use, len(pack.members), tuple(sources), chunk)
        apart = sum(not isinstance(o, Shared) and group is None for o, group in zip(pack.operands, groups, strict=True))
        return None if batched is None else _Plan(batched, groups, apart)

    def _readable(self, operand: Operand, plans: dict[int, _Plan]) -> Group | None:
        """The group, unless it is that of a pack that stays as it is."""
        if not isinstance(operand, Whole | Chunks):
            return None
        kind, index, _ = operand.group
        return operand.group if kind == "parts" or index in plans else None

    def _source(
        self, pack: Pack, at: int, operand: Operand, group: Group | None, plans: dict[int, _Plan]
    ) -> Source | None:
        """The type that the pack reads at an input, with the layout of the copies there."""
        if isinstance(operand, Shared):
            return Source(self.graph.type(self.graph.sources(pack.members[0])[at]), None)
        if group is None:
            ports = [self.graph.sources(member)[at] for member in pack.members]
            found = concatenation([self.graph.type(port) for port in ports])
            return None if found is None else found[1]
        kind, index, result = group
        if kind == "pack":
            batched = plans[index].batched
            layout = batched.copies.results[result]
            return Source(batched.outputs[result], layout)
        return Source(self.graph.type(self.graph.sources(index)[0]), self.memory.parts(self.graph, index))

    # --- the graph

    def _put(self, draft: Draft, index: int, plan: _Plan) -> list[tuple[int, Layout]]:
        """Adds the use for all members, and takes these out; the nodes that cut their results apart."""
        pack = self.packs[index]
        members = [node for number in pack.members if isinstance(node := draft.node(number), Use)]
        path = _common([node.path for node in members])
        key, span = members[0].key, members[0].span
        ports = [
            self._port(draft, pack, at, operand, group)
            for at, (operand, group) in enumerate(zip(pack.operands, plan.groups, strict=True))
        ]
        batched = plan.batched
        number = draft.add(Use(batched.application, batched.applied, key, span, path), ports)
        cuts: list[tuple[int, Layout]] = []
        for at, layout in enumerate(batched.copies.results):
            assert layout is not None
            self.whole[index, at] = Port(number, at)
            cut = self.memory.cut(batched.outputs[at], len(members), layout)
            cuts.append((draft.add(Use(*cut, f"{key}{_PARTS}", span, path), [Port(number, at)]), layout))
        for place, member in enumerate(pack.members):
            draft.bypass(member, [Port(cut_, place) for cut_, _ in cuts])
        self.moves |= moves(batched, key, members)
        return cuts

    def _port(self, draft: Draft, pack: Pack, at: int, operand: Operand, group: Group | None) -> Port:
        if isinstance(operand, Shared):
            return draft.sources(pack.members[0])[at]
        if group is None:
            return self._concatenated(draft, [draft.sources(member)[at] for member in pack.members])
        kind, index, result = group
        return self.whole[index, result] if kind == "pack" else draft.sources(index)[0]

    def _concatenated(self, draft: Draft, ports: Sequence[Port]) -> Port:
        found = concatenation([draft.node(port.node).outputs[port.port] for port in ports])
        assert found is not None
        first = draft.node(ports[0].node)
        key = first.key if isinstance(first, Use) else "input"
        return Port(draft.add(Use(*found[0], f"{key}{_WHOLE}"), ports), 0)

    def _join(self, draft: Draft, cut: int, layout: Layout) -> None:
        """What reads all parts of a whole, and nothing else, reads the whole."""
        (whole,) = draft.sources(cut)
        count = len(draft.node(cut).outputs)
        type = draft.node(whole.node).outputs[whole.port]
        for reader in sorted({port.node for _, port in draft.targets(cut)}):
            node = draft.node(reader)
            if not isinstance(node, Use) or draft.sources(reader) != tuple(Port(cut, i) for i in range(count)):
                continue
            found = self.memory.join(node, count, Source(type, layout))
            if found is not None:
                self._replace(draft, reader, Use(*found, node.key, node.span, node.path), whole, type)

    def _replace(self, draft: Draft, reader: int, use: Use, whole: Port, type: Tensor) -> None:
        same = len(use.applied.body.steps) == 1 and use.outputs[0].kind == type.kind
        if same:
            draft.bypass(reader, [whole])
        else:
            draft.replace(reader, use, [whole])


def _regions(plans: dict[int, _Plan]) -> dict[int, int]:
    """For each pack the first of those that hang together with it."""
    first = {index: index for index in plans}

    def root(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = first[index]
        return index

    for index, plan in plans.items():
        for group in plan.groups:
            if group is not None and group[0] == "pack":
                one, other = sorted((root(index), root(group[1])))
                first[other] = one
    return {index: root(index) for index in plans}


def _common(paths: Sequence[tuple[Scope, ...]]) -> tuple[Scope, ...]:
    """The scopes that all are in."""
    found = []
    for scopes in zip(*paths, strict=False):
        if any(scope is not scopes[0] for scope in scopes):
            break
        found.append(scopes[0])
    return tuple(found)
