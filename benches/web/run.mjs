// Serves the page, runs it in Chromium and prints what it measures: see run.sh.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
/** Where the page's files are, the first that fits. */
const FOLDERS = { "/modules/": "node_modules/", "/pkg/": `${process.env.PKG}/`, "/data/": "../../examples/data/", "/": "./" };

const server = createServer(async (request, response) => {
  const path = normalize(new URL(request.url, "http://localhost").pathname);
  const [prefix, folder] = Object.entries(FOLDERS).find(([prefix]) => path.startsWith(prefix));
  const file = join(folder, path.slice(prefix.length));
  try {
    const { size } = await stat(file);
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": size,
      "cache-control": "max-age=3600",
    });
    createReadStream(file).pipe(response);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, "localhost", listening));
const address = `http://localhost:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
});
const page = await browser.newPage();
page.on("console", (message) => console.error(`[page] ${message.text()}`));
page.on("pageerror", (error) => console.error(`[page] ${error}`));
await page.goto(`${address}/bench.html`);

const measure = (name, ...args) => page.evaluate(
  async ([name, args]) => (await import("./bench.js"))[name](...args), [name, args]);
const ms = (time) => time < 0.1 ? `${(time * 1e3).toFixed(1)} µs` : `${time.toPrecision(3)} ms`;
const [what, filter = ""] = process.argv.slice(2);

console.log(`Chromium ${browser.version()}: ${await measure("adapter")}\n`);
if (!what || what === "operations") {
  for (const row of await measure("operations", filter)) {
    console.log(`| ${row.name} | ${row.size} | ${ms(row.time)} | ${ms(row.yardstick)} | ${row.part.toFixed(2)} |`);
  }
}
if (!what || what === "beside") {
  for (const row of await measure("operationsBeside", filter)) {
    console.log(`| ${row.name} | ${row.size} | ${ms(row.operation.time)} | ${ms(row.other.time)} | ${ms(row.copy.time)} | ${row.operation.part.toFixed(2)} | ${row.other.part.toFixed(2)} |`);
  }
}
for (const name of ["digits", "tutorial"]) {
  if (!what || what === name) {
    for (const row of await measure("network", name)) {
      console.log(`| ${row.name} | ${row.what} | ${ms(row.ours)} | ${ms(row.theirs)} | ${row.part.toFixed(2)} |`);
    }
  }
}
await browser.close();
server.close();
