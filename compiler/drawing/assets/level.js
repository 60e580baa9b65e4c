// One level laid out: extents of its nodes, where wires meet them, rows along the main direction, its size.
// "Across" and "along" are x and y for TB, y and x for LR.

const NEAR = 14, LABEL = 13, CARDS = 6;

// `turned` for LR. Sizes of open frames inside are known (`view.across`, `view.along`).
function layLevel(level, turned, tree) {
  rankLevel(level, tree);
  for (const node of level.nodes) setExtents(node, turned);
  orderLevel(level, tree);
  setOffsets(level, turned);
  if (level.nodes.length) alignLevel(level), straightenLevel(level);
  setRows(level, turned && tree);
}

function setExtents(node, turned) {
  const view = node.one;
  if (!view) return setDummy(node, turned);
  if (view.port) return Object.assign(node, { left: 1, right: 1, gap: 5, along: 0, body: 0 });
  if (view.inner.length) return Object.assign(node, { left: view.across / 2, right: view.across / 2, gap: 11, along: view.along + under(view), body: view.along });
  const [across, along] = turned ? [view.h, view.w] : [view.w, view.h];
  const text = view.outText ? textWidth(view.outText, SMALL) + 6 : 0;
  const side = across / 2, columns = turned ? 0 : columnsOf(view) * 6;
  const right = Math.max(side + (view.loops.length ? 24 : 0) + (columns ? columns + 8 : 0) + (view.run ? CARDS : 0), turned ? 0 : text + 2);
  Object.assign(node, { left: turned ? Math.max(side, text ? LABEL + 2 : 0) : side, right, gap: 9, body: along });
  node.along = along + under(view) + (text ? (turned ? text + 6 : LABEL) : 0);
}

// What stands out below or behind a view: the cards of a run, the name of one on a circle.
function under(view) {
  return view.run ? (view.round ? 16 : CARDS) : 0;
}

function setDummy(node, turned) {
  if (!node.text) return Object.assign(node, { left: 1, right: 1, gap: 6, along: 0, body: 0 });
  const text = textWidth(node.text, SMALL) + 6;
  Object.assign(node, turned ? { left: LABEL, right: 2, along: text + 6 } : { left: 2, right: text + 3, along: LABEL }, { gap: 5 });
  node.body = node.along;
}

function columnsOf(view) {
  return view.item.rows.length ? view.item.rows.length : 0;
}

// Where segments meet nodes, from the middle of each.
function setOffsets(level, turned) {
  for (const node of level.nodes) {
    if (node.one?.inner?.length) {
      for (const one of node.ups) one.lowOff = (one.edge.flipped ? one.edge.aPort : one.edge.bPort).across;
      for (const one of node.downs) one.upOff = (one.edge.flipped ? one.edge.bPort : one.edge.aPort).across;
    } else if (node.one && !node.one.port) {
      spreadIns(node, turned);
      for (const one of node.downs) one.upOff = one.edge.flipped ? (turned ? 1 : -1) * Math.max(0, half(node.one, turned) - 9) : rowOffset(node.one, one.edge, turned);
    }
  }
}

function half(view, turned) {
  return (turned ? view.h : view.w) / 2;
}

// The wire that comes straight from the row above meets the middle, others stand beside it in their order.
function spreadIns(node, turned) {
  const ins = [...node.ups].sort((a, b) => a.up.at - b.up.at || a.upOff - b.upOff);
  const main = ins.filter((one) => one.main), direct = ins.filter((one) => one.up.one);
  const middle = main.length === 1 ? ins.indexOf(main[0]) : direct.length === 1 ? ins.indexOf(direct[0]) : (ins.length - 1) / 2;
  const widest = Math.max(middle, ins.length - 1 - middle), room = half(node.one, turned) - 8;
  const step = node.one.round ? 0 : Math.min(NEAR, room / Math.max(1, widest));
  ins.forEach((one, at) => (one.lowOff = (at - middle) * step));
  for (const one of ins) if (one.edge.flipped) one.lowOff = rowOffset(node.one, one.edge, turned);
}

// Wires of a row leave to the side of their box and go on in a column there; for LR they leave straight.
function rowOffset(view, edge, turned) {
  if (edge.row === null || !view.rows?.[edge.row] || edge.a !== view) return 0;
  const row = view.rows[edge.row];
  return turned ? row.y : view.w / 2 + 8 + 6 * (view.rows.length - 1 - edge.row);
}

// Rows one below another, with gaps that grow with how far their wires have to go across. `flush`: nodes begin where
// their row does, else they stand in its middle.
function setRows(level, flush) {
  let along = 0;
  level.rows = level.layers.map((layer, rank) => {
    const size = Math.max(0, ...layer.map((node) => node.along));
    if (rank > 0) along += gapAbove(layer, level.layers[rank - 1]);
    const row = { start: along, end: along + size };
    for (const node of layer) if (node.one?.round) node.one.free = freeSides(layer, node);
    for (const node of layer) node.start = along + (flush ? 0 : (size - node.along) / 2);
    along += size;
    return row;
  });
  level.length = along;
  level.low = level.nodes.length ? Math.min(...level.nodes.map((node) => node.x - node.left)) : 0;
  level.high = level.nodes.length ? Math.max(...level.nodes.map((node) => node.x + node.right)) : 0;
}

// How far from the middle of a node its neighbours begin.
function freeSides(layer, node) {
  const before = layer[node.at - 1], after = layer[node.at + 1];
  return [before ? node.x - before.x - before.right : Infinity, after ? after.x - after.left - node.x : Infinity];
}

function gapAbove(layer, above) {
  const shifts = layer.flatMap((node) => node.ups.map((one) => Math.abs(one.up.x + one.upOff - node.x - one.lowOff)));
  const far = Math.max(0, ...shifts), ports = [...layer, ...above].some((node) => node.one?.port);
  return (ports ? 13 : 20) + (far > 1 ? Math.min(44, 8 + far * 0.1) : 0);
}
