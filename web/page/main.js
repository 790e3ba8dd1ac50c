// The page: what is set, what is shown, and what the trainer is asked for.

import {
  ACTIVATIONS, DROPOUTS, INITIALIZERS, NORMALIZATIONS, OPTIMIZERS, RATES, USUAL,
  format, formatCheck, parse, parseCheck,
} from './settings.js';
import { Pad } from './pad.js';
import { components, mosaic, palette, plot, prepare, short } from './plot.js';
import { pixels } from './strokes.js';

const get = (id) => document.getElementById(id);
const SIDES = ['a', 'b'];
const BATCH = 64;
/** Weight of a new loss in the smooth curve. */
const SMOOTHING = 0.06;
/** The most points of a curve. */
const POINTS = 280;
/** In milliseconds: how long a frame may paint, and how often descriptions change. */
const FRAME = 8;
const DESCRIPTIONS = 2000;

let settings = parse(location.hash);
let check = parseCheck(location.hash);
let data = { side: 8, ink: 16, images: 1440, heldOut: 357 };
let isOpen = false;
let isPaused = false;
let stepTime;
let networks = SIDES.map(empty);
let example = 0;
// What the networks read, which drawing it is, and what is said about it.
let seen = { picture: new Uint8Array(), number: 0, first: 0, note: 'What you draw is made 8×8 pixels small.' };
let files = new Map();

function empty() {
  return {
    losses: [], smooth: [], epochs: [], means: [], variances: [], histogram: null, start: null, kernel: null,
    probabilities: null, drawing: 0, note: '', isOver: false,
  };
}

// The trainer.

let port;

/** In a worker, so that the page stays smooth; beside the page where a worker has no WebGPU. */
async function connect(inWorker) {
  if (inWorker) {
    const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    worker.onerror = (event) => {
      event.preventDefault();
      crashed(event.message);
    };
    port = worker;
  } else {
    const { serve } = await import('./trainer.js');
    const channel = new MessageChannel();
    serve(channel.port1);
    port = channel.port2;
  }
  port.onmessage = ({ data: { kind, ...message } }) => received[kind](message);
}

function ask(request, details = {}, transferred = []) {
  port.postMessage({ request, ...details }, transferred);
}

function start({ goesOn = false } = {}) {
  hideAlert();
  if (!isOpen) {
    ask('open');
    return;
  }
  stepTime = undefined;
  say('Building the networks…');
  ask('start', { settings, isPaused, goesOn });
  redraw(...Object.keys(panels));
  showFigures();
}

const received = {
  ready() {
    say('Asking for the GPU…');
    ask('open');
    ask('watch', { layer: Number(get('layer').value) });
  },

  opened({ adapter, checksum }) {
    get('adapter').textContent = adapter;
    const found = hexadecimal(checksum);
    const isEqual = found === get('same-bits').dataset.expected;
    get('same-bits').replaceChildren(
      `${found}, `, mark(isEqual, isEqual ? 'equal to the README’s' : 'not the README’s: please report it'),
    );
    if (isOpen) return;
    isOpen = true;
    for (const id of ['pause', 'restart', 'save-a', 'save-b', 'example']) get(id).disabled = false;
    start();
  },

  data(found) {
    const isNew = found.side !== data.side || found.images !== data.images;
    data = found;
    get('data').textContent =
      `${data.images.toLocaleString('en')} digits of ${data.side}×${data.side} to learn, ${data.heldOut.toLocaleString('en')} held out`;
    if (!isNew) return;
    // Of another size.
    if (pad.picture) pad.clear();
    get('files-note').textContent = `The networks learn ${data.images.toLocaleString('en')} images now.`;
    start();
    drawn(pad.strokes);
  },

  started({ epochs, goesOn }) {
    // Until here the training before has reported.
    if (!goesOn) {
      networks = SIDES.map(empty);
      redraw(...Object.keys(panels));
      showFigures();
    }
    say('Compiling shaders for this GPU…');
    networks.forEach((network, side) => {
      const steps = epochs[side] * Math.ceil(data.images / BATCH);
      network.losses.length = network.smooth.length = Math.min(steps, network.losses.length);
      network.epochs = network.epochs.filter(({ epoch }) => epoch <= epochs[side]);
      network.isOver = false;
    });
  },

  steps({ side, losses, milliseconds }) {
    const network = networks[side];
    for (const loss of losses) {
      const before = network.smooth.at(-1) ?? loss;
      network.losses.push(loss);
      network.smooth.push(before + SMOOTHING * (loss - before));
    }
    stepTime = stepTime === undefined ? milliseconds : stepTime + 0.1 * (milliseconds - stepTime);
    progress();
    redraw('losses', 'figures');
  },

  epoch({ side, ...scores }) {
    networks[side].epochs.push(scores);
    redraw('accuracies', 'figures');
    if (scores.epoch > 0) progress();
    if (side === SIDES.length - 1) compareWithLink();
  },

  statistics({ side, means, variances }) {
    Object.assign(networks[side], { means, variances });
    redraw('variance', 'means', 'figures');
  },

  histogram({ side, layer, shares }) {
    networks[side].histogram = { layer, shares };
    redraw('histogram');
  },

  kernel({ side, weights }) {
    networks[side].kernel = weights;
    networks[side].start ??= weights;
    redraw(`kernel-${SIDES[side]}`);
  },

  probabilities({ side, drawing, probabilities }) {
    // Of strokes that have been cleared since.
    if (drawing < seen.first) return;
    Object.assign(networks[side], { drawing, probabilities });
    redraw('probabilities');
  },

  diverged({ side, message }) {
    Object.assign(networks[side], { isOver: true, note: `Its training has ended: ${message}.` });
    progress();
    redraw('figures');
  },

  finished({ side }) {
    networks[side].isOver = true;
    progress();
  },

  file({ side, bytes }) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = `${name(side).toLowerCase().replace(/\W+/g, '-')}.safetensors`;
    link.click();
    URL.revokeObjectURL(link.href);
  },

  example({ pixels: picture, label }) {
    pad.show(Float32Array.from(picture, (value) => value / data.ink));
    see(picture, `A held-out ${label}, which neither network has learned from.`);
  },

  refused({ message }) {
    files = new Map();
    get('files-note').textContent = message;
  },

  failed({ name: kind, message, epoch }) {
    if (kind === 'NoGpu' && !isOpen && port instanceof Worker && navigator.gpu) {
      port.terminate();
      connect(false);
      return;
    }
    const again = ['Start again', () => start()];
    const failures = {
      NoGpu: ['This page needs WebGPU', message, []],
      DeviceLost: [
        'The GPU is gone',
        'The browser has lost the graphics device: the driver was restarted, or another page used it up. ' +
          (epoch > 0 ? `The networks are kept as they were after epoch ${epoch} or later; from there the training ` +
            'goes on with the same bits.' : 'The training was in its first seconds, and begins again.'),
        [epoch > 0 ? [`Go on from epoch ${epoch}`, () => start({ goesOn: true })] : again],
      ],
      OutOfMemory: [
        'The GPU has no memory left',
        `${message}. Close other tabs that draw or compute, or choose fewer layers.`,
        [again],
      ],
    };
    const [title, text, actions] = failures[kind] ?? ['The training has stopped', message, [again]];
    say('');
    showAlert(title, text, actions);
  },
};

function crashed(message) {
  showAlert('The page has stopped', `${message}. This should not happen; please report it.`, [
    ['Load it again', () => location.reload()],
  ]);
}

// What is shown.

/** The names by which the networks are told apart. */
function name(side) {
  const of = ({ activation, initializer, normalization }) => {
    const isTold = settings.a.activation === settings.b.activation && settings.a.initializer !== settings.b.initializer;
    const told = isTold ? INITIALIZERS[initializer] : ACTIVATIONS[activation];
    return normalization === 'batch' ? `BN, ${told}` : told;
  };
  return `${SIDES[side].toUpperCase()} ${of(settings[SIDES[side]])}`;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const hexadecimal = (checksum) => checksum.toString(16).padStart(8, '0');

function mark(isEqual, text) {
  const element = document.createElement('span');
  element.className = isEqual ? 'equal' : 'different';
  element.textContent = `${isEqual ? '✓' : '✗'} ${text}`;
  return element;
}

function say(text) {
  get('status').textContent = text;
}

function progress() {
  const epochs = networks.map((network) => network.epochs.at(-1)?.epoch ?? 0);
  const over = Math.min(...networks.map((network, i) => (network.isOver ? Infinity : epochs[i])));
  const isDone = over === Infinity;
  const done = isDone ? settings.epochs : over;
  get('progress').value = done / settings.epochs;
  const rest = isPaused ? ', paused' : '';
  say(isDone ? `Done after ${Math.max(...epochs)} epochs` : `Epoch ${Math.min(done + 1, settings.epochs)} of ${settings.epochs}${rest}`);
}

/** What a variance means. */
function verdict(variances) {
  const last = variances.at(-1);
  if (last === undefined) return '';
  const after = `after ${variances.length} layers`;
  if (!Number.isFinite(last) || last > 20) return `The signal blows up: variance ${short(last)} ${after}.`;
  if (last < 0.05) return `The signal fades: variance ${short(last)} ${after}.`;
  return `The signal arrives: variance ${short(last)} ${after}.`;
}

function showFigures() {
  networks.forEach((network, i) => {
    const side = SIDES[i];
    const last = network.epochs.at(-1);
    const loss = network.smooth.at(-1);
    get(`accuracy-${side}`).textContent = last?.epoch ? percent(last.heldOutAccuracy) : '–';
    get(`loss-${side}`).textContent = loss === undefined ? '–' : loss.toFixed(3);
    get(`variance-${side}`).textContent = network.variances.length ? short(network.variances.at(-1)) : '–';
    get(`checksum-${side}`).textContent = last ? hexadecimal(last.checksum) : '–';
    get(`note-${side}`).textContent = network.note || verdict(network.variances);
  });
  get('step-time').textContent = stepTime === undefined ? '–' : `${stepTime.toFixed(stepTime < 10 ? 1 : 0)} ms`;
}

/** At most `POINTS` points, each the mean of its share. */
function thinned(values) {
  const each = Math.ceil(values.length / POINTS);
  const points = [];
  for (let start = 0; start < values.length; start += each) {
    const part = values.slice(start, start + each);
    points.push([start + part.length, part.reduce((sum, value) => sum + value) / part.length]);
  }
  return points;
}

const colour = (side) => palette()[SIDES[side]];
const byLayer = (values) => Array.from(values, (value, i) => [i + 1, value]);
const finite = (values) => values.filter(Number.isFinite);

/** A curve of each network. */
function curves(points, more = {}) {
  return networks.map((network, side) => ({ points: points(network), colour: colour(side), label: name(side), ...more }));
}

/** Whole powers of ten around positive values, and at least from `least` to `most`. */
function decades(values, least, most) {
  const found = finite(values).filter((value) => value > 0);
  const low = Math.max(Math.min(least, ...found), 1e-12);
  const high = Math.min(Math.max(most, ...found), 1e15);
  return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
}

const layers = () => ({ range: [1, settings.depth], ticks: 6, name: 'layer', format: (value) => (value >= 1 ? value : '') });

const panels = {
  figures: showFigures,

  variance() {
    const values = networks.flatMap(({ variances }) => [...variances]);
    plot(get('variance'), {
      x: layers(),
      y: { range: decades(values, 0.1, 10), log: true, ticks: 7 },
      rules: [1],
      curves: curves(({ variances }) => byLayer(variances), { width: 2.5 }),
    });
    describe('variance', 'Variance after each layer', ({ variances }) =>
      variances.length ? `${short(variances[0])} after layer 1, ${short(variances.at(-1))} after layer ${variances.length}` : 'not known yet');
  },

  means() {
    const values = finite(networks.flatMap(({ means }) => [...means]));
    const reach = Math.max(0.5, ...values.map(Math.abs)) * 1.05;
    const least = Math.min(0, ...values) < -0.2 ? -reach : -0.3 * reach;
    plot(get('means'), {
      x: layers(),
      y: { range: [least, reach], ticks: 5 },
      rules: [0],
      curves: curves(({ means }) => byLayer(means)),
    });
    describe('means', 'Mean after each layer', ({ means }) =>
      means.length ? `${short(means.at(-1))} after layer ${means.length}` : 'not known yet');
  },

  losses() {
    const smooth = networks.map((network) => thinned(network.smooth));
    const values = smooth.flat().map((point) => point[1]);
    const steps = Math.max(20, ...networks.map((network) => network.losses.length));
    const thin = networks.map((network, side) => ({ points: thinned(network.losses), colour: colour(side), width: 1, opacity: 0.3 }));
    plot(get('losses'), {
      x: { range: [0, steps], ticks: 4, name: 'step', format: (value) => (value > 0.9 * steps ? '' : value.toLocaleString('en')) },
      y: { range: decades(values, 0.5, 3), log: true, ticks: 5 },
      curves: [...thin, ...curves((network) => smooth[networks.indexOf(network)])],
    });
    describe('losses', 'Loss in training', (network) => (network.smooth.length ? network.smooth.at(-1).toFixed(3) : 'not known yet'));
  },

  accuracies() {
    const points = (key) => (network) =>
      network.epochs.filter(({ epoch }) => epoch > 0).map((scores) => [scores.epoch, scores[key]]);
    const last = Math.max(5, ...networks.map((network) => network.epochs.at(-1)?.epoch ?? 0));
    const thin = curves(points('accuracy'), { width: 1, opacity: 0.5, label: undefined });
    plot(get('accuracies'), {
      x: { range: [1, last], ticks: 5, name: 'epoch', format: (value) => (value > 0.9 * last || value % 1 ? '' : value) },
      y: { range: [0, 1], ticks: 5, format: (value) => `${Math.round(100 * value)} %` },
      curves: [...thin, ...curves(points('heldOutAccuracy'), { width: 2.5 })],
    });
    describe('accuracies', 'Held-out digits read right', (network) =>
      network.epochs.at(-1)?.epoch ? percent(network.epochs.at(-1).heldOutAccuracy) : 'not known yet');
  },

  histogram() {
    const bins = 48;
    const centre = (bin) => ((bin + 0.5) / bins) * 8 - 4;
    const normal = Array.from({ length: bins }, (_, bin) => [
      centre(bin), (Math.exp(-(centre(bin) ** 2) / 2) / Math.sqrt(2 * Math.PI)) * (8 / bins),
    ]);
    const shares = (network) =>
      Array.from(network.histogram?.shares ?? [], (share, i) => [Math.min(4, Math.max(-4, centre(i - 1))), share]);
    plot(get('histogram'), {
      x: { range: [-4, 4], ticks: 8, format: (value) => (value < 0 ? `−${-value}` : value) },
      y: { range: [0, 0.2], ticks: 4, format: (value) => `${Math.round(100 * value)} %` },
      curves: [
        { points: normal, colour: palette().muted, width: 1.5, opacity: 0.8 },
        ...curves(shares, { fill: 0.14, width: 2, label: undefined }),
      ],
    });
    describe('histogram', `Histogram of layer ${get('layer').value}`, ({ histogram }) =>
      histogram ? `${percent(Math.max(...histogram.shares))} of the values in its largest bin` : 'not known yet');
  },

  'kernel-a': () => showKernel(0),
  'kernel-b': () => showKernel(1),

  probabilities() {
    const rows = get('probabilities').tBodies[0].rows;
    const isRead = networks.every(({ drawing }) => drawing === seen.number);
    get('probabilities').ariaBusy = String(seen.picture.length > 0 && !isRead);
    networks.forEach(({ probabilities }, side) => {
      const best = probabilities && probabilities.indexOf(Math.max(...probabilities));
      for (const [digit, row] of [...rows].entries()) {
        const cell = row.cells[1 + side];
        const share = probabilities?.[digit] ?? 0;
        cell.style.setProperty('--share', share.toFixed(4));
        cell.classList.toggle('best', digit === best);
        cell.firstChild.textContent = probabilities ? `${Math.round(100 * share)} %` : '';
      }
    });
    const readings = networks.map(({ probabilities }, side) =>
      probabilities && `${SIDES[side].toUpperCase()} reads ${probabilities.indexOf(Math.max(...probabilities))}`);
    const reading = readings.every(Boolean) ? readings.join(', ') : '';
    if (get('reading').textContent !== reading) get('reading').textContent = reading;
  },

  seen() {
    const canvas = get('seen');
    canvas.width = canvas.height = data.side;
    const context = canvas.getContext('2d');
    const image = context.createImageData(data.side, data.side);
    const ink = components(palette().ink);
    seen.picture.forEach((value, i) => image.data.set([...ink, (255 * value) / data.ink], 4 * i));
    context.putImageData(image, 0, 0);
    get('seen-note').textContent = seen.note;
  },
};

function showKernel(side) {
  const { kernel, start } = networks[side];
  const canvas = get(`kernel-${SIDES[side]}`);
  if (!kernel) return void prepare(canvas);
  const weights = get('learned').checked ? kernel.map((weight, i) => weight - start[i]) : kernel;
  mosaic(canvas, weights, kernel.length / data.side ** 2);
}

/** Changes what a chart is called for those who do not see it, now and then. */
const described = new Map();
function describe(id, title, value) {
  const now = performance.now();
  if (now - (described.get(id) ?? -Infinity) < DESCRIPTIONS) return;
  described.set(id, now);
  const values = networks.map((network, side) => `${name(side)}: ${value(network)}`);
  get(id).setAttribute('aria-label', `${title}. ${values.join('; ')}.`);
}

const dirty = new Set();
let isScheduled = false;

/** Paints these panels soon; a few in each frame. */
function redraw(...names) {
  for (const panel of names) dirty.add(panel);
  if (isScheduled || dirty.size === 0) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    const start = performance.now();
    for (const panel of dirty) {
      dirty.delete(panel);
      panels[panel]();
      if (performance.now() - start > FRAME) break;
    }
    isScheduled = false;
    redraw();
  });
}

function showAlert(title, text, actions) {
  get('alert-title').textContent = title;
  get('alert-text').textContent = text;
  get('alert-actions').replaceChildren(...actions.map(([label, act]) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.onclick = act;
    return button;
  }));
  get('alert').hidden = false;
}

function hideAlert() {
  get('alert').hidden = true;
}

/** Whether this run has the bits of the one whose link was opened. */
function compareWithLink() {
  if (!check) return;
  const found = networks.map((network) => network.epochs.find(({ epoch }) => epoch === check.epoch));
  if (!found.every(Boolean)) return;
  const isEqual = found.every(({ checksum }, side) => hexadecimal(checksum) === check.checksums[side]);
  get('link-check').replaceChildren(mark(isEqual, isEqual
    ? `equal after epoch ${check.epoch}`
    : `others after epoch ${check.epoch}: another GPU or browser adds up in another order, or the data is another`));
}

// The settings.

function fill(select, entries, value) {
  select.replaceChildren(...entries.map(([key, label]) => new Option(label, key)));
  select.value = value;
}

const listed = (values, label) => values.map((value) => [value, label(value)]);

/** Shows the settings in the form. */
function showSettings() {
  for (const side of SIDES) {
    const { activation, initializer, normalization, dropout } = settings[side];
    get(`activation-${side}`).value = activation;
    get(`initializer-${side}`).value = initializer;
    get(`normalization-${side}`).value = normalization;
    get(`dropout-${side}`).value = dropout;
    get(`dropout-name-${side}`).textContent = activation === 'selu' ? 'AlphaDropout' : 'Dropout';
  }
  SIDES.forEach((side, i) => {
    get(`name-${side}`).textContent = name(i).slice(2);
    get(`kernel-name-${side}`).textContent = get(`column-${side}`).textContent = name(i);
  });
  for (const id of ['depth', 'seed', 'epochs', 'rate', 'optimizer']) get(id).value = settings[id];
  const { depth } = settings;
  get('depth-value').textContent = get('title-depth').textContent = depth;
  document.title = `Does a signal survive ${depth} layers?`;
  const layer = get('layer');
  const wasLast = layer.value === layer.max;
  layer.max = depth;
  if (wasLast) layer.value = depth;
  showLayer();
  get('link-row').hidden = !check;
  get('link-check').textContent = check ? `to be seen after epoch ${check.epoch}` : '';
}

function showLayer() {
  const { value, max } = get('layer');
  get('layer-value').textContent = `${value} of ${max}`;
}

/** Starts with other settings, which are in the address from now on. */
function change(changed) {
  settings = { ...settings, ...changed };
  check = null;
  history.replaceState(null, '', `#${format(settings)}`);
  showSettings();
  start();
}

function wire() {
  for (const side of SIDES) {
    const { activation, initializer, normalization, dropout } = settings[side];
    fill(get(`activation-${side}`), Object.entries(ACTIVATIONS), activation);
    fill(get(`initializer-${side}`), Object.entries(INITIALIZERS), initializer);
    fill(get(`normalization-${side}`), Object.entries(NORMALIZATIONS), normalization);
    fill(get(`dropout-${side}`), listed(DROPOUTS, (rate) => (rate ? `${100 * rate} %` : 'none')), dropout);
    const set = (part) => change({ [side]: { ...settings[side], ...part } });
    get(`activation-${side}`).onchange = ({ target: { value } }) => set({ activation: value, initializer: USUAL[value] });
    get(`initializer-${side}`).onchange = ({ target: { value } }) => set({ initializer: value });
    get(`normalization-${side}`).onchange = ({ target: { value } }) => set({ normalization: value });
    get(`dropout-${side}`).onchange = ({ target: { value } }) => set({ dropout: Number(value) });
    get(`save-${side}`).onclick = () => ask('save', { side: SIDES.indexOf(side) });
  }
  fill(get('optimizer'), Object.entries(OPTIMIZERS), settings.optimizer);
  fill(get('rate'), listed(RATES, String), settings.rate);
  get('optimizer').onchange = ({ target: { value } }) => change({ optimizer: value });
  get('rate').onchange = ({ target: { value } }) => change({ rate: Number(value) });
  get('depth').oninput = ({ target: { value } }) => {
    get('depth-value').textContent = value;
  };
  for (const id of ['depth', 'seed', 'epochs']) {
    get(id).onchange = ({ target }) => {
      const { valueAsNumber, validity } = target;
      // What is not a number in its range stays as it was.
      change(validity.valid && Number.isInteger(valueAsNumber) ? { [id]: valueAsNumber } : {});
    };
  }
  get('settings').onsubmit = (event) => event.preventDefault();

  get('pause').onclick = () => {
    isPaused = !isPaused;
    get('pause').textContent = isPaused ? 'Go on' : 'Pause';
    ask('pause', { isPaused });
    progress();
  };
  get('restart').onclick = () => start();
  get('share').onclick = share;
  get('layer').oninput = ({ target: { value } }) => {
    showLayer();
    ask('watch', { layer: Number(value) });
  };
  get('learned').onchange = () => redraw('kernel-a', 'kernel-b');
  get('clear').onclick = () => pad.clear();
  get('example').onclick = () => ask('example', { number: example++ });

  get('files').onchange = ({ target }) => take([...target.files]);
  addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) document.body.classList.remove('dropping');
  });
  addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    take([...event.dataTransfer.files]);
  });
  document.querySelector('.skip').onclick = (event) => {
    // Its fragment is no run.
    event.preventDefault();
    get('networks').focus();
  };
  addEventListener('hashchange', () => {
    settings = parse(location.hash);
    check = parseCheck(location.hash);
    showSettings();
    start();
  });
  new ResizeObserver(() => {
    pad.draw();
    redraw(...Object.keys(panels));
  }).observe(document.body);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    pad.draw();
    redraw(...Object.keys(panels));
  });
}

async function share() {
  const epoch = Math.min(...networks.map((network) => network.epochs.at(-1)?.epoch ?? 0));
  const checksums = networks.map((network) => network.epochs.find((scores) => scores.epoch === epoch)?.checksum);
  const isKnown = checksums.every((checksum) => checksum !== undefined);
  const fragment = format(settings) + (isKnown ? formatCheck({ epoch, checksums: checksums.map(hexadecimal) }) : '');
  history.replaceState(null, '', `#${fragment}`);
  const button = get('share');
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'It is in the address bar';
  }
  setTimeout(() => {
    button.textContent = 'Copy link';
  }, 2500);
}

// The digit.

function drawn(strokes) {
  const picture = pixels(strokes, data.side, data.ink);
  see(picture, picture.length ? 'Your digit as the networks see it.' : `What you draw is made ${data.side}×${data.side} pixels small.`);
}

/** Shows the networks a picture; none if it is empty. */
function see(picture, note) {
  const number = seen.number + 1;
  // Strokes are read as they grow.
  const first = seen.picture.length > 0 && picture.length > 0 ? seen.first : number;
  seen = { picture, number, first, note };
  ask('draw', { pixels: picture, number });
  if (picture.length === 0) for (const network of networks) network.probabilities = null;
  redraw('seen', 'probabilities');
}

/** Takes MNIST's files as they come, until all four are there. */
async function take(chosen) {
  for (const file of chosen) files.set(file.name, file);
  if (files.size < 4) {
    get('files-note').textContent = `${files.size} of 4 files: ${[...files.keys()].join(', ')}`;
    return;
  }
  get('files-note').textContent = 'Reading the files…';
  const names = [...files.keys()];
  const contents = await Promise.all([...files.values()].map(async (file) => new Uint8Array(await file.arrayBuffer())));
  files = new Map();
  ask('mnist', { names, files: contents }, contents.map(({ buffer }) => buffer));
}

const pad = new Pad(get('pad'), drawn);
const body = get('probabilities').tBodies[0];
for (let digit = 0; digit < 10; digit++) {
  const row = body.insertRow();
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = digit;
  row.append(head);
  for (const side of SIDES) {
    const cell = row.insertCell();
    cell.className = side;
    cell.append(document.createElement('span'));
  }
}
wire();
showSettings();
pad.draw();
redraw(...Object.keys(panels));
connect(!new URLSearchParams(location.hash.slice(1)).has('thread'));
