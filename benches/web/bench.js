// The page's measurements: each a function that the driver calls, and that yields rows.

import { digits, noise, seen } from "./data.js";
import init, * as selfnorm from "./pkg/selfnorm_web.js";
import * as tensorflow from "./tensorflow.js";
import { turns } from "./turns.js";

const SIZES = { "1 Mi": 1 << 20, "16 Mi": 1 << 24 };

/** What a network has besides its data, and the steps of its epochs. */
const NETWORKS = {
  digits: { units: 128, rate: 0.1, batch: 64, steps: 8, load: digits },
  tutorial: { units: 256, rate: 0.25, batch: 250, steps: 2, load: noise },
};

/** The epochs in which long tasks are counted. */
const LONG_EPOCHS = 100;

/** Each operation beside a kernel that moves as many bytes. */
export async function* operations(filter) {
  await init();
  const device = await selfnorm.Device.request();
  for (const [size, len] of Object.entries(SIZES)) {
    const ours = new selfnorm.Operations(device, len);
    for (const name of selfnorm.Operations.names().filter((name) => name.includes(filter))) {
      const [yardstick, operation] = await turns([
        (repeats) => ours.runYardstick(name, repeats),
        (repeats) => ours.run(name, repeats),
      ]);
      yield { name, size, operation, yardstick };
    }
    ours.free();
  }
}

/** Operations as a page calls them, beside TensorFlow.js's. */
export async function* operationsBeside(filter) {
  await Promise.all([init(), tensorflow.request()]);
  const device = await selfnorm.Device.request();
  const x = Float32Array.from({ length: 1 << 16 }, (_, i) => (i - (1 << 15)) / 2048);
  agree(await selfnorm.selu(device, x), await tensorflow.selu(x), "SELU");
  for (const [what, len] of Object.entries(SIZES)) {
    const all = new selfnorm.Operations(device, len);
    const { dispose, ...others } = tensorflow.operations(len);
    for (const [name, run] of Object.entries(others).filter(([name]) => name.includes(filter))) {
      const [ours, theirs] = await turns([(repeats) => all.runTensors(name, repeats), run]);
      yield { name, what, ours, theirs };
    }
    all.free();
    dispose();
  }
}

/** Steps and predictions of a network, beside TensorFlow.js's. */
export async function* network(name) {
  await Promise.all([init(), tensorflow.request()]);
  const device = await selfnorm.Device.request();
  const { units, rate, batch, steps, load } = NETWORKS[name];
  const data = await load(steps * batch);
  const { side, pixels, labels, scale, shift } = data;
  const both = [
    new selfnorm.Network(device, side, units, rate, batch, pixels, labels, scale, shift),
    new tensorflow.Network({ units, rate, batch }, data),
  ];
  const losses = new Map(both.map((network) => [network, []]));
  const [mine, other] = both;
  other.setWeights(await mine.weights());

  const compare = async (what, run, parts = 1) => {
    const times = await turns(both.map((network) => (repeats) => run(network, repeats)));
    const [ours, theirs] = times.map(({ time, part }) => ({ time: time / parts, part }));
    return { name, what, ours, theirs };
  };
  for (const n of [1, 64]) {
    const x = seen(data, n);
    agree(await mine.predict(x), await other.predict(x), `predictions of ${n}`);
    yield await compare(`prediction of ${n}, with the read`, async (network, repeats) => {
      for (let i = 0; i < repeats; i++) await network.predict(x);
    });
  }
  yield await compare("step, its loss awaited", async (network, repeats) => {
    for (let i = 0; i < repeats; i++) losses.get(network).push(await network.step());
  });
  yield await compare("step of an epoch", async (network, epochs) => {
    losses.get(network).push(...(await network.fit(epochs)));
  }, steps);
  for (const of of losses.values()) {
    if (!(of.at(-1) < of[0])) {
      throw new Error(`a loss that does not fall: ${of}`);
    }
  }
}

/** A network trains on the page's own thread; what the browser calls long tasks, those over 50 ms. */
export async function* tasks(name) {
  await init();
  const device = await selfnorm.Device.request();
  const { units, rate, batch, steps: batches, load } = NETWORKS[name];
  const { side, pixels, labels, scale, shift } = await load(batches * batch);
  const long = [];
  const observer = new PerformanceObserver((list) => long.push(...list.getEntries()));
  observer.observe({ type: "longtask" });
  let network;
  for (const [what, steps, run] of [
    ["built", 0, () => (network = new selfnorm.Network(device, side, units, rate, batch, pixels, labels, scale, shift))],
    ["begins to train", batches, () => network.fit(1)],
    ["trains", batches * LONG_EPOCHS, () => network.fit(LONG_EPOCHS)],
  ]) {
    const start = performance.now();
    await run();
    const time = performance.now() - start;
    // What is observed is told in a later task.
    await new Promise((resolve) => setTimeout(resolve, 500));
    yield { what, steps, time, tasks: long.splice(0).map(({ duration }) => duration) };
  }
  observer.disconnect();
}

/** What does not agree is not timed. */
function agree(ours, theirs, what) {
  ours.forEach((y, i) => {
    if (!(Math.abs(y - theirs[i]) <= 1e-5 * Math.max(1, Math.abs(y)))) {
      throw new Error(`${what}: value ${i} is ${y} here and ${theirs[i]} there`);
    }
  });
}
