// The order of nodes within ranks: that of the items first, then sweeps of barycentres while wires cross.

const SWEEPS = 16;

function orderLevel(level, tree) {
  firstOrder(level, tree);
  if (tree || level.layers.length < 2) return;
  let best = level.layers.map((layer) => [...layer]), fewest = crossings(level);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    sweepOnce(level, sweep % 2 === 0);
    swapNeighbours(level);
    const count = crossings(level);
    if (count < fewest) [best, fewest] = [level.layers.map((layer) => [...layer]), count];
  }
  level.layers = best;
  number(level);
}

function number(level) {
  for (const layer of level.layers) layer.forEach((node, at) => (node.at = at));
}

// As a walk from the top meets them: the main way first, skips last; for a tree as they come.
function firstOrder(level, tree) {
  const seen = new Set(), layers = level.layers.map(() => []);
  const weight = ({ main, low }) => (tree || main ? 0 : low.one ? 1 : 2);
  for (const start of level.layers.flat()) {
    const stack = seen.has(start) || start.ups.length ? [] : [start];
    while (stack.length) {
      const node = stack.pop();
      if (seen.has(node)) continue;
      seen.add(node);
      layers[node.rank].push(node);
      const next = node.downs.map((found, at) => [weight(found), at, found.low]);
      next.sort((a, b) => b[0] - a[0] || b[1] - a[1]);
      stack.push(...next.map(([, , low]) => low));
    }
  }
  level.layers = layers;
  number(level);
}

function sweepOnce(level, down) {
  const layers = down ? level.layers : [...level.layers].reverse();
  for (const layer of layers.slice(1)) {
    const centre = new Map(layer.map((node) => [node, barycentre(node, down)]));
    layer.sort((a, b) => centre.get(a) - centre.get(b) || a.at - b.at);
    layer.forEach((node, at) => (node.at = at));
  }
}

function barycentre(node, down) {
  const found = down ? node.ups.map(({ up }) => up.at) : node.downs.map(({ low }) => low.at);
  return found.length ? sum(found) / found.length : node.at;
}

function swapNeighbours(level) {
  for (const layer of level.layers) {
    if (layer.length > 60) continue;
    for (let at = 0; at + 1 < layer.length; at++) {
      const [a, b] = [layer[at], layer[at + 1]];
      if (pairCrossings(a, b) <= pairCrossings(b, a)) continue;
      [layer[at], layer[at + 1]] = [b, a];
      [a.at, b.at] = [at + 1, at];
    }
  }
}

// Of the segments of two nodes of a rank, if `left` stands left of `right`.
function pairCrossings(left, right) {
  let count = 0;
  for (const { up } of left.ups) for (const other of right.ups) if (up.at > other.up.at) count++;
  for (const { low } of left.downs) for (const other of right.downs) if (low.at > other.low.at) count++;
  return count;
}

function crossings(level) {
  return sum(level.layers.slice(1).map((layer, rank) => crossingsAbove(layer, level.layers[rank].length)));
}

// Inversions among the segments above a layer, with a tree of counts.
function crossingsAbove(layer, width) {
  const counts = new Array(width + 1).fill(0);
  let total = 0, added = 0;
  for (const node of layer) {
    for (const { up } of node.ups) {
      let upTo = 0;
      for (let at = up.at + 1; at > 0; at -= at & -at) upTo += counts[at];
      total += added - upTo;
    }
    for (const { up } of node.ups) {
      added++;
      for (let at = up.at + 1; at <= width; at += at & -at) counts[at]++;
    }
  }
  return total;
}
