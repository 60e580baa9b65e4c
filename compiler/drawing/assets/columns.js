// A long chain as several columns (lines for LR), broken where one wire alone goes on.

const BETWEEN = 34, TURN = 14;

// Moves rows into columns if the picture fits `room` [across, along] at a much larger scale then. Nodes and rows are
// moved in place; `row.column` is set, and `level.channels` has the place of each way up, between two columns.
function breakColumns(level, room) {
  const whole = scaleOf(level, [[0, level.rows.length - 1]], room);
  if (whole > 0.75) return;
  const cuts = cutRanks(level), tried = [2, 3, 4, 5, 6, 7, 8, 9, 10].map((count) => shared(level, cuts, count));
  const scales = tried.map((columns) => scaleOf(level, columns, room)), best = Math.max(...scales);
  if (best > 1.3 * whole) moveColumns(level, tried[scales.findIndex((scale) => scale > 0.95 * best)]);
}

function scaleOf(level, columns, room) {
  const across = sum(columns.map((column) => sideOf(level, column)).map(({ low, high }) => high - low + BETWEEN));
  const along = Math.max(...columns.map(([from, to]) => level.rows[to].end - level.rows[from].start)) + 2 * TURN;
  return Math.min(room[0] / across, room[1] / along);
}

function sideOf(level, [from, to]) {
  const nodes = level.layers.slice(from, to + 1).flat();
  return { nodes, low: Math.min(...nodes.map((node) => node.x - node.left)), high: Math.max(...nodes.map((node) => node.x + node.right)) };
}

// Ranks that a new column may begin with.
function cutRanks(level) {
  return level.layers.map((layer, rank) => rank).filter((rank) => rank > 0 && sum(level.layers[rank].map((node) => node.ups.length)) === 1
    && level.layers[rank - 1].every((node) => node.downs.length <= 1));
}

// Columns as lists of [first rank, last rank], the longest of them as short as it can be.
function shared(level, cuts, count) {
  const starts = [0, ...cuts], last = level.rows.length - 1, parts = starts.map((from, at) => [from, (starts[at + 1] ?? last + 1) - 1]);
  const length = ([from, to]) => level.rows[to].end - level.rows[from].start;
  const pack = (most) => {
    const columns = [];
    for (const part of parts) {
      const open = columns[columns.length - 1];
      if (open && length([open[0], part[1]]) <= most) open[1] = part[1];
      else columns.push([...part]);
    }
    return columns;
  };
  const lengths = parts.flatMap((from, at) => parts.slice(at).map((to) => length([from[0], to[1]]))).sort((a, b) => a - b);
  return pack(lengths.find((most) => pack(most).length <= count) ?? Infinity);
}

function moveColumns(level, columns) {
  let across = 0, length = 0;
  level.channels = [];
  columns.forEach(([from, to], column) => {
    const { nodes, low, high } = sideOf(level, [from, to]), back = level.rows[from].start - TURN;
    for (const node of nodes) Object.assign(node, { x: node.x - low + across, start: node.start - back });
    for (const row of level.rows.slice(from, to + 1)) Object.assign(row, { start: row.start - back, end: row.end - back, column });
    length = Math.max(length, level.rows[to].end);
    across += high - low + BETWEEN;
    level.channels.push(across - BETWEEN / 2);
  });
  Object.assign(level, { low: 0, high: across - BETWEEN, length: length + TURN });
}

// The points of a segment from the foot of one column to the head of the next.
function turnPoints(level, from, to, up, low) {
  const [foot, head] = [level.rowsAt[up].end + TURN, level.rowsAt[low].start - TURN];
  const channel = level.across + level.channels[level.rows[up].column];
  return [[from, foot, true], [channel, foot, true], [channel, head, true], [to, head, true]];
}
