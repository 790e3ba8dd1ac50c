// Photographs of the page for the documentation: `node tests/photograph.js FOLDER`, once it is built.

import { join } from 'node:path';
import { WEBGPU, launch, open, serve, until } from './browser.js';
import { DIGITS, draw } from './digits.js';

const folder = process.argv[2];
const host = await serve();
const browser = await launch(WEBGPU);
const { page } = await open(browser, host.address);
await until(page, () => parseFloat(document.getElementById('accuracy-a').textContent) >= 90, undefined, 240);
await draw(page, DIGITS[3]);
for (const [name, colorScheme, width, height] of [
  ['web_light_1600', 'light', 1600, 1300],
  ['web_dark_1024', 'dark', 1024, 1200],
  ['web_light_390', 'light', 390, 1400],
]) {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width, height });
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.waitForTimeout(1500);
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
await browser.close();
host.close();
