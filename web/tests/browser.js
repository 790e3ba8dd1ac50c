// A Chromium with WebGPU on its software adapter, and a host for the page.

import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES = { '.css': 'text/css', '.html': 'text/html', '.js': 'text/javascript', '.svg': 'image/svg+xml', '.wasm': 'application/wasm' };
/** The page may lie anywhere. */
const FOLDER = '/in/a/folder/';

export const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

export function launch(more = []) {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: ['--no-sandbox', ...more] });
}

/** Serves dist/, and nothing else; returns the page's address and what closes it. */
export async function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const name = pathname === FOLDER ? 'index.html' : pathname.slice(FOLDER.length);
    const file = createReadStream(join(DIST, name));
    file.on('error', () => response.writeHead(404).end());
    file.on('open', () => {
      response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' });
      file.pipe(response);
    });
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  return { address: `http://localhost:${server.address().port}${FOLDER}`, close: () => server.close() };
}

/** Opens a page of its own profile; what it has to complain about is in `faults`. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && protocol !== 'blob:' && host !== new URL(address).host) faults.push(request.url());
  });
  await page.goto(address);
  return { page, faults };
}

export const text = (page, id) => page.locator(`#${id}`).innerText();

/** Waits until `found` returns something of the page that is not false. */
export async function until(page, found, argument, seconds = 60) {
  const handle = await page.waitForFunction(found, argument, { timeout: 1000 * seconds, polling: 100 });
  return handle.jsonValue();
}

/** Waits until both networks are trained. */
export const done = (page, seconds) =>
  until(page, () => document.getElementById('status').textContent.startsWith('Done'), null, seconds);

/** The checksums of both networks. */
export const checksums = (page) => Promise.all(['checksum-a', 'checksum-b'].map((id) => text(page, id)));

/** The digit that network `side` reads. */
export const reading = (page, side) =>
  until(page, (side) => {
    if (document.getElementById('probabilities').ariaBusy !== 'false') return false;
    const cells = [...document.querySelectorAll(`#probabilities td.${side}`)];
    const best = cells.findIndex((cell) => cell.classList.contains('best'));
    return best >= 0 && { digit: best, share: parseFloat(cells[best].textContent) / 100 };
  }, side);
