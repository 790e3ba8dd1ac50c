//! From layers to stages: shapes, parameters, and which kernel does what.

use hashbrown::{HashMap, HashSet};

use super::layers::{self, Initializer, Kind, Layer, NoiseShape, Regularizer, Sliding, Weighted};
use super::losses;
use crate::ops::alpha_dropout::{Broadcast, Dropout};
use crate::ops::elementwise::Elementwise;
use crate::ops::network::activation::Activation;
use crate::ops::network::epilogue::Epilogue;
use crate::ops::network::normalization::{self, Normalization};
use crate::ops::network::product::{Padding, Window};
use crate::ops::network::regularize::Penalty;
use crate::ops::require;
use crate::tensor::count;
use crate::{Result, random};

/// A network once it is built, for any batch size.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub input_shape: Vec<usize>,
    pub layers: Vec<BuiltLayer>,
    pub stages: Vec<Stage>,
    /// f32s in the buffer of the parameters; the trainable ones come first.
    pub parameters: usize,
    pub trainable: usize,
}

#[derive(Clone, Debug)]
pub(super) struct BuiltLayer {
    pub name: String,
    /// As Keras calls it.
    pub layer_type: &'static str,
    pub output_shape: Vec<usize>,
    pub trainable: bool,
    pub weights: Vec<Weight>,
    /// The stage that the weights belong to.
    stage: Option<usize>,
    /// Where its output is stored.
    pub output: Value,
}

/// A kernel or biases.
#[derive(Clone, Debug)]
pub(super) struct Weight {
    /// As in Keras: `dense_1/kernel`.
    pub name: String,
    pub shape: Vec<usize>,
    /// In the buffer of the parameters, in f32s.
    pub offset: usize,
    pub len: usize,
    pub initial: Initial,
    pub regularizer: Option<Regularizer>,
    pub trainable: bool,
    /// Which of its stage's parameters it is in.
    block: usize,
}

impl Weight {
    /// The names of the layer and, in it, of the weight: `dense`, `kernel`.
    fn parts(&self) -> (&str, &str) {
        self.name.split_once('/').unwrap_or(("", &self.name))
    }

    pub fn layer(&self) -> &str {
        self.parts().0
    }

    pub fn kind(&self) -> &str {
        self.parts().1
    }
}

#[derive(Clone, Debug)]
pub(super) enum Initial {
    Given(Vec<f32>),
    Random(Initializer, u64),
    Ones,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The network's input.
    Input,
    /// The sums of a stage, before its epilogue.
    Sums(usize),
    /// The sums of a stage, after its epilogue.
    Activations(usize),
}

impl Value {
    /// The stages that compute it.
    pub fn stages(self) -> usize {
        match self {
            Self::Input => 0,
            Self::Sums(stage) | Self::Activations(stage) => stage + 1,
        }
    }
}

/// The work of one kernel, and its epilogue.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub kind: StageKind,
    pub epilogue: Epilogue,
    pub input: Value,
    /// Elements of a sample's output.
    pub len: usize,
}

/// The kernel of a stage, followed by the biases, in f32s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub offset: usize,
    pub len: usize,
    pub bias: bool,
    pub trainable: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum StageKind {
    Weighted(Sums, Parameters),
    MaxPool2d {
        window: Window,
        channels: usize,
    },
    AveragePool2d {
        window: Window,
        channels: usize,
    },
    Normalization(Normalized),
    /// Nothing but the epilogue.
    Epilogue,
    Softmax {
        rows: usize,
        classes: usize,
    },
    /// A dropout that is no epilogue, because its mask is broadcast.
    Dropout(Dropout, Broadcast),
}

/// A normalization of `positions` vectors a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normalized {
    pub kind: normalization::Kind,
    pub positions: usize,
    pub columns: usize,
    pub epsilon: f32,
    /// Of moving averages.
    pub momentum: f64,
    /// Gamma and beta; means and variances.
    pub parameters: [Option<Parameters>; 2],
}

impl Normalized {
    /// Of a batch.
    pub fn of(&self, samples: usize) -> Normalization {
        Normalization {
            kind: self.kind,
            samples,
            positions: self.positions,
            columns: self.columns,
            epsilon: self.epsilon,
        }
    }

    /// Whether a step changes its means and variances.
    pub fn moves(&self) -> bool {
        self.kind == normalization::Kind::Batch { frozen: false }
    }
}

impl StageKind {
    fn parameters_mut(&mut self, block: usize) -> Option<&mut Parameters> {
        match self {
            Self::Weighted(_, parameters) => Some(parameters),
            Self::Normalization(normalized) => normalized.parameters.get_mut(block)?.as_mut(),
            _ => None,
        }
    }
}

/// The kind of sums that the weights are used in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sums {
    /// `rows` vectors per sample.
    Dense {
        rows: usize,
        inputs: usize,
        outputs: usize,
    },
    Conv2d {
        window: Window,
        channels: usize,
        filters: usize,
    },
}

/// No image needs larger windows and strides, and with them the shaders' arithmetic might overflow.
const MAX_WINDOW: usize = 1 << 16;

/// The uses of a layer's random numbers.
#[derive(Clone, Copy)]
enum Draw {
    Kernel,
    Bias,
    Dropout,
}

impl Network {
    /// A layer's parameters begin at a multiple of `alignment` f32s. Unless `fused`, the output of
    /// every layer is stored.
    pub fn new(
        input_shape: &[usize],
        layers: &[Layer],
        seed: u64,
        alignment: usize,
        fused: bool,
    ) -> Result<Self> {
        if layers.is_empty() {
            return layers::error("sequential", "needs at least one layer");
        }
        if count(input_shape)? == 0 {
            let detail = format!("an input of shape {input_shape:?} has no elements");
            return layers::error("sequential", detail);
        }
        let mut network = Self::of_input(input_shape);
        let mut names = Names::default();
        for layer in layers {
            let name = names.of(layer)?;
            network.add(name, layer, seed, fused)?;
        }
        let last = network.stages.last().map(|stage| stage.kind);
        if let Some(StageKind::Softmax { classes: 1, .. }) = last {
            return layers::error(network.previous(), losses::ONE_CLASS);
        }
        network.place_parameters(alignment)?;
        Ok(network)
    }

    /// With no layers yet.
    pub fn of_input(input_shape: &[usize]) -> Self {
        Self {
            input_shape: input_shape.into(),
            layers: Vec::new(),
            stages: Vec::new(),
            parameters: 0,
            trainable: 0,
        }
    }

    pub fn output_shape(&self) -> &[usize] {
        self.layers
            .last()
            .map_or(&self.input_shape, |layer| &layer.output_shape)
    }

    pub fn output(&self) -> Value {
        self.layers
            .last()
            .map_or(Value::Input, |layer| layer.output)
    }

    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.layers.iter().flat_map(|layer| &layer.weights)
    }

    /// The first layer whose output in training depends on the whole batch.
    pub fn measures_batches(&self) -> Option<&str> {
        let layer = self.layers.iter().find(|layer| {
            let stage = layer.stage.map(|stage| self.stages[stage].kind);
            matches!(stage, Some(StageKind::Normalization(normalized)) if normalized.moves())
        });
        layer.map(|layer| &layer.name[..])
    }

    pub fn trained_weights(&self) -> impl Iterator<Item = &Weight> {
        self.weights().filter(|weight| weight.trainable)
    }

    /// Of the trained weights, as in Keras: those that are not trained have none.
    pub fn penalties(&self) -> Vec<Penalty> {
        let penalty = |weight: &Weight| {
            let [l1, l2] = weight.regularizer?.factors().map(|factor| factor as f32);
            let weights = weight.offset as u32..(weight.offset + weight.len) as u32;
            (l1 > 0.0 || l2 > 0.0).then_some(Penalty { weights, l1, l2 })
        };
        self.trained_weights().filter_map(penalty).collect()
    }

    /// The number of elements per sample of `value`.
    pub fn len(&self, value: Value) -> usize {
        match value {
            Value::Input => self.input_shape.iter().product(),
            Value::Sums(stage) | Value::Activations(stage) => self.stages[stage].len,
        }
    }

    /// Adds a layer, whose weights have no place yet.
    pub fn add(&mut self, name: String, layer: &Layer, seed: u64, fused: bool) -> Result<()> {
        let position = self.layers.len();
        let draw = |draw| random::derived_seed(seed, position as u64 * 3 + draw as u64);
        let mut built = BuiltLayer {
            layer_type: layer.types().0,
            output_shape: self.output_shape().to_vec(),
            trainable: layer.trainable,
            weights: Vec::new(),
            stage: None,
            output: self.output(),
            name,
        };
        match &layer.kind {
            Kind::Flatten => built.output_shape = vec![built.output_shape.iter().product()],
            Kind::Reshape(shape) => {
                let (from, to) = (&built.output_shape, count(shape)?);
                if from.iter().product::<usize>() as u64 != to {
                    let detail = format!(
                        "{shape:?} has {to} elements, {} gives {from:?}",
                        self.previous()
                    );
                    return layers::error(&built.name, detail);
                }
                built.output_shape = shape.clone();
            }
            Kind::Normalization(moments) => {
                self.normalize(
                    &mut built,
                    normalization::Kind::Given,
                    1e-7,
                    0.0,
                    moments.as_ref(),
                )?;
            }
            Kind::BatchNormalization { momentum, epsilon } => {
                let allowed = (0.0..=1.0).contains(momentum);
                require(
                    "batch_normalization",
                    "momentum",
                    *momentum,
                    allowed,
                    "from 0 to 1",
                )?;
                let frozen = !layer.trainable;
                let kind = normalization::Kind::Batch { frozen };
                self.normalize(&mut built, kind, *epsilon, *momentum, None)?;
            }
            Kind::LayerNormalization { epsilon } => {
                self.normalize(&mut built, normalization::Kind::Layer, *epsilon, 0.0, None)?;
            }
            Kind::Activation(activation) => self.activate(&mut built, *activation, fused)?,
            Kind::AlphaDropout(dropout, noise_shape) => {
                let dropout = dropout.clone().seed(draw(Draw::Dropout));
                let dropout = dropout.epilogue("alpha_dropout")?;
                self.drop_out(&mut built, dropout, noise_shape.as_ref(), fused)?;
            }
            Kind::Dropout(rate, noise_shape) => {
                let allowed = (0.0..1.0).contains(rate);
                require("dropout", "rate", *rate, allowed, "at least 0 and below 1")?;
                let dropout = Dropout {
                    threshold: (rate * 2f64.powi(32)).round() as u32,
                    scale: (1.0 / (1.0 - rate)) as f32,
                    shift: -0.0,
                    dropped: 0.0,
                    seed: draw(Draw::Dropout),
                    row: 0,
                };
                self.drop_out(&mut built, dropout, noise_shape.as_ref(), fused)?;
            }
            Kind::MaxPool2d(sliding) => {
                let ([height, width, channels], window) = self.slide(&built, sliding)?;
                built.output_shape = vec![height, width, channels];
                let kind = StageKind::MaxPool2d { window, channels };
                built.output = self.push(kind, &built);
            }
            Kind::AveragePooling2d(sliding) => {
                let ([height, width, channels], window) = self.slide(&built, sliding)?;
                built.output_shape = vec![height, width, channels];
                let kind = StageKind::AveragePool2d { window, channels };
                built.output = self.push(kind, &built);
            }
            Kind::GlobalAveragePooling2d => {
                let size = match built.output_shape[..] {
                    [height, width, _] => [height, width],
                    // An error that says so.
                    _ => [1, 1],
                };
                let sliding = Sliding {
                    size,
                    strides: size,
                    padding: Padding::Valid,
                };
                let ([.., channels], window) = self.slide(&built, &sliding)?;
                built.output_shape = vec![channels];
                let kind = StageKind::AveragePool2d { window, channels };
                built.output = self.push(kind, &built);
            }
            Kind::Dense { units, weighted } => {
                let [axes @ .., inputs] = &built.output_shape[..] else {
                    return layers::error(
                        &built.name,
                        format!("needs an input with an axis, {} gives []", self.previous()),
                    );
                };
                let (rows, inputs) = (axes.iter().product(), *inputs);
                let outputs = at_least_1(&built.name, "units", *units)?;
                built.output_shape = [axes, &[outputs]].concat();
                let sums = Sums::Dense {
                    rows,
                    inputs,
                    outputs,
                };
                self.weigh(
                    &mut built,
                    sums,
                    vec![inputs, outputs],
                    weighted,
                    draw,
                    fused,
                )?;
            }
            Kind::Conv2d {
                filters,
                window,
                weighted,
            } => {
                let ([height, width, channels], window) = self.slide(&built, window)?;
                let filters = at_least_1(&built.name, "filters", *filters)?;
                built.output_shape = vec![height, width, filters];
                let sums = Sums::Conv2d {
                    window,
                    channels,
                    filters,
                };
                let [kernel_height, kernel_width] = window.size;
                let shape = vec![kernel_height, kernel_width, channels, filters];
                self.weigh(&mut built, sums, shape, weighted, draw, fused)?;
            }
        }
        count(&built.output_shape)?;
        self.layers.push(built);
        Ok(())
    }

    /// The name of the layer whose output is the next layer's input.
    fn previous(&self) -> &str {
        self.layers
            .last()
            .map_or("the network's input", |layer| &layer.name)
    }

    fn push(&mut self, kind: StageKind, built: &BuiltLayer) -> Value {
        self.stages.push(Stage {
            kind,
            epilogue: Epilogue::default(),
            input: built.output,
            len: built.output_shape.iter().product(),
        });
        Value::Sums(self.stages.len() - 1)
    }

    /// An epilogue that is still `free`: that of the last stage if its output comes next, or else
    /// that of a new stage.
    fn epilogue(
        &mut self,
        built: &mut BuiltLayer,
        fused: bool,
        free: impl Fn(&Epilogue) -> bool,
    ) -> &mut Epilogue {
        let takes = |stage: &Stage| {
            matches!(stage.kind, StageKind::Weighted(..) | StageKind::Epilogue)
                && free(&stage.epilogue)
        };
        let stage = match built.output {
            Value::Sums(stage) | Value::Activations(stage)
                if fused && takes(&self.stages[stage]) =>
            {
                stage
            }
            _ => {
                self.push(StageKind::Epilogue, built);
                self.stages.len() - 1
            }
        };
        built.output = Value::Activations(stage);
        &mut self.stages[stage].epilogue
    }

    fn activate(
        &mut self,
        built: &mut BuiltLayer,
        activation: Activation,
        fused: bool,
    ) -> Result<()> {
        let Some(elementwise) = activation.elementwise("activation")? else {
            let [axes @ .., classes] = &built.output_shape[..] else {
                let detail = format!("a softmax needs an axis, {} gives []", self.previous());
                return layers::error(&built.name, detail);
            };
            let kind = StageKind::Softmax {
                rows: axes.iter().product(),
                classes: *classes,
            };
            built.output = self.push(kind, built);
            return Ok(());
        };
        if elementwise == Elementwise::default() {
            return Ok(());
        }
        let free = |epilogue: &Epilogue| epilogue.is_identity();
        self.epilogue(built, fused, free).activation = elementwise;
        Ok(())
    }

    fn drop_out(
        &mut self,
        built: &mut BuiltLayer,
        dropout: Dropout,
        noise_shape: Option<&NoiseShape>,
        fused: bool,
    ) -> Result<()> {
        let shape = &built.output_shape;
        let each = vec![None; shape.len() + 1];
        let noise_shape = noise_shape.unwrap_or(&each);
        let (broadcast, row) = match Broadcast::of_batches(noise_shape, shape) {
            Ok(mask) => mask,
            Err(rule) => {
                let detail = format!(
                    "a noise_shape of {} does not fit its input {}, which {} gives: {rule}",
                    extents(noise_shape),
                    extents(&batch_of(shape)),
                    self.previous(),
                );
                return layers::error(&built.name, detail);
            }
        };
        if dropout.threshold == 0 {
            return Ok(());
        }
        let dropout = Dropout { row, ..dropout };
        match broadcast {
            Some(broadcast) => {
                built.output = self.push(StageKind::Dropout(dropout, broadcast), built);
            }
            None => {
                let free = |epilogue: &Epilogue| epilogue.dropout.is_none();
                self.epilogue(built, fused, free).dropout = Some(dropout);
            }
        }
        Ok(())
    }

    /// The output shape of a window that slides over an image, and the window.
    fn slide(&self, built: &BuiltLayer, sliding: &Sliding) -> Result<([usize; 3], Window)> {
        let previous = self.previous();
        let shape = &built.output_shape;
        let &[height, width, channels] = &shape[..] else {
            let detail = format!(
                "needs an input of shape [height, width, channels], {previous} gives {shape:?}"
            );
            return layers::error(&built.name, detail);
        };
        let (size, strides) = (sliding.size, sliding.strides);
        if size
            .iter()
            .chain(&strides)
            .any(|&extent| extent > MAX_WINDOW)
        {
            let detail = format!(
                "a window of {size:?} with strides of {strides:?} is beyond {MAX_WINDOW}, the most that there can be"
            );
            return layers::error(&built.name, detail);
        }
        if let Some((padding, rule)) = sliding.padding.beyond(size) {
            let detail = format!(
                "a padding of {padding} around a window of {size:?}; on each side it must be {rule}"
            );
            return layers::error(&built.name, detail);
        }
        let (Some(down), Some(across)) = (sliding.along(0, height), sliding.along(1, width)) else {
            let detail = format!(
                "a window of {size:?} with strides of {strides:?} needs an input of at least its size, and none of them 0; {previous} gives {shape:?}"
            );
            return layers::error(&built.name, detail);
        };
        let window = Window {
            input: [height, width],
            output: [down.0, across.0],
            size,
            strides,
            padding: [down.1, across.1],
        };
        Ok(([down.0, across.0, channels], window))
    }

    /// Adds a stage with a kernel of `shape`.
    fn weigh(
        &mut self,
        built: &mut BuiltLayer,
        sums: Sums,
        shape: Vec<usize>,
        weighted: &Weighted,
        draw: impl Fn(Draw) -> u64,
        fused: bool,
    ) -> Result<()> {
        if let Some(regularizer) = weighted.kernel_regularizer
            && !regularizer.is_possible()
        {
            let detail = format!(
                "kernel_regularizer is {regularizer:?}, its factors must be at least 0, and finite f32s"
            );
            return layers::error(&built.name, detail);
        }
        let columns = shape.last().copied().unwrap_or(1);
        let kernel_len = count(&shape)? as usize;
        let bias_len = if weighted.use_bias { columns } else { 0 };
        let initial = match &weighted.weights {
            None => [
                Initial::Random(weighted.kernel_initializer, draw(Draw::Kernel)),
                Initial::Random(weighted.bias_initializer, draw(Draw::Bias)),
            ],
            Some((kernel, bias)) => {
                if (kernel.len(), bias.len()) != (kernel_len, bias_len) {
                    let detail = format!(
                        "its kernel is {shape:?}, as {} gives {:?}, with {bias_len} biases: {kernel_len} and {bias_len} weights; {} and {} were given",
                        self.previous(),
                        self.output_shape(),
                        kernel.len(),
                        bias.len(),
                    );
                    return layers::error(&built.name, detail);
                }
                [Initial::Given(kernel.clone()), Initial::Given(bias.clone())]
            }
        };
        let parameters = Parameters {
            offset: 0,
            len: kernel_len + bias_len,
            bias: weighted.use_bias,
            trainable: built.trainable,
        };
        let [kernel, bias] = initial;
        let mut weight = |name, shape: Vec<usize>, len, initial, regularizer| {
            built.weights.push(Weight {
                name: format!("{}/{name}", built.name),
                shape,
                offset: 0,
                len,
                initial,
                regularizer,
                trainable: built.trainable,
                block: 0,
            });
        };
        let regularizer = weighted.kernel_regularizer;
        weight("kernel", shape, kernel_len, kernel, regularizer);
        if weighted.use_bias {
            weight("bias", vec![columns], bias_len, bias, None);
        }
        built.stage = Some(self.stages.len());
        built.output = self.push(StageKind::Weighted(sums, parameters), built);
        self.activate(built, weighted.activation, fused)
    }

    /// Adds a stage that normalizes the last axis.
    fn normalize(
        &mut self,
        built: &mut BuiltLayer,
        kind: normalization::Kind,
        epsilon: f64,
        momentum: f64,
        moments: Option<&[Vec<f32>; 2]>,
    ) -> Result<()> {
        let allowed = (f32::MIN_POSITIVE..=f32::MAX).contains(&(epsilon as f32));
        let rule = "above 0, and a normal f32";
        require("normalization", "epsilon", epsilon, allowed, rule)?;
        let [axes @ .., columns] = &built.output_shape[..] else {
            let detail = format!("needs an input with an axis, {} gives []", self.previous());
            return layers::error(&built.name, detail);
        };
        let (positions, columns) = (axes.iter().product(), *columns);
        let zeros = || Initial::Random(Initializer::Zeros, 0);
        let (gamma, beta) = (("gamma", Initial::Ones), ("beta", zeros()));
        let stored = |mean, variance| [(mean, zeros()), (variance, Initial::Ones)];
        let (scales, stored) = match (kind, moments) {
            (normalization::Kind::Layer, _) => (Some([gamma, beta]), None),
            (normalization::Kind::Batch { .. }, _) => (
                Some([gamma, beta]),
                Some(stored("moving_mean", "moving_variance")),
            ),
            (normalization::Kind::Given, None) => (None, Some(stored("mean", "variance"))),
            (normalization::Kind::Given, Some([mean, variance])) => {
                self.check_moments(&built.name, columns, mean, variance)?;
                let given = |name, values: &Vec<f32>| (name, Initial::Given(values.clone()));
                (
                    None,
                    Some([given("mean", mean), given("variance", variance)]),
                )
            }
        };
        let mut parameters = [None; 2];
        for (block, weights) in [scales, stored].into_iter().enumerate() {
            let Some(weights) = weights else { continue };
            let trainable = built.trainable && block == 0;
            parameters[block] = Some(Parameters {
                offset: 0,
                len: 2 * columns,
                bias: false,
                trainable,
            });
            built.weights.extend(weights.map(|(name, initial)| Weight {
                name: format!("{}/{name}", built.name),
                shape: vec![columns],
                offset: 0,
                len: columns,
                initial,
                regularizer: None,
                trainable,
                block,
            }));
        }
        built.stage = Some(self.stages.len());
        let normalized = Normalized {
            kind,
            positions,
            columns,
            epsilon: epsilon as f32,
            momentum,
            parameters,
        };
        built.output = self.push(StageKind::Normalization(normalized), built);
        Ok(())
    }

    fn check_moments(
        &self,
        name: &str,
        columns: usize,
        mean: &[f32],
        variance: &[f32],
    ) -> Result<()> {
        if (mean.len(), variance.len()) != (columns, columns) {
            let detail = format!(
                "{} means and {} variances; {} gives {columns} features",
                mean.len(),
                variance.len(),
                self.previous(),
            );
            return layers::error(name, detail);
        }
        let is_wrong =
            |i: &usize| !(mean[*i].is_finite() && variance[*i].is_finite() && variance[*i] >= 0.0);
        match (0..columns).find(is_wrong) {
            None => Ok(()),
            Some(i) => layers::error(
                name,
                format!(
                    "feature {i} has mean {:?} and variance {:?}; they are finite, variances at least 0",
                    mean[i], variance[i]
                ),
            ),
        }
    }

    /// The trainable ones come first, so that an optimizer works on one range.
    fn place_parameters(&mut self, alignment: usize) -> Result<()> {
        for trainable in [true, false] {
            for layer in &mut self.layers {
                let Some(stage) = layer.stage else { continue };
                for block in 0..2 {
                    let mut end = self.parameters;
                    let is_in = |weight: &&mut Weight| {
                        weight.trainable == trainable && weight.block == block
                    };
                    let mut weights = layer.weights.iter_mut().filter(is_in).peekable();
                    if weights.peek().is_none() {
                        continue;
                    }
                    if let Some(parameters) = self.stages[stage].kind.parameters_mut(block) {
                        parameters.offset = end;
                    }
                    for weight in weights {
                        weight.offset = end;
                        end += weight.len;
                    }
                    self.parameters = end.next_multiple_of(alignment);
                    // They are bound as one.
                    count(&[self.parameters])?;
                }
            }
            if trainable {
                self.trainable = self.parameters;
            }
        }
        Ok(())
    }
}

/// The layers' names so far, and Keras's default names with the number that each has come to.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    numbers: HashMap<&'static str, usize>,
}

impl Names {
    /// The given name, or Keras's default: the type, with a number from the second on.
    fn of(&mut self, layer: &Layer) -> Result<String> {
        let (layer_type, default) = layer.types();
        let name = match &layer.name {
            Some(name) if name.is_empty() || name.contains('/') => {
                return layers::error(
                    layer_type,
                    format!("{name:?} is no name for a layer: it is empty, or has a /"),
                );
            }
            Some(name) if self.taken.contains(name) => {
                return layers::error(name, "the name is another layer's");
            }
            Some(name) => name.clone(),
            None => {
                let number = self.numbers.entry(default).or_default();
                loop {
                    let name = match *number {
                        0 => default.into(),
                        number => format!("{default}_{number}"),
                    };
                    *number += 1;
                    if !self.taken.contains(&name) {
                        break name;
                    }
                }
            }
        };
        self.taken.insert(name.clone());
        Ok(name)
    }
}

/// The shape of a batch of samples of `shape`.
fn batch_of(shape: &[usize]) -> NoiseShape {
    let sample = shape.iter().map(|&extent| Some(extent));
    [None].into_iter().chain(sample).collect()
}

/// As Keras prints a shape: [None, 1, 1, 32].
fn extents(shape: &[Option<usize>]) -> String {
    let extent = |extent: &Option<usize>| extent.map_or("None".into(), |extent| extent.to_string());
    format!(
        "[{}]",
        shape.iter().map(extent).collect::<Vec<_>>().join(", ")
    )
}

fn at_least_1(layer: &str, name: &str, value: usize) -> Result<usize> {
    if value == 0 {
        return layers::error(layer, format!("{name} must be at least 1"));
    }
    Ok(value)
}
