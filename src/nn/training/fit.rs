use std::collections::BTreeSet;

use super::exchange::Exchange;
use crate::nn::data::order_bytes;
use crate::nn::{Data, Dataset};
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::Optimizer;
use crate::{Error, Gpu, Result};

/// How to train.
///
/// By default as in Keras: batches of 32, one epoch, shuffled.
///
/// ```
/// use selfnorm::nn::{AdamW, CosineDecay, Fit, Loss};
///
/// let rate = CosineDecay::new(1e-3, 10_000);
/// let fit = Fit::new(AdamW::new(rate).global_clipnorm(1.0))
///     .loss(Loss::CategoricalCrossentropyWith { label_smoothing: 0.1 })
///     .batch_size(128)
///     .epochs(20)
///     .validation_split(0.1)
///     .skip_non_finite(3);
/// # let _ = fit;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fit<'a> {
    pub(super) optimizer: Option<Optimizer>,
    pub(super) loss: Option<Loss>,
    pub(super) batch_size: usize,
    pub(super) epochs: usize,
    pub(super) shuffle: bool,
    pub(super) seed: Option<u64>,
    pub(super) validation_split: f64,
    pub(super) validation_data: Option<&'a Dataset>,
    pub(super) skip_non_finite: u32,
    pub(super) exchange: Option<&'a dyn Exchange>,
}

/// Trains with the optimizer that the network was compiled with, or trained with last.
impl Default for Fit<'_> {
    fn default() -> Self {
        Self {
            optimizer: None,
            loss: None,
            batch_size: 32,
            epochs: 1,
            shuffle: true,
            seed: None,
            validation_split: 0.0,
            validation_data: None,
            skip_non_finite: 0,
            exchange: None,
        }
    }
}

impl<'a> Fit<'a> {
    /// Trains with this optimizer. If the network has been trained with one of the same kind, which
    /// stores the same for each weight, it continues with that state, and its schedule where that
    /// stands: [`reset_optimizer`](crate::nn::Sequential::reset_optimizer) begins again.
    ///
    /// A network that was compiled has its optimizer and loss, and `Fit::default()` trains with them; so
    /// does a second training with those of the first:
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::nn::{Activation::Softmax, Adam, Dataset, Dense, Fit, Loss, Sequential};
    /// # let gpu = selfnorm::Gpu::new()?;
    /// # let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
    /// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
    /// model.compile(Adam::new(1e-2), Loss::CategoricalCrossentropy)?;
    /// model.fit(&data, &Fit::default().epochs(2))?;
    /// model.fit(&data, &Fit::default().epochs(2))?; // as one training of four epochs
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(optimizer: impl Into<Optimizer>) -> Self {
        Self {
            optimizer: Some(optimizer.into()),
            ..Self::default()
        }
    }

    /// The loss to minimize. By default the one the network was compiled with, or else the one that
    /// follows from how the network ends and from its targets, see [`Loss`].
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = Some(loss);
        self
    }

    /// Samples per batch; the last batch of an epoch may have fewer. A batch whose activations are
    /// larger than the device binds is computed in parts, with the gradient of the whole.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// The number of epochs to train. The network counts its epochs over all calls, and each has
    /// its own order of the samples.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Whether each epoch takes the samples in another order. [`Batches`](crate::nn::Batches) have
    /// their own.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The seed of the order. By default the network's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The share of the samples, from the end, that is not trained on but evaluated after each
    /// epoch. It is an error if one of their classes is not among the others, as in data that are sorted by
    /// class: see [`Dataset::shuffled`] and [`Dataset::stratified_split`].
    pub fn validation_split(mut self, validation_split: f64) -> Self {
        self.validation_split = validation_split;
        self
    }

    /// Samples to evaluate after each epoch, in place of a split.
    pub fn validation_data(mut self, data: &'a Dataset) -> Self {
        self.validation_data = Some(data);
        self
    }

    /// Goes on after up to `steps` steps whose loss or gradient is not finite: they change nothing,
    /// and are listed in [`History::skipped`](super::History::skipped). Adam's corrections and
    /// schedules count such a step for the three steps after it, which are then under way, and no
    /// more from the fourth on. By default the first one ends the training with
    /// [`Error::NotFinite`].
    pub fn skip_non_finite(mut self, steps: u32) -> Self {
        self.skip_non_finite = steps;
        self
    }

    /// Trains together with other ranks: each has the same network, the same data and the same `Fit`, and computes its
    /// part of every batch, in blocks of 8 rows. What they train is what one rank would, but for the order of sums: masks,
    /// weights of samples, the order of the epochs, clipping and penalties are those of the whole batch. The scores are
    /// those of the whole batch, too, and every rank evaluates the validation data.
    ///
    /// A step waits for its gradients, and the other ranks. What a callback changes or stops, it must change or stop on all
    /// of them, or the others wait for ever: by the losses, which are common, not by a clock. [`BatchNormalization`](crate::nn::BatchNormalization) is
    /// an error, unless it is frozen.
    pub fn exchange(mut self, exchange: &'a dyn Exchange) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// How many of the samples are trained on, of which none are counted of batches from the host; and what
    /// to be warned of.
    pub(super) fn check(&self, gpu: &Gpu, data: &Data) -> Result<(usize, Option<String>)> {
        let wrong = |detail: String| Err(Error::Data { op: "fit", detail });
        if self.batch_size == 0 {
            return wrong("batch_size must be at least 1".into());
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            return wrong(format!(
                "validation_split is {}, must be at least 0 and below 1",
                self.validation_split
            ));
        }
        let samples = match data {
            Data::Dataset(data) => data.len(),
            Data::Batches(_) if self.validation_data.is_none() && self.validation_split > 0.0 => {
                return wrong(
                    "batches from the host can't be split; give validation_data instead".into(),
                );
            }
            // Before buffers are made for it.
            Data::Batches(_) => return order_bytes(gpu, self.batch_size).map(|_| (0, None)),
        };
        let split = match self.validation_data {
            Some(_) => 0.0,
            None => self.validation_split,
        };
        let trained = (samples as f64 * (1.0 - split)).floor() as usize;
        if trained == 0 {
            return wrong(format!(
                "of {samples} samples, a validation_split of {split} leaves none to train on"
            ));
        }
        let warning = match data {
            Data::Dataset(data) if trained < samples => compare_classes(data, trained)?,
            _ => None,
        };
        Ok((trained, warning))
    }
}

/// An error if a class is only among those of the samples that are validated, a warning if it is only among
/// those that are trained on.
fn compare_classes(data: &Dataset, trained: usize) -> Result<Option<String>> {
    let Some(classes) = data.counted_classes() else {
        return Ok(None);
    };
    let (trained, validated) = classes.split_at(trained);
    let [trained, validated] =
        [trained, validated].map(|part| part.iter().flatten().collect::<BTreeSet<_>>());
    if let Some(class) = validated.difference(&trained).next() {
        return Err(Error::Data {
            op: "fit",
            detail: format!(
                "class {class} is only among the last samples, which validation_split takes, so the network would not learn it; take validation_split of data.shuffled(seed), or give one part of data.stratified_split(0.8, seed) as validation_data"
            ),
        });
    }
    Ok(trained.difference(&validated).next().map(|class| {
        format!("class {class} is not among the samples that validation_split takes, so no validation score tells how the network does there")
    }))
}
