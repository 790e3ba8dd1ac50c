// Digits as somebody may draw them: strokes of points [x, y] from 0 to 1.

const arc = (x, y, rx, ry, from, to, count = 24) =>
  Array.from({ length: count + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / count) * Math.PI) / 180;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

export const DIGITS = [
  [arc(0.5, 0.5, 0.2, 0.34, -90, 270)],
  [[[0.38, 0.3], [0.52, 0.16], [0.52, 0.84]]],
  [[...arc(0.5, 0.33, 0.2, 0.18, -170, 40), [0.32, 0.84], [0.72, 0.84]]],
  [[...arc(0.48, 0.32, 0.18, 0.16, -150, 90), ...arc(0.48, 0.66, 0.22, 0.18, -90, 150)]],
  [[[0.45, 0.15], [0.28, 0.58], [0.74, 0.58]], [[0.62, 0.34], [0.58, 0.86]]],
  [[[0.7, 0.16], [0.38, 0.16], [0.34, 0.48], ...arc(0.48, 0.64, 0.22, 0.2, -110, 140)]],
  [[[0.6, 0.14], [0.42, 0.36], ...arc(0.5, 0.66, 0.18, 0.19, -170, 190)]],
  [[[0.28, 0.17], [0.72, 0.17], [0.44, 0.85]], [[0.36, 0.5], [0.64, 0.5]]],
  [[...arc(0.5, 0.32, 0.15, 0.16, 90, 450), ...arc(0.5, 0.68, 0.2, 0.19, -90, 270)]],
  [[...arc(0.5, 0.34, 0.17, 0.18, 0, 360), [0.66, 0.36], [0.6, 0.86]]],
];

/** Draws strokes on the pad with the mouse. */
export async function draw(page, strokes) {
  await page.locator('#clear').click();
  const box = await page.locator('#pad').boundingBox();
  const place = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point));
    await page.mouse.up();
  }
}
