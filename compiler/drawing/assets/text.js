// Widths of text as the browser draws it, and lines that are not too long.

const FONT = 'Helvetica, Arial, "Liberation Sans", sans-serif';
const NAME = 12, SMALL = 9.5;
const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();

function textWidth(text, size, bold = false) {
  const key = `${bold ? "b" : ""}${size} ${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    pen.font = `${bold ? "bold " : ""}${size}px ${FONT}`;
    width = Math.ceil(pen.measureText(text).width + 0.5);
    widths.set(key, width);
  }
  return width;
}

// At most `most` lines of about `longest` characters, broken after blanks, commas and brackets; the rest is "…".
function wrap(text, longest = 40, most = 4) {
  if (text.length <= longest) return [text];
  const lines = [""];
  for (const word of text.match(/[^\s,(]*[\s,(]?/g)) {
    for (let at = 0; at < word.length; at += longest) {
      const part = word.slice(at, at + longest), last = lines.length - 1;
      if ((lines[last] + part).trimEnd().length <= longest) lines[last] += part;
      else lines.push(part);
    }
  }
  const kept = lines.map((line) => line.trim()).filter((line) => line);
  if (kept.length <= most) return kept;
  return [...kept.slice(0, most - 1), `${kept[most - 1].slice(0, longest - 1)}…`];
}

function cut(text, longest) {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : noun.endsWith("x") ? "es" : "s"}`;
}
