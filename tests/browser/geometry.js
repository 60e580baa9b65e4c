// What is wrong with the picture in the page, as a list of sentences: read from the elements, not from the layout.
(() => {
  const wrong = [], view = document.querySelector("#picture > .view"), moved = view.getAttribute("transform");
  view.setAttribute("transform", "scale(1)"); // letters that are drawn very small have other widths
  const all = (selector) => [...view.querySelectorAll(selector)];
  const number = (element, name) => Number(element.getAttribute(name));
  const rect = (element) => {
    const { x, y, width, height } = element.getBBox();
    return { left: x, top: y, right: x + width, bottom: y + height };
  };
  const grown = (one, by) => ({ left: one.left - by, top: one.top - by, right: one.right + by, bottom: one.bottom + by });
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const inside = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  const holds = (one, { x, y }) => x > one.left && x < one.right && y > one.top && y < one.bottom;
  const named = (element) => element.closest("[data-id]")?.dataset.id ?? element.textContent;

  const bodies = all(".body").map((element) => ({ id: named(element), ...rect(element), round: number(element, "rx") > 9, element }));
  const frames = all(".border").map((element) => ({ id: named(element), ...rect(element) }));
  const heads = all(".frame > text, .run > text").map((element) => ({ id: `head of ${named(element)}`, ...rect(element) }));
  const labels = all(".label").map((element) => ({ id: `label ${element.textContent}`, ...rect(element) }));
  const pairs = (list) => list.flatMap((a, i) => list.slice(i + 1).map((b) => [a, b]));

  for (const [a, b] of pairs(bodies)) if (meet(grown(a, -0.5), grown(b, -0.5))) wrong.push(`boxes ${a.id} and ${b.id} overlap`);
  for (const [a, b] of pairs(frames)) {
    if (meet(grown(a, -0.5), b) && !inside(a, b) && !inside(b, a)) wrong.push(`frames ${a.id} and ${b.id} overlap`);
  }
  for (const body of bodies) for (const frame of frames) {
    if (meet(grown(body, -0.5), frame) && !inside(body, frame)) wrong.push(`box ${body.id} stands on the border of ${frame.id}`);
  }
  // The heights of text boxes hold ascenders and descenders that no letter here has.
  const tight = (one) => ({ ...one, top: one.top + 2, bottom: one.bottom - 2.5 });
  const texts = [...heads, ...labels].map((one) => ({ ...tight(one), id: one.id }));
  for (const [a, b] of pairs(texts)) if (meet(a, b)) wrong.push(`${a.id} and ${b.id} overlap`);
  for (const text of texts) for (const body of bodies) if (meet(text, body)) wrong.push(`${text.id} and box ${body.id} overlap`);
  for (const body of bodies) {
    for (const text of body.element.parentNode.querySelectorAll(":scope > text:not(.times)")) {
      if (text.previousElementSibling?.tagName === "circle") continue;
      if (!inside(tight(rect(text)), grown(body, body.round ? 1 : 0))) wrong.push(`text ${text.textContent} leaves box ${body.id}`);
    }
  }
  for (const wire of all(".wire")) {
    const line = wire.querySelector(".reach"), length = line.getTotalLength(), name = `wire ${wire.dataset.from} -> ${wire.dataset.to}`;
    const points = Array.from({ length: Math.ceil(length / 2) + 1 }, (_, at) => line.getPointAtLength(Math.min(length, at * 2)));
    if (points.some(({ x, y }) => !Number.isFinite(x) || !Number.isFinite(y))) wrong.push(`${name} is nowhere`);
    for (const body of bodies) {
      const core = grown(body, -1.5), middle = [(body.left + body.right) / 2, (body.top + body.bottom) / 2];
      const radius = (body.right - body.left) / 2 - 1.5;
      const hit = body.round ? ({ x, y }) => Math.hypot(x - middle[0], y - middle[1]) < radius : (point) => holds(core, point);
      if (points.some(hit)) wrong.push(`${name} crosses box ${body.id}`);
    }
    for (const text of texts) if (points.some((point) => holds(grown(text, -0.5), point))) wrong.push(`${name} crosses ${text.id}`);
    const from = bodies.find(({ id }) => id === wire.dataset.from), to = bodies.find(({ id }) => id === wire.dataset.to);
    const tip = wire.querySelector(".tip");
    if (!holds(grown(from, 1.5), points[0])) wrong.push(`${name} does not begin at its box`);
    if (tip ? !meet(grown(rect(tip), 1), to) : !holds(grown(to, 1.5), points[points.length - 1])) wrong.push(`${name} does not end at its box`);
  }
  view.setAttribute("transform", moved);
  return wrong.slice(0, 12);
})()
