// Which part of the picture is seen, and how large: drag, wheel, two fingers.

const LEAST = 0.04, MOST = 6;

function newCamera(stage, view, moved) {
  const camera = { x: 0, y: 0, zoom: 1, width: 1, height: 1 };
  const apply = () => {
    view.setAttribute("transform", `translate(${round2(camera.x)} ${round2(camera.y)}) scale(${Math.round(camera.zoom * 1e4) / 1e4})`);
    moved();
  };
  const box = () => stage.getBoundingClientRect();
  const zoomAt = (px, py, factor) => {
    const zoom = Math.min(MOST, Math.max(LEAST, camera.zoom * factor)), by = zoom / camera.zoom;
    Object.assign(camera, { zoom, x: px - (px - camera.x) * by, y: py - (py - camera.y) * by });
    apply();
  };
  Object.assign(camera, {
    pan: (dx, dy) => (Object.assign(camera, { x: camera.x + dx, y: camera.y + dy }), apply()),
    zoomBy: (factor) => zoomAt(box().width / 2, box().height / 2, factor),
    fit: () => {
      const { width, height } = box(), margin = 26;
      const zoom = Math.min((width - 2 * margin) / camera.width, (height - 2 * margin) / camera.height, 1.5);
      camera.zoom = Math.min(MOST, Math.max(LEAST, zoom));
      camera.x = (width - camera.width * camera.zoom) / 2;
      camera.y = Math.max(margin, (height - camera.height * camera.zoom) / 2);
      apply();
    },
    centre: (x, y) => {
      const { width, height } = box();
      camera.zoom = Math.max(camera.zoom, 0.8);
      Object.assign(camera, { x: width / 2 - x * camera.zoom, y: height / 2 - y * camera.zoom });
      apply();
    },
    // Keeps a point of the old picture, now at (x, y) of the new one, where it is on the screen.
    keep: (before, x, y) => (Object.assign(camera, { x: before[0] - x * camera.zoom, y: before[1] - y * camera.zoom }), apply()),
    onScreen: (x, y) => [camera.x + x * camera.zoom, camera.y + y * camera.zoom],
  });
  listen(stage, camera, zoomAt);
  return camera;
}

// Drags beyond a few pixels swallow the click that ends them.
function listen(stage, camera, zoomAt) {
  const fingers = new Map();
  let far = 0;
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, top } = stage.getBoundingClientRect(), lines = event.deltaMode === 1 ? 16 : 1;
    zoomAt(event.clientX - left, event.clientY - top, Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)));
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!fingers.size) far = 0;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  window.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY], [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    fingers.set(event.pointerId, now);
    far += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (other) return pinch(stage, zoomAt, before, now, other);
    if (far > 4) stage.classList.add("dragged");
    camera.pan(now[0] - before[0], now[1] - before[1]);
  });
  for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, (event) => {
    fingers.delete(event.pointerId);
    stage.classList.remove("dragged");
  });
  stage.addEventListener("click", (event) => far > 4 && event.stopPropagation(), true);
}

function pinch(stage, zoomAt, before, now, other) {
  const { left, top } = stage.getBoundingClientRect(), apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
  zoomAt((now[0] + other[0]) / 2 - left, (now[1] + other[1]) / 2 - top, apart(now) / apart(before));
}
