//! A chain of small dense layers in one dispatch: what hidden layers compute stays in registers or in workgroup memory.
//!
//! The error bound is that of the layers one by one, since sums differ in their order only. A layer's sum of n
//! products and a bias is within (n + 1) 2^-24 of the sum of the terms' sizes; its activation adds the bound of
//! that function, and multiplies by its slope what its inputs were off by.

use super::dispatch;
use super::product::{Tiling, subgroup};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::elementwise::{ActivationParams, Elementwise};
use crate::shader::files::{self, File};
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec2u, vec4u};
use crate::{Gpu, Result};

/// The most layers of a chain, and the most values that a layer takes or gives.
const MAX_LAYERS: usize = 16;
pub(crate) const MAX_WIDTH: usize = 128;
/// The parameters have 16 bits for where a kernel begins, in eights. A chain is a whole network, and the longest ends before,
/// wherever a device has its layers begin.
const _: () = assert!(MAX_LAYERS * ((MAX_WIDTH + 1) * MAX_WIDTH + 1024) <= 8 * u16::MAX as usize);

/// Dense layers, each on the output of the one before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chain {
    inputs: usize,
    hidden: Vec<Layer>,
    last: Layer,
}

/// y = activation(x w + b). In f32s, the kernel begins at `kernel` in the weights, at a multiple of 8,
/// and the biases follow it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layer {
    pub outputs: usize,
    pub kernel: usize,
    pub bias: bool,
    pub activation: Elementwise,
}

params! {
    struct FusedParams {
        /// of the hidden layers that have one
        activation: ActivationParams,
        /// of the last layer
        last: ActivationParams,
        rows: u32,
        inputs: u32,
        layers: u32,
        /// bit i: whether layer i has biases
        biased: u32,
        /// bit i: whether hidden layer i has the activation
        activated: u32,
        padding: u32,
        more_padding: vec2u,
        /// 8 bits a layer
        outputs: vec4u,
        /// 16 bits a layer, in eights: where the kernels of layers 0 to 7 begin, and of 8 to 15
        first_kernels: vec4u,
        other_kernels: vec4u,
    }
}

pub(super) static MODULE: Module = Module::new("fused", &files::FUSED, FusedParams::LAYOUT)
    .entry_points(&["predict"])
    .forms(forms);

const KERNEL: Kernel = MODULE.kernel("predict");

/// How rows are cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tile {
    /// Rows in workgroup memory, 4 x 8 sums of a layer an invocation.
    Workgroup,
    /// Rows in registers, 32 x 8 or 16 x 16 sums of a layer an invocation, of a subgroup.
    Subgroup(u32),
}

/// How hidden layers' weights are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loads {
    Values,
    Fours,
    Runs,
}

/// The values of a tile in workgroup memory.
const TILE_VALUES: u32 = 2048;
/// The most invocations of a subgroup that share rows.
const MAX_SHARED_BY: u32 = 8;
/// A chain that is wider has two columns of eight an invocation of a subgroup.
const SPLIT_WIDTH: usize = 64;
/// The most outputs of such a chain for which one dispatch pays on subgroups.
const MAX_SPLIT_OUTPUTS: usize = 16;
/// The lanes of the software device that the kernel for subgroups was measured on.
const MEASURED_SUBGROUP: u32 = 8;

/// The invocations of a subgroup that share rows.
fn shared_by(width: usize) -> u32 {
    (width as u32 / 8).min(MAX_SHARED_BY)
}

impl Tile {
    fn of(gpu: &Gpu, tiling: Tiling) -> Self {
        let lanes = subgroup(gpu).filter(|&lanes| lanes >= MAX_SHARED_BY);
        match (tiling, lanes) {
            (Tiling::Subgroups, Some(lanes)) => Self::Subgroup(lanes),
            _ => Self::Workgroup,
        }
    }

    /// A chain's width as its kernel is compiled for.
    fn width(self, widest: usize) -> usize {
        let least = match self {
            Self::Workgroup => 16,
            Self::Subgroup(_) => 8,
        };
        widest.next_power_of_two().max(least)
    }

    /// Rows of a workgroup.
    fn rows(self, width: usize) -> u32 {
        match self {
            Self::Workgroup => TILE_VALUES / width as u32,
            Self::Subgroup(lanes) if width > SPLIT_WIDTH => 16 * lanes / MAX_SHARED_BY,
            Self::Subgroup(lanes) => 32 * lanes / shared_by(width),
        }
    }

    fn form(
        self,
        loads: Loads,
        width: usize,
        activation: &'static File,
        last: &'static File,
    ) -> Form {
        let mut files = match loads {
            Loads::Values => vec![&files::WEIGHTS_VALUES],
            Loads::Fours => vec![&files::WEIGHTS_FOURS],
            Loads::Runs => vec![&files::WEIGHTS_U64],
        };
        let mut constants = vec![("WIDTH", width as u32)];
        match self {
            Self::Workgroup => files.push(&files::FUSED_WORKGROUP),
            Self::Subgroup(lanes) => {
                files.extend([
                    &files::FUSED_SUBGROUPS,
                    match loads {
                        Loads::Runs => &files::KERNEL_RUNS,
                        Loads::Values | Loads::Fours => &files::KERNEL_FOURS,
                    },
                ]);
                constants.extend([("SUBGROUP", lanes), ("SHARED_BY", shared_by(width))]);
            }
        }
        Form {
            files,
            activation: Some(activation),
            last_activation: Some(last),
            constants,
            ..Form::default()
        }
    }
}

/// Every form that differs by its files: each kernel with the longest activation, and each activation with one kernel.
fn forms() -> Vec<Form> {
    use Loads::{Fours, Runs, Values};
    let (elu, linear) = (&files::ELU, &files::LINEAR);
    let subgroup = Tile::Subgroup(MEASURED_SUBGROUP);
    let kernels = [
        (Tile::Workgroup, Values),
        (Tile::Workgroup, Fours),
        (subgroup, Values),
        (subgroup, Fours),
        (subgroup, Runs),
    ];
    let kernels = kernels.iter().flat_map(|&(tile, loads)| {
        [SPLIT_WIDTH, MAX_WIDTH].map(|width| tile.form(loads, width, elu, elu))
    });
    let others = files::ACTIVATIONS.iter();
    let others = others.flat_map(|file| {
        [(*file, linear), (linear, *file)]
            .map(|(activation, last)| Tile::Workgroup.form(Fours, 32, activation, last))
    });
    // Linear twice is linear once.
    let mut forms: Vec<_> = kernels.collect();
    for form in others {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

impl Chain {
    /// `None` if it is too wide, too long or too short, or if its hidden layers have other activations than one, and
    /// linear.
    pub fn of(inputs: usize, layers: Vec<Layer>) -> Option<Self> {
        let mut hidden = layers;
        let last = hidden.pop()?;
        let chain = Self {
            inputs,
            hidden,
            last,
        };
        let activation = chain.activation();
        let widths = chain.layers().map(|layer| layer.outputs);
        let fits = widths
            .chain([inputs])
            .all(|width| (1..=MAX_WIDTH).contains(&width));
        let has_one_activation = chain
            .hidden
            .iter()
            .all(|layer| layer.is_linear() || layer.activation == activation);
        let is_chain = (1..MAX_LAYERS).contains(&chain.hidden.len());
        (fits && is_chain && has_one_activation).then_some(chain)
    }

    pub fn outputs(&self) -> usize {
        self.last.outputs
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.hidden.iter().chain([&self.last])
    }

    /// That of the hidden layers that are not linear.
    fn activation(&self) -> Elementwise {
        let mut hidden = self.hidden.iter();
        let first = hidden.find(|layer| !layer.is_linear());
        first.map(|layer| layer.activation).unwrap_or_default()
    }

    /// The most values that a row takes in a tile.
    fn widest(&self) -> usize {
        let widths = self.hidden.iter().map(|layer| layer.outputs);
        widths.fold(self.inputs, usize::max)
    }

    fn loads(&self, gpu: &Gpu, tile: Tile) -> Loads {
        let all = |run| {
            let mut hidden = self.hidden.iter();
            hidden.all(|layer| layer.outputs.is_multiple_of(run))
        };
        let has_u64 = gpu.link().has(wgpu::Features::SHADER_INT64);
        match tile {
            Tile::Subgroup(_) if has_u64 && all(8) => Loads::Runs,
            _ if all(4) => Loads::Fours,
            _ => Loads::Values,
        }
    }

    fn params(&self, rows: u32) -> FusedParams {
        let bits = |is: fn(&Layer) -> bool| {
            let layers = self.layers().zip(0..);
            layers.fold(0, |bits, (layer, i)| bits | u32::from(is(layer)) << i)
        };
        let (mut outputs, mut kernels) = ([0; 4], [[0; 4]; 2]);
        for (layer, i) in self.layers().zip(0..) {
            outputs[i / 4] |= (layer.outputs as u32) << (8 * (i % 4));
            kernels.as_flattened_mut()[i / 2] |= (layer.kernel as u32 / 8) << (16 * (i % 2));
        }
        let [first_kernels, other_kernels] = kernels;
        FusedParams {
            activation: self.activation().params,
            last: self.last.activation.params,
            rows,
            inputs: self.inputs as u32,
            layers: self.hidden.len() as u32 + 1,
            biased: bits(|layer| layer.bias),
            activated: bits(|layer| !layer.is_linear()),
            padding: 0,
            more_padding: [0; 2],
            outputs,
            first_kernels,
            other_kernels,
        }
    }
}

impl Layer {
    fn is_linear(&self) -> bool {
        self.activation == Elementwise::default()
    }
}

/// Whether one dispatch is faster than the layers': on subgroups as measured, unless the last layer is wide, of which each
/// sum is made of the parts of several invocations (benches/NOTES.md); on GPUs as measured for many rows.
pub(crate) fn pays(gpu: &Gpu, tiling: Tiling, chain: &Chain) -> bool {
    match (tiling, Tile::of(gpu, tiling)) {
        (_, Tile::Subgroup(_)) if chain.widest() > SPLIT_WIDTH => {
            chain.outputs() <= MAX_SPLIT_OUTPUTS
        }
        (_, Tile::Subgroup(_)) => chain.outputs() <= SPLIT_WIDTH,
        (Tiling::Workgroup, Tile::Workgroup) => true,
        _ => false,
    }
}

/// y [rows, outputs] = the chain's output for x [rows, inputs].
pub(crate) fn forward(
    gpu: &Gpu,
    tiling: Tiling,
    chain: &Chain,
    x: &Region,
    weights: &Region,
    y: &Region,
    rows: u32,
) -> Result<Dispatch> {
    let tile = Tile::of(gpu, tiling);
    let width = tile.width(chain.widest());
    let form = tile.form(
        chain.loads(gpu, tile),
        width,
        chain.activation().file,
        chain.last.activation.file,
    );
    let wide_lanes = chain.inputs.is_multiple_of(4);
    let groups = rows.div_ceil(tile.rows(width)).into();
    let regions = [x, weights, y];
    let params = chain.params(rows);
    dispatch(gpu, KERNEL, form, wide_lanes, &regions, &params, groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::device::Owner;
    use crate::gpu::recording::begin_pass;
    use crate::gpu::{platform, transfer};
    use crate::ops::network::activation::Activation::{self, *};
    use crate::random;

    const TILINGS: [Tiling; 2] = [Tiling::Workgroup, Tiling::Subgroups];

    type Function = fn(f64) -> f64;

    /// Every activation, its function in f64 and the most that it stretches a difference.
    fn activations() -> Vec<(Activation, Function, f64)> {
        fn sigmoid(x: f64) -> f64 {
            1.0 / (1.0 + (-x).exp())
        }
        fn selu(x: f64) -> f64 {
            const SCALE: f64 = 1.050_700_987_355_480_5;
            const ALPHA: f64 = 1.673_263_242_354_377_2;
            if x > 0.0 {
                SCALE * x
            } else {
                SCALE * ALPHA * x.exp_m1()
            }
        }
        vec![
            (Linear, |x| x, 1.0),
            (Selu, selu, 1.76),
            (
                Elu(0.5),
                |x| if x > 0.0 { x } else { 0.5 * x.exp_m1() },
                1.0,
            ),
            (Relu, |x| if x > 0.0 || x.is_nan() { x } else { 0.0 }, 1.0),
            (LeakyRelu(0.25), |x| if x > 0.0 { x } else { 0.25 * x }, 1.0),
            (Sigmoid, sigmoid, 0.25),
            (Tanh, f64::tanh, 1.0),
            (
                Silu,
                |x| {
                    if x == f64::NEG_INFINITY {
                        -0.0
                    } else {
                        x * sigmoid(x)
                    }
                },
                1.1,
            ),
            (
                Gelu { approximate: false },
                |x| {
                    if x == f64::NEG_INFINITY {
                        -0.0
                    } else {
                        0.5 * x * libm::erfc(-x / 2f64.sqrt())
                    }
                },
                1.13,
            ),
            (
                Gelu { approximate: true },
                |x| {
                    let cubic = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                    if x == f64::NEG_INFINITY {
                        -0.0
                    } else {
                        0.5 * x * (1.0 + cubic.tanh())
                    }
                },
                1.13,
            ),
            (Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), 1.0),
            (Sine(2.0), |x| (2.0 * x).sin(), 2.0),
        ]
    }

    fn of(activation: Activation) -> (Function, f64) {
        let all = activations();
        let (_, f, slope) = all.iter().find(|(other, ..)| *other == activation).unwrap();
        (*f, *slope)
    }

    /// A network by its extents, inputs first, and whether its layers have biases.
    struct Case {
        extents: Vec<usize>,
        hidden: Activation,
        last: Activation,
        bias: bool,
        /// Whether the last input of the first layer, and of the last, has infinite weights.
        infinite: bool,
    }

    fn case(extents: &[usize], hidden: Activation, last: Activation) -> Case {
        Case {
            extents: extents.into(),
            hidden,
            last,
            bias: true,
            infinite: false,
        }
    }

    fn normal(len: usize, seed: u64, deviation: f32) -> Vec<f32> {
        // Uniform numbers with that deviation.
        let scale = f64::from(deviation) * 12f64.sqrt() / 2f64.powi(32);
        let words = random::words(seed, 0, 0..len as u64);
        words
            .map(|word| ((f64::from(word) - 2f64.powi(31)) * scale) as f32)
            .collect()
    }

    fn region(gpu: &Gpu, values: &[f32]) -> Region {
        let region = gpu.memory().region(size_of_val(values) as u64).unwrap();
        let bytes = bytemuck::cast_slice(values);
        let alignment = transfer::COPY_ALIGNMENT;
        transfer::write(gpu.memory(), &region.buffer, 0, bytes, alignment).unwrap();
        region
    }

    /// What is behind y's rows, and must stay.
    const UNTOUCHED: f32 = 12345.0;

    impl Case {
        fn activation(&self, layer: usize) -> Activation {
            if layer + 2 == self.extents.len() {
                self.last
            } else {
                self.hidden
            }
        }

        /// The layers, and their weights. The first layer's come last, as if it were frozen.
        fn layers(&self) -> (Vec<Layer>, Vec<f32>) {
            let mut weights = Vec::new();
            let mut layers = vec![None; self.extents.len() - 1];
            for i in (1..layers.len()).chain([0]) {
                let (inputs, outputs) = (self.extents[i], self.extents[i + 1]);
                weights.resize(weights.len().next_multiple_of(64), f32::NAN);
                layers[i] = Some(Layer {
                    outputs,
                    kernel: weights.len(),
                    bias: self.bias,
                    activation: self.activation(i).elementwise("").unwrap().unwrap(),
                });
                let deviation = (1.0 / inputs as f32).sqrt();
                weights.extend(normal(inputs * outputs, i as u64, deviation));
                if self.bias {
                    weights.extend(normal(outputs, 100 + i as u64, 0.5));
                }
            }
            // What follows must not be read as a weight.
            weights.resize(weights.len().next_multiple_of(64), f32::NAN);
            let layers: Vec<Layer> = layers.into_iter().map(Option::unwrap).collect();
            if self.infinite {
                for i in [0, layers.len() - 1] {
                    let (layer, inputs) = (layers[i], self.extents[i]);
                    let line = layer.kernel + (inputs - 1) * layer.outputs;
                    weights[line..][..layer.outputs].fill(f32::INFINITY);
                }
            }
            (layers, weights)
        }

        /// A row's outputs in f64, and how far from each an f32 may be. A sum of k rounded products is off by at most
        /// k + 1 roundings of the sum of the terms' sizes, in any order; what its inputs are off by, the weights and
        /// the activation's slope multiply; and an activation adds at most 6 ulp.
        fn expected(&self, layers: &[Layer], weights: &[f32], x: &[f32]) -> (Vec<f64>, Vec<f64>) {
            const ROUNDING: f64 = 1.0 / (1 << 24) as f64;
            let mut h: Vec<f64> = x.iter().map(|&x| x.into()).collect();
            let mut errors = vec![0.0; h.len()];
            for (i, layer) in layers.iter().enumerate() {
                let (f, slope) = of(self.activation(i));
                let weight = |i: usize| f64::from(weights[layer.kernel + i]);
                let (next, next_errors) = (0..layer.outputs)
                    .map(|column| {
                        let bias = if layer.bias {
                            weight(h.len() * layer.outputs + column)
                        } else {
                            0.0
                        };
                        let (mut sum, mut size, mut error) = (bias, bias.abs(), 0.0);
                        for (k, (h, e)) in h.iter().zip(&errors).enumerate() {
                            let w = weight(k * layer.outputs + column);
                            sum += h * w;
                            size += (h * w).abs();
                            error += e * w.abs();
                        }
                        let y = f(sum);
                        let roundings = (h.len() + 1) as f64 * ROUNDING * (size + error);
                        (
                            y,
                            slope * (error + roundings) + 12.0 * ROUNDING * y.abs() + 1e-37,
                        )
                    })
                    .unzip();
                (h, errors) = (next, next_errors);
            }
            (h, errors)
        }

        /// y of the dispatch for x of `rows` rows.
        fn run(&self, gpu: &Gpu, tiling: Tiling, x: &[f32], rows: usize) -> Vec<f32> {
            let (layers, weights) = self.layers();
            let outputs = layers.last().unwrap().outputs;
            let chain = Chain::of(self.extents[0], layers).expect("it is a chain");
            let y = region(gpu, &vec![UNTOUCHED; rows * outputs + 200]);
            let (x, weights) = (region(gpu, x), region(gpu, &weights));
            let dispatch = forward(gpu, tiling, &chain, &x, &weights, &y, rows as u32).unwrap();
            gpu.link()
                .submit(Owner::Crate, |encoder| {
                    dispatch.record(&mut begin_pass(encoder), None);
                    Ok(())
                })
                .unwrap();
            let mut values = vec![0.0; rows * outputs + 200];
            let bytes = bytemuck::cast_slice_mut(&mut values);
            let source = transfer::Source::of(&y);
            let read = transfer::read(gpu.memory(), source, bytes, platform::wait_for_answer);
            pollster::block_on(read).unwrap();
            assert_eq!(
                values.split_off(rows * outputs),
                [UNTOUCHED; 200],
                "behind y's rows"
            );
            values
        }

        /// Some rows, the last ones among them, in every tiling.
        fn check(&self, gpu: &Gpu, rows: usize) {
            let inputs = self.extents[0];
            let x = normal(rows * inputs, 7, 1.0);
            let (layers, weights) = self.layers();
            for tiling in TILINGS {
                let found = self.run(gpu, tiling, &x, rows);
                let step = rows.div_ceil(100).next_multiple_of(7);
                for row in (0..rows).step_by(step).chain(rows.saturating_sub(40)..rows) {
                    let x = &x[row * inputs..][..inputs];
                    let (expected, errors) = self.expected(&layers, &weights, x);
                    let found = &found[row * expected.len()..][..expected.len()];
                    for ((&found, &expected), &error) in found.iter().zip(&expected).zip(&errors) {
                        assert!(
                            (f64::from(found) - expected).abs() <= error,
                            "{tiling:?} {:?} {:?} {:?}, row {row} of {rows}: {found} is not {expected} +- {error}",
                            self.extents,
                            self.hidden,
                            self.last,
                        );
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn chains_of_any_width_and_depth_are_the_layers_in_f64() {
        let gpu = &Gpu::new().unwrap();
        for width in [1, 3, 16, 17, 64, 100, 128] {
            for hidden in 1..=6 {
                let mut extents = vec![width; hidden + 2];
                extents[0] = [2, 3, 8, 12, 13, 16][hidden - 1].min(width);
                extents[hidden + 1] = [3, 1, 4, 10, width, 5][hidden - 1];
                case(&extents, Selu, Linear).check(gpu, 65);
            }
        }
        // Wide and narrow by turns, and at the ends.
        case(&[128, 16, 3], Selu, Linear).check(gpu, 65);
        case(&[33, 16, 128], Selu, Linear).check(gpu, 65);
        case(&[5, 128, 7, 64, 1, 20, 3], Selu, Selu).check(gpu, 65);
        case(&[64, 8, 16, 32, 128], Selu, Sigmoid).check(gpu, 65);
        // The longest, whose widths and places fill their bits.
        for width in [5, 128] {
            let mut extents = vec![width; 17];
            extents[3..14].copy_from_slice(&[1, 128, 7, 16, 127, 3, 64, 2, 100, 33, 8]);
            case(&extents, Selu, Linear).check(gpu, 33);
        }
        case(&[128; 17], Selu, Linear).check(gpu, 5);
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn any_number_of_rows_is_whole_and_nothing_behind_them_is_written() {
        let gpu = &Gpu::new().unwrap();
        for rows in [1, 2, 31, 33, 63, 64, 65, 1000, 1024, 65_536 + 5] {
            for extents in [&[8, 16, 3][..], &[32, 64, 64, 3], &[3, 128, 2]] {
                case(extents, Selu, Linear).check(gpu, rows);
            }
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn every_activation_works_in_hidden_layers_and_in_the_last() {
        let gpu = &Gpu::new().unwrap();
        for (activation, ..) in activations() {
            case(&[4, 16, 16, 3], activation, Linear).check(gpu, 100);
            case(&[4, 16, 16, 3], Relu, activation).check(gpu, 100);
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn layers_may_have_no_biases() {
        let gpu = &Gpu::new().unwrap();
        for extents in [&[4, 64, 64, 3][..], &[4, 17, 17, 3], &[4, 128, 3]] {
            let case = Case {
                bias: false,
                ..case(extents, Selu, Linear)
            };
            case.check(gpu, 65);
        }
    }

    /// As in f64: infinities have their limits, and NaN is the row's alone.
    fn check_special(case: &Case, gpu: &Gpu, special: &[(usize, f32)]) {
        let (rows, inputs) = (70, case.extents[0]);
        let mut x = normal(rows * inputs, 7, 1.0);
        for &(row, value) in special {
            x[(row + 1) * inputs - 1] = value;
        }
        let (layers, weights) = case.layers();
        for tiling in TILINGS {
            let found = case.run(gpu, tiling, &x, rows);
            for (row, found) in found.chunks(layers[layers.len() - 1].outputs).enumerate() {
                let x = &x[row * inputs..][..inputs];
                let (expected, _) = case.expected(&layers, &weights, x);
                for (&found, &expected) in found.iter().zip(&expected) {
                    let found = f64::from(found);
                    let is_same = found == expected
                        || found.is_nan() && expected.is_nan()
                        || (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
                    assert!(
                        is_same,
                        "{tiling:?} {:?} {:?}, row {row}: {found}, not {expected}",
                        case.extents, case.hidden,
                    );
                }
            }
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn nan_and_infinity_stay_in_their_rows() {
        let gpu = &Gpu::new().unwrap();
        let special = [(1, f32::NAN), (9, f32::INFINITY), (40, f32::NEG_INFINITY)];
        for (activation, ..) in activations() {
            // The second layer's outputs are no multiple of 8.
            check_special(&case(&[5, 16, 12, 3], activation, Linear), gpu, &special);
        }
        // Without other terms an infinite sum stays infinite.
        check_special(&case(&[1, 1, 1], Linear, Linear), gpu, &special);
        check_special(&case(&[1, 8, 1], Relu, Linear), gpu, &special);
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn infinite_weights_are_those_of_their_input_alone() {
        let gpu = &Gpu::new().unwrap();
        for extents in [&[1, 1, 1][..], &[2, 8, 3], &[3, 12, 2]] {
            for bias in [false, true] {
                let case = Case {
                    bias,
                    infinite: true,
                    ..case(extents, Sigmoid, Linear)
                };
                check_special(&case, gpu, &[]);
            }
        }
    }
}
