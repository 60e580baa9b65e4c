// The panel at the side: the details of a box or a frame, the source, the keys.

const KEYS = [
  ["click", "a box: its details; a folded box or the name of a frame: open or fold; × n: all items of a run"],
  ["Enter", "the same for what has the focus (Tab moves it); r: all items of the run; i: details of a frame"],
  ["drag, arrows", "move"], ["wheel, pinch, + −", "zoom"], ["f or 0", "all of it"], ["/", "search"],
  ["[ ]", "one level less, one level more"], ["{ }", "fold all, unfold all"], ["d", "turn the direction"], ["c", "a long chain in columns, or in one"],
  ["t", "light, dark, paper"], ["s", "the source"], ["Esc", "close"],
];

function element(name, text = "", ...inner) {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...inner);
  return made;
}

function showPanel(title, ...inner) {
  const panel = document.getElementById("panel");
  document.getElementById("facts").replaceChildren(element("h2", title), ...inner);
  panel.hidden = false;
  panel.scrollTop = 0;
}

function showDetails(item, open) {
  const list = element("dl"), facts = [...item.facts];
  if (item.kind === "frame") facts.unshift(["boxes", item.boxes.length.toLocaleString("en")]);
  if (item.change) facts.unshift(["change", `${SIGNS[item.change] ?? ""} ${item.change}`]);
  if (item.heat !== null) facts.push(["heat", item.heat.toFixed(3)]);
  for (const [name, text] of facts) {
    const code = name === "line" || name === "place";
    list.append(element("dt", name), element("dd", "", code ? element("code", text) : text));
  }
  const notes = item.notes.map((note) => Object.assign(element("p", note), { className: "note" }));
  const rows = item.rows.map((row) => element("li", row.weight ? `${row.text}   ${row.weight}` : row.text));
  const hover = item.hover && item.hover !== item.name ? [element("p", item.hover)] : [];
  showPanel(item.name, ...hover, ...notes, ...(rows.length ? [element("ul", "", ...rows)] : []), list, place(item, open));
}

// The frames around an item; each leads to its own details.
function place(item, open) {
  const steps = around(item).filter((up) => up.kind === "frame").map((up) => {
    const button = element("button", up.name);
    button.addEventListener("click", () => open(up));
    return button;
  });
  return steps.length ? element("nav", "in ", ...steps) : element("nav");
}

function showSource(source) {
  showPanel("Source", element("pre", source));
}

function showKeys() {
  const list = element("dl");
  for (const [key, what] of KEYS) list.append(element("dt", key), element("dd", what));
  showPanel("Keys", list);
}

function hidePanel() {
  document.getElementById("panel").hidden = true;
}
