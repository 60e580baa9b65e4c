// What is to be seen while some frames and runs are folded: a tree of views, and wires between its leaves.

// `folded` holds the frames and runs that are folded. A view is {id, item, kind: box | fold | frame | run, inner, up, run}
// where `run` is the folded run that it stands for.
function visible(scene, folded) {
  const shown = new Map(), views = [];
  const see = (item, up, run) => {
    if (item.kind === "run" && folded.has(item)) return see(item.items[0], up, item);
    const kind = item.kind === "frame" && folded.has(item) ? "fold" : item.kind;
    const view = { id: item.id, item, kind, inner: [], up, run, depth: up ? up.depth + 1 : 0, outText: "", loops: [] };
    views.push(view);
    if (kind === "box" || kind === "fold") for (const box of item.boxes) shown.set(box, view);
    else view.inner = item.items.map((inner) => see(inner, view, null));
    return view;
  };
  const top = scene.top.map((item) => see(item, null, null));
  return { top, views, wires: visibleWires(scene, folded, shown), count: leaves(views).length };
}

function leaves(views) {
  return views.filter((view) => view.kind === "box" || view.kind === "fold");
}

// The box that stands for `box` where the first item of a folded run stands for all, and the items left on the way.
function standIn(box, folded) {
  const trail = new Map();
  let found = box;
  for (let depth = 0; depth < found.runs.length; depth++) {
    const { run, at, offset } = found.runs[depth];
    if (!folded.has(run)) continue;
    trail.set(run, at);
    const first = run.items[0].boxes;
    if (at > 0) found = first[Math.min(offset, first.length - 1)];
  }
  return { found, trail };
}

function visibleWires(scene, folded, shown) {
  const merged = new Map();
  for (const wire of scene.wires) {
    const from = standIn(wire.from, folded), to = standIn(wire.to, folded);
    if ([...from.trail].some(([run, at]) => to.trail.has(run) && to.trail.get(run) !== at)) continue;
    const source = shown.get(from.found), target = shown.get(to.found);
    if (source === target && wire.from !== wire.to) continue;
    const row = source.kind === "box" ? wire.row : null;
    const key = `${source.id} ${target.id} ${row}`, seen = merged.get(key);
    if (seen) addWire(seen, wire);
    else merged.set(key, { source, target, row, change: wire.change, texts: new Set([wire.text]), hovers: new Set([wire.hover]) });
  }
  return [...merged.values()].map(({ texts, hovers, ...wire }) => ({ ...wire, text: joined(texts, ", "), hover: joined(hovers, "; ") }));
}

function addWire(seen, wire) {
  seen.texts.add(wire.text);
  seen.hovers.add(wire.hover);
  if (seen.change === null || seen.change === "kept") seen.change = wire.change;
}

function joined(texts, between) {
  const all = [...texts].filter((text) => text);
  return all.length <= 3 ? all.join(between) : `${all.slice(0, 2).join(between)}${between}…`;
}

// How many boxes `visible` would show, without making them.
function countVisible(scene, folded) {
  let count = 0;
  const stack = [...scene.top];
  while (stack.length) {
    const item = stack.pop();
    if (item.kind === "box" || (item.kind === "frame" && folded.has(item))) count++;
    else if (item.kind === "run" && folded.has(item)) stack.push(item.items[0]);
    else stack.push(...item.items);
  }
  return count;
}
