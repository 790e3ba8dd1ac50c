//! The building blocks of networks: kernels over regions of the crate's own memory, bound once and
//! recorded for each batch.

pub(crate) mod activation;
pub(crate) mod copy;
pub(crate) mod dropout;
pub(crate) mod epilogue;
pub(crate) mod fused;
pub(crate) mod gather;
pub(crate) mod guard;
pub(crate) mod inspect;
pub(crate) mod loss;
pub(crate) mod moments;
pub(crate) mod normalization;
pub(crate) mod optimizer;
pub(crate) mod pack;
pub(crate) mod pool2d;
pub(crate) mod product;
pub(crate) mod regularize;
pub(crate) mod softmax;
pub(crate) mod step;
pub(crate) mod weights;

use bytemuck::Pod;

use crate::element::ElementType;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::module::{Form, Kernel, Module, WORKGROUP_SIZE};
use crate::{Gpu, Result};

static MODULES: &[&Module] = &[
    &copy::MODULE,
    &gather::MODULE,
    &weights::MODULE,
    &inspect::MODULE,
    &dropout::MODULE,
    &epilogue::MODULE,
    &fused::MODULE,
    &softmax::MODULE,
    &moments::MODULE,
    &normalization::MODULE,
    &pack::MODULE,
    &regularize::MODULE,
];

pub(super) fn modules() -> impl Iterator<Item = &'static Module> {
    [
        MODULES,
        product::MODULES,
        loss::MODULES,
        guard::MODULES,
        optimizer::MODULES,
        pool2d::MODULES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The number of values in a lane, for tensors with rows of this length.
fn lane_values(row: u32) -> u32 {
    if row.is_multiple_of(4) { 4 } else { 1 }
}

/// A dispatch with an invocation for each of `items`, and lanes of `lane_values` values.
fn per_item<P: Pod>(
    gpu: &Gpu,
    kernel: Kernel,
    form: Form,
    lane_values: u32,
    regions: &[&Region],
    params: &P,
    items: u32,
) -> Result<Dispatch> {
    let wide_lanes = lane_values == 4;
    let groups = items.div_ceil(WORKGROUP_SIZE).into();
    dispatch(gpu, kernel, form, wide_lanes, regions, params, groups)
}

/// A dispatch of `groups` workgroups over f32s.
fn dispatch<P: Pod>(
    gpu: &Gpu,
    kernel: Kernel,
    form: Form,
    wide_lanes: bool,
    regions: &[&Region],
    params: &P,
    groups: u64,
) -> Result<Dispatch> {
    let pipelines = gpu.pipelines();
    let variant = pipelines.variant(kernel.module, ElementType::F32, wide_lanes, form);
    let pipeline = pipelines.get(kernel, variant, regions.len())?;
    let buffers: Vec<_> = regions.iter().map(|region| region.binding()).collect();
    let tensors = pipelines.bind(&pipeline, &buffers)?;
    pipelines.dispatch(pipeline, tensors, params, groups)
}

#[cfg(test)]
mod tests {
    use super::epilogue::Epilogue;
    use super::product::{self, End, Precision, Product, Tiling};
    use super::step::{Step, Steps};
    use super::*;
    use crate::gpu::device::Owner;
    use crate::gpu::recording::begin_pass;
    use crate::gpu::{self, platform, transfer};
    use crate::ops::alpha_dropout::{Broadcast, Dropout};
    use crate::ops::selu::Selu;
    use crate::random::Stream;

    const SEED: u64 = 0x0123_4567_89ab_cdef;
    const CALL: u64 = 7 << 32 | 5;
    /// Of two parts of a batch the first has 8 rows.
    const BEFORE: usize = 8;
    const ROWS: usize = 16;

    /// Kept 1 become 3, dropped ones -1; of gradients kept 1 become 2.
    fn dropout(row: u32) -> Dropout {
        Dropout {
            threshold: 1 << 31,
            scale: 2.0,
            shift: 1.0,
            dropped: -1.0,
            seed: SEED,
            row,
        }
    }

    fn kept(elements: std::ops::Range<u64>) -> Vec<bool> {
        let words = Stream::mask("", CALL).unwrap().words(SEED, elements);
        words.map(|word| word >= 1 << 31).collect()
    }

    fn region(gpu: &Gpu, values: &[f32]) -> Region {
        let region = gpu.memory().region(size_of_val(values) as u64).unwrap();
        let bytes = bytemuck::cast_slice(values);
        let alignment = transfer::COPY_ALIGNMENT;
        transfer::write(gpu.memory(), &region.buffer, 0, bytes, alignment).unwrap();
        region
    }

    /// What a training step leaves in `region` after `row` rows of its batch.
    fn run(gpu: &Gpu, dispatches: &[Dispatch], row: u32, region: &Region) -> Vec<f32> {
        let steps = Steps::new(gpu, 1).unwrap();
        let step = Step {
            call: CALL,
            training: true,
            row,
            ..Step::default()
        };
        steps.write(gpu, &[step]).unwrap();
        let record = |encoder: &mut wgpu::CommandEncoder| {
            let mut pass = begin_pass(encoder);
            for dispatch in dispatches {
                dispatch.record(&mut pass, Some(steps.bound(0)));
            }
            Ok(())
        };
        gpu.link().submit(Owner::Crate, record).unwrap();
        let mut values = vec![0.0; region.bytes as usize / size_of::<f32>()];
        let bytes = bytemuck::cast_slice_mut(&mut values);
        let source = transfer::Source::of(region);
        let read = transfer::read(gpu.memory(), source, bytes, platform::wait_for_answer);
        pollster::block_on(read).unwrap();
        values
    }

    fn assert_masked(what: &str, values: &[f32], kept: &[bool], [yes, no]: [f32; 2]) {
        let expected: Vec<_> = kept
            .iter()
            .map(|&kept| if kept { yes } else { no })
            .collect();
        assert_eq!(values, expected, "{what}");
    }

    const FORWARD: [f32; 2] = [3.0, -1.0];
    const BACKWARD: [f32; 2] = [2.0, 0.0];

    fn epilogue(row: u32) -> Epilogue {
        Epilogue {
            dropout: Some(dropout(row)),
            ..Epilogue::default()
        }
    }

    /// The gradient of biases alone is a product of a line of ones. It needs no value of x, which may be as small as one.
    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn a_line_of_ones_takes_nothing_of_the_left_operand() {
        let gpu = &Gpu::new().unwrap();
        let x = region(gpu, &[f32::NAN]);
        for (rows, outputs) in [(1, 8), (3, 4), (8, 8), (1, 3), (1000, 8)] {
            let words = crate::random::words(1, 1, 0..(rows * outputs) as u64);
            let values: Vec<_> = words
                .map(|word| word as f32 * 2f32.powi(-31) - 1.0)
                .collect();
            let [dz, db] = [&values[..], &vec![7.0; outputs]].map(|values| region(gpu, values));
            let dense = product::Dense {
                rows,
                inputs: 0,
                outputs,
                bias: true,
            };
            for tiling in [Tiling::Workgroup, Tiling::Registers, Tiling::Subgroups] {
                let product = dense.kernel_gradient(&x, &dz, &db);
                let bytes = product.scratch_bytes(tiling).max(4);
                let scratch = gpu.memory().region(bytes).unwrap();
                let dispatches = product.prepare(gpu, tiling, &scratch).unwrap();
                for (column, found) in run(gpu, &dispatches, 0, &db).into_iter().enumerate() {
                    let of_column = || values.iter().skip(column).step_by(outputs);
                    let sum: f64 = of_column().map(|&value| f64::from(value)).sum();
                    let sizes: f64 = of_column().map(|&value| f64::from(value.abs())).sum();
                    // As of any sum of so many terms.
                    let bound = rows as f64 * 2f64.powi(-24) * sizes;
                    let off = (f64::from(found) - sum).abs();
                    assert!(off <= bound, "{rows} x {outputs}, {tiling:?}: {off:.2e}");
                }
            }
        }
    }

    /// A value's error as a 16-bit float: WGSL lets a conversion go up or down, and take small results for 0.
    fn f16_error(value: f32) -> f64 {
        let size = f64::from(value.abs());
        if size < 2f64.powi(-14) {
            size
        } else {
            size * 2f64.powi(-10)
        }
    }

    /// The bound is that of [`Precision::F16`]; the expected values are sums in f64.
    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn products_of_16_bit_floats_are_within_their_bound() {
        // Whole tiles, parts of tiles, and more inners than one chunk has; in fours and not.
        let extents = [
            (64, 32, 64),
            (1, 1, 1),
            (67, 45, 35),
            (8, 2048, 12),
            (130, 700, 100),
        ];
        let mut gpus = vec![Gpu::new().unwrap()];
        let cooperative = gpu::tests::with_cooperative_matrices();
        gpus.extend(
            cooperative
                .cooperative_matrices()
                .map(|_| cooperative.clone()),
        );
        for (gpu, (rows, inputs, outputs)) in gpus
            .iter()
            .flat_map(|gpu| extents.map(|extents| (gpu, extents)))
        {
            if !gpu.supports_f16() {
                continue;
            }
            // From 1 down to 2^-20.
            let values = |len: usize, seed| -> Vec<f32> {
                let words = crate::random::words(seed, 1, 0..len as u64);
                let value = |word: u32| {
                    (word as f32 * 2f32.powi(-31) - 1.0) * 2f32.powi(-(word as i32 & 20))
                };
                words.map(value).collect()
            };
            let dense = product::Dense {
                rows,
                inputs,
                outputs,
                bias: true,
            };
            let [x, dz] =
                [(rows * inputs, 1), (rows * outputs, 2)].map(|(len, seed)| values(len, seed));
            let w = values((inputs + 1) * outputs, 3);
            let [left, right, gradient] = [&x, &w, &dz].map(|values| region(gpu, values));
            let sums = |len: usize| region(gpu, &vec![7.0; len]);
            let biases = &w[inputs * outputs..];
            // For each: the product, its extents, its operands by (row, inner) and (inner, column), and what is added.
            type Operand<'a> = Box<dyn Fn(usize, usize) -> f32 + 'a>;
            type Case<'a> = (Product, [usize; 3], Operand<'a>, Operand<'a>, &'a [f32]);
            let cases: [Case; 3] = [
                (
                    dense.forward(&left, &right, &sums(rows * outputs), End::Nothing),
                    [rows, inputs, outputs],
                    Box::new(|row, k| x[row * inputs + k]),
                    Box::new(|k, column| w[k * outputs + column]),
                    biases,
                ),
                (
                    dense.kernel_gradient(&left, &gradient, &sums((inputs + 1) * outputs)),
                    [inputs + 1, rows, outputs],
                    Box::new(|row, k| {
                        if row == inputs {
                            1.0
                        } else {
                            x[k * inputs + row]
                        }
                    }),
                    Box::new(|k, column| dz[k * outputs + column]),
                    &[],
                ),
                (
                    dense.input_gradient(&gradient, &right, &sums(rows * inputs), End::Nothing),
                    [rows, outputs, inputs],
                    Box::new(|row, k| dz[row * outputs + k]),
                    Box::new(|k, column| w[column * outputs + k]),
                    &[],
                ),
            ];
            for (product, [rows, inner, columns], left, right, added) in cases {
                let product = product.precision(Precision::F16);
                let sums = product.sums.clone();
                let tiling = Tiling::of(gpu);
                let scratch = gpu
                    .memory()
                    .region(product.scratch_bytes(tiling).max(4))
                    .unwrap();
                let dispatches = product.prepare(gpu, tiling, &scratch).unwrap();
                let found = run(gpu, &dispatches, 0, &sums);
                for (i, &found) in found.iter().enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    let bias = f64::from(added.get(column).copied().unwrap_or_default());
                    let (mut sum, mut sizes, mut bound) = (bias, bias.abs(), 0.0);
                    for k in 0..inner {
                        let (x, w) = (left(row, k), right(k, column));
                        let (x_error, w_error) = (f16_error(x), f16_error(w));
                        let [x, w] = [x, w].map(f64::from);
                        sum += x * w;
                        sizes += (x * w).abs();
                        bound += x.abs() * w_error + w.abs() * x_error + x_error * w_error;
                    }
                    bound += inner as f64 * 2f64.powi(-22) * sizes;
                    let off = (f64::from(found) - sum).abs();
                    assert!(
                        off <= bound,
                        "{:?}, {rows} x {inner} x {columns}, ({row}, {column}): {found} is not {sum} +- {bound:.1e}",
                        gpu.cooperative_matrices(),
                    );
                }
            }
        }
    }

    /// In every tiling, which a device otherwise chooses; with and without chunks, in runs and not.
    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn biases_of_their_own_give_the_bits_of_those_behind_the_kernel() {
        let gpu = &Gpu::new().unwrap();
        let extents = [(130, 9, 132), (2, 2001, 5), (8, 2048, 8)];
        for (rows, inputs, outputs) in extents {
            let values = |len: usize, seed| -> Vec<f32> {
                let words = crate::random::words(seed, 1, 0..len as u64);
                words
                    .map(|word| word as f32 * 2f32.powi(-31) - 1.0)
                    .collect()
            };
            let x = region(gpu, &values(rows * inputs, 1));
            let [w, b] = [values(inputs * outputs, 2), values(outputs, 3)];
            let both = region(gpu, &[&w[..], &b].concat());
            let [w, b] = [w, b].map(|values| region(gpu, &values));
            let [sums, expected, y] =
                [7.0; 3].map(|value| region(gpu, &vec![value; rows * outputs]));
            let selu = Selu::default().elementwise("").unwrap();
            for tiling in [Tiling::Workgroup, Tiling::Registers, Tiling::Subgroups] {
                let run = |product: Product, result: &Region| {
                    let bytes = product.scratch_bytes(tiling).max(4);
                    let scratch = gpu.memory().region(bytes).unwrap();
                    let dispatches = product.prepare(gpu, tiling, &scratch).unwrap();
                    run(gpu, &dispatches, 0, result)
                };
                for bias in [false, true] {
                    let dense = product::Dense {
                        rows,
                        inputs,
                        outputs,
                        bias,
                    };
                    let epilogue = Epilogue {
                        activation: selu,
                        dropout: None,
                    };
                    let end = End::Forward(epilogue, expected.clone());
                    let expected = run(dense.forward(&x, &both, &sums, end), &expected);
                    let end = End::Output(selu, bias.then(|| b.clone()));
                    let dense = product::Dense {
                        bias: false,
                        ..dense
                    };
                    let found = run(dense.forward(&x, &w, &y, end), &y);
                    assert_eq!(found, expected, "{dense:?}, {tiling:?}");
                }
            }
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn a_part_of_a_batch_has_the_mask_of_its_rows_in_the_whole() {
        let gpu = &Gpu::new().unwrap();
        for len in [5, 16] {
            let values = ROWS * len;
            let mask = kept((BEFORE * len) as u64..((BEFORE + ROWS) * len) as u64);
            let [x, y] = [1.0, 0.0].map(|value| region(gpu, &vec![value; values]));
            let epilogue = epilogue(len as u32);
            let forward = epilogue::forward(gpu, &x, &y, values as u32, &epilogue).unwrap();
            let found = run(gpu, &[forward], BEFORE as u32, &y);
            assert_masked("epilogue", &found, &mask, FORWARD);
            let backward = epilogue::backward(gpu, &x, &x, &y, values as u32, &epilogue).unwrap();
            let found = run(gpu, &[backward], BEFORE as u32, &y);
            assert_masked("epilogue backward", &found, &mask, BACKWARD);

            // A product with the unit matrix.
            let unit: Vec<_> = (0..len * len)
                .map(|i| f32::from(i % (len + 1) == 0))
                .collect();
            let unit = region(gpu, &unit);
            let sums = region(gpu, &vec![0.0; values]);
            let dense = product::Dense {
                rows: ROWS,
                inputs: len,
                outputs: len,
                bias: false,
            };
            for tiling in [Tiling::Workgroup, Tiling::Registers, Tiling::Subgroups] {
                let run = |product: Product, result: &Region| {
                    let dispatches = product.prepare(gpu, tiling, &sums).unwrap();
                    run(gpu, &dispatches, BEFORE as u32, result)
                };
                let end = End::Forward(epilogue, y.clone());
                let found = run(dense.forward(&x, &unit, &sums, end), &y);
                assert_masked(&format!("{tiling:?}"), &found, &mask, FORWARD);
                let end = End::Backward(epilogue, x.clone());
                let found = run(dense.input_gradient(&x, &unit, &sums, end), &sums);
                assert_masked(&format!("{tiling:?} backward"), &found, &mask, BACKWARD);
            }
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn a_part_of_a_batch_has_the_broadcast_mask_of_its_rows_in_the_whole() {
        let gpu = &Gpu::new().unwrap();
        let shape = [3, 6];
        let values = ROWS * 18;
        let [x, y] = [1.0, 0.0].map(|value| region(gpu, &vec![value; values]));
        // Of each noise_shape, the mask's elements for a row, and one by row, position and channel.
        type Element = fn(usize, usize, usize) -> usize;
        let cases: [([Option<usize>; 3], u32, Element); 4] = [
            ([None, Some(1), None], 6, |row, _, channel| {
                row * 6 + channel
            }),
            ([None, None, Some(1)], 3, |row, position, _| {
                row * 3 + position
            }),
            ([None, Some(1), Some(1)], 1, |row, _, _| row),
            ([Some(1), None, None], 0, |_, position, channel| {
                position * 6 + channel
            }),
        ];
        for (noise_shape, per_row, element) in cases {
            let (broadcast, row) = Broadcast::of_batches(&noise_shape, &shape).unwrap();
            assert_eq!(row, per_row, "{noise_shape:?}");
            let (dropout, broadcast) = (dropout(row), broadcast.unwrap());
            let whole = kept(0..((BEFORE + ROWS) * 18) as u64);
            let of = |i: usize| whole[element(BEFORE + i / 18, i / 6 % 3, i % 6)];
            let mask: Vec<_> = (0..values).map(of).collect();
            let len = values as u32;
            let forward = dropout::forward(gpu, &x, &y, len, &dropout, &broadcast).unwrap();
            let found = run(gpu, &[forward], BEFORE as u32, &y);
            assert_masked(&format!("{noise_shape:?}"), &found, &mask, FORWARD);
            let backward = dropout::backward(gpu, &x, &y, len, &dropout, &broadcast).unwrap();
            let found = run(gpu, &[backward], BEFORE as u32, &y);
            assert_masked(
                &format!("{noise_shape:?} backward"),
                &found,
                &mask,
                BACKWARD,
            );
        }
    }

    /// The elements before are counted in 64 bits.
    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn masks_of_any_number_of_rows_are_those_of_the_whole() {
        let gpu = &Gpu::new().unwrap();
        let [x, y] = [1.0, 0.0].map(|value| region(gpu, &[value; 100]));
        let most = u32::MAX - 7;
        for (before, row) in [
            (8, 1 << 29),
            (most, 4),
            (1 << 20, 12_345_678),
            (most, u32::MAX),
        ] {
            let first = u64::from(before) * u64::from(row);
            let mask = kept(first..first + 100);
            for len in [100, 97] {
                let forward = epilogue::forward(gpu, &x, &y, len, &epilogue(row)).unwrap();
                let found = run(gpu, &[forward], before, &y);
                let len = len as usize;
                let what = format!("{before} rows of {row}");
                assert_masked(&what, &found[..len], &mask[..len], FORWARD);
            }
        }
    }
}
