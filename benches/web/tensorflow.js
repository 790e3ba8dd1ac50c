// What the page times of TensorFlow.js. `tf` is of its scripts, in the page.

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
