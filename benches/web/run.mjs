// Serves the pages, runs them in Chromium and prints what they measure, as Markdown: see run.sh.

import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { cpus, loadavg, tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import { median } from "./turns.js";

const PKG = process.env.PKG;
const TENSORFLOW = ["core", "layers", "backend-webgpu"].map(
  (part) => `node_modules/@tensorflow/tfjs-${part}/dist/tf-${part}.es2017.min.js`);
const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
};
/** Profiles in which a page is opened for the first time, and then again. */
const PROFILES = 3;

/** Rows for each of some parts, by name. */
const PARTS = {
  async sizes() {
    heading("| | bytes | gzip -9 |", "| --- | --- | --- |");
    for (const module of ["operations", "network"]) {
      await size(`${module}: wasm`, [`${PKG}/${module}_bg.wasm`]);
      await size(`${module}: JavaScript`, [`${PKG}/${module}.js`]);
    }
    await size("TensorFlow.js: core, layers, WebGPU", TENSORFLOW);
  },
  async operations(filter) {
    heading("| op | values | time | copy or fill | times the copy |", "| --- | --- | --- | --- | --- |");
    await inPage("operations", [filter], ({ name, size, operation, yardstick }) =>
      `| ${name} | ${size} | ${ms(operation.time)} | ${ms(yardstick.time)} | ${operation.part.toFixed(2)} |`);
  },
  async beside(filter) {
    heading("| op | values | selfnorm | TensorFlow.js | ours, as a part of theirs |", "| --- | --- | --- | --- | --- |");
    await inPage("operationsBeside", [filter], besideRow);
  },
  async digits() {
    heading("| | | selfnorm | TensorFlow.js | ours, as a part of theirs |", "| --- | --- | --- | --- | --- |");
    await inPage("network", ["digits"], besideRow);
  },
  async tutorial() {
    heading("| | | selfnorm | TensorFlow.js | ours, as a part of theirs |", "| --- | --- | --- | --- | --- |");
    await inPage("network", ["tutorial"], besideRow);
  },
  async tasks() {
    heading("| the digits network, in the page's own thread | steps | time | long tasks | the longest |", "| --- | --- | --- | --- | --- |");
    await inPage("tasks", ["digits"], ({ what, steps, time, tasks }) =>
      `| ${what} | ${steps} | ${ms(time)} | ${tasks.length} | ${tasks.length ? ms(Math.max(...tasks)) : ""} |`);
  },
  async first() {
    heading("| from navigation, | loaded | first step done |", "| --- | --- | --- |");
    const libraries = ["selfnorm", "tensorflow"];
    const times = Object.fromEntries(libraries.map((library) => [library, { cold: [], warm: [] }]));
    for (let profile = 0; profile < PROFILES; profile++) {
      for (const library of libraries) {
        const folder = await mkdtemp(join(tmpdir(), "selfnorm-web-"));
        const context = await chromium.launchPersistentContext(folder, OPTIONS);
        for (const kind of ["cold", "warm"]) {
          const page = await open(context, `first.html#${library}`);
          times[library][kind].push(await page.evaluate(async () => (await import("./first.js")).first));
          await page.close();
        }
        await context.close();
        await rm(folder, { recursive: true });
      }
    }
    for (const [library, kinds] of Object.entries(times)) {
      for (const [kind, of] of Object.entries(kinds)) {
        const [loaded, stepped] = ["loaded", "stepped"].map((at) => median(of.map((times) => times[at])));
        console.log(`| ${library}, ${kind} | ${ms(loaded)} | ${ms(stepped)} |`);
      }
    }
  },
};

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
/** Where the pages' files are. */
const FOLDERS = { "/modules/": "node_modules/", "/pkg/": `${PKG}/`, "/data/": "../../examples/data/", "/": "./" };

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

async function open(browser, page) {
  const opened = await browser.newPage();
  opened.on("console", (message) => message.type() !== "error" || console.error(`[page] ${message.text()}`));
  opened.on("pageerror", (error) => console.error(`[page] ${error}`));
  await opened.goto(`http://localhost:${server.address().port}/${page}`);
  return opened;
}

/** Prints the rows that a function of bench.js yields. */
async function inPage(name, args, print) {
  const browser = await chromium.launch(OPTIONS);
  const page = await open(browser, "bench.html");
  await page.exposeFunction("row", (row) => console.log(print(row)));
  await page.evaluate(async ([name, args]) => {
    for await (const row of (await import("./bench.js"))[name](...args)) {
      await window.row(row);
    }
  }, [name, args]);
  await browser.close();
}

function besideRow({ name, what, ours, theirs }) {
  return `| ${name} | ${what} | ${ms(ours.time)} | ${ms(theirs.time)} | ${(1 / theirs.part).toPrecision(2)} |`;
}

async function size(name, files) {
  const contents = await Promise.all(files.map((file) => readFile(file)));
  const packed = contents.map((input) => execFileSync("gzip", ["-9"], { input }).length);
  const sum = (sizes) => sizes.reduce((sum, size) => sum + size, 0).toLocaleString("en");
  console.log(`| ${name} | ${sum(contents.map((content) => content.length))} | ${sum(packed)} |`);
}

function heading(...lines) {
  console.log(["", ...lines].join("\n"));
}

function ms(time) {
  return time < 0.1 ? `${(time * 1e3).toPrecision(3)} µs` : time < 1e4 ? `${Number(time.toPrecision(3))} ms` : `${(time / 1e3).toPrecision(3)} s`;
}

await new Promise((listening) => server.listen(0, "localhost", listening));
const [part, filter = ""] = process.argv.slice(2);
const browser = await chromium.launch(OPTIONS);
const page = await open(browser, "bench.html");
const info = await page.evaluate(async () => {
  const { vendor, architecture } = (await navigator.gpu.requestAdapter()).info;
  return `${vendor} ${architecture}`;
});
console.log(`Chromium ${browser.version()}, ${info}; ${cpus().length} × ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}`);
await browser.close();
for (const name of part ? [part] : Object.keys(PARTS)) {
  await PARTS[name](filter);
}
server.close();
