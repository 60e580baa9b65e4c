// What the looks in the picture mean: those in use, the scale of the heat, the marks of a difference.

function fillLegend(scene, theme) {
  const used = new Set(scene.items.filter((item) => item.kind === "box").map((item) => item.look));
  const looks = Object.keys(scene.looks).filter((look) => used.has(look) && !["joint", "folded"].includes(look));
  const rows = scene.heat ? [] : looks.map((look) => entry(swatch(theme, look), scene.looks[look]));
  if (scene.items.some((item) => item.kind === "frame")) rows.push(entry(swatch(theme, "folded"), "folded: click to open"));
  const changes = new Set(scene.items.map((item) => item.change));
  for (const [change, sign] of Object.entries(SIGNS)) if (changes.has(change)) rows.push(entry(changeSwatch(theme, change), `${sign} ${change}`));
  if (scene.heat) rows.push(...heatRows(scene.heat, theme));
  document.getElementById("legend").replaceChildren(...rows);
}

function entry(picture, text) {
  const row = document.createElement("div");
  const name = document.createElement("span");
  name.textContent = text;
  row.append(picture, name);
  return row;
}

function small(...inner) {
  return make("svg", { width: 26, height: 16, viewBox: "0 0 26 16", "aria-hidden": "true" }, ...inner);
}

function swatch(theme, look) {
  const [fill, line, style] = theme.looks[look];
  const rect = make("rect", { x: 2, y: 2, width: 22, height: 12, rx: 3, fill, ...lineLooks(line, style) });
  const inner = make("rect", { x: 4.5, y: 4.5, width: 17, height: 7, rx: 2, fill: "none", stroke: line, "stroke-width": 0.8 });
  return small(rect, ...(look === "folded" ? [inner] : []));
}

function changeSwatch(theme, change) {
  return small(make("rect", { x: 2, y: 2, width: 22, height: 12, rx: 3, fill: "none", ...changed({ change }, theme, {}) }));
}

function heatRows([name, low, high], theme) {
  const steps = Array.from({ length: 24 }, (_, at) => make("rect", { x: at * 5, y: 2, width: 5.5, height: 11, fill: heatColour(theme, at / 23) }));
  const scale = make("svg", { width: 120, height: 15, viewBox: "0 0 120 15", "aria-hidden": "true" }, ...steps);
  const row = document.createElement("div");
  row.className = "heat";
  const [from, to] = [low, high].map((text) => Object.assign(document.createElement("span"), { textContent: text }));
  row.append(from, scale, to);
  const title = document.createElement("div");
  title.textContent = name;
  return [title, row];
}
