//! Networks that train side by side, a step of each in turn.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Date, Promise, Uint8Array};
use selfnorm::nn::{Fit, LayerStatistics, Loss, Progress, Run, Score, Sequential};
use selfnorm::{Error, Gpu};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::control::Control;
use crate::failure::{Failure, failure, refused};
use crate::recipe::{Recipe, first_kernel};
use crate::task::Task;

const BATCH: usize = 64;

/// A histogram has this many bins from −`REACH` to `REACH`, and one at each end for what lies beyond.
const BINS: usize = 48;
const REACH: f32 = 4.0;

/// In milliseconds: how often the page hears of steps, sees the networks' insides, and gets what a training
/// can go on from.
const NEWS: f64 = 50.0;
const VIEWS: f64 = 250.0;
const MAX_VIEWS: f64 = 1500.0;
const CHECKPOINTS: f64 = 3000.0;

/// The views take no more than this share of the time, unless they would be rarer than `MAX_VIEWS`.
const SHARE: f64 = 0.2;

#[wasm_bindgen(typescript_custom_section)]
const LISTENER: &str = r#"
/** What a session reports, of the network `side`. Numbers of steps and epochs are from 1. */
export interface Listener {
  /** The losses of steps from `first` on, and the mean time of a step since the session began. */
  steps(side: number, first: number, losses: Float32Array, milliseconds: number): void;
  /** Loss and accuracy in training and on the held-out images, and the CRC-32 of the network's file. */
  epoch(side: number, epoch: number, loss: number, accuracy: number, heldOutLoss: number,
        heldOutAccuracy: number, checksum: number): void;
  /** What a training goes on from after this epoch. */
  checkpoint(side: number, epoch: number, bytes: Uint8Array): void;
  /** Mean and variance after each hidden layer. */
  statistics(side: number, means: Float32Array, variances: Float32Array): void;
  /** Shares of a hidden layer's outputs, from −4 to 4, and beyond at either end. */
  histogram(side: number, layer: number, shares: Float32Array): void;
  /** The first layer's kernel, [pixels, units]. */
  kernel(side: number, weights: Float32Array): void;
  /** Of the drawing of this number to be 0 to 9. */
  probabilities(side: number, drawing: number, probabilities: Float32Array): void;
  /** The training of this network is over: its loss or a gradient is not finite. */
  diverged(side: number, message: string): void;
  /** The training of this network is complete. */
  finished(side: number): void;
  /** The network as a safetensors file. */
  file(side: number, bytes: Uint8Array): void;
}
"#;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(typescript_type = "Listener")]
    pub type Listener;

    #[wasm_bindgen(method)]
    fn steps(this: &Listener, side: usize, first: f64, losses: Vec<f32>, milliseconds: f64);
    #[wasm_bindgen(method)]
    fn epoch(
        this: &Listener,
        side: usize,
        epoch: f64,
        loss: f64,
        accuracy: f64,
        held_out_loss: f64,
        held_out_accuracy: f64,
        checksum: u32,
    );
    #[wasm_bindgen(method)]
    fn checkpoint(this: &Listener, side: usize, epoch: f64, bytes: Vec<u8>);
    #[wasm_bindgen(method)]
    fn statistics(this: &Listener, side: usize, means: Vec<f32>, variances: Vec<f32>);
    #[wasm_bindgen(method)]
    fn histogram(this: &Listener, side: usize, layer: usize, shares: Vec<f32>);
    #[wasm_bindgen(method)]
    fn kernel(this: &Listener, side: usize, weights: Vec<f32>);
    #[wasm_bindgen(method)]
    fn probabilities(this: &Listener, side: usize, drawing: u32, probabilities: Vec<f32>);
    #[wasm_bindgen(method)]
    fn diverged(this: &Listener, side: usize, message: &str);
    #[wasm_bindgen(method)]
    fn finished(this: &Listener, side: usize);
    #[wasm_bindgen(method)]
    fn file(this: &Listener, side: usize, bytes: Vec<u8>);
}

/// Networks that are to be trained.
#[wasm_bindgen]
pub struct Session {
    task: Rc<Task>,
    epochs: usize,
    control: Rc<Control>,
    /// Until they train.
    networks: RefCell<Vec<Network>>,
}

struct Network {
    model: Sequential,
    /// The names of what hands the outputs of the hidden layers on.
    outputs: Vec<String>,
}

impl Session {
    pub fn new(
        gpu: &Gpu,
        task: &Rc<Task>,
        recipes: &[Recipe],
        seed: u64,
        epochs: usize,
    ) -> Result<Self, Failure> {
        let build = |recipe: &Recipe| -> selfnorm::Result<Network> {
            let mut model = recipe.network(task.side * task.side).build(gpu, seed)?;
            model.compile(recipe.optimizer(), Loss::CategoricalCrossentropy)?;
            let outputs = (1..=recipe.depth()).map(|layer| recipe.output(layer));
            let outputs = outputs.collect();
            Ok(Network { model, outputs })
        };
        let networks = recipes
            .iter()
            .map(build)
            .collect::<selfnorm::Result<Vec<_>>>();
        Ok(Self {
            task: task.clone(),
            epochs,
            control: Rc::default(),
            networks: networks.map_err(failure)?.into(),
        })
    }
}

#[wasm_bindgen]
impl Session {
    /// Trains, and goes on to answer until it is stopped. A network goes on from its checkpoint, unless
    /// that is empty; all of them if there are none.
    pub fn train(&self, listener: Listener, checkpoints: Vec<Uint8Array>) -> Promise {
        let training = Training {
            task: self.task.clone(),
            epochs: self.epochs,
            control: self.control.clone(),
            listener,
        };
        let networks = self.networks.take();
        let checkpoints = checkpoints.iter().map(Uint8Array::to_vec).collect();
        future_to_promise(async move {
            let ended = training.train(networks, checkpoints).await;
            ended.map_err(failure)?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Waits, or goes on.
    pub fn pause(&self, is_paused: bool) {
        self.control.is_paused.set(is_paused);
        self.control.call();
    }

    /// Ends the training, soon.
    pub fn stop(&self) {
        self.control.is_stopped.set(true);
        self.control.call();
    }

    /// Shows the outputs of this hidden layer, counted from 1; of the last if there are not as many.
    pub fn watch(&self, layer: usize) {
        self.control.layer.set(layer);
        self.control.call();
    }

    /// Reads a digit of these pixels, from now on; none if it is empty. Each drawing has another number.
    pub fn draw(&self, pixels: Vec<u8>, number: u32) -> Result<(), Failure> {
        let expected = self.task.side * self.task.side;
        if !pixels.is_empty() && pixels.len() != expected {
            let detail = format!("{} pixels; an image has {expected}", pixels.len());
            return Err(refused(detail));
        }
        self.control.drawing.replace((pixels, number));
        self.control.call();
        Ok(())
    }

    /// Reports network `side` as a file.
    pub fn save(&self, side: usize) {
        self.control.to_save.borrow_mut().push(side);
        self.control.call();
    }
}

struct Training {
    task: Rc<Task>,
    epochs: usize,
    control: Rc<Control>,
    listener: Listener,
}

/// A network that trains.
struct Side<'a> {
    index: usize,
    run: Run<'a>,
    outputs: &'a [String],
    is_over: bool,
    /// The steps before this run, and those of it that have been reported.
    before: u64,
    reported: usize,
    checkpointed: f64,
    /// The drawing that it has read.
    drawing: u32,
}

/// The time that steps take, since the last report.
#[derive(Default)]
struct Clock {
    since: f64,
    spent: f64,
    steps: usize,
}

impl Training {
    async fn train(
        &self,
        mut networks: Vec<Network>,
        checkpoints: Vec<Vec<u8>>,
    ) -> selfnorm::Result<()> {
        for (network, checkpoint) in networks.iter_mut().zip(&checkpoints) {
            if !checkpoint.is_empty() {
                network.model.load_bytes(checkpoint).await?;
            }
        }
        // What they do untrained is there long before the shaders of training are compiled.
        for (index, network) in networks.iter().enumerate() {
            self.show(index, &network.model, &network.outputs).await?;
            if network.model.epoch() == 0 {
                let file = network.model.to_bytes().await?;
                self.report_epoch(index, 0, [Score::default(); 2], &file);
            }
        }
        let mut sides = Vec::new();
        for (index, Network { model, outputs }) in networks.iter_mut().enumerate() {
            let (step, epoch) = (model.step(), model.epoch());
            let fit = Fit::default()
                .batch_size(BATCH)
                .epochs(self.epochs.saturating_sub(epoch as usize))
                .validation_data(&self.task.held_out);
            sides.push(Side {
                index,
                run: model.train(&self.task.training, &fit)?,
                outputs,
                is_over: false,
                before: step,
                reported: 0,
                checkpointed: 0.0,
                drawing: 0,
            });
        }
        let mut clock = Clock::default();
        let mut next_view = 0.0;
        while !self.control.is_stopped.get() {
            let waits = self.control.is_paused.get() || sides.iter().all(|side| side.is_over);
            if !waits {
                self.step(&mut sides, &mut clock).await?;
            }
            self.answer(&mut sides).await?;
            let start = Date::now();
            if waits || start >= next_view {
                for side in &sides {
                    self.show(side.index, side.run.model(), side.outputs)
                        .await?;
                }
                let end = Date::now();
                let rest = (end - start) * (1.0 - SHARE) / SHARE;
                next_view = end + rest.clamp(VIEWS, MAX_VIEWS);
            }
            if waits {
                self.control.called().await;
            }
        }
        Ok(())
    }

    /// A step of each network, and what is known of those before.
    async fn step(&self, sides: &mut [Side<'_>], clock: &mut Clock) -> selfnorm::Result<()> {
        let start = Date::now();
        for side in sides.iter_mut().filter(|side| !side.is_over) {
            self.advance(side).await?;
            clock.steps += 1;
        }
        let now = Date::now();
        clock.spent += now - start;
        if now - clock.since < NEWS && sides.iter().any(|side| !side.is_over) {
            return Ok(());
        }
        let milliseconds = clock.spent / clock.steps.max(1) as f64;
        for side in sides {
            let losses = &side.run.history().losses;
            let new = losses[side.reported..].iter().map(|&loss| loss as f32);
            let first = side.before + side.reported as u64 + 1;
            let new: Vec<_> = new.collect();
            if !new.is_empty() {
                self.listener
                    .steps(side.index, first as f64, new, milliseconds);
            }
            side.reported = losses.len();
        }
        *clock = Clock {
            since: now,
            ..Clock::default()
        };
        Ok(())
    }

    async fn advance(&self, side: &mut Side<'_>) -> selfnorm::Result<()> {
        match side.run.next().await {
            Ok(Some(Progress::Epoch(end))) => {
                let (model, training) = (end.model(), end.scores.training);
                let held_out = end.scores.validation.unwrap_or_default();
                let epoch = model.epoch();
                let file = model.to_bytes().await?;
                self.report_epoch(side.index, epoch, [training, held_out], &file);
                let now = Date::now();
                if now - side.checkpointed >= CHECKPOINTS || end.epoch == end.epochs {
                    self.listener.checkpoint(side.index, epoch as f64, file);
                    side.checkpointed = now;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                side.is_over = true;
                self.listener.finished(side.index);
            }
            Err(error @ Error::NotFinite { .. }) => {
                side.is_over = true;
                self.listener.diverged(side.index, &error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn report_epoch(&self, side: usize, epoch: u64, scores: [Score; 2], file: &[u8]) {
        let [training, held_out] = scores.map(|score| (score.loss, score.accuracy));
        self.listener.epoch(
            side,
            epoch as f64,
            training.0,
            training.1.unwrap_or_default(),
            held_out.0,
            held_out.1.unwrap_or_default(),
            crc32fast::hash(file),
        );
    }

    /// Answers what has been asked since the last time.
    async fn answer(&self, sides: &mut [Side<'_>]) -> selfnorm::Result<()> {
        let number = self.control.drawing.borrow().1;
        for side in sides.iter_mut().filter(|side| side.drawing != number) {
            self.read_drawing(side.index, side.run.model()).await?;
            side.drawing = number;
        }
        let asked = self.control.to_save.take();
        for side in asked.into_iter().filter_map(|side| sides.get(side)) {
            let bytes = side.run.model().to_bytes().await?;
            self.listener.file(side.index, bytes);
        }
        Ok(())
    }

    /// Shows the insides of a network as it is now.
    async fn show(
        &self,
        index: usize,
        model: &Sequential,
        outputs: &[String],
    ) -> selfnorm::Result<()> {
        let sample = &self.task.sample;
        let statistics = model.statistics_in_training_async(sample).await?;
        let of_hidden = |value: fn(&LayerStatistics) -> f64| -> Vec<f32> {
            let hidden = statistics
                .iter()
                .filter(|layer| outputs.contains(&layer.name));
            hidden.map(|layer| value(layer) as f32).collect()
        };
        let (means, variances) = (
            of_hidden(|layer| layer.mean),
            of_hidden(|layer| layer.variance),
        );
        self.listener.statistics(index, means, variances);

        let layer = self.control.layer.get().clamp(1, outputs.len());
        let output = model.layer_output(&outputs[layer - 1], sample, true)?;
        let shares = histogram(&output.read().await?);
        self.listener.histogram(index, layer, shares);

        let kernel = model.weight(&first_kernel())?.read().await?;
        self.listener.kernel(index, kernel);
        self.read_drawing(index, model).await
    }

    async fn read_drawing(&self, index: usize, model: &Sequential) -> selfnorm::Result<()> {
        let (pixels, number) = self.control.drawing.borrow().clone();
        if pixels.is_empty() {
            return Ok(());
        }
        let x = self.task.input(model.gpu(), &pixels)?;
        let probabilities = model.predict_async(&x).await?.read().await?;
        self.listener.probabilities(index, number, probabilities);
        Ok(())
    }
}

/// The shares of values in each bin.
fn histogram(values: &[f32]) -> Vec<f32> {
    let mut shares = vec![0.0; BINS + 2];
    let each = 1.0 / values.len() as f32;
    for value in values {
        let place = (value + REACH) / (2.0 * REACH) * BINS as f32;
        // A NaN counts as below.
        let bin = (place.floor() + 1.0).clamp(0.0, (BINS + 1) as f32) as usize;
        shares[bin] += each;
    }
    shares
}
