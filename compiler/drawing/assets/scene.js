// The scene as the page reads it: a tree of items, the boxes below each, and the runs that a box is in.

function readScene(data) {
  const text = (number) => data.texts[number];
  const said = (entry) => ({
    name: entry.name === undefined ? "" : text(entry.name), notes: (entry.notes ?? []).map(text),
    hover: entry.hover === undefined ? "" : text(entry.hover),
    facts: (entry.facts ?? []).map(([name, value]) => [text(name), text(value)]),
    rows: (entry.rows ?? []).map(([name, weight, share]) => ({ text: text(name), weight: text(weight), share })),
  });
  const items = data.nodes.map((entry, number) => ({
    kind: "box", change: null, heat: null, small: false, series: false, folded: false,
    ...entry, ...said(entry), number, items: [], up: null, boxes: [], runs: [], frames: 0,
  }));
  items.forEach((item, number) => {
    const { up } = data.nodes[number];
    if (up !== undefined) (item.up = items[up]).items.push(item);
  });
  items.forEach(placeInRuns);
  const wires = data.wires.map((wire) => ({
    row: null, change: null, ...wire, from: items[wire.from], to: items[wire.to],
    text: wire.text === undefined ? "" : text(wire.text), hover: wire.hover === undefined ? "" : text(wire.hover),
  }));
  const top = items.filter((item) => !item.up);
  return { ...data, items, top, wires, byId: new Map(items.map((item) => [item.id, item])) };
}

// For a box: its place among the boxes of each item above, and the runs around it with the item that it is in.
function placeInRuns(item) {
  if (item.kind !== "box") return;
  for (let inner = item, up = item.up; up; inner = up, up = up.up) {
    if (up.kind === "run") item.runs.unshift({ run: up, at: up.items.indexOf(inner), offset: inner.boxes.length });
    inner.boxes.push(item);
    if (!up.up) up.boxes.push(item);
  }
  if (!item.up) item.boxes.push(item);
}

// What is around an item, outermost first.
function around(item) {
  const found = [];
  for (let up = item.up; up; up = up.up) found.unshift(up);
  return found;
}

// "x 4" of a run, as its first item carries it.
function timesText(run) {
  return `× ${run.items.length}${run.series ? "" : " in parallel"}`;
}

function placeText(item) {
  const steps = [];
  for (let inner = item, up = item.up; up; inner = up, up = up.up) {
    steps.unshift(up.kind === "run" ? `${up.items.indexOf(inner) + 1} of ${up.items.length}` : up.name);
  }
  return steps.join(" › ");
}
