// Colours and lines by style, as the other forms have them; what only a page has stands here.

const PAGE_LOOKS = {
  light: { mark: "#c04400", veil: ["#1f3a5f", 0.035] },
  dark: { mark: "#ffb454", veil: ["#9cc4ff", 0.045] },
  paper: { mark: "#000000", veil: ["#000000", 0] },
};
const SIGNS = { added: "+", removed: "−", changed: "±" };

function readThemes(themes) {
  return Object.fromEntries(Object.entries(themes).map(([name, theme]) => [name, { ...theme, ...PAGE_LOOKS[name] }]));
}

// Attributes of a line from Graphviz's words for it.
function lineLooks(line, style) {
  const dashes = style.includes("dashed") ? "5 3" : style.includes("dotted") ? "2 2.5" : "";
  return { stroke: line, "stroke-width": style.includes("bold") ? 2.4 : 1.2, "stroke-dasharray": dashes };
}

function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function heatColour(theme, share) {
  const [from, to] = theme.heat.map(channels);
  return `#${from.map((c, i) => Math.round(c + (to[i] - c) * share).toString(16).padStart(2, "0")).join("")}`;
}
