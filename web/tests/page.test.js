// What the page promises, in Chromium with WebGPU on a software adapter.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { WEBGPU, checksums, done, launch, open, reading, serve, text, until } from './browser.js';
import { DIGITS, draw } from './digits.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** Small networks, one of them with dropout and one with batch normalization, which are trained in seconds. */
const SHORT = '#a=selu,lecun_normal,0.05&b=gelu,he_normal,0,batch&depth=3&optimizer=adam&rate=0.001&seed=7&epochs=6';

let host;
let browser;

before(async () => {
  host = await serve();
  browser = await launch(WEBGPU);
});

after(async () => {
  await browser?.close();
  host?.close();
});

/** The faults that axe-core finds and calls serious or critical. */
async function inaccessible(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run());
  return violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`);
}

test('reads 95 % of the held-out digits within a minute, and what somebody draws', async () => {
  const start = Date.now();
  const { page, faults } = await open(browser, host.address);
  await until(page, () => parseFloat(document.getElementById('accuracy-a').textContent) >= 95);
  const seconds = (Date.now() - start) / 1000;
  console.log(`95 % after ${seconds} s, a step takes ${await text(page, 'step-time')}`);
  assert(seconds < 60, `95 % after ${seconds} s`);
  assert.match(await text(page, 'same-bits'), /equal to the README/);
  assert(README.includes((await text(page, 'same-bits')).split(',')[0]), 'the README has another checksum');

  await page.locator('#pause').click();
  await until(page, () => document.getElementById('status').textContent.endsWith('paused'));
  const read = [];
  for (const strokes of DIGITS) {
    await draw(page, strokes);
    read.push((await reading(page, 'a')).digit);
  }
  console.log(`drawn from 0 to 9, read as ${read}`);
  const right = read.filter((digit, drawn) => digit === drawn);
  assert(right.length >= 8, `0 to 9 are read as ${read}`);

  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await inaccessible(page), [], colorScheme);
  }
  for (const width of [390, 1024, 1600]) {
    await page.setViewportSize({ width, height: 900 });
    const content = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(content <= width, `${content} pixels wide on a screen of ${width}`);
  }
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('a link shows the same run, bit for bit', async () => {
  const first = await open(browser, host.address + SHORT);
  await done(first.page);
  const found = await checksums(first.page);
  await first.page.locator('#share').click();
  const link = first.page.url();
  assert(link.startsWith(host.address + SHORT) && link.endsWith(`&check=6.${found.join('.')}`), link);

  const second = await open(browser, link);
  await done(second.page);
  assert.deepEqual(await checksums(second.page), found);
  assert.match(await text(second.page, 'link-check'), /equal after epoch 6/);
  // Another seed is another run.
  await second.page.locator('summary').click();
  await second.page.locator('#seed').fill('8');
  await second.page.locator('#seed').press('Enter');
  await until(second.page, () => location.hash.includes('seed=8'));
  await until(second.page, () => document.getElementById('status').textContent.startsWith('Epoch'));
  await done(second.page);
  assert.notDeepEqual(await checksums(second.page), found);
  assert.deepEqual([...first.faults, ...second.faults], []);
  await first.page.context().close();

  // A lost device: the training goes on from its checkpoint, to the same bits.
  const { page } = second;
  await page.goto(`${host.address}${SHORT}&again`);
  await until(page, () => /Epoch [3-6]/.test(document.getElementById('status').textContent));
  await page.workers()[0].evaluate(() => {
    const { createCommandEncoder } = GPUDevice.prototype;
    GPUDevice.prototype.createCommandEncoder = function (...descriptor) {
      GPUDevice.prototype.createCommandEncoder = createCommandEncoder;
      this.destroy();
      return this.createCommandEncoder(...descriptor);
    };
  });
  const goOn = page.getByRole('button', { name: /Go on from epoch/ });
  await goOn.waitFor();
  assert.match(await text(page, 'alert'), /the graphics device/);
  await goOn.click();
  await done(page);
  assert.deepEqual(await checksums(page), found);
  assert(await page.locator('#alert').isHidden());
  await page.context().close();
});

/** A file in the IDX format: of images if there are extents, else of labels. */
function idx(count, extents, value) {
  const dimensions = [count, ...extents];
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header.writeUInt32BE(0x800 + dimensions.length);
  dimensions.forEach((extent, i) => header.writeUInt32BE(extent, 4 + 4 * i));
  const length = dimensions.reduce((product, extent) => product * extent);
  return Buffer.concat([header, Buffer.from(Array.from({ length }, (_, i) => value(i)))]);
}

/** Drops files on the page. */
const drop = (page, files) =>
  page.evaluate((files) => {
    const dataTransfer = new DataTransfer();
    for (const [name, bytes] of Object.entries(files)) {
      dataTransfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
    }
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
  }, Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, bytes.toString('base64')])));

test('learns MNIST from files that are dropped, and works without a mouse', async () => {
  const { page, faults } = await open(browser, host.address + SHORT);
  await done(page);
  // Class k is white in row 2 k.
  const image = (i) => (Math.floor((i % 784) / 28) === 2 * (Math.floor(i / 784) % 10) ? 255 : 0);
  const files = {
    'train-images-idx3-ubyte.gz': gzipSync(idx(200, [28, 28], image)),
    'train-labels-idx1-ubyte': idx(200, [], (i) => i % 10),
    't10k-images-idx3-ubyte': idx(50, [28, 28], image),
    't10k-labels-idx1-ubyte.gz': gzipSync(idx(50, [], (i) => i % 10)),
  };
  await drop(page, { ...files, 't10k-labels-idx1-ubyte.gz': files['t10k-images-idx3-ubyte'] });
  await until(page, () => document.getElementById('files-note').textContent.includes('should have labels'));
  const [one, ...others] = Object.entries(files);
  await drop(page, Object.fromEntries([one]));
  await until(page, () => document.getElementById('files-note').textContent.startsWith('1 of 4'));
  await drop(page, Object.fromEntries(others));
  await until(page, () => document.getElementById('data').textContent === '200 digits of 28×28 to learn, 50 held out');
  await until(page, () => document.getElementById('status').textContent.startsWith('Epoch'));
  await done(page);
  assert(parseFloat(await text(page, 'accuracy-a')) > 50);

  // The skip link, then the pause button, then the depth.
  await page.evaluate(() => document.activeElement.blur());
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  const reached = [];
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Tab');
    reached.push(await focused());
  }
  assert.deepEqual(reached, ['skip', 'pause', 'restart', 'share', 'depth']);
  await page.keyboard.press('ArrowRight');
  await until(page, () => location.hash.includes('depth=4'));
  await page.locator('#pause').focus();
  await page.keyboard.press('Enter');
  assert.equal(await text(page, 'pause'), 'Go on');
  await page.keyboard.press('Enter');

  // A 1, with the keys.
  await page.locator('#pad').focus();
  for (const key of [' ', ...Array(14).fill('ArrowDown'), ' ']) await page.keyboard.press(key);
  const drawn = await until(page, () => {
    const canvas = document.getElementById('seen');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const inked = data.filter((value, i) => i % 4 === 3 && value > 127).length;
    return inked > 0 && { side: canvas.width, inked };
  });
  assert.equal(drawn.side, 28);
  assert(drawn.inked > 20 && drawn.inked < 100, `${drawn.inked} pixels`);
  await reading(page, 'a');
  await page.keyboard.press('Delete');
  await until(page, () => !document.querySelector('#probabilities td.best'));
  // The skip link changes no run.
  const run = () => page.evaluate(() => [location.hash, document.activeElement.id]);
  const [hash] = await run();
  await page.locator('.skip').focus();
  await page.keyboard.press('Enter');
  assert.deepEqual(await run(), [hash, 'networks']);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('trains without a task of 50 ms on the page’s thread', async () => {
  const { page, faults } = await open(browser, `${host.address}#depth=8&epochs=1000`);
  await until(page, () => document.getElementById('status').textContent.startsWith('Epoch 2'));
  await browser.startTracing(page, { categories: ['disabled-by-default-toplevel', 'toplevel', 'devtools.timeline'] });
  await draw(page, DIGITS[3]);
  await page.waitForTimeout(5000);
  const trace = JSON.parse((await browser.stopTracing()).toString()).traceEvents;
  // Time of the processor, which no other program takes part in.
  const mains = trace.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const times = mains.map((main) =>
    trace.filter(({ pid, tid, tdur }) => pid === main.pid && tid === main.tid && tdur).map(({ tdur }) => tdur / 1000));
  const tasks = times.reduce((most, tasks) => (tasks.length > most.length ? tasks : most));
  const longest = Math.max(...tasks);
  console.log(`${tasks.length} tasks, the longest ${longest} ms`);
  assert(tasks.length > 100 && longest < 50, `the longest of ${tasks.length} tasks takes ${longest} ms`);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('says what to do where there is no WebGPU', async () => {
  const without = await launch(['--disable-features=WebGPU,WebGPUService']);
  const { page } = await open(without, host.address);
  await page.locator('#alert').waitFor();
  const alert = await text(page, 'alert');
  assert.match(alert, /This page needs WebGPU/);
  assert.match(alert, /Chrome and Edge have it from version 113/);
  assert.match(alert, /chrome:\/\/flags/);
  assert.deepEqual(await inaccessible(page), []);
  await without.close();
});
