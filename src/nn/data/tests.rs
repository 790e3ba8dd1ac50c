//! What a batch's gather writes, and what is found in targets.

use super::dataset::TargetKind;
use super::*;
use crate::gpu::device::Owner;
use crate::gpu::platform;
use crate::gpu::recording::begin_pass;
use crate::gpu::region::Region;
use crate::ops::network::step::{Step, Steps};

const ROWS: usize = 8;
/// Two positions a sample.
const INPUT: [usize; 2] = [2, 4];
const SAMPLES: usize = 5;
const ORDER: [u32; SAMPLES] = [3, 1, 4, 0, 2];
/// The batch: samples 1, 4 and 0.
const BATCH: [usize; 3] = [1, 4, 0];

fn filled(gpu: &Gpu, len: usize) -> Region {
    let region = gpu.memory().region((len * 4) as u64).unwrap();
    let values = vec![7f32; len];
    let bytes = bytemuck::cast_slice(&values);
    transfer::write(gpu.memory(), &region.buffer, 0, bytes, 4).unwrap();
    region
}

fn read(gpu: &Gpu, region: &Region) -> Vec<f32> {
    let mut values = vec![0f32; region.bytes as usize / 4];
    let read = transfer::read(
        gpu.memory(),
        transfer::Source::of(region),
        bytemuck::cast_slice_mut(&mut values),
        platform::wait_for_answer,
    );
    pollster::block_on(read).unwrap();
    values
}

/// The targets and weights of a batch.
fn gathered(gpu: &Gpu, data: &Dataset, outputs: usize) -> [Vec<f32>; 2] {
    let places = [ROWS * 8, ROWS * 2 * outputs, ROWS * 2].map(|len| filled(gpu, len));
    let [inputs, targets, weights] = &places;
    let expected = Expected {
        op: "test",
        gpu,
        input: &INPUT,
        output: &[2, outputs],
        probabilities: false,
    };
    let places = Places {
        rows: ROWS,
        inputs,
        targets,
        weights,
    };
    let feed = Feed::new(data, expected, places).unwrap();
    feed.write(gpu, &ORDER).unwrap();
    let steps = Steps::new(gpu, 1).unwrap();
    let step = Step {
        first: 1,
        count: BATCH.len() as u32,
        ..Step::default()
    };
    steps.write(gpu, &[step]).unwrap();
    let record = |encoder: &mut wgpu::CommandEncoder| {
        let mut pass = begin_pass(encoder);
        for dispatch in &feed.dispatches {
            dispatch.record(&mut pass, Some(steps.bound(0)));
        }
        Ok(())
    };
    gpu.link().submit(Owner::Crate, record).unwrap();
    [targets, weights].map(|region| read(gpu, region))
}

fn dataset(gpu: &Gpu) -> Dataset {
    Dataset::from_bytes(gpu, &[7; SAMPLES * 8], INPUT).unwrap()
}

/// `of` each row, and nothing behind the batch.
fn rows(of: impl Fn(usize) -> f32) -> Vec<f32> {
    let rows = BATCH.iter().flat_map(|sample| [2 * sample, 2 * sample + 1]);
    let mut expected: Vec<_> = rows.map(of).collect();
    expected.resize(2 * ROWS, 0.0);
    expected
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_row_s_weight_is_its_sample_s_times_its_class_s_and_negative_if_void() {
    let gpu = &Gpu::new().unwrap();
    let each: Vec<_> = (0..SAMPLES * 2).map(|row| row as f32 * 0.25).collect();
    let samples = &each[1..=SAMPLES];
    let classes = [0.5, 2.0, 3.0];
    for outputs in [1, 3, 4] {
        let count = outputs.max(2);
        // Each class, and some that are none.
        let labels: Vec<_> = (0..SAMPLES * 2).map(|row| row * 7 % count).collect();
        let mut class_weights = classes.to_vec();
        class_weights.resize(count, 5.0);
        for ignored in [None, Some(1), Some(255), Some(-100)] {
            let label = |row: usize| match ignored {
                Some(outside) if row.is_multiple_of(3) => outside,
                _ => labels[row] as i64,
            };
            let given: Vec<_> = (0..SAMPLES * 2).map(label).collect();
            let is_void = |row: usize| Some(given[row]) == ignored;
            for weighs in 0..6 {
                let mut data = dataset(gpu);
                // Before and after the labels.
                if weighs % 2 == 1 {
                    data = data.class_weights(&class_weights).unwrap();
                }
                data = match ignored {
                    Some(class) if weighs < 3 => data.ignore_class(class),
                    _ => data,
                };
                data = data.classes(&given).unwrap();
                data = match ignored {
                    Some(class) if weighs >= 3 => data.ignore_class(class),
                    _ => data,
                };
                data = match weighs / 2 {
                    1 => data.sample_weights(samples).unwrap(),
                    2 => data.sample_weights(&each).unwrap(),
                    _ => data,
                };
                let weight = |row: usize| {
                    if is_void(row) {
                        return -1.0;
                    }
                    let class = match weighs % 2 {
                        0 => 1.0,
                        _ => class_weights[given[row] as usize],
                    };
                    class * [1.0, samples[row / 2], each[row]][weighs / 2]
                };
                let [targets, weights] = gathered(gpu, &data, outputs);
                let case = format!("{outputs} outputs, {ignored:?}, {weighs}");
                assert_eq!(weights, rows(weight), "{case}");
                for c in 0..outputs {
                    let column: Vec<_> = targets.iter().copied().skip(c).step_by(outputs).collect();
                    let class = if outputs == 1 { 1 } else { c };
                    let target = |row: usize| match is_void(row) {
                        true => -1.0,
                        false => f32::from(given[row] == class as i64),
                    };
                    assert_eq!(column, rows(target), "{case}");
                }
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_class_of_target_values_is_the_first_of_the_largest_or_a_single_one_rounded() {
    let gpu = &Gpu::new().unwrap();
    // Values below 0 void no row.
    let three = [
        [0.1, 0.7, 0.2],
        [-1.0, -2.0, -0.5],
        [0.5, 0.5, 0.0],
        [0.0, 0.0, 0.0],
        [9.0, 3.0, 9.0],
    ];
    let class = [1, 2, 0, 0, 0];
    let values: Vec<_> = (0..10).flat_map(|row| three[row % 5]).collect();
    let data = dataset(gpu).targets(&values, [2, 3]).unwrap();
    let data = data.class_weights(&[0.5, 2.0, 3.0]).unwrap();
    let [targets, weights] = gathered(gpu, &data, 3);
    assert_eq!(weights, rows(|row| [0.5, 2.0, 3.0][class[row % 5]]));
    let second: Vec<_> = targets.iter().copied().skip(1).step_by(3).collect();
    assert_eq!(second, rows(|row| three[row % 5][1]));
    let single = [0.0, 1.0, 0.5, 0.6, 0.2];
    let values: Vec<_> = (0..10).map(|row| single[row % 5]).collect();
    let data = dataset(gpu).targets(&values, [2, 1]).unwrap();
    let data = data.class_weights(&[0.5, 2.0]).unwrap();
    let [_, weights] = gathered(gpu, &data, 1);
    let expected = [0.5, 2.0, 0.5, 2.0, 0.5];
    assert_eq!(weights, rows(|row| expected[row % 5]));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn targets_are_told_apart_by_their_values() {
    let gpu = &Gpu::new().unwrap();
    let kind = |values: &[f32], outputs: usize| {
        let rows = values.len() / outputs;
        let data = Dataset::from_bytes(gpu, &vec![0; rows], [1]).unwrap();
        data.targets(values, [outputs]).unwrap().target_kind()
    };
    for (values, outputs, expected) in [
        (&[0., 1., 0., 1., 0., 0.][..], 3, TargetKind::OneHot),
        // A void row.
        (&[0., 1., 0., 0., 0., 0.], 3, TargetKind::OneHot),
        (&[0., 0., 0., 0., 0., 0.], 3, TargetKind::Binary),
        (&[0., 1., 1., 1., 0., 0.], 3, TargetKind::Binary),
        (&[0., 1., 0., 1., 0., 0.], 1, TargetKind::Binary),
        (&[1., 1.], 1, TargetKind::Binary),
        (&[0.2, 0.3, 0.5, 1., 0., 0.], 3, TargetKind::Probabilities),
        (&[0.2, 0.3, 0.5, 0., 0., 0.], 3, TargetKind::Probabilities),
        (&[0.2, 0.3, 0.4, 1., 0., 0.], 3, TargetKind::Floats),
        (&[1.5, -0.5, 0., 1., 0., 0.], 3, TargetKind::Floats),
        (&[0.2, 0.3], 1, TargetKind::Floats),
        (&[-1., 1.], 1, TargetKind::Floats),
    ] {
        assert_eq!(kind(values, outputs), Some(expected), "{values:?}");
    }
    let data = Dataset::from_bytes(gpu, &[0; 2], [1]).unwrap();
    assert_eq!(data.target_kind(), None);
    let data = data.classes(&[0, 1]).unwrap();
    assert_eq!(data.target_kind(), Some(TargetKind::Classes));
}
