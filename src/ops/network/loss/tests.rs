//! The kernels of losses, row by row, against Keras 3's values in float64.

use std::sync::LazyLock;

use safetensors::SafeTensors;

use super::*;
use crate::gpu::device::Owner;
use crate::gpu::recording::begin_pass;
use crate::gpu::{platform, transfer};
use crate::ops::network::step::{Step, Steps};

/// The bounds of the documentation.
const CATEGORICAL: Bound = Bound {
    loss: [2e-7, 2e-6],
    gradient: 1e-6,
};
const BINARY: Bound = Bound {
    loss: [0.0, 1e-6],
    gradient: 3e-7,
};
const RELATIVE: f64 = 1e-6;

struct Bound {
    /// Absolute, for targets whose sum is 1, and relative.
    loss: [f64; 2],
    /// Absolute, for one output.
    gradient: f64,
}

/// Samples, positions and outputs of the file, and its rows.
const EXTENT: Extent = Extent {
    samples: 6,
    positions: 3,
    outputs: 5,
};
const ROWS: usize = 18;

struct Golden(Vec<u8>);

impl Golden {
    fn new() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        Self(std::fs::read(format!("{root}/tests/data/losses.safetensors")).unwrap())
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
    }

    fn f64(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
    }
}

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().unwrap());

/// A loss on a GPU, with a batch.
struct Scored {
    gpu: Gpu,
    gradient: Region,
    rows: RowRegions,
    totals: Region,
    steps: Steps,
    dispatches: [Dispatch; 2],
}

impl Scored {
    fn new(loss: Loss, y: &[f32], targets: &[f32], weights: &[f32], extent: Extent) -> Self {
        let gpu = GPU.clone();
        let filled = |values: &[f32]| {
            let region = gpu.memory().region(values.len() as u64 * 4).unwrap();
            let bytes = bytemuck::cast_slice(values);
            let alignment = transfer::COPY_ALIGNMENT;
            transfer::write(gpu.memory(), &region.buffer, 0, bytes, alignment).unwrap();
            region
        };
        // Nothing that a kernel does not write would pass for a result.
        let nan = |values: usize| filled(&vec![f32::NAN; values]);
        let (y, targets) = (filled(y), filled(targets));
        let (gradient, totals) = (nan(y.bytes as usize / 4), nan(8));
        let (values, sums) = RowRegions::extent(&gpu, weights.len());
        let mut all = vec![f32::NAN; values];
        all[..weights.len()].copy_from_slice(weights);
        let rows = RowRegions::new(&gpu, filled(&all), weights.len());
        assert_eq!(rows.sums.offset, sums as u64 * 4);
        let regions = Regions {
            y: &y,
            targets: &targets,
            gradient: &gradient,
            rows: &rows,
        };
        let dispatches = [
            loss.dispatch(&gpu, regions, extent).unwrap(),
            sum_losses(&gpu, &rows.sums, &totals, weights.len() as u32).unwrap(),
        ];
        let steps = Steps::new(&gpu, 1).unwrap();
        Self {
            gpu,
            gradient,
            rows,
            totals,
            steps,
            dispatches,
        }
    }

    fn run(&self, step: Step) {
        self.steps.write(&self.gpu, &[step]).unwrap();
        let submitted = self.gpu.link().submit(Owner::Crate, |encoder| {
            let mut pass = begin_pass(encoder);
            for dispatch in &self.dispatches {
                dispatch.record(&mut pass, Some(self.steps.bound(0)));
            }
            Ok(())
        });
        submitted.unwrap();
    }

    fn read(&self, region: &Region) -> Vec<f32> {
        let mut values = vec![0f32; region.bytes as usize / 4];
        let bytes = bytemuck::cast_slice_mut(&mut values);
        let source = transfer::Source::of(region);
        let wait = platform::wait_for_answer;
        let read = transfer::read(self.gpu.memory(), source, bytes, wait);
        pollster::block_on(read).unwrap();
        values
    }

    /// After a step of `count` samples: the gradient, the sums of each row, and their total.
    fn results(&self, count: u32) -> (Vec<f32>, Vec<[f32; 4]>, [f32; 4]) {
        self.run(Step {
            first: 7,
            count,
            ..Step::default()
        });
        let sums = bytemuck::pod_collect_to_vec(&self.read(&self.rows.sums));
        let totals = self.read(&self.totals);
        assert!(totals[4..].iter().all(|total| total.is_nan()), "{totals:?}");
        let total = [totals[0], totals[1], totals[2], totals[3]];
        (self.read(&self.gradient), sums, total)
    }
}

fn assert_within(what: &str, i: usize, actual: f32, expected: f64, bound: f64) {
    let error = (f64::from(actual) - expected).abs();
    assert!(
        error <= bound,
        "{what}[{i}] is {actual:e}, not {expected:e} ± {bound:e}"
    );
}

/// With weights and without: the loss of each row, the mean, and the gradient of the mean.
fn check(loss: Loss, name: &str, targets: &str, bound: Option<Bound>) {
    let file = Golden::new();
    let (z, t, weights) = (file.f32("z"), file.f32(targets), file.f32("weights"));
    let rows = file.f64(&format!("{name}.rows"));
    let outputs = EXTENT.outputs as usize;
    for (tag, weights) in [("", vec![1.0; ROWS]), (".weighted", weights)] {
        let what = format!("{name}{tag}");
        let scored = Scored::new(loss, &z, &t, &weights, EXTENT);
        let (gradient, sums, total) = scored.results(EXTENT.samples);
        let mut room = 0.0;
        for (i, (sums, row)) in sums.iter().zip(&rows).enumerate() {
            let weight = f64::from(weights[i]);
            let bound = match &bound {
                Some(bound) => bound.loss[0] + bound.loss[1] * row,
                None => RELATIVE * row,
            };
            assert_within(&what, i, sums[0], weight * row, weight * bound);
            room += weight * bound;
            assert_eq!(sums[2..], [1.0, 0.0], "{what}[{i}]");
        }
        let n = ROWS as f64;
        let mean = file.f64(&format!("{what}.loss"))[0];
        assert_within(&what, 0, total[0], n * mean, room + 1e-6 * n * mean);
        assert_eq!(total[2..], [n as f32, 0.0], "{what}");
        let expected = file.f64(&format!("{what}.gradient"));
        for (i, (&actual, expected)) in gradient.iter().zip(expected).enumerate() {
            let weight = f64::from(weights[i / outputs]);
            let expected = n * expected;
            let bound = match &bound {
                Some(bound) if loss.link() == Some(Link::Sigmoid) => {
                    weight * bound.gradient / outputs as f64
                }
                Some(bound) => weight * bound.gradient,
                None => RELATIVE * expected.abs(),
            };
            assert_within(&format!("{what}: gradient"), i, actual, expected, bound);
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn categorical_crossentropy_is_keras_s() {
    let smoothed = Loss::CategoricalCrossentropyWith {
        label_smoothing: 0.125,
    };
    for targets in ["one_hot", "soft"] {
        let name = |smoothing: &str| format!("categorical{smoothing}.{targets}");
        let plain = Loss::CategoricalCrossentropy;
        check(plain, &name(""), targets, Some(CATEGORICAL));
        check(smoothed, &name(".smoothed"), targets, Some(CATEGORICAL));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn binary_crossentropy_is_keras_s() {
    let smoothed = Loss::BinaryCrossentropyWith {
        label_smoothing: 0.125,
    };
    for targets in ["binary", "shares"] {
        let name = |smoothing: &str| format!("binary{smoothing}.{targets}");
        check(Loss::BinaryCrossentropy, &name(""), targets, Some(BINARY));
        check(smoothed, &name(".smoothed"), targets, Some(BINARY));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_losses_of_regression_are_keras_s() {
    for (loss, name) in [
        (Loss::MeanSquaredError, "mean_squared_error"),
        (Loss::MeanAbsoluteError, "mean_absolute_error"),
        (Loss::Huber(1.0), "huber"),
        (Loss::Huber(3.0), "huber_3"),
    ] {
        check(loss, name, "values", None);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn metrics_are_keras_s() {
    let file = Golden::new();
    for (loss, targets, metric) in [
        (Loss::CategoricalCrossentropy, "one_hot", "accuracy"),
        (Loss::BinaryCrossentropy, "binary", "binary_accuracy"),
        (Loss::Huber(1.0), "values", "mean_absolute_error"),
    ] {
        // Without the weights.
        let weights = file.f32("weights");
        let scored = Scored::new(loss, &file.f32("z"), &file.f32(targets), &weights, EXTENT);
        let (.., total) = scored.results(EXTENT.samples);
        let expected = ROWS as f64 * file.f64(metric)[0];
        assert_within(metric, 0, total[1], expected, 1e-6 * expected);
    }
}

/// Keras's `ignore_class`: rows whose targets are all 0, or whose weight is below 0.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn void_rows_are_left_out_as_keras_leaves_out_a_class() {
    let file = Golden::new();
    let (z, labels) = (file.f32("z"), file.f32("labels"));
    let outputs = EXTENT.outputs as usize;
    let one_hot = |&label: &f32| (0..outputs).map(move |class| f32::from(class as f32 == label));
    let t: Vec<_> = labels.iter().flat_map(one_hot).collect();
    let is_void: Vec<_> = labels.iter().map(|&label| label == 255.0).collect();
    let counted = is_void.iter().filter(|&&is_void| !is_void).count();
    assert_eq!(counted, 15);
    for (tag, weights) in [("", vec![1.0; ROWS]), (".weighted", file.f32("weights"))] {
        let expected = file.f64(&format!("ignored{tag}.loss"))[0] * counted as f64;
        let gradients = file.f64(&format!("ignored{tag}.gradient"));
        let below = weights.iter().zip(&is_void);
        let below: Vec<f32> = below
            .map(|(&w, &void)| if void { -1.0 } else { w })
            .collect();
        // Some class, that must not matter.
        let any = t.chunks(outputs).zip(&is_void);
        let any = any.flat_map(|(t, &void)| if void { vec![2.0; outputs] } else { t.to_vec() });
        let any: Vec<f32> = any.collect();
        for (t, weights) in [(&t, &weights), (&any, &below)] {
            let loss = Loss::CategoricalCrossentropy;
            let scored = Scored::new(loss, &z, t, weights, EXTENT);
            let (gradient, sums, total) = scored.results(EXTENT.samples);
            assert_within("loss", 0, total[0], expected, 3e-6 * expected);
            assert_eq!(total[2..], [counted as f32, 0.0]);
            for (sums, &void) in sums.iter().zip(&is_void) {
                assert_eq!(sums[2], f32::from(!void));
                assert!(!void || *sums == [0.0; 4]);
            }
            for (i, (&actual, expected)) in gradient.iter().zip(&gradients).enumerate() {
                let weight = f64::from(weights[i / outputs]).max(0.0);
                let expected = counted as f64 * expected;
                assert_within(
                    "gradient",
                    i,
                    actual,
                    expected,
                    CATEGORICAL.gradient * weight,
                );
            }
        }
    }
}

const ALL: [Loss; 7] = [
    Loss::CategoricalCrossentropy,
    Loss::CategoricalCrossentropyWith {
        label_smoothing: 0.25,
    },
    Loss::BinaryCrossentropy,
    Loss::BinaryCrossentropyWith {
        label_smoothing: 0.25,
    },
    Loss::MeanSquaredError,
    Loss::MeanAbsoluteError,
    Loss::Huber(0.5),
];

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn rows_beyond_the_batch_do_not_count() {
    let file = Golden::new();
    let (z, t, weights) = (file.f32("z"), file.f32("one_hot"), file.f32("weights"));
    for loss in ALL {
        let scored = Scored::new(loss, &z, &t, &weights, EXTENT);
        let (all, of_all, _) = scored.results(6);
        let (gradient, sums, total) = scored.results(4);
        assert_eq!(gradient[..4 * 15], all[..4 * 15], "{loss:?}");
        assert_eq!(sums[..12], of_all[..12], "{loss:?}");
        assert!(gradient[4 * 15..].iter().all(|&g| g == 0.0), "{loss:?}");
        assert!(sums[12..].iter().all(|sums| *sums == [0.0; 4]), "{loss:?}");
        assert_eq!(total[2], 12.0, "{loss:?}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_parts_of_a_batch_are_added() {
    let file = Golden::new();
    let (z, t) = (file.f32("z"), file.f32("one_hot"));
    let scored = Scored::new(Loss::BinaryCrossentropy, &z, &t, &[1.0; ROWS], EXTENT);
    let total = |row: u32, count: u32| {
        scored.run(Step {
            row,
            count,
            ..Step::default()
        });
        let totals = scored.read(&scored.totals);
        assert!(totals[4..].iter().all(|total| total.is_nan()));
        totals[..4].to_vec()
    };
    let (six, two) = (total(0, 6), total(0, 2));
    let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
    assert_eq!(total(2, 6), sum(&two, &six));
    assert_eq!(total(0, 6), six);
}

/// They have no loss and no gradient, and are told apart; the other rows are as they were.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn targets_that_are_not_allowed_are_found() {
    let file = Golden::new();
    let (z, weights) = (file.f32("z"), [1.0; ROWS]);
    let one = f32::from_bits(1.0f32.to_bits() + 1);
    for loss in ALL {
        let bad: &[f32] = match loss.link() {
            Some(_) => &[-1.0, -1e-30, one, 2.0, f32::NAN, f32::INFINITY, -f32::NAN],
            None => &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN],
        };
        let good = file.f32("one_hot");
        let scored = Scored::new(loss, &z, &good, &weights, EXTENT);
        let (gradient, sums, _) = scored.results(6);
        for (i, &bad) in bad.iter().enumerate() {
            let row = i * 2 + 1;
            let mut t = good.clone();
            t[row * 5 + i % 5] = bad;
            let scored = Scored::new(loss, &z, &t, &weights, EXTENT);
            let (mut expected, mut expected_sums) = (gradient.clone(), sums.clone());
            expected[row * 5..][..5].fill(0.0);
            expected_sums[row] = [0.0, 0.0, 0.0, 1.0];
            let (gradient, sums, total) = scored.results(6);
            assert_eq!(gradient, expected, "{loss:?}, {bad}");
            assert_eq!(sums, expected_sums, "{loss:?}, {bad}");
            assert_eq!(total[2..], [17.0, 1.0], "{loss:?}, {bad}");
        }
    }
}

/// For losses and gradients alike, in the rows where they are.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_output_that_is_nan_makes_loss_and_gradient_nan() {
    let file = Golden::new();
    let (mut z, t) = (file.f32("z"), file.f32("one_hot"));
    for (row, column, nan) in [(2, 0, f32::NAN), (5, 4, -f32::NAN), (9, 2, f32::NAN)] {
        z[row * 5 + column] = nan;
    }
    for loss in ALL {
        let scored = Scored::new(loss, &z, &t, &[1.0; ROWS], EXTENT);
        let (gradient, sums, total) = scored.results(6);
        for (row, column) in [(2, 0), (5, 4), (9, 2)] {
            assert!(sums[row][0].is_nan(), "{loss:?}, {row}");
            assert!(gradient[row * 5 + column].is_nan(), "{loss:?}, {row}");
        }
        assert_eq!(sums.iter().filter(|sums| sums[0].is_nan()).count(), 3);
        assert!(total[0].is_nan(), "{loss:?}");
    }
}

/// One output, for each of two targets and one in between: logits far beyond what e to their power has
/// room for, and infinite ones.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn binary_crossentropy_is_right_for_every_logit() {
    let sizes = [
        0.0,
        1e-40,
        1e-30,
        1e-8,
        1e-3,
        0.1,
        0.5,
        1.0,
        3.0,
        9.0,
        17.3,
        20.0,
        50.0,
        86.0,
        89.0,
        104.0,
        1e4,
        1e30,
        f32::MAX,
        f32::INFINITY,
    ];
    let z: Vec<_> = sizes.iter().flat_map(|&z| [z, -z]).collect();
    let extent = Extent {
        samples: z.len() as u32,
        positions: 1,
        outputs: 1,
    };
    for t in [0.0, 1.0, 0.25, 0.5, f32::MIN_POSITIVE] {
        let (targets, weights) = (vec![t; z.len()], vec![1.0; z.len()]);
        let scored = Scored::new(Loss::BinaryCrossentropy, &z, &targets, &weights, extent);
        let (gradient, sums, _) = scored.results(extent.samples);
        let t = f64::from(t);
        for (i, &z) in z.iter().enumerate() {
            let z = f64::from(z);
            let l = (-z.abs()).exp().ln_1p();
            let q = (-z.abs()).exp() / (1.0 + (-z.abs()).exp());
            let of = |share: f64, loss: f64| if share == 0.0 { 0.0 } else { share * loss };
            let loss = of(t, l + (-z).max(0.0)) + of(1.0 - t, l + z.max(0.0));
            let (actual, what) = (f64::from(sums[i][0]), format!("{t}, {z}"));
            if loss > f64::from(f32::MAX) {
                assert_eq!(actual, f64::INFINITY, "{what}");
            } else {
                // A number that is not normal may be 0.
                let bound = BINARY.loss[1] * loss + f64::from(f32::MIN_POSITIVE);
                assert_within(&what, i, sums[i][0], loss, bound);
            }
            let s = if z < 0.0 { q } else { 1.0 - q };
            assert_within(&what, i, gradient[i], s - t, BINARY.gradient);
            // For hard targets the gradient is relatively accurate.
            if t == 0.0 || t == 1.0 {
                let slope = if (z < 0.0) == (t == 0.0) { q } else { 1.0 - q };
                let slope = if t == 0.0 { slope } else { -slope };
                let bound = 1e-6 * slope.abs() + f64::from(f32::MIN_POSITIVE);
                assert_within(&what, i, gradient[i], slope, bound);
            }
        }
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let sentence = |loss: Loss| loss.check().unwrap_err().to_string();
    for (delta, printed) in [
        (0.0, "0.0"),
        (-1.0, "-1.0"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (1e-50, "1e-50"),
    ] {
        assert_eq!(
            sentence(Loss::Huber(delta)),
            format!("huber: delta is {printed}, must be above 0, and a normal f32")
        );
    }
    for (label_smoothing, printed) in [(1.0, "1.0"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        for (loss, name) in [
            (
                Loss::CategoricalCrossentropyWith { label_smoothing },
                "categorical_crossentropy",
            ),
            (
                Loss::BinaryCrossentropyWith { label_smoothing },
                "binary_crossentropy",
            ),
        ] {
            assert_eq!(
                sentence(loss),
                format!("{name}: label_smoothing is {printed}, must be at least 0 and below 1")
            );
        }
    }
    for loss in ALL {
        loss.check().unwrap();
    }
}
