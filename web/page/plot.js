// Curves and bars on a canvas, in the page's own colours.

const MARGIN = { left: 46, right: 14, top: 10, bottom: 26 };

/** A context whose unit is a pixel of the page, cleared; and its size. */
export function prepare(canvas) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = devicePixelRatio;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** The page's colours of now. */
export function palette() {
  const style = getComputedStyle(document.body);
  const names = ['ink', 'muted', 'line', 'grid', 'a', 'b', 'card'];
  const colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...colours, font: style.fontFamily };
}

/** Steps of 1, 2 or 5 times a power of ten, about `count` of them. */
export function ticks(least, most, count) {
  const rough = (most - least) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
  const first = Math.ceil(least / step - 1e-9);
  return Array.from({ length: Math.floor(most / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** Powers of ten, at most about `count` of them. */
export function logTicks(least, most, count) {
  const [low, high] = [Math.ceil(Math.log10(least) - 1e-9), Math.floor(Math.log10(most) + 1e-9)];
  const every = Math.max(1, Math.ceil((high - low + 1) / count));
  // 1 is always among them.
  const first = Math.ceil(low / every) * every;
  return Array.from({ length: Math.max(0, Math.floor((high - first) / every) + 1) }, (_, i) => 10 ** (first + i * every));
}

const RAISED = { '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };

/** A number in few characters: 0.97, 12.3, 3 · 10⁻⁹. */
export function short(value) {
  if (!Number.isFinite(value)) return '∞';
  if (value === 0) return '0';
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (power >= -2 && power < 5) return Number(value.toPrecision(Math.max(2, power + 1))).toLocaleString('en');
  const raised = [...String(power)].map((digit) => RAISED[digit]).join('');
  const factor = Number((value / 10 ** power).toPrecision(2));
  return factor === 1 ? `10${raised}` : `${factor} · 10${raised}`;
}

/**
 * Draws axes and curves.
 *
 * `x` and `y` are { range: [least, most], log, ticks, format, name }; `rules` are horizontal lines at a value;
 * `curves` are { points: [[x, y], …], colour, width, opacity, label, fill }.
 */
export function plot(canvas, { x, y, rules = [], curves }) {
  const { context, width, height } = prepare(canvas);
  const colours = palette();
  const end = curves.some((curve) => curve.label) ? 74 : MARGIN.right;
  const [left, right, top, bottom] = [MARGIN.left, width - end, MARGIN.top, height - MARGIN.bottom];
  const scale = ({ range: [least, most], log }, from, to) => {
    const on = log ? Math.log : (value) => value;
    const [start, extent] = [on(least), on(most) - on(least)];
    return (value) => from + ((on(Math.min(Math.max(value, least), most)) - start) / extent) * (to - from);
  };
  const [across, up] = [scale(x, left, right), scale(y, bottom, top)];
  const marks = ({ range: [least, most], log, ticks: count = 5 }) => (log ? logTicks : ticks)(least, most, count);

  context.font = `12px ${colours.font}`;
  context.lineWidth = 1;
  context.strokeStyle = colours.grid;
  context.fillStyle = colours.muted;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (const value of marks(y)) {
    const at = Math.round(up(value)) + 0.5;
    line(context, [[left, at], [right, at]]);
    context.fillText((y.format ?? short)(value), left - 8, at);
  }
  context.textBaseline = 'top';
  context.textAlign = 'center';
  for (const value of marks(x)) context.fillText((x.format ?? short)(value), across(value), bottom + 9);
  if (x.name) {
    context.textAlign = 'right';
    context.fillText(x.name, width - 2, bottom + 9);
  }
  context.strokeStyle = colours.muted;
  context.setLineDash([2, 4]);
  for (const value of rules) {
    const at = Math.round(up(value)) + 0.5;
    line(context, [[left, at], [right, at]]);
  }
  context.setLineDash([]);

  context.lineJoin = 'round';
  const labels = [];
  for (const { points, colour, width: thickness = 2, opacity = 1, label, fill } of curves) {
    if (points.length === 0) continue;
    const placed = points.map(([a, b]) => [across(a), up(b)]);
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = thickness;
    if (fill) {
      context.globalAlpha = fill;
      line(context, [[placed[0][0], bottom], ...placed, [placed.at(-1)[0], bottom]], true);
    }
    context.globalAlpha = opacity;
    line(context, placed);
    if (placed.length === 1) {
      context.beginPath();
      context.arc(...placed[0], 3, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    if (label) labels.push({ label, colour, at: placed.at(-1)[1], from: placed.at(-1)[0] });
  }
  // Labels next to the ends of their curves, one below the other.
  labels.sort((one, other) => one.at - other.at);
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  context.font = `600 12px ${colours.font}`;
  let free = top + 6;
  labels.forEach(({ label, colour, at, from }, i) => {
    const below = (labels.length - 1 - i) * 16;
    free = Math.max(Math.min(at, bottom - 6 - below), free);
    context.fillStyle = colour;
    context.fillText(label, from + 8, free);
    free += 16;
  });
}

function line(context, points, isFilled = false) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  if (isFilled) context.fill();
  else context.stroke();
}

/** Pictures of `units` columns of a kernel [pixels, units], in a square: one colour for what is above 0, one for below. */
export function mosaic(canvas, weights, units) {
  const side = Math.round(Math.sqrt(weights.length / units));
  const across = Math.ceil(Math.sqrt(units));
  const cell = side + 1;
  const size = across * cell - 1;
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const context = canvas.getContext('2d');
  const image = context.createImageData(size, size);
  const { a, b } = palette();
  const [above, below] = [a, b].map(components);
  // Two deviations are the full colour.
  const deviation = Math.sqrt(weights.reduce((sum, weight) => sum + weight * weight, 0) / weights.length) || 1;
  for (let unit = 0; unit < units; unit++) {
    const [top, left] = [Math.floor(unit / across) * cell, (unit % across) * cell];
    for (let pixel = 0; pixel < side * side; pixel++) {
      const weight = weights[pixel * units + unit] / (2 * deviation);
      const at = 4 * ((top + Math.floor(pixel / side)) * size + left + (pixel % side));
      image.data.set(weight > 0 ? above : below, at);
      image.data[at + 3] = 255 * Math.min(1, Math.abs(weight));
    }
  }
  context.putImageData(image, 0, 0);
}

/** Red, green and blue of #rrggbb. */
export function components(colour) {
  return [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
}
