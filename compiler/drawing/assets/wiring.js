// Wires cut at the borders of frames: each level (the top, or an open frame) gets edges between what stands in it and
// the ports where wires pass its border. Edges of one value that go the same way are one edge.

function newLevel(view) {
  return { view, views: view ? view.inner : [], edges: new Map(), ports: new Map() };
}

// Levels by view (null: the top), outermost first; each wire gets `path`, its edges in order. A level directs its edges
// before the levels inside get their ports, which stand on the side that the edge comes from.
function cutWires(seen) {
  const levels = new Map([[null, newLevel(null)]]);
  levels.get(null).views = seen.top;
  for (const view of seen.views) if (view.inner.length) levels.set(view, newLevel(view));
  nameTexts(seen.wires);
  for (const wire of seen.wires) {
    if (wire.source === wire.target) wire.source.loops.push(wire);
    else addAcross(levels, wire);
  }
  for (const level of levels.values()) {
    directEdges(level);
    passInside(levels, level);
  }
  return levels;
}

// A text that all wires of a view share stands once, where they leave it; others get a place of their own.
function nameTexts(wires) {
  const texts = new Map();
  for (const { source, text } of wires) texts.set(source, (texts.get(source) ?? new Set()).add(text));
  for (const wire of wires) {
    const shared = texts.get(wire.source).size === 1 && wire.row === null;
    if (shared) wire.source.outText = cut(wire.text, 44);
    wire.ownText = shared || wire.source === wire.target ? "" : cut(wire.text, 44);
    wire.key = `${wire.source.id} ${wire.row} ${wire.ownText}`;
    wire.path = [];
  }
}

function chain(view) {
  const found = [];
  for (let at = view; at; at = at.up) found.unshift(at);
  return found;
}

function addAcross(levels, wire) {
  const from = chain(wire.source), to = chain(wire.target);
  let depth = 0;
  while (from[depth] === to[depth]) depth++;
  Object.assign(wire, { from, to, depth });
  const level = levels.get(from[depth].up);
  addEdge(level, wire, from[depth], to[depth], depth === from.length - 1);
}

function addEdge(level, wire, a, b, first) {
  const key = `${wire.key}|${a.id}|${b.id}`;
  let edge = level.edges.get(key);
  if (!edge) {
    edge = { key, value: wire.key, a, b, row: first ? wire.row : null, text: first ? wire.ownText : "", flipped: false, wires: [] };
    level.edges.set(key, edge);
  }
  edge.wires.push(wire);
  wire.path.push(edge);
}

function passInside(levels, level) {
  for (const edge of level.edges.values()) {
    for (const wire of edge.wires) {
      if (levels.has(edge.a)) addOut(levels, edge, wire);
      if (levels.has(edge.b)) addIn(levels, edge, wire);
    }
  }
}

function port(level, kind, value, side) {
  const key = `${kind} ${side} ${value}`;
  if (!level.ports.has(key)) level.ports.set(key, { id: `${level.view.id} ${key}`, kind, side, port: true });
  return level.ports.get(key);
}

function addOut(levels, edge, wire) {
  const level = levels.get(edge.a), out = port(level, "out", wire.key, edge.flipped ? "top" : "bottom");
  const inner = wire.from[wire.from.indexOf(edge.a) + 1];
  edge.aPort = out;
  const before = wire.path.indexOf(edge), path = wire.path;
  addEdge(level, wire, inner, out, inner === wire.source);
  path.splice(before, 0, path.pop());
}

function addIn(levels, edge, wire) {
  const level = levels.get(edge.b), into = port(level, "in", wire.key, edge.flipped ? "bottom" : "top");
  edge.bPort = into;
  addEdge(level, wire, into, wire.to[wire.to.indexOf(edge.b) + 1], false);
}
