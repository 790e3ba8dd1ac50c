// The pad to draw on: with a pointer, or with keys.

import { trace } from './strokes.js';

/** Relative to the pad. */
const PEN = 0.06;
const STEP = 1 / 24;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  /** Calls `changed` with the strokes, arrays of points [x, y] from 0 to 1. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    // What is shown in place of strokes: pixels from 0 to 1.
    this.picture = null;
    // The keyboard's pen, and whether it is down.
    this.pen = [0.5, 0.15];
    this.isDown = false;
    this.hasFocus = false;
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      canvas.focus();
      canvas.setPointerCapture(event.pointerId);
      this.begin(this.place(event));
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const events = event.getCoalescedEvents?.() ?? [];
      this.extend((events.length ? events : [event]).map((event) => this.place(event)));
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
    for (const kind of ['focus', 'blur']) {
      canvas.addEventListener(kind, () => {
        this.hasFocus = kind === 'focus' && canvas.matches(':focus-visible');
        this.isDown = false;
        this.draw();
      });
    }
  }

  place({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  begin(point) {
    this.picture = null;
    this.strokes.push([point]);
    this.update();
  }

  extend(points) {
    this.strokes.at(-1)?.push(...points);
    this.update();
  }

  key(event) {
    // The browser's own.
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      this.hasFocus = true;
      this.pen = this.pen.map((place, axis) => Math.min(0.96, Math.max(0.04, place + STEP * arrow[axis])));
      if (this.isDown) this.extend([this.pen]);
    } else if (event.key === ' ') {
      this.hasFocus = true;
      this.isDown = !this.isDown;
      if (this.isDown) this.begin(this.pen);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  clear() {
    this.strokes = [];
    this.picture = null;
    this.isDown = false;
    this.update();
  }

  /** Shows pixels from 0 to 1 in place of strokes. */
  show(picture) {
    this.strokes = [];
    this.isDown = false;
    this.picture = picture;
    this.draw();
  }

  update() {
    this.draw();
    this.changed(this.strokes);
  }

  draw() {
    const { canvas } = this;
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const context = canvas.getContext('2d');
    const style = getComputedStyle(canvas);
    const ink = style.color;
    context.setTransform(size, 0, 0, size, 0, 0);
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = context.strokeStyle = ink;
    if (this.picture) {
      const side = Math.sqrt(this.picture.length);
      this.picture.forEach((value, i) => {
        context.globalAlpha = value;
        context.fillRect((i % side) / side, Math.floor(i / side) / side, 1 / side, 1 / side);
      });
      context.globalAlpha = 1;
    } else if (this.strokes.length === 0) {
      context.globalAlpha = 0.5;
      context.textAlign = 'center';
      context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, size / 2, size / 2);
      context.font = `16px ${style.fontFamily}`;
      context.fillText('0 to 9, large', 0, 5);
      context.setTransform(size, 0, 0, size, 0, 0);
      context.globalAlpha = 1;
    }
    trace(context, this.strokes, PEN);
    if (this.hasFocus) {
      const [x, y] = this.pen;
      context.lineWidth = 0.008;
      context.strokeStyle = style.getPropertyValue(this.isDown ? '--b' : '--a');
      context.beginPath();
      context.arc(x, y, PEN / 2, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
