// The page's measurements, each a function that the driver calls, and that returns rows of numbers.

import init, * as selfnorm from "./pkg/selfnorm_web.js";
import * as tensorflow from "./tensorflow.js";
import { turns } from "./turns.js";

const SIZES = { "1 Mi": 1 << 20, "16 Mi": 1 << 24 };

const ready = (async () => {
  await init();
  await tensorflow.request();
  return selfnorm.Device.request();
})();

export async function adapter() {
  await ready;
  const { info } = await navigator.gpu.requestAdapter();
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
  await agreement(device);
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

/** What does not agree is not timed. */
async function agreement(device) {
  const x = Float32Array.from({ length: 1 << 16 }, (_, i) => (i - (1 << 15)) / 2048);
  const [ours, theirs] = [await selfnorm.selu(device, x), await tensorflow.selu(x)];
  ours.forEach((y, i) => {
    if (!(Math.abs(y - theirs[i]) <= 1e-5 * Math.max(1, Math.abs(y)))) {
      throw new Error(`the SELU of ${x[i]} is ${y} here and ${theirs[i]} there`);
    }
  });
}
