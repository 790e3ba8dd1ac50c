// How long it takes from the navigation to the first training step of the digits' network, in
// milliseconds, with the library that the page's address names.

import { digits } from "./data.js";

const BATCH = 64;
const SAMPLES = 8 * BATCH;

const LIBRARIES = {
  async selfnorm() {
    const { default: init, Network } = await import("./pkg/network.js");
    const [data] = await Promise.all([digits(SAMPLES), init()]);
    const loaded = performance.now();
    const network = await Network.build(data.pixels, data.labels, data.scale, data.shift);
    await network.train(1, () => false);
    return loaded;
  },
  async tensorflow() {
    for (const part of ["core", "layers", "backend-webgpu"]) {
      await script(`modules/@tensorflow/tfjs-${part}/dist/tf-${part}.es2017.min.js`);
    }
    const { request, Network } = await import("./tensorflow.js");
    const data = await digits(SAMPLES);
    const loaded = performance.now();
    await request();
    await new Network({ units: 128, rate: 0.1, batch: BATCH }, data).step();
    return loaded;
  },
};

function script(src) {
  return new Promise((loaded, failed) => {
    document.head.append(Object.assign(document.createElement("script"), { src, onload: loaded, onerror: failed }));
  });
}

export const first = (async () => {
  const loaded = await LIBRARIES[location.hash.slice(1)]();
  return { loaded, stepped: performance.now() };
})();
