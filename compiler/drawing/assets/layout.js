// The whole layout: frames from the inside out, then places from the outside in, then wires.

const RIM = 12;

// Sets x, y (the middle), w, h of each view, `points` of each wire; returns the size of all. `room` is the size of the
// screen where long chains may be broken into columns, or null.
function layOut(seen, direction, tree, room) {
  const turned = direction === "LR";
  for (const view of seen.views) {
    if (view.inner.length) measureHead(view);
    else measureLeaf(view);
  }
  const levels = cutWires(seen), all = [...levels.values()];
  for (const level of [...all].reverse()) {
    layLevel(level, turned, tree);
    if (level.view) sizeFrame(level, turned);
  }
  const top = levels.get(null);
  if (room && top.nodes.length && !tree) breakColumns(top, turned ? [room.height, room.width] : [room.width, room.height]);
  Object.assign(top, { across: -top.low, along: 0 });
  for (const level of all) placeLevel(level, levels, turned);
  for (const wire of seen.wires) wire.points = wirePoints(wire, levels, turned);
  const [across, along] = [top.high - top.low, top.length];
  return turned ? { width: along, height: across } : { width: across, height: along };
}

// The size of an open frame and its ports from its middle; for TB its name stands beside the wires that come in.
function sizeFrame(level, turned) {
  const { view } = level, ports = level.nodes.filter((node) => node.one?.port);
  let low = level.low - RIM, high = level.high + RIM;
  level.lead = turned ? RIM : HEAD + 3;
  if (turned) {
    low -= HEAD - 4;
    view.along = Math.max(level.length + 2 * RIM, view.headWidth + 8);
  } else {
    const ins = ports.filter((node) => node.one.side === "top").map((node) => node.x);
    const first = Math.min(high, ...ins), last = Math.max(low, ...ins), need = view.headWidth + 8;
    const grow = [need - (first - low), need - (high - last)];
    if (!ins.length) high = Math.max(high, low + need);
    else if (grow[0] <= 0 || grow[0] < grow[1]) low = Math.min(low, first - need);
    else [high, view.headAt] = [Math.max(high, last + need), last - low + 4];
    view.along = level.length + level.lead + RIM - 2;
  }
  view.across = high - low;
  const middle = (low + high) / 2;
  for (const node of ports) node.one.across = node.x - middle;
  view.shift = -low;
}

// Absolute places of all nodes, once that of the frame around them is known.
function placeLevel(level, levels, turned) {
  for (const node of level.nodes) {
    node.absAcross = level.across + node.x;
    node.absStart = level.along + node.start;
    if (!node.one || node.one.port) continue;
    const view = node.one, middle = node.absStart + node.body / 2;
    [view.x, view.y] = turned ? [middle, node.absAcross] : [node.absAcross, middle];
    const inside = levels.get(view);
    if (!inside) continue;
    [view.w, view.h] = turned ? [view.along, view.across] : [view.across, view.along];
    inside.across = node.absAcross - view.across / 2 + view.shift;
    inside.along = node.absStart + inside.lead;
  }
  level.rowsAt = level.rows.map(({ start, end, column }) => ({ start: start + level.along, end: end + level.along, column }));
}

// A wire as points [across, along], in its own direction, over all the levels that it passes.
function wirePoints(wire, levels, turned) {
  if (wire.source === wire.target) return [];
  const points = [];
  for (const edge of wire.path) {
    const found = edgePoints(edge, levels.get(levelOf(edge)));
    points.push(...(edge.flipped ? found.reverse() : found));
  }
  return points;
}

function levelOf(edge) {
  return edge.a.port ? edge.b.up : edge.a.up;
}

// From the upper end to the lower one: straight within rows, free to bend between them.
function edgePoints(edge, level) {
  const points = [];
  edge.segments.forEach((one, at) => {
    const [up, low] = [edge.route[at], edge.route[at + 1]];
    const from = up.absAcross + one.upOff, to = low.absAcross + one.lowOff;
    points.push([from, up.absStart + up.body], [from, level.rowsAt[up.rank].end]);
    if (level.rowsAt[up.rank].column !== level.rowsAt[low.rank].column) points.push(...turnPoints(level, from, to, up.rank, low.rank));
    points.push([to, level.rowsAt[low.rank].start], [to, low.absStart]);
    if (low.text) points.push([to, low.absStart + low.along]);
  });
  return points;
}
