// Wires as SVG paths: straight runs, and curves that leave and arrive along the main direction.

const HEAD_LENGTH = 6.5, HEAD_HALF = 3.2;

// {line, tip, turn}: the path through all or the last of the points of a wire, and where its arrow head points to, with its direction as a unit vector. Without a
// head the line goes all the way.
function wirePath(wire, way, turned, headed) {
  const flip = ([across, along]) => (turned ? [along, across] : [across, along]);
  if (wire.source === wire.target) return loopPath(wire.source, turned);
  const points = tidy(way), start = way === wire.points && rowStart(wire, points, turned), target = wire.target;
  let line = start ? start.line : `M${at(flip(points[0]))}`;
  const rest = start ? points.slice(start.skip) : points;
  const round = target.round && rest.length > 1 && roundEnd(target, rest, turned);
  const end = round ? rest.length - round.used : rest.length;
  for (let i = 1; i < end; i++) line += bend(rest[i - 1], i === rest.length - 1 && headed ? shortened(rest) : rest[i], rest[i + 1], flip);
  if (round) return { line: line + round.line(flip), tip: flip(round.tip), turn: flip(round.turn) };
  const [before, last] = rest.slice(-2);
  return { line, tip: flip(last), turn: flip([0, Math.sign(last[1] - before[1]) || 1]) };
}

// Without points that change nothing.
function tidy(points) {
  const kept = [];
  for (const point of points) {
    const [a, b] = kept.slice(-2);
    if (b && Math.abs(b[0] - point[0]) < 0.05 && Math.abs(b[1] - point[1]) < 0.05) continue;
    const straight = b && Math.abs(a[0] - b[0]) < 0.05 && Math.abs(b[0] - point[0]) < 0.05;
    if (straight && Math.sign(b[1] - a[1]) === Math.sign(point[1] - b[1])) kept.pop();
    kept.push(point);
  }
  return kept;
}

function bend([x1, y1], [x2, y2, corner], next, flip) {
  if (corner && next) {
    const into = toward([x2, y2], [x1, y1]), out = toward([x2, y2], next);
    return `L${at(flip(into))}Q${at(flip([x2, y2]))} ${at(flip(out))}`;
  }
  if (Math.abs(x1 - x2) < 0.05) return `L${at(flip([x2, y2]))}`;
  const middle = (y1 + y2) / 2;
  return `C${at(flip([x1, middle]))} ${at(flip([x2, middle]))} ${at(flip([x2, y2]))}`;
}

// The point a little way from the first to the second: where the rounding of a corner begins.
function toward([x, y], [toX, toY]) {
  const far = Math.hypot(toX - x, toY - y) || 1, by = Math.min(7, far / 2) / far;
  return [x + (toX - x) * by, y + (toY - y) * by];
}

function shortened(points) {
  const [before, last] = points.slice(-2), way = Math.sign(last[1] - before[1]) || 1;
  return [last[0], last[1] - way * (HEAD_LENGTH - 1)];
}

// The end at a circle that a wire reaches from the side, where nothing stands between: towards its middle, so that two
// heads do not meet.
function roundEnd(target, points, turned) {
  const [cross, along] = turned ? [target.y, target.x] : [target.x, target.y];
  const last = points[points.length - 1], before = points[points.length - 2];
  const used = Math.abs(before[0] - last[0]) < 0.05 ? 3 : 2, from = points[points.length - used];
  if (!from || from[2] || Math.abs(from[0] - last[0]) < 2 || (used === 3 && Math.abs(before[1] - last[1]) > 14)) return null;
  if (Math.abs(from[0] - cross) > target.free[from[0] < cross ? 0 : 1]) return null;
  const way = Math.sign(last[1] - from[1]);
  if (way < 0 && target.outText) return null;
  const side = Math.sign(from[0] - cross), radius = target.w / 2;
  const turn = [-side * Math.sin(1), way * Math.cos(1)];
  const out = (reach) => [cross - turn[0] * reach, along - turn[1] * reach];
  const tip = out(radius), base = out(radius + HEAD_LENGTH - 1), hand = out(radius + 16);
  const line = (flip) => `C${at(flip([from[0], from[1] + 0.7 * (hand[1] - from[1])]))} ${at(flip(hand))} ${at(flip(base))}`;
  return { used: used - 1, line, tip, turn };
}

// Of a wire that leaves from a row to the side of its box (TB): out, and round into its column.
function rowStart(wire, points, turned) {
  const row = wire.row === null ? null : wire.source.rows?.[wire.row];
  if (!row || turned) return null;
  const { source } = wire, y = source.y + row.y, column = points[0][0], way = Math.sign(points[1][1] - points[0][1]);
  return { skip: 0, line: `M${at([source.x + source.w / 2, y])}L${at([column - 5, y])}Q${at([column, y])} ${at([column, y + way * 5])}L${at(points[0])}` };
}

// From a box to itself: beside it for TB, below it for LR, where no other wire is.
function loopPath(view, turned) {
  if (turned) {
    const x = view.x + view.w / 2 - 18, y = view.y + view.h / 2;
    return { line: `M${at([x, y])}c2,24 -26,24 -24,5`, tip: [x - 24, y], turn: [0, -1] };
  }
  const x = view.x + view.w / 2, y = view.y;
  return { line: `M${at([x, y + 12])}c24,2 24,-26 5,-24`, tip: [x, y - 12], turn: [-1, 0] };
}

function at([x, y]) {
  return `${round2(x)},${round2(y)}`;
}

function round2(number) {
  return Math.round(number * 100) / 100;
}

function headPath([x, y], [dx, dy]) {
  const base = [x - dx * HEAD_LENGTH, y - dy * HEAD_LENGTH];
  return `M${at([x, y])}L${at([base[0] - dy * HEAD_HALF, base[1] + dx * HEAD_HALF])}L${at([base[0] + dy * HEAD_HALF, base[1] - dx * HEAD_HALF])}Z`;
}
