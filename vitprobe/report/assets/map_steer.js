// A map's mouse, fingers and keys.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0], PageUp: [10, 0], PageDown: [-10, 0], Home: [0, -1e6], End: [0, 1e6] };
const STILL = 5; // pixels that a click may wander

function steerMap(plot, map) {
  const fingers = new Map(); // pointer -> where it is
  let from = null; // where the first one went down
  let moved = false;

  const inside = (event) => {
    const box = plot.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const cellOf = (event) => map.view().cellAt(...inside(event));
  const placeOf = (event) => {
    const [x, y] = inside(event);
    const view = map.view();
    return [view.window.r0 + (view.top + view.h - y) / view.cell[1], view.window.c0 + (x - view.left) / view.cell[0]];
  };

  plot.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) [from, moved] = [event, false];
    else moved = true;
  });

  plot.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) {
      point(event);
      return;
    }
    if (fingers.size === 2) pinch(before, event);
    else if (moved || Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > STILL) {
      moved = true;
      if (map.view().zoomed) drag(before, event);
      else point(event);
    }
    fingers.set(event.pointerId, event);
  });

  function point(event) {
    const cell = cellOf(event);
    map.pointAt(cell);
    if (cell && event.pointerType === "mouse") showTip(map.grid().words(cell.i, cell.j), event.clientX, event.clientY);
    else hideTip();
  }

  function drag(before, event) {
    hideTip();
    if (!plot.hasPointerCapture(event.pointerId)) plot.setPointerCapture(event.pointerId);
    const [width, height] = map.view().cell;
    map.view().pan((event.clientY - before.clientY) / height, -(event.clientX - before.clientX) / width);
    map.redraw();
  }

  function pinch(before, event) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const apart = (a, b) => Math.max(20, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY));
    map.zoomBy(apart(event, other) / apart(before, other), ...placeOf(other));
  }

  const up = (event) => {
    const one = fingers.size === 1 && fingers.has(event.pointerId);
    fingers.delete(event.pointerId);
    const cell = cellOf(event);
    if (one && !moved && event.type === "pointerup" && cell) {
      map.pointAt(cell);
      map.fix(cell);
    }
  };
  plot.addEventListener("pointerup", up);
  plot.addEventListener("pointercancel", up);
  plot.addEventListener("pointerleave", (event) => {
    hideTip();
    if (event.pointerType === "mouse" && !fingers.size) map.pointAt(null);
  });

  plot.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== plot) return;
      if (event.deltaY > 0 && !map.view().zoomed) return; // the page scrolls on
      event.preventDefault();
      hideTip();
      map.zoomBy(1.0015 ** -event.deltaY, ...placeOf(event));
    },
    { passive: false },
  );

  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    const grid = map.grid();
    if (step) {
      const at = map.cursor() || { i: 0, j: 0 };
      const within = (value, count) => Math.max(0, Math.min(count - 1, value));
      const moves = map.cursor() ? step : [0, 0];
      const cell = { i: within(at.i + moves[0], grid.rows.length), j: within(at.j + moves[1], grid.columns.length) };
      map.view().reveal(cell);
      map.redraw();
      map.pointAt(cell);
    } else if ((event.key === "Enter" || event.key === " ") && map.cursor()) map.fix(map.cursor());
    else if (event.key === "Escape") map.release();
    else if (event.key === "+" || event.key === "=") map.zoomBy(1.6);
    else if (event.key === "-") map.zoomBy(1 / 1.6);
    else if (event.key === "0") {
      map.view().reset();
      map.redraw();
    } else return;
    hideTip();
    event.preventDefault();
  });
}
