// The page's measurements, each a function that the driver calls, and that returns rows of numbers.

import { digits, noise, seen } from "./data.js";
import init, * as selfnorm from "./pkg/selfnorm_web.js";
import * as tensorflow from "./tensorflow.js";
import { turns } from "./turns.js";

const SIZES = { "1 Mi": 1 << 20, "16 Mi": 1 << 24 };

/** What a network has besides its data. */
const NETWORKS = {
  digits: { units: 128, rate: 0.1, batch: 64, data: digits },
  tutorial: { units: 256, rate: 0.25, batch: 250, data: () => noise(8 * 250) },
};

const ready = (async () => {
  await init();
  await tensorflow.request();
  return selfnorm.Device.request();
})();

export async function adapter() {
  await ready;
  const { info } = await navigator.gpu.requestAdapter();
  console.log(`fallback ${info.isFallbackAdapter} ${info.subgroupMinSize} ${info.subgroupMaxSize} ${[...(await navigator.gpu.requestAdapter()).features]}`);
  return `${info.vendor}, ${info.architecture}, ${info.description}`;
}

/** Each operation beside a kernel that moves as many bytes. */
export async function operations(filter) {
  const device = await ready;
  const rows = [];
  for (const [size, len] of Object.entries(SIZES)) {
    const ours = new selfnorm.Operations(device, len);
    for (const name of selfnorm.Operations.names().filter((name) => name.includes(filter))) {
      const [yardstick, operation] = await turns([
        (repeats) => ours.runYardstick(name, repeats),
        (repeats) => ours.run(name, repeats),
      ]);
      rows.push({ name, size, time: operation.time, yardstick: yardstick.time, part: operation.part });
    }
    ours.free();
  }
  return rows;
}

/** Operations as a page calls them, beside TensorFlow.js's, and both beside a copy or fill. */
export async function operationsBeside(filter) {
  const device = await ready;
  const x = Float32Array.from({ length: 1 << 16 }, (_, i) => (i - (1 << 15)) / 2048);
  agree(await selfnorm.selu(device, x), await tensorflow.selu(x), "SELU");
  const rows = [];
  for (const [size, len] of Object.entries(SIZES)) {
    const ours = new selfnorm.Operations(device, len);
    const theirs = tensorflow.operations(len);
    for (const name of ["selu", "elu", "alpha_dropout", "lecun_normal"].filter((name) => name.includes(filter))) {
      const [copy, operation, other] = await turns([
        (repeats) => ours.runYardstick(name, repeats),
        (repeats) => ours.runTensors(name, repeats),
        theirs[name],
      ]);
      rows.push({ name, size, copy, operation, other });
    }
    ours.free();
    theirs.dispose();
  }
  return rows;
}

/** Steps and predictions of a network, beside TensorFlow.js's. */
export async function network(name) {
  const device = await ready;
  const { units, rate, batch, ...rest } = NETWORKS[name];
  const data = await rest.data();
  const { side, pixels, labels, scale, shift } = data;
  const steps = Math.ceil(labels.length / batch);
  const ours = new selfnorm.Network(device, side, units, rate, batch, pixels, labels, scale, shift);
  const theirs = new tensorflow.Network({ units, rate, batch }, data);
  theirs.setWeights(await ours.weights());
  for (const n of [1, 64]) {
    agree(await ours.predict(seen(data, n)), await theirs.predict(seen(data, n)), `predictions of ${n}`);
  }
  const rows = [];
  const compare = async (what, run, count = 1) => {
    const [selfnorm, tensorflow] = await turns([ours, theirs].map((network) => (repeats) => run(network, repeats)));
    rows.push({ name, what, ours: selfnorm.time / count, theirs: tensorflow.time / count, part: tensorflow.part });
  };
  const repeated = (run) => async (network, repeats) => {
    for (let i = 0; i < repeats; i++) await run(network);
  };
  for (const n of [1, 64]) {
    const x = seen(data, n);
    await compare(`prediction of ${n}`, repeated((network) => network.predict(x)));
  }
  const losses = new Map([[ours, []], [theirs, []]]);
  await compare("a step, its loss awaited", repeated(async (network) => losses.get(network).push(await network.step())));
  await compare("a step of an epoch", async (network, epochs) => losses.get(network).push(...await network.fit(epochs)), steps);
  for (const [network, of] of losses) {
    if (!(of.at(-1) < of[0])) {
      throw new Error(`the loss of ${network === ours ? "selfnorm" : "TensorFlow.js"} does not fall: ${of}`);
    }
  }
  rows.losses = [...losses.values()].map((of) => [of[0], of.at(-1)]);
  ours.free();
  theirs.free();
  return rows;
}

/** Values that do not agree are not timed. */
function agree(ours, theirs, what) {
  ours.forEach((y, i) => {
    if (!(Math.abs(y - theirs[i]) <= 1e-5 * Math.max(1, Math.abs(y)))) {
      throw new Error(`${what}: value ${i} is ${y} here and ${theirs[i]} there`);
    }
  });
}
