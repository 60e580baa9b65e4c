// The visible picture as a file of its own: the whole of it at scale 1, text as text.

function savedSvg(scene, picture, theme, { width, height }) {
  const margin = 16, copy = picture.cloneNode(true);
  copy.removeAttribute("transform");
  for (const one of copy.querySelectorAll("[tabindex]")) for (const name of ["tabindex", "role", "aria-expanded"]) one.removeAttribute(name);
  for (const one of copy.querySelectorAll(".reach, .mark")) one.remove();
  const size = [width + 2 * margin, height + 2 * margin].map(Math.ceil);
  const view = { x: -margin, y: -margin, width: size[0], height: size[1] };
  const svg = make("svg", { width: size[0], height: size[1], viewBox: Object.values(view).join(" "), "font-family": FONT, role: "img" },
    make("title", {}, scene.title), make("desc", {}, scene.summary), make("rect", { ...view, fill: theme.background }), copy);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(svg)}\n`;
}

function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function fileName(title) {
  return `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "architecture"}.svg`;
}
