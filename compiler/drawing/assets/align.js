// Places across, after Brandes and Köpf (Fast and simple horizontal coordinate assignment, 2001): four alignments, each
// leaning to one side, and for each node the mean of the middle two. Nodes have their own extents to both sides, and
// segments their own offsets at both ends, as in blocks that end at ports.

function alignLevel(level) {
  const barred = conflicts(level);
  const found = [true, false].flatMap((down) => [true, false].map((left) => placed(level, barred, down, left)));
  const spans = found.map((xs) => span(level, xs));
  const narrow = spans.reduce((best, one) => (one.right - one.left < best.right - best.left - 0.01 ? one : best));
  found.forEach((xs, at) => {
    const shift = at % 2 === 0 ? narrow.left - spans[at].left : narrow.right - spans[at].right;
    for (const node of level.nodes) xs.set(node, xs.get(node) + shift);
  });
  for (const node of level.nodes) {
    const sorted = found.map((xs) => xs.get(node)).sort((a, b) => a - b);
    node.x = Math.round((sorted[1] + sorted[2]) * 4) / 8;
  }
}

function span(level, xs) {
  let left = Infinity, right = -Infinity;
  for (const node of level.nodes) {
    left = Math.min(left, xs.get(node) - node.left);
    right = Math.max(right, xs.get(node) + node.right);
  }
  return { left, right };
}

// Segments that cross one between two dummies, or a main one: those stay straight.
function conflicts(level) {
  const barred = new Set(), strong = (one) => (one.main ? 2 : !one.up.one && !one.low.one ? 1 : 0);
  for (const layer of level.layers.slice(1)) {
    const all = layer.flatMap((node) => node.ups), firm = all.filter(strong);
    for (const one of firm) {
      for (const other of all) {
        const cross = (one.up.at - other.up.at) * (one.low.at - other.low.at) < 0;
        if (cross && strong(other) < strong(one)) barred.add(other);
      }
    }
  }
  for (const node of level.nodes) {
    for (const side of [node.downs, node.ups]) if (side.some((one) => one.main)) for (const one of side) if (!one.main) barred.add(one);
  }
  return barred;
}

function placed(level, barred, down, left) {
  const sign = left ? 1 : -1;
  let layers = level.layers.map((layer) => (left ? layer : [...layer].reverse()));
  if (!down) layers = layers.reverse();
  const places = new Map();
  for (const layer of layers) layer.forEach((node, at) => places.set(node, at));
  const { root, shift } = blocks(layers, places, barred, down, sign);
  const starts = compact(layers, root, shift, sign);
  return new Map(level.nodes.map((node) => [node, sign * (starts.get(root.get(node)) + shift.get(node))]));
}

// Each node's block, by the node that it begins at, and its place relative to that one.
function blocks(layers, places, barred, down, sign) {
  const root = new Map(), shift = new Map(), taken = new Set();
  for (const node of layers.flat()) root.set(node, node), shift.set(node, 0);
  for (const layer of layers) {
    let last = -1;
    for (const node of layer) {
      const free = (down ? node.ups : node.downs).filter((one) => !barred.has(one));
      const open = free.map((one) => ({ one, other: down ? one.up : one.low }));
      const end = ({ one }) => sign * (down ? one.upOff : one.lowOff);
      open.sort((a, b) => places.get(a.other) - places.get(b.other) || end(a) - end(b));
      for (const at of middle(open.length)) {
        const { one, other } = open[at], offset = sign * (down ? one.upOff - one.lowOff : one.lowOff - one.upOff);
        if (root.get(node) !== node || taken.has(other) || places.get(other) <= last) continue;
        taken.add(other);
        root.set(node, root.get(other));
        shift.set(node, shift.get(other) + offset);
        last = places.get(other);
      }
    }
  }
  return { root, shift };
}

function middle(count) {
  if (!count) return [];
  const low = Math.floor((count - 1) / 2), high = Math.ceil((count - 1) / 2);
  return low === high ? [low] : [low, high];
}

// Blocks as far to the left as their neighbours let them, then each as near to its right neighbours as it can be.
function compact(layers, root, shift, sign) {
  const gaps = new Map(), waits = new Map();
  for (const start of new Set(root.values())) gaps.set(start, []), waits.set(start, 0);
  for (const layer of layers) {
    for (let at = 0; at + 1 < layer.length; at++) {
      const [a, b] = [layer[at], layer[at + 1]], space = apart(a, b, sign) + shift.get(a) - shift.get(b);
      gaps.get(root.get(a)).push({ to: root.get(b), space });
      waits.set(root.get(b), waits.get(root.get(b)) + 1);
    }
  }
  const order = [...waits].filter(([, count]) => !count).map(([start]) => start), starts = new Map();
  for (const start of order) starts.set(start, 0);
  for (let at = 0; at < order.length; at++) {
    for (const { to, space } of gaps.get(order[at])) {
      starts.set(to, Math.max(starts.get(to) ?? -Infinity, starts.get(order[at]) + space));
      waits.set(to, waits.get(to) - 1);
      if (!waits.get(to)) order.push(to);
    }
  }
  for (const start of order.reverse()) {
    const room = Math.min(...gaps.get(start).map(({ to, space }) => starts.get(to) - space));
    if (Number.isFinite(room)) starts.set(start, Math.max(starts.get(start), room));
  }
  return starts;
}

function apart(a, b, sign) {
  const [before, after] = sign > 0 ? [a.right, b.left] : [a.left, b.right];
  return before + after + a.gap + b.gap;
}
