// Colours and lines by style. The groups have the hues of Okabe and Ito, and differ in lightness and line as well.

const THEMES = {
  light: {
    paper: "#ffffff", ink: "#1a1a1a", faint: "#595959", wire: "#4d4d4d", mark: "#d04a00",
    frame: { line: "#a8adb3", fill: "#1f3a5f", veil: 0.035 },
    looks: {
      branching: ["#fde3b0", "#9a6500"], aggregation: ["#a6d9c7", "#00634a"], routing: ["#f4f4f4", "#5c5c5c", "5 3"],
      computation: ["#d3e8f7", "#005a94"], end: ["#e2e2e2", "#1a1a1a", "", 2], rule: ["#f5dbe8", "#8c3563"],
      macro: ["#e7e1f6", "#54428f"], joint: ["#ffffff", "#5c5c5c"], folded: ["#e9edf2", "#3a4654"],
    },
    changes: { added: "#1a7f37", removed: "#c62828", changed: "#a15c00" },
    heat: ["#fff4d6", "#f5b85c", "#c9532c", "#5a1030"],
  },
  dark: {
    paper: "#15181d", ink: "#f0f0f0", faint: "#b4b9c0", wire: "#a3a9b1", mark: "#ffb454",
    frame: { line: "#59616b", fill: "#9cc4ff", veil: 0.045 },
    looks: {
      branching: ["#4f3a08", "#e8ad2e"], aggregation: ["#0d4a3a", "#43c9a2"], routing: ["#2a2e34", "#a0a5ab", "5 3"],
      computation: ["#123f5f", "#5cb6ea"], end: ["#3b3f45", "#f0f0f0", "", 2], rule: ["#55233f", "#e58bbb"],
      macro: ["#3a3163", "#b0a0f0"], joint: ["#15181d", "#a0a5ab"], folded: ["#2c343e", "#b9c6d6"],
    },
    changes: { added: "#57d27c", removed: "#ff8a80", changed: "#f0b04a" },
    heat: ["#23272e", "#6b3a52", "#d0663f", "#ffe9a8"],
  },
  paper: {
    paper: "#ffffff", ink: "#000000", faint: "#333333", wire: "#222222", mark: "#000000",
    frame: { line: "#777777", fill: "#000000", veil: 0 },
    looks: {
      branching: ["#e8e8e8", "#000000"], aggregation: ["#cccccc", "#000000"], routing: ["#ffffff", "#000000", "5 3"],
      computation: ["#ffffff", "#000000"], end: ["#ffffff", "#000000", "", 2.4], rule: ["#ffffff", "#000000", "1.5 2.5"],
      macro: ["#ffffff", "#000000", "7 2 1.5 2"], joint: ["#ffffff", "#000000"], folded: ["#ffffff", "#000000"],
    },
    changes: { added: "#000000", removed: "#000000", changed: "#000000" },
    heat: ["#ffffff", "#c8c8c8", "#848484", "#2b2b2b"],
  },
};
const LOOKS = {
  branching: "branching", aggregation: "aggregation", routing: "routing", computation: "computation",
  end: "input, output", rule: "rule", macro: "macro", joint: "joint", folded: "folded",
};
const SIGNS = { added: "+", removed: "−", changed: "±" };

function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

// The colour at `share`, 0 to 1, of a scale whose lightness goes one way.
function heatColour(theme, share) {
  const at = share * (theme.heat.length - 1), low = Math.min(Math.floor(at), theme.heat.length - 2);
  const [from, to] = [channels(theme.heat[low]), channels(theme.heat[low + 1])];
  return `#${from.map((c, i) => Math.round(c + (to[i] - c) * (at - low)).toString(16).padStart(2, "0")).join("")}`;
}

// Black or white, whichever can be read on it.
function inkOn(colour) {
  const [r, g, b] = channels(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000000" : "#ffffff";
}
