//! Parts of a data set: other samples, or another order, of what is uploaded.

use std::collections::BTreeMap;

use super::{Dataset, wrong};
use crate::{Result, random};

impl Dataset {
    /// The samples of these numbers, in this order; one may come several times.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 2.0, 3.0], [1])?.classes(&[0, 0, 1, 1])?;
    /// let ends = data.select(&[0, 3])?;
    /// assert_eq!(ends.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if there is no such sample.
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        let len = self.len();
        if let Some(sample) = samples.iter().find(|&&sample| sample >= len) {
            return wrong(
                "select",
                format!("there is no sample {sample}, the data set has {len}"),
            );
        }
        Ok(self.selection(samples.iter().map(|&sample| sample as u32).collect()))
    }

    /// The numbers of its samples in the data set that was uploaded, in its order: where the labels, the names or
    /// the rows that the host has of them are.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// let labels = [7u8, 8, 9, 7, 8, 9];
    /// let data = Dataset::from_floats(&gpu, &[0.0; 6], [1])?.classes(&labels)?;
    /// let (_, test) = data.stratified_split(0.5, 42)?;
    /// let truth: Vec<u8> = test.indices().into_iter().map(|i| labels[i]).collect();
    /// # assert_eq!(truth.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn indices(&self) -> Vec<usize> {
        match &self.selected {
            None => (0..self.len()).collect(),
            Some(selected) => selected.iter().map(|&sample| sample as usize).collect(),
        }
    }

    /// The same samples in an order that is a function of `seed`.
    pub fn shuffled(&self, seed: u64) -> Self {
        self.selection(permutation(self.len(), seed))
    }

    /// The first samples and the others; the first part is this share of all, rounded. The order stays, so
    /// data that are sorted by class want [`shuffled`](Self::shuffled) first, or
    /// [`stratified_split`](Self::stratified_split).
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if a part would be empty.
    pub fn split(&self, fraction: f64) -> Result<(Self, Self)> {
        let len = self.len();
        let first = rounded("split", fraction, len)?;
        let all: Vec<_> = (0..len as u32).collect();
        let [first, second] =
            [&all[..first], &all[first..]].map(|part| self.selection(part.into()));
        Ok((first, second))
    }

    /// Two parts with the same share of every class: the first has `fraction` of all samples, rounded, and
    /// of each class as near to it as the total allows. Both are shuffled, a function of `seed`.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// # let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
    /// # let classes: Vec<_> = (0..100).map(|i| i / 90).collect();
    /// // Of 90 and 10 samples, 72 and 8 to train on, and 18 and 2 to test.
    /// let data = Dataset::from_floats(&gpu, &values, [1])?.classes(&classes)?;
    /// let (train, test) = data.stratified_split(0.8, 42)?;
    /// assert_eq!((train.len(), test.len()), (80, 20));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if a part would be empty, or samples have not one class each, as
    /// class numbers, one-hot rows, or 0 and 1.
    pub fn stratified_split(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        const OP: &str = "stratified_split";
        let Some(classes) = self.classes_of_samples() else {
            return wrong(
                OP,
                "samples need a class each: class numbers, one-hot rows, or 0 and 1",
            );
        };
        let total = rounded(OP, fraction, self.len())?;
        let mut members: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        let order = permutation(self.len(), seed);
        for &sample in &order {
            let class = classes[sample as usize];
            members.entry(class).or_default().push(sample);
        }
        // Each class gives what is due rounded down, and those with the largest rests one more.
        let due = |samples: &Vec<u32>| samples.len() as f64 * total as f64 / order.len() as f64;
        let mut taken: BTreeMap<i64, usize> = members
            .iter()
            .map(|(&class, samples)| (class, due(samples) as usize))
            .collect();
        let mut rests: Vec<_> = members
            .iter()
            .map(|(&class, samples)| (due(samples).fract(), class))
            .collect();
        rests.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let missing = total - taken.values().sum::<usize>();
        for (_, class) in rests.into_iter().take(missing) {
            *taken.entry(class).or_default() += 1;
        }
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for sample in order {
            let left = taken.entry(classes[sample as usize]).or_default();
            match left.checked_sub(1) {
                Some(rest) => {
                    *left = rest;
                    first.push(sample);
                }
                None => second.push(sample),
            }
        }
        Ok((self.selection(first), self.selection(second)))
    }

    /// For cross-validation: `k` pairs of a part to train on and a part to test with. The parts to test with
    /// are all samples, shuffled by `seed`, cut into `k` whose sizes differ by at most 1.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// # let data = Dataset::from_floats(&gpu, &[0.0; 10], [1])?;
    /// for (train, test) in data.k_folds(5, 42)? {
    ///     assert_eq!((train.len(), test.len()), (8, 2));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) unless 2 ≤ `k` ≤ the number of samples.
    pub fn k_folds(&self, k: usize, seed: u64) -> Result<Vec<(Self, Self)>> {
        let len = self.len();
        if !(2..=len).contains(&k) {
            return wrong(
                "k_folds",
                format!("k is {k}, must be at least 2, and at most the {len} samples"),
            );
        }
        let order = permutation(len, seed);
        // As scikit-learn cuts them: the first are the larger ones.
        let start = |fold: usize| fold * (len / k) + fold.min(len % k);
        Ok((0..k)
            .map(|fold| {
                let [start, end] = [start(fold), start(fold + 1)];
                let trained = [&order[..start], &order[end..]].concat();
                (
                    self.selection(trained),
                    self.selection(order[start..end].into()),
                )
            })
            .collect())
    }
}

fn permutation(len: usize, seed: u64) -> Vec<u32> {
    let mut order = vec![0; len];
    random::shuffle(&mut order, seed, random::DATA_SET);
    order
}

/// This share of so many samples, neither none nor all.
fn rounded(op: &'static str, fraction: f64, len: usize) -> Result<usize> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return wrong(
            op,
            format!("a fraction of {fraction}; it must be above 0 and below 1"),
        );
    }
    let first = (fraction * len as f64).round() as usize;
    if first == 0 || first == len {
        return wrong(
            op,
            format!("{fraction} of {len} samples leaves one part empty"),
        );
    }
    Ok(first)
}
