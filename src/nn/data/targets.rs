use std::collections::BTreeMap;

use super::{Expected, wrong};
use crate::Result;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::ops::network::gather::{Classes, NO_CLASS};
use crate::ops::network::weights::Rows;

/// Class numbers as the GPU has them, and the place of the first of each.
#[derive(Debug)]
pub(super) struct Labels {
    pub numbers: Vec<u32>,
    pub first: BTreeMap<i64, usize>,
}

impl Labels {
    pub fn new<C: Copy + TryInto<i64>>(op: &'static str, labels: &[C]) -> Result<Self> {
        let mut numbers = Vec::with_capacity(labels.len());
        let mut first = BTreeMap::new();
        let mut last = None;
        for (i, &label) in labels.iter().enumerate() {
            let Ok(label) = label.try_into() else {
                return wrong(op, format!("label {i} does not fit into an i64"));
            };
            // Neighbours are often equal.
            if last.replace(label) != Some(label) {
                first.entry(label).or_insert(i);
            }
            // What is none of a network's classes either counts nowhere, or is refused.
            numbers.push(u32::try_from(label).unwrap_or(NO_CLASS));
        }
        Ok(Self { numbers, first })
    }
}

/// One of `what`, or several.
fn in_words(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What to do if the shape of whole data was given, as NumPy has it.
pub(super) fn hint_at_sample(sample: &[usize]) -> String {
    format!("; the shape to give is that of one sample, {sample:?}: the number of samples follows")
}

/// The same, if `given` is such a shape.
fn hint_at_axis(given: &[usize], sample: &[usize]) -> String {
    match given {
        [_, rest @ ..] if rest == sample => hint_at_sample(sample),
        _ => String::new(),
    }
}

/// Where value `index` of samples of `shape` is: the sample, and the place in it.
pub(super) fn place(index: usize, shape: &[usize]) -> (usize, Vec<usize>) {
    let mut rest = index;
    let mut at = vec![0; shape.len()];
    for (at, extent) in at.iter_mut().zip(shape).rev() {
        *at = rest % extent;
        rest /= extent;
    }
    (rest, at)
}

/// What a value is called that is no finite number.
pub(super) fn not_finite(value: f32) -> &'static str {
    if value.is_nan() {
        "a NaN"
    } else {
        "an infinity"
    }
}

/// An error for a target that is no finite number, or no probability.
pub(in crate::nn) fn refuse_target<T>(
    op: &'static str,
    index: usize,
    value: f32,
    shape: &[usize],
) -> Result<T> {
    let (sample, at) = place(index, shape);
    let detail = if value.is_finite() {
        format!(
            "the target of sample {sample} is {value:?} at {at:?}; cross-entropy takes probabilities, 0 to 1"
        )
    } else {
        let what = not_finite(value);
        format!("the target of sample {sample} has {what} at {at:?}")
    };
    wrong(op, detail)
}

/// The class that doesn't count, and the weights of all classes unless they are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Weighing {
    pub ignored: Option<i64>,
    pub class_weights: Vec<f32>,
}

impl Expected<'_> {
    /// An error if samples of this shape are none of the network's.
    pub(super) fn check_samples(&self, shape: &[usize]) -> Result<()> {
        if shape == self.input {
            return Ok(());
        }
        wrong(
            self.op,
            format!(
                "samples are of shape {shape:?}, the network takes {:?}{}",
                self.input,
                hint_at_axis(shape, self.input)
            ),
        )
    }

    /// What targets stand for: the last axis is the classes.
    pub(super) fn classes(&self, weighing: &Weighing) -> Classes {
        let outputs = self.output.last().copied().unwrap_or(1);
        let ignored = weighing.ignored.and_then(|class| class.try_into().ok());
        Classes {
            positions: (self.output.iter().product::<usize>() / outputs) as u32,
            outputs: outputs as u32,
            ignored: ignored.unwrap_or(NO_CLASS),
        }
    }

    /// Of batches of up to `samples`.
    pub(super) fn rows(&self, samples: u32) -> Rows {
        let classes = self.classes(&Weighing::default());
        Rows {
            samples,
            positions: classes.positions,
            outputs: classes.outputs,
        }
    }

    /// An error if labels are not of the network's classes; `positions` is how many each of the samples has.
    pub(super) fn check_labels(
        &self,
        first: &BTreeMap<i64, usize>,
        samples: usize,
        positions: usize,
        weighing: &Weighing,
    ) -> Result<()> {
        let classes = self.classes(weighing);
        if positions != classes.positions as usize {
            let takes = match classes.positions {
                1 => "one class a sample".into(),
                positions => format!("{positions} classes a sample, one for each position"),
            };
            return wrong(
                self.op,
                format!(
                    "{} for {}, that is {positions} each; the network puts out {:?}: {takes}",
                    in_words(samples * positions, "class number"),
                    in_words(samples, "sample"),
                    self.output,
                ),
            );
        }
        let count = i64::from(classes.count());
        let counted = || {
            first
                .iter()
                .filter(|&(&label, _)| Some(label) != weighing.ignored)
        };
        let bad = counted().filter(|&(label, _)| !(0..count).contains(label));
        let Some((label, &index)) = bad.min_by_key(|&(_, &index)| index) else {
            return Ok(());
        };
        let before = self
            .output
            .split_last()
            .map_or(&[][..], |(_, before)| before);
        let (sample, at) = place(index, before);
        let at = match positions {
            1 => String::new(),
            _ => format!(" at {at:?}"),
        };
        let takes = match classes.outputs {
            1 => "one output: labels are 0 or 1".into(),
            _ => format!("{count} classes, 0 to {}", count - 1),
        };
        let ends = (counted().next(), counted().next_back());
        let hint = match ends {
            (Some((1, _)), Some((&last, _))) if last == count => {
                format!("; these labels count from 1 to {last}, subtract 1")
            }
            _ if *label < 0 || *label == 255 => {
                format!("; if it means that there is none: ignore_class({label})")
            }
            _ => String::new(),
        };
        wrong(
            self.op,
            format!("label {label} of sample {sample}{at}; the network has {takes}{hint}"),
        )
    }

    /// An error if target values are not of the network's outputs.
    pub(super) fn check_shape(&self, shape: &[usize], weighing: &Weighing) -> Result<()> {
        if shape != self.output {
            return wrong(
                self.op,
                format!(
                    "targets are of shape {shape:?}, the network puts out {:?}{}",
                    self.output,
                    hint_at_axis(shape, self.output)
                ),
            );
        }
        match weighing.ignored {
            Some(class) => wrong(
                self.op,
                format!("ignore_class({class}) is for labels, and the targets are values"),
            ),
            None => Ok(()),
        }
    }

    /// An error if there is not one weight a sample, or one a position.
    pub(super) fn check_sample_weights(&self, per_sample: usize) -> Result<()> {
        let positions = self.classes(&Weighing::default()).positions as usize;
        if per_sample == 1 || per_sample == positions {
            return Ok(());
        }
        wrong(
            self.op,
            format!(
                "there are {per_sample} sample weights a sample; the network puts out {:?}, that is {positions} of {}, which takes 1 or {positions}",
                self.output,
                self.classes(&Weighing::default()).outputs,
            ),
        )
    }

    /// The weight of each class on the GPU, if anything must be weighed.
    pub(super) fn class_weights(&self, weighing: &Weighing) -> Result<Option<Region>> {
        let count = self.classes(weighing).count() as usize;
        let given = &weighing.class_weights;
        if !given.is_empty() && given.len() != count {
            return wrong(
                self.op,
                format!(
                    "there are {} class weights, the network has {count} classes",
                    given.len()
                ),
            );
        }
        if given.is_empty() && weighing.ignored.is_none() {
            return Ok(None);
        }
        let equal = vec![1.0; count];
        let weights = if given.is_empty() { &equal } else { given };
        let memory = self.gpu.memory();
        let region = memory.region(size_of_val(&weights[..]) as u64)?;
        let bytes = bytemuck::cast_slice(weights);
        transfer::write(memory, &region.buffer, 0, bytes, transfer::COPY_ALIGNMENT)?;
        Ok(Some(region))
    }
}
