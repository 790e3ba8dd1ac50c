// What the page times of TensorFlow.js. `tf` is of its scripts, in the page.

import { seen } from "./data.js";

export async function request() {
  if (!(await tf.setBackend("webgpu"))) {
    throw new Error("TensorFlow.js has no WebGPU here");
  }
  await tf.ready();
}

/** Waits for the end of all that was submitted. */
async function done() {
  const backend = tf.backend();
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
  await backend.queue.onSubmittedWorkDone();
}

/** Operations on a tensor of so many values, and an end to them. */
export function operations(len) {
  const x = tf.truncatedNormal([len]);
  const alphaDropout = tf.layers.alphaDropout({ rate: 0.1 });
  const lecunNormal = tf.initializers.leCunNormal({});
  const repeated = (operation) => async (repeats) => {
    for (let i = 0; i < repeats; i++) operation().dispose();
    await done();
  };
  return {
    selu: repeated(() => tf.selu(x)),
    elu: repeated(() => tf.elu(x)),
    alpha_dropout: repeated(() => alphaDropout.apply(x, { training: true })),
    lecun_normal: repeated(() => lecunNormal.apply([1, len])),
    dispose: () => x.dispose(),
  };
}

export function selu(values) {
  return tf.tidy(() => tf.selu(tf.tensor1d(values))).data();
}

/** The network that networks.rs has, with data on the device. */
export class Network {
  constructor({ units, rate, batch }, data) {
    const count = data.labels.length;
    const shape = [data.side, data.side, 1];
    const kernelInitializer = "leCunNormal";
    this.shape = shape;
    this.batch = batch;
    this.model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: shape, filters: 32, kernelSize: 3, activation: "selu", kernelInitializer }),
        tf.layers.alphaDropout({ rate }),
        tf.layers.flatten(),
        tf.layers.dense({ units, activation: "selu", kernelInitializer }),
        tf.layers.dense({ units: 10, activation: "softmax" }),
      ],
    });
    this.model.compile({ optimizer: tf.train.adam(), loss: "categoricalCrossentropy" });
    this.x = tf.tensor4d(seen(data, count), [count, ...shape]);
    this.y = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(data.labels, "int32"), 10), "float32"));
    this.first = [tf.slice(this.x, 0, batch), tf.slice(this.y, 0, batch)];
  }

  /** A step on the first batch; its loss. */
  step() {
    return this.model.trainOnBatch(...this.first);
  }

  /** So many epochs; the loss of each. */
  async fit(epochs) {
    const { history } = await this.model.fit(this.x, this.y, { epochs, batchSize: this.batch, verbose: 0 });
    return history.loss;
  }

  /** The probabilities for some images, from the host's pixels to the host's numbers. */
  async predict(values) {
    const n = values.length / (this.shape[0] * this.shape[1]);
    const y = tf.tidy(() => this.model.predict(tf.tensor4d(values, [n, ...this.shape]), { batchSize: n }));
    const probabilities = await y.data();
    y.dispose();
    return probabilities;
  }

  setWeights(values) {
    tf.tidy(() => this.model.setWeights(
      this.model.weights.map(({ shape }, i) => tf.tensor(values[i], shape))));
  }

  free() {
    tf.dispose([this.x, this.y, this.first]);
    this.model.dispose();
  }
}
