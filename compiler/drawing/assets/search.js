// Search over names, notes and facts; a hit says where in the tree it stands.

const MOST_HITS = 60;

function newSearch(scene, choose) {
  const query = document.getElementById("query"), list = document.getElementById("hits");
  const texts = new Map(scene.items.filter((item) => item.kind !== "run").map((item) => [item, searched(item)]));
  const clear = () => ((list.hidden = true), list.replaceChildren());
  const look = () => {
    const parts = query.value.toLowerCase().split(/\s+/).filter((part) => part);
    if (!parts.length) return clear();
    const hits = [...texts].filter(([, text]) => parts.every((part) => text.includes(part))).map(([item]) => item);
    list.replaceChildren(element("li", counted(hits.length, "hit")), ...hits.slice(0, MOST_HITS).map((item) => hit(item, choose)));
    list.hidden = false;
  };
  query.addEventListener("input", look);
  query.addEventListener("focus", look);
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") enterHits(list, event, event.key === "Enter");
  });
  list.addEventListener("keydown", (event) => ["ArrowDown", "ArrowUp"].includes(event.key) && walk(list, query, event));
  return { clear, focus: () => query.select() };
}

function searched(item) {
  return [item.name, ...item.notes, ...item.rows.map((row) => row.text), ...item.facts.flat()].join("\n").toLowerCase();
}

function hit(item, choose) {
  const button = element("button", "", element("b", item.name), element("small", placeText(item)));
  button.addEventListener("click", () => choose(item));
  return element("li", "", button);
}

function enterHits(list, event, press) {
  const first = list.querySelector("button");
  if (!first) return;
  event.preventDefault();
  if (press) first.click();
  else first.focus();
}

function walk(list, query, event) {
  const all = [...list.querySelectorAll("button")], next = all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
  event.preventDefault();
  if (next < 0) query.focus();
  else all[Math.min(next, all.length - 1)].focus();
}
