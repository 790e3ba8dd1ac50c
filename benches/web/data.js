// The samples: pixels and labels, and what the networks see, pixel · scale + shift.

/** So many handwritten digits of the examples, as their network sees them: with mean 0 and variance 1. */
export async function digits(count) {
  const packed = await fetch("data/digits.csv.gz");
  const csv = await new Response(packed.body.pipeThrough(new DecompressionStream("gzip"))).text();
  const rows = csv.trim().split("\n", count).map((row) => row.split(",").map(Number));
  const pixels = Uint8Array.from(rows.flatMap((row) => row.slice(0, -1)));
  const labels = Uint8Array.from(rows, (row) => row.at(-1));
  const mean = pixels.reduce((sum, pixel) => sum + pixel, 0) / pixels.length;
  const variance = pixels.reduce((sum, pixel) => sum + (pixel - mean) ** 2, 0) / pixels.length;
  const scale = 1 / Math.sqrt(variance);
  return { pixels, labels, side: 8, scale, shift: -mean * scale };
}

/** So many samples of MNIST's size, of noise. */
export function noise(count) {
  const side = 28;
  const pixels = new Uint8Array(count * side * side);
  let state = 1;
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[i] = state >>> 24;
  }
  return { pixels, labels: Uint8Array.from({ length: count }, (_, i) => i % 10), side, scale: 1 / 255, shift: 0 };
}

/** What a network sees of the first samples. */
export function seen({ pixels, side, scale, shift }, count) {
  return Float32Array.from(pixels.subarray(0, count * side * side), (pixel) => pixel * scale + shift);
}
