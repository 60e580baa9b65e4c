// The size of a box from its texts, which are laid down here once and drawn as they stand.

const PAD = 9, LINE = 15, PRINT = 12.5, ROW = 16, BAR = 34, HEAD = 20;

// Lines of a leaf as {text, size, bold, x, y} from its middle; rows with their bar; the size of the whole.
function measureLeaf(view) {
  const { item } = view;
  if (item.small && view.kind === "box") return measureSmall(view);
  const name = wrap(item.name).map((text) => ({ text, size: NAME, bold: true, height: LINE }));
  if (view.run) name.push({ text: timesText(view.run), size: NAME, bold: true, height: LINE, times: true });
  const notes = item.notes.flatMap((note) => wrap(note, 48, 3)).map((text) => ({ text, size: SMALL, height: PRINT, faint: true }));
  if (view.kind === "fold" && !notes.length) notes.push({ text: counted(item.boxes.length, "box"), size: SMALL, height: PRINT, faint: true });
  const lines = [...name, ...notes];
  const rows = item.rows.map((row) => ({ ...row, weight: cut(row.weight, 16), lines: wrap(row.text, 60, 3) }));
  const wide = lines.map((line) => textWidth(line.text, line.size, line.bold));
  const rowWide = rows.flatMap((row) => row.lines.map((text) => textWidth(text, SMALL + 1) + weightWidth(rows) + 14));
  view.w = item.look === "joint" ? Math.max(...wide) + 8 : Math.max(34, ...wide, ...rowWide) + 2 * PAD;
  const heights = rows.map((row) => ROW + (row.lines.length - 1) * PRINT);
  view.h = sum(lines.map((line) => line.height)) + (rows.length ? sum(heights) + 6 : 0) + 10;
  placeLines(view, lines, rows, heights);
}

function measureSmall(view) {
  const size = Math.max(22, textWidth(view.item.name, 13, true) + 10);
  Object.assign(view, { w: size, h: size, round: true, rows: [] });
  view.lines = [{ text: view.item.name, size: 13, bold: true, x: 0, y: 0 }];
  if (view.run) view.lines.push({ text: timesText(view.run), size: SMALL, times: true, x: 0, y: size / 2 + 8 });
}

function weightWidth(rows) {
  const widest = Math.max(0, ...rows.map((row) => (row.weight ? textWidth(row.weight, SMALL) : 0)));
  return BAR + widest + 12;
}

function placeLines(view, lines, rows, heights) {
  let y = -view.h / 2 + 5;
  view.lines = lines.map((line) => ({ ...line, x: 0, y: (y += line.height) - line.height / 2 }));
  y += rows.length ? 4 : 0;
  view.rows = rows.map((row, at) => ({ ...row, top: y, height: heights[at], y: (y += heights[at]) - heights[at] / 2, side: weightWidth(rows) }));
}

function measureHead(view) {
  const { item } = view;
  const times = view.run ? timesText(view.run) : "";
  const name = view.kind === "run" ? `${item.items.length} ${item.series ? "in series" : "in parallel"}` : item.name;
  view.head = cut(name, 48);
  view.times = times;
  view.headWidth = 20 + textWidth(view.head, SMALL + 1, true) + (times ? 5 + textWidth(times, SMALL + 1, true) : 0);
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
