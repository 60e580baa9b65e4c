// After the alignment: chains of dummies, and boxes with one wire in and one out, move to where more of their wires are
// straight, if there is room.

function straightenLevel(level) {
  const units = unitsOf(level);
  for (let round = 0; round < 3; round++) {
    let moved = false;
    for (const unit of units) moved = moveUnit(level, unit) || moved;
    if (!moved) return;
  }
}

function unitsOf(level) {
  const seen = new Set(), units = [];
  for (const node of level.layers.flat()) {
    if (seen.has(node)) continue;
    const unit = [node];
    if (!node.one) {
      for (let last = node; last.downs.length === 1 && !last.downs[0].low.one && last.downs[0].low.ups.length === 1; ) unit.push((last = last.downs[0].low));
    } else if (node.ups.length > 1 || node.downs.length > 1 || node.one.port) continue;
    for (const one of unit) seen.add(one);
    units.push(unit);
  }
  return units;
}

function moveUnit(level, unit) {
  const first = unit[0], last = unit[unit.length - 1];
  const by = [...first.ups.map((one) => shiftAbove(one)), ...last.downs.map((one) => shiftBelow(one))];
  const straight = (shift) => by.filter((one) => Math.abs(one - shift) < 0.05).length;
  const choices = by.filter((shift) => straight(shift) > straight(0)).sort((a, b) => straight(b) - straight(a) || Math.abs(a) - Math.abs(b) || a - b);
  const shift = choices.find((one) => unit.every((node) => fits(level, node, one)));
  if (shift === undefined) return false;
  for (const node of unit) node.x += shift;
  return true;
}

// How far the lower end would have to move for the segment to be straight, and how far the upper one.
function shiftAbove(one) {
  return one.up.x + one.upOff - one.low.x - one.lowOff;
}

function shiftBelow(one) {
  return -shiftAbove(one);
}

function fits(level, node, shift) {
  const layer = level.layers[node.rank], before = layer[node.at - 1], after = layer[node.at + 1], x = node.x + shift;
  return (!before || x - before.x >= apart(before, node, 1) - 0.01) && (!after || after.x - x >= apart(node, after, 1) - 0.01);
}
