// The rank of each node of a level, and its edges as chains of one segment a rank.

// Marks edges that lead back (`flipped`): of a cycle, the one that a walk in order of the items meets last.
function directEdges(level) {
  const edges = [...level.edges.values()], outs = new Map(), targets = new Set();
  for (const edge of edges) {
    if (edge.a.port) edge.flipped = edge.a.side === "bottom";
    else if (edge.b.port) edge.flipped = edge.b.side === "top";
    else {
      outs.set(edge.a, [...(outs.get(edge.a) ?? []), edge]);
      targets.add(edge.b);
    }
  }
  const starts = [...level.views.filter((view) => !targets.has(view)), ...level.views];
  const open = new Set(), done = new Set();
  for (const start of starts) walkBack(start, outs, open, done);
}

function walkBack(start, outs, open, done) {
  const stack = done.has(start) ? [] : [[start, 0]];
  while (stack.length) {
    const top = stack[stack.length - 1], [view, at] = top, edge = (outs.get(view) ?? [])[at];
    open.add(view);
    top[1]++;
    if (!edge) {
      open.delete(view);
      done.add(view);
      stack.pop();
    } else if (open.has(edge.b)) edge.flipped = true;
    else if (!done.has(edge.b)) stack.push([edge.b, 0]);
  }
}

// Nodes {view | port | dummy | label, rank, ups, downs} and segments {up, low, main}, in `level.nodes`, `level.layers`.
function rankLevel(level, tree) {
  const nodes = new Map();
  for (const one of [...level.views, ...level.ports.values()]) {
    nodes.set(one, { one, rank: 0, ups: [], downs: [], before: [], after: [], depth: 1, height: 1 });
  }
  level.links = [...level.edges.values()].map((edge) => {
    const [up, low] = edge.flipped ? [nodes.get(edge.b), nodes.get(edge.a)] : [nodes.get(edge.a), nodes.get(edge.b)];
    const link = { edge, up, low, length: edge.text ? 2 : 1 };
    up.after.push(link);
    low.before.push(link);
    return link;
  });
  level.nodes = [...nodes.values()];
  setRanks(level);
  for (const link of level.links) link.main = !tree && isMain(link);
  level.layers = Array.from({ length: 1 + Math.max(-1, ...level.nodes.map((node) => node.rank)) }, () => []);
  chainLinks(level);
}

function setRanks(level) {
  const order = topological(level.nodes), first = [...level.ports.values()].some((port) => port.side === "top") ? 1 : 0;
  for (const node of order) {
    node.rank = Math.max(node.one.port ? 0 : first, ...node.before.map(({ up, length }) => up.rank + length));
    node.depth = 1 + Math.max(0, ...node.before.map(({ up }) => up.depth));
  }
  for (const node of [...order].reverse()) {
    node.height = 1 + Math.max(0, ...node.after.map(({ low }) => low.height));
    if (!node.before.length && node.after.length && !node.one.port) {
      node.rank = Math.min(...node.after.map(({ low, length }) => low.rank - length));
    }
  }
  const bottom = level.nodes.filter((node) => node.one.port && node.one.side === "bottom");
  const last = Math.max(0, ...level.nodes.filter((node) => !bottom.includes(node)).map((node) => node.rank));
  for (const node of bottom) node.rank = Math.max(last + 1, ...node.before.map(({ up, length }) => up.rank + length));
  const deepest = Math.max(0, ...bottom.map((node) => node.rank));
  for (const node of bottom) node.rank = deepest;
}

function topological(nodes) {
  const waits = new Map(nodes.map((node) => [node, node.before.length]));
  const order = nodes.filter((node) => !node.before.length);
  for (let at = 0; at < order.length; at++) {
    for (const { low } of order[at].after) {
      waits.set(low, waits.get(low) - 1);
      if (!waits.get(low)) order.push(low);
    }
  }
  return order;
}

// Whether a link is the one longest way on for both of its ends: those are drawn straight.
function isMain({ up, low }) {
  return up.after.every((other) => other.low === low || other.low.height < low.height)
    && low.before.every((other) => other.up === up || other.up.depth < up.depth);
}

// A dummy in each rank that a link passes. Links of one value share them, so that a skip to many places is one line.
function chainLinks(level) {
  const shared = new Map(), segments = new Map();
  for (const node of level.nodes) level.layers[node.rank].push(node);
  for (const link of level.links) {
    const { edge, up, low } = link, way = edge.flipped ? edge.key : edge.value;
    edge.route = [up];
    for (let rank = up.rank + 1; rank < low.rank; rank++) {
      const text = rank === up.rank + 1 ? edge.text : "";
      edge.route.push(sharedDummy(level, shared, `${up.one.id} ${way} ${rank}`, rank, text));
    }
    edge.route.push(low);
    edge.segments = edge.route.slice(1).map((to, at) => segment(segments, edge.route[at], to, link));
  }
}

function sharedDummy(level, shared, key, rank, text) {
  if (!shared.has(key)) {
    const node = { one: null, text, rank, ups: [], downs: [] };
    shared.set(key, node);
    level.nodes.push(node);
    level.layers[rank].push(node);
  }
  return shared.get(key);
}

function segment(segments, up, low, link) {
  const ofUp = segments.get(up) ?? segments.set(up, new Map()).get(up);
  const ends = up.one || low.one ? `${link.edge.value}` : "", known = (ofUp.get(low) ?? []).find((found) => found.ends === ends);
  if (known) {
    known.main ||= link.main;
    return known;
  }
  const made = { up, low, main: link.main, ends, edge: link.edge, upOff: 0, lowOff: 0 };
  ofUp.set(low, [...(ofUp.get(low) ?? []), made]);
  up.downs.push(made);
  low.ups.push(made);
  return made;
}
