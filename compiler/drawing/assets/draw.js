// The picture as SVG elements with their looks as attributes, so that a saved copy needs nothing else.

const SVG = "http://www.w3.org/2000/svg";

// Texts of the scene arrive here as values of attributes and as text nodes, never as markup.
function make(name, attributes = {}, ...inner) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== "" && value !== null) made.setAttribute(key, value);
  made.append(...inner);
  return made;
}

function drawAll(seen, theme, { turned, headed }) {
  const frames = seen.views.filter((view) => view.inner.length).map((view) => drawFrame(view, theme));
  const drawn = new Map(), wires = seen.wires.map((wire) => drawWire(wire, theme, turned, headed, drawn));
  const boxes = leaves(seen.views).map((view) => drawBox(view, theme));
  const labels = seen.views.filter((view) => view.outText).map((view) => drawOutText(view, theme, turned));
  return [make("g", { class: "frames" }, ...frames), make("g", { class: "wires" }, ...wires),
    make("g", { class: "labels" }, ...labels, ...ownTexts(seen, theme, turned)), make("g", { class: "boxes" }, ...boxes)];
}

function words({ text, size, bold, x, y }, fill, anchor = "middle", more = {}) {
  const looks = { x: round2(x), y: round2(y + size * 0.35), "font-size": size, "font-weight": bold ? "bold" : "", fill, "text-anchor": anchor, ...more };
  return make("text", looks, text);
}

function corner({ x, y, w, h }, grow = 0) {
  return { x: round2(x - w / 2 - grow), y: round2(y - h / 2 - grow), width: round2(w + 2 * grow), height: round2(h + 2 * grow) };
}

function said(view) {
  const { item } = view;
  const change = item.change ? `${item.change}` : "";
  const hides = view.kind === "fold" ? `folded, ${counted(item.boxes.length, "box")}` : "";
  return [view.head ?? item.name, ...item.notes, view.run ? timesText(view.run) : "", change, hides].filter((text) => text).join(", ");
}

function group(view, inner) {
  const { item } = view, expanded = view.kind === "box" ? "" : String(view.kind !== "fold");
  const looks = {
    class: view.kind, "data-id": item.id, tabindex: 0, role: "button", "aria-label": said(view), "aria-expanded": expanded,
    opacity: item.change === "kept" ? 0.5 : "",
  };
  const hover = item.hover || (item.small ? item.name : "");
  return make("g", looks, ...(hover ? [make("title", {}, hover)] : []), ...inner);
}

function drawFrame(view, theme) {
  const { item } = view, line = theme.frame, [fill, veil] = theme.veil, border = changed(item, theme, { stroke: line, "stroke-width": 1 });
  const left = view.x - view.w / 2 + (view.headAt ?? 0), top = view.y - view.h / 2;
  const ground = item.heat === null ? { fill, "fill-opacity": view.depth < 3 ? veil : 0 } : { fill: "transparent" };
  if (view.kind === "run") Object.assign(border, { "stroke-dasharray": "2 4", "stroke-width": 1.2 });
  const head = { size: SMALL + 1, bold: true, y: top + HEAD / 2 + 1 };
  const name = words({ ...head, text: view.head, x: left + 18 }, theme.faint, "start");
  const times = words({ ...head, text: view.times, x: left + 23 + textWidth(view.head, SMALL + 1, true) }, theme.ink, "start", timesLooks(view));
  return group(view, [
    ...stack(view, theme, line, 8), make("rect", { class: "border", ...corner(view), rx: 8, ...ground, ...border }),
    make("rect", { class: "head", x: round2(left), y: round2(top), width: round2(Math.min(view.headWidth + 4, view.w)), height: HEAD, fill: "transparent" }),
    make("path", { class: "sign", d: `M${at([left + 7, top + 8.5])}l3.5,4l3.5,-4`, fill: "none", stroke: theme.faint, "stroke-width": 1.4 }),
    name, ...(view.times ? [times] : []), ...badge(view, theme),
  ]);
}

function timesLooks(view) {
  return { class: "times", "data-run": view.run?.id ?? "" };
}

// Lines of what is not as it was; those of what was kept are faded with all the rest of it.
function changed(item, theme, looks) {
  if (!SIGNS[item.change]) return looks;
  return { ...looks, ...lineLooks(...theme.marks[item.change]), "stroke-width": 2.2 };
}

// Cards behind what stands for a run.
function stack(view, theme, line, rx) {
  if (!view.run) return [];
  return [6, 3].map((by) => {
    const place = corner({ ...view, x: view.x + by, y: view.y + by });
    return make("rect", { class: "card", ...place, rx: view.round ? view.w / 2 : rx, fill: theme.background, stroke: line, "stroke-width": 1 });
  });
}

function badge(view, theme) {
  const { item } = view, sign = SIGNS[item.change];
  if (!sign) return [];
  const [x, y] = [view.x - view.w / 2, view.y - view.h / 2];
  const ring = make("circle", { cx: round2(x), cy: round2(y), r: 7, fill: theme.background, stroke: theme.marks[item.change][0], "stroke-width": 1.6 });
  return [ring, words({ text: sign, size: 12, bold: true, x, y }, theme.marks[item.change][0])];
}

function boxLooks(view, theme) {
  const { item } = view, [fill, line, style] = theme.looks[view.kind === "fold" ? "folded" : item.look];
  const looks = lineLooks(line, style);
  if (item.look === "end") looks["stroke-width"] = 2;
  return { fill: item.heat === null ? fill : heatColour(theme, item.heat), ...changed(item, theme, looks) };
}

function drawBox(view, theme) {
  const looks = boxLooks(view, theme), { ink, faint } = theme;
  const rx = view.round ? view.w / 2 : 6;
  const inner = view.kind === "fold" ? [make("rect", { ...corner(view, -3), rx: 4, fill: "none", stroke: looks.stroke, "stroke-width": 0.8 })] : [];
  const lines = view.lines.map((line) => {
    const place = { ...line, x: view.x + line.x, y: view.y + line.y };
    return words(place, line.faint && view.item.heat === null ? faint : ink, "middle", line.times ? timesLooks(view) : {});
  });
  return group(view, [
    ...stack(view, theme, looks.stroke, rx), make("rect", { class: "body", ...corner(view), rx, ...looks }), ...inner,
    ...lines, ...view.rows.flatMap((row) => drawRow(view, row, theme, ink)), ...badge(view, theme),
  ]);
}

// A line of a box: its text, its weight, and a bar as long as its share.
function drawRow(view, row, theme, ink) {
  const left = view.x - view.w / 2, y = view.y + row.y, right = view.x + view.w / 2 - PAD;
  const texts = row.lines.map((text, at) => words({ text, size: SMALL + 1, x: left + PAD, y: y + (at - (row.lines.length - 1) / 2) * PRINT }, ink, "start"));
  const rule = make("path", { d: `M${at([left, view.y + row.top])}h${round2(view.w)}`, stroke: ink, "stroke-opacity": 0.18, "stroke-width": 0.8 });
  if (!row.weight && !row.share) return [rule, ...texts];
  const weight = words({ text: row.weight, size: SMALL, x: right - BAR - 5, y }, ink, "end");
  const track = make("rect", { x: round2(right - BAR), y: round2(y - 3), width: BAR, height: 6, rx: 1.5, fill: ink, "fill-opacity": 0.13 });
  const bar = make("rect", { class: "share", x: round2(right - BAR), y: round2(y - 3), width: round2(BAR * Math.min(1, row.share)), height: 6, rx: 1.5, fill: ink, "fill-opacity": 0.7 });
  return [rule, ...texts, ...(row.weight ? [weight] : []), track, bar];
}

// `reach` is the whole way, not seen; `line` begins where the way leaves those of wires drawn before it, as lines drawn
// twice look thicker.
function drawWire(wire, theme, turned, headed, drawn) {
  const { line, tip, turn } = wirePath(wire, wire.points, turned, headed), value = `${wire.key} ${wire.change}`;
  const others = drawn.get(value) ?? [], skip = Math.max(0, ...others.map((other) => commonStart(other, wire.points)));
  drawn.set(value, [...others, wire.points]);
  const seen = skip > 1 ? wirePath(wire, wire.points.slice(skip - 1), turned, headed).line : line;
  const looks = changed(wire, theme, { stroke: theme.wire, "stroke-width": 1.2 });
  const parts = [
    make("path", { class: "reach", d: line, fill: "none", stroke: "transparent", "stroke-width": 9 }),
    make("path", { class: "line", d: seen, fill: "none", ...looks }),
  ];
  if (wire.hover) parts.unshift(make("title", {}, wire.hover));
  if (headed) parts.push(make("path", { class: "tip", d: headPath(tip, turn), fill: looks.stroke }));
  const ends = { "data-from": wire.source.id, "data-to": wire.target.id };
  return make("g", { class: "wire", ...ends, opacity: wire.change === "kept" ? 0.45 : "" }, ...parts);
}

function commonStart(a, b) {
  let count = 0;
  while (count < Math.min(a.length, b.length) - 1 && a[count][0] === b[count][0] && a[count][1] === b[count][1]) count++;
  return count;
}

function drawOutText(view, theme, turned) {
  const below = view.h / 2 + under(view);
  const place = turned ? { x: view.x + view.w / 2 + under(view) + 5, y: view.y - LABEL / 2 } : { x: view.x + 5, y: view.y + below + LABEL / 2 };
  return words({ text: view.outText, size: SMALL, ...place }, theme.faint, "start", { class: "label" });
}

// Texts of wires that leave one box with several: beside the place that the layout kept for each.
function ownTexts(seen, theme, turned) {
  const drawn = new Set(), found = [];
  for (const node of seen.wires.flatMap((wire) => wire.path.flatMap((edge) => edge.route ?? []))) {
    if (!node.text || drawn.has(node)) continue;
    drawn.add(node);
    const [across, along] = [node.absAcross, node.absStart];
    const place = turned ? { x: along + 4, y: across - LABEL / 2 } : { x: across + 5, y: along + LABEL / 2 };
    found.push(words({ text: node.text, size: SMALL, ...place }, theme.faint, "start", { class: "label" }));
  }
  return found;
}
