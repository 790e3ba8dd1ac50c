// From strokes to pixels, as those who made the data did it.

/** A pen's thickness, relative to the digit's height. */
const PEN = 0.11;

/** Strokes with less than this extent, of a pad of 1, are a dot. */
const DOT = 0.2;

/**
 * The pixels of strokes, which are arrays of points [x, y] from 0 to 1: `side` × `side` bytes from 0 to `ink`.
 *
 * UCI's 8×8 digits are counts: a bitmap of 32×32, in which the digit fills 20×32, cut into blocks of 4×4. MNIST's
 * are grey: the digit fits into 20×20, and its centre of mass is the picture's centre.
 */
export function pixels(strokes, side, ink) {
  if (strokes.length === 0) return new Uint8Array();
  const points = strokes.flat();
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const box = { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
  const pen = PEN * Math.max(box.right - box.left, box.bottom - box.top, DOT);
  const [width, height] = [box.right - box.left + pen, box.bottom - box.top + pen];
  const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  return side === 8 ? counted(strokes, pen, width, height, middle, ink) : grey(strokes, pen, width, height, middle, side, ink);
}

function counted(strokes, pen, width, height, middle, ink) {
  const [block, size] = [4, 32];
  // A stroke alone, as of a 1, is not stretched to the full width.
  const down = Math.min(size / height, (3 * 20) / width);
  const across = Math.min(20 / width, 2 * down);
  const alpha = render(strokes, pen, [across, down], middle, [size / 2, size / 2], size);
  const counts = new Uint8Array((size / block) ** 2);
  alpha.forEach((value, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    if (value > 127) counts[Math.floor(row / block) * (size / block) + Math.floor(column / block)]++;
  });
  return counts.map((count) => Math.round((count / block ** 2) * ink));
}

function grey(strokes, pen, width, height, middle, side, ink) {
  const scale = ((20 / 28) * side) / Math.max(width, height);
  const at = (centre) => render(strokes, pen, [scale, scale], middle, centre, side);
  const centred = at([side / 2, side / 2]);
  let [mass, x, y] = [0, 0, 0];
  centred.forEach((value, i) => {
    mass += value;
    x += value * ((i % side) + 0.5);
    y += value * (Math.floor(i / side) + 0.5);
  });
  const alpha = at([side - x / mass, side - y / mass]);
  return alpha.map((value) => Math.round((value / 255) * ink));
}

let canvas;

/** The opacity of strokes in a square of `size` pixels, scaled, with their `middle` at `centre`. */
function render(strokes, pen, [across, down], middle, centre, size) {
  canvas ??= document.createElement('canvas');
  canvas.width = canvas.height = size;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.setTransform(across, 0, 0, down, centre[0] - across * middle[0], centre[1] - down * middle[1]);
  trace(context, strokes, pen);
  const { data } = context.getImageData(0, 0, size, size);
  return Uint8Array.from({ length: size * size }, (_, i) => data[4 * i + 3]);
}

/** Strokes with a round pen. */
export function trace(context, strokes, pen) {
  context.lineWidth = pen;
  context.lineCap = context.lineJoin = 'round';
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...stroke[0]);
    // A dot, too.
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
  }
}
