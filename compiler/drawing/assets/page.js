// The page: what is folded, what is marked, and what clicks and keys do.

const LIMIT = 1500, STEP = 60;
const scene = readScene(JSON.parse(document.getElementById("scene").textContent));
const stage = document.getElementById("stage"), svg = document.getElementById("picture"), root = document.documentElement;
const picture = make("g", { class: "view" });
const camera = newCamera(stage, picture, () => {});
const state = { folded: new Set(), direction: scene.direction, marked: null, seen: null, broken: true };
const themes = readThemes(scene.themes), theme = () => themes[root.dataset.style];

function holders() {
  return scene.items.filter((item) => item.kind !== "box");
}

function say(text, warning = false) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.classList.toggle("warning", warning);
}

// Lays out and draws anew. `anchor` stays where it was on the screen.
function render(anchor = null) {
  const before = anchor && viewOf(anchor), place = before && camera.onScreen(before.x, before.y - before.h / 2);
  const focus = document.activeElement?.dataset?.id;
  state.seen = visible(scene, state.folded);
  const size = layOut(state.seen, state.direction, scene.tree, state.broken ? stage.getBoundingClientRect() : null);
  Object.assign(camera, size);
  paint();
  const after = anchor && viewOf(anchor);
  if (place && after) camera.keep(place, after.x, after.y - after.h / 2);
  if (focus) picture.querySelector(`[data-id="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  say(`${state.seen.count.toLocaleString("en")} of ${counted(boxCount(), "box")}`);
}

function boxCount() {
  return sum(scene.top.map((item) => item.boxes.length));
}

function paint() {
  const looks = { turned: state.direction === "LR", headed: !scene.tree };
  picture.replaceChildren(...drawAll(state.seen, theme(), looks));
  mark(state.marked);
}

function viewOf(item) {
  return state.seen.views.find((view) => view.item === item || view.run === item) ?? null;
}

function mark(item) {
  state.marked = item;
  picture.querySelector(".mark")?.remove();
  const view = item && viewOf(item);
  if (view) picture.append(make("rect", { class: "mark", ...corner(view, 5), rx: 10, fill: "none", stroke: theme().mark, "stroke-width": 3 }));
}

// Takes a new set of what is folded, unless too much would be seen.
function fold(folded, anchor = null) {
  const count = countVisible(scene, folded);
  if (count > LIMIT && count > (state.seen?.count ?? 0)) {
    say(`That would show ${counted(count, "box")}, and more than ${LIMIT.toLocaleString("en")} are too many: open parts of it instead.`, true);
    return false;
  }
  state.folded = folded;
  render(anchor);
  return true;
}

function toggle(item) {
  const folded = new Set(state.folded);
  if (!folded.delete(item)) folded.add(item);
  const done = fold(folded, item);
  if (done && item.kind === "frame" && !document.getElementById("panel").hidden) details(item);
}

function details(item) {
  mark(item);
  showDetails(item, details);
}

// Opens what hides an item, and no more.
function reveal(item) {
  const folded = new Set(state.folded);
  for (let inner = item, up = item.up; up; inner = up, up = up.up) {
    if (up.kind === "frame" || up.items[0] !== inner) folded.delete(up);
  }
  if (folded.size !== state.folded.size && !fold(folded)) return;
  const view = viewOf(item);
  camera.centre(view.x, view.inner.length ? view.y - view.h / 2 + 40 : view.y);
  details(item);
}

function oneMore() {
  const seen = state.seen.views, frames = seen.filter((view) => view.kind === "fold").map((view) => view.item);
  const next = frames.length ? frames : seen.filter((view) => view.run).map((view) => view.run);
  fold(new Set([...state.folded].filter((item) => !next.includes(item))), scene.top[0]);
}

function oneLess() {
  const open = state.seen.views.filter((view) => view.inner.length), runs = open.filter((view) => view.kind === "run");
  const deepest = Math.max(...open.map((view) => view.depth));
  const next = runs.length ? runs : open.filter((view) => view.depth === deepest);
  fold(new Set([...state.folded, ...next.map((view) => view.item)]), scene.top[0]);
}

const actions = {
  foldAll: () => fold(new Set(holders())) && camera.fit(), unfoldAll: () => fold(new Set()) && camera.fit(), more: oneMore, less: oneLess,
  zoomIn: () => camera.zoomBy(1.25), zoomOut: () => camera.zoomBy(0.8), fit: () => camera.fit(),
  turn: () => ((state.direction = state.direction === "TB" ? "LR" : "TB"), render(), start()),
  columns: () => ((state.broken = !state.broken), render(), start()),
  restyle: () => restyle(["light", "dark", "paper"][(["light", "dark", "paper"].indexOf(root.dataset.style) + 1) % 3]),
  source: () => scene.source && showSource(scene.source), keys: showKeys, close,
  save: () => download(fileName(scene.title), savedSvg(scene, picture, theme(), camera), "image/svg+xml"),
};
const KEYED = {
  "{": "foldAll", "}": "unfoldAll", "[": "less", "]": "more", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", f: "fit", 0: "fit",
  d: "turn", c: "columns", t: "restyle", s: "source", "?": "keys",
};
const ARROWS = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };

function restyle(style) {
  root.dataset.style = style;
  paint();
  fillLegend(scene, theme());
}

function close() {
  hidePanel();
  search.clear();
  mark(null);
  svg.focus({ preventScroll: true });
}

// All of it, or its beginning where all would be too small to read.
function start() {
  camera.fit();
  if (camera.zoom >= 0.45) return;
  const { width, height } = stage.getBoundingClientRect(), zoom = 0.6, margin = 24;
  const first = state.seen.views.find((view) => !view.inner.length);
  const place = (room, size, at) => (size < room - 2 * margin ? (room - size) / 2 : Math.min(margin, Math.max(room - margin - size, room / 2 - at)));
  camera.zoom = zoom;
  camera.keep([place(width, camera.width * zoom, first.x * zoom), place(height, camera.height * zoom, first.y * zoom)], 0, 0);
}

function act(target) {
  const item = scene.byId.get(target.closest("[data-id]")?.dataset.id), run = target.closest(".times")?.dataset.run;
  if (run) return toggle(scene.byId.get(run));
  if (!item) return;
  const view = target.closest("[data-id]");
  if (view.matches(".box")) details(item);
  else if (view.matches(".fold") || target.closest(".head")) toggle(item);
}

function pressed(event) {
  const view = event.target.closest?.("#picture [data-id]"), item = view && scene.byId.get(view.dataset.id);
  if (event.key === "Enter" || event.key === " ") {
    if (!view) return false;
    if (view.matches(".box")) details(item);
    else toggle(item);
    return true;
  }
  if (view && event.key === "i") return details(item), true;
  if (view && event.key === "r") return openRun(item);
  return false;
}

function openRun(item) {
  const run = item.kind === "run" ? item : viewOf(item).run ?? around(item).reverse().find((up) => up.kind === "run");
  if (run) toggle(run);
  return Boolean(run);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return close();
  if (event.target.matches("input, #hits *, #panel *")) return;
  const arrow = ARROWS[event.key], action = KEYED[event.key];
  if (pressed(event)) event.preventDefault();
  else if (event.key === "/") (document.getElementById("query").focus(), event.preventDefault());
  else if (arrow) (camera.pan(...arrow), event.preventDefault());
  else if (action && !event.target.matches("button")) (actions[action](), event.preventDefault());
}

document.getElementById("title").textContent = scene.title;
document.getElementById("subtitle").textContent = scene.subtitle;
svg.setAttribute("aria-label", `${scene.title}. ${scene.summary}`);
svg.setAttribute("font-family", FONT);
svg.append(picture);
document.querySelector('[data-do="source"]').hidden = !scene.source;
const search = newSearch(scene, (item) => (search.clear(), reveal(item)));
state.folded = new Set(holders().filter((item) => item.folded));
if (countVisible(scene, state.folded) > LIMIT) state.folded = new Set(holders());
fillLegend(scene, theme());
render();
start();
svg.addEventListener("click", (event) => act(event.target));
document.addEventListener("click", (event) => actions[event.target.closest("[data-do]")?.dataset.do]?.());
window.addEventListener("keydown", onKey);
