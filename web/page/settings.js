// What a run is made of, and its form in the page's address: the same address is the same run.

export const ACTIVATIONS = {
  selu: 'SELU',
  elu: 'ELU',
  relu: 'ReLU',
  leaky_relu: 'Leaky ReLU',
  gelu: 'GELU',
  silu: 'SiLU',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  softplus: 'softplus',
  linear: 'none (linear)',
};

export const INITIALIZERS = {
  lecun_normal: 'LecunNormal',
  lecun_uniform: 'LecunUniform',
  he_normal: 'HeNormal',
  he_uniform: 'HeUniform',
  glorot_normal: 'GlorotNormal',
  glorot_uniform: 'GlorotUniform',
};

export const NORMALIZATIONS = { none: 'none', batch: 'batch' };

/** The initializer that goes with an activation, as its users have it. */
export const USUAL = {
  selu: 'lecun_normal',
  elu: 'he_normal',
  relu: 'he_normal',
  leaky_relu: 'he_normal',
  gelu: 'he_normal',
  silu: 'he_normal',
  tanh: 'glorot_uniform',
  sigmoid: 'glorot_uniform',
  softplus: 'glorot_uniform',
  linear: 'glorot_uniform',
};

export const DROPOUTS = [0, 0.05, 0.1, 0.2, 0.3, 0.5];
export const OPTIMIZERS = { sgd: 'SGD', adam: 'Adam' };
export const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3];

const DEFAULTS = {
  a: { activation: 'selu', initializer: 'lecun_normal', dropout: 0, normalization: 'none' },
  b: { activation: 'relu', initializer: 'he_normal', dropout: 0, normalization: 'none' },
  depth: 32,
  optimizer: 'sgd',
  rate: 0.01,
  seed: 1,
  epochs: 40,
};

export const LIMITS = { depth: [2, 64], seed: [0, 2 ** 32 - 1], epochs: [1, 1000] };

/** The settings in an address's fragment; what it lacks or has wrong is the default. */
export function parse(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ''));
  const whole = (name) => {
    const [least, most] = LIMITS[name];
    const text = given.get(name) ?? '';
    const value = Number(text);
    return /^\d+$/.test(text) && value >= least && value <= most ? value : DEFAULTS[name];
  };
  const number = (name, allowed) => {
    const value = Number(given.get(name) ?? NaN);
    return allowed.includes(value) ? value : DEFAULTS[name];
  };
  const side = (name) => {
    const [activation, initializer, dropout, normalization] = (given.get(name) ?? '').split(',');
    return {
      activation: Object.hasOwn(ACTIVATIONS, activation) ? activation : DEFAULTS[name].activation,
      initializer: Object.hasOwn(INITIALIZERS, initializer) ? initializer : DEFAULTS[name].initializer,
      dropout: DROPOUTS.includes(Number(dropout)) ? Number(dropout) : DEFAULTS[name].dropout,
      normalization: Object.hasOwn(NORMALIZATIONS, normalization) ? normalization : DEFAULTS[name].normalization,
    };
  };
  const optimizer = given.get('optimizer');
  return {
    a: side('a'),
    b: side('b'),
    depth: whole('depth'),
    optimizer: Object.hasOwn(OPTIMIZERS, optimizer) ? optimizer : DEFAULTS.optimizer,
    rate: number('rate', RATES),
    seed: whole('seed'),
    epochs: whole('epochs'),
  };
}

/** The fragment of these settings. */
export function format(settings) {
  // The earliest links have no normalization.
  const side = ({ activation, initializer, dropout, normalization }) =>
    [activation, initializer, dropout, ...(normalization === 'none' ? [] : [normalization])].join(',');
  const { depth, optimizer, rate, seed, epochs } = settings;
  return `a=${side(settings.a)}&b=${side(settings.b)}&depth=${depth}&optimizer=${optimizer}&rate=${rate}&seed=${seed}&epochs=${epochs}`;
}

/** The epoch and the two checksums that a link was copied at, if it has them. */
export function parseCheck(fragment) {
  const text = new URLSearchParams(fragment.replace(/^#/, '')).get('check') ?? '';
  const found = /^(\d{1,4})\.([0-9a-f]{8})\.([0-9a-f]{8})$/.exec(text);
  return found && { epoch: Number(found[1]), checksums: [found[2], found[3]] };
}

export function formatCheck({ epoch, checksums }) {
  return `&check=${epoch}.${checksums.join('.')}`;
}
