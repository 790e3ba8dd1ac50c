// Trains, and reports to the page through a port. It runs in a worker, or, where a worker has no WebGPU, beside
// the page.

import init, { Lab, Recipe } from './selfnorm_web.js';

/** Answers the messages of `port`, whose fields are named after what they ask for. */
export function serve(port) {
  const post = (kind, message = {}, transferred = []) => port.postMessage({ kind, ...message }, transferred);
  let lab;
  let session;
  let training = Promise.resolve();
  let mnist;
  let drawing = { pixels: new Uint8Array(), number: 0 };
  let layer = 1;
  // What each network goes on from: the epoch, and bytes.
  let checkpoints = [];

  const listener = {
    steps: (side, first, losses, milliseconds) => post('steps', { side, first, losses, milliseconds }),
    epoch: (side, epoch, loss, accuracy, heldOutLoss, heldOutAccuracy, checksum) =>
      post('epoch', { side, epoch, loss, accuracy, heldOutLoss, heldOutAccuracy, checksum }),
    checkpoint: (side, epoch, bytes) => {
      checkpoints[side] = { epoch, bytes };
    },
    statistics: (side, means, variances) => post('statistics', { side, means, variances }),
    histogram: (side, layer, shares) => post('histogram', { side, layer, shares }),
    kernel: (side, weights) => post('kernel', { side, weights }),
    probabilities: (side, drawing, probabilities) => post('probabilities', { side, drawing, probabilities }),
    diverged: (side, message) => post('diverged', { side, message }),
    finished: (side) => post('finished', { side }),
    file: (side, bytes) => post('file', { side, bytes }, [bytes.buffer]),
  };

  async function open() {
    await init();
    lab?.free();
    lab = undefined;
    lab = await Lab.open();
    if (mnist) lab.loadMnist(mnist.names, mnist.files);
    const { vendor, architecture, description } = (await navigator.gpu.requestAdapter())?.info ?? {};
    const adapter = description || [vendor, architecture].filter(Boolean).join(' ') || 'not named by the browser';
    post('opened', { adapter, checksum: await lab.checksum() });
    describe();
  }

  function describe() {
    const { side, ink, images, heldOut } = lab;
    post('data', { side, ink, images, heldOut });
  }

  /** Shows the networks the drawing, unless it was made for pictures of another size. */
  function draw() {
    const { pixels, number } = drawing;
    if (pixels.length === 0 || pixels.length === lab?.side ** 2) session?.draw(pixels, number);
  }

  /** Ends the training that there is. */
  async function end() {
    session?.stop();
    await training;
    session?.free();
    session = undefined;
  }

  const requests = {
    open,
    async mnist({ names, files }) {
      if (!lab) await open();
      try {
        lab.loadMnist(names, files);
      } catch ({ message }) {
        post('refused', { message });
        return;
      }
      mnist = { names, files };
      // Of another size.
      drawing = { pixels: new Uint8Array(), number: 0 };
      describe();
    },
    async start({ settings, isPaused, goesOn }) {
      await end();
      if (!lab) await open();
      const { depth, optimizer, rate, seed, epochs } = settings;
      const recipes = [settings.a, settings.b].map(
        ({ activation, initializer, normalization, dropout }) =>
          new Recipe(depth, activation, initializer, normalization, dropout, optimizer, rate),
      );
      if (!goesOn) checkpoints = [];
      session = lab.session(recipes, BigInt(seed), epochs);
      session.watch(layer);
      session.pause(isPaused);
      draw();
      const from = recipes.map((_, side) => checkpoints[side]);
      post('started', { goesOn, epochs: from.map((checkpoint) => checkpoint?.epoch ?? 0) });
      const bytes = from.map((checkpoint) => checkpoint?.bytes ?? new Uint8Array());
      // Awaited by `end`: other requests come first.
      training = session.train(listener, bytes).catch(fail);
    },
    pause: ({ isPaused }) => session?.pause(isPaused),
    save: ({ side }) => session?.save(side),
    draw({ pixels, number }) {
      drawing = { pixels, number };
      draw();
    },
    watch(request) {
      layer = request.layer;
      session?.watch(layer);
    },
    async example({ number }) {
      // Of a device that is lost nothing is left, and the way to go on is on the page.
      if (!lab) return;
      post('example', { number, pixels: lab.picture(number), label: lab.label(number) });
    },
  };

  function fail(error) {
    const { name, message } = error;
    // Of a device that is lost nothing is of use.
    if (name === 'DeviceLost') {
      session?.free();
      lab?.free();
      session = lab = undefined;
    }
    // A network that has diverged early has none.
    const epochs = checkpoints.filter(Boolean).map(({ epoch }) => epoch);
    const epoch = epochs.length ? Math.min(...epochs) : 0;
    post('failed', { name, message: message ?? String(error), epoch });
  }

  // One after the other.
  let last = Promise.resolve();
  port.onmessage = ({ data: { request, ...details } }) => {
    last = last.then(() => requests[request](details)).catch(fail);
  };
  post('ready');
}
