//! The layers so far, and how a value of the graph is made out of the last one's output.
//!
//! Here channels come last, in ONNX first. Only weights are transposed: a value of the graph has an [`Order`], which
//! says where its elements are in the layer's output. Reshapes wait, too, until a layer needs the shape.

use std::rc::Rc;

use super::super::layout::places;
use super::norm::{Features, Norm};
use super::term::Term;
use crate::nn::layers::{Kind, Weighted};
use crate::nn::{
    Activation, BatchNormalization, Flatten, Layer, LayerNormalization, Normalization, Reshape,
};

type Result<T> = std::result::Result<T, String>;

/// One for each feature, or one for all.
pub(super) type Numbers = Rc<[f64]>;

/// How the axes of a value, but for that of the batch, are those of the layer's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Same,
    /// The first is the last there.
    ChannelsFirst,
    /// It is that, flattened; the output has this shape, or has been flattened itself.
    Flattened(Vec<usize>),
}

/// A value of the graph that depends on the input.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The node that gives it.
    pub node: usize,
    /// The same for values that differ in their order only.
    pub id: usize,
    /// The number of the layer's output that it is made of.
    pub base: usize,
    /// Without the axis of the batch.
    pub shape: Vec<usize>,
    /// Whether the axis of the batch has others of the output in it.
    pub merged: bool,
    pub order: Order,
    pub made: Made,
}

/// How a value is made of a layer's output, unless it is that.
#[derive(Clone, Debug)]
pub(super) enum Made {
    Output,
    Term(Rc<Term>),
    Affine(Affine),
    Norm(Norm, Features),
    /// With so many zeros before and behind, along each of the value's axes.
    Padded([[usize; 3]; 2]),
    /// With these means and variances.
    Normalized([Vec<f32>; 2]),
}

/// (x − minus) · times + plus, where they are not 0, 1 and 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Affine {
    minus: Option<Numbers>,
    times: Option<Numbers>,
    plus: Option<Numbers>,
}

impl Affine {
    pub fn add(mut self, numbers: &Numbers) -> Self {
        self.plus = join(self.plus, numbers, |a, b| a + b);
        self
    }

    pub fn subtract(mut self, numbers: &Numbers) -> Self {
        match (&self.times, &self.plus) {
            (None, None) => self.minus = join(self.minus, numbers, |a, b| a + b),
            _ => self.plus = join(self.plus, &negative(numbers), |a, b| a + b),
        }
        self
    }

    pub fn multiply(mut self, numbers: &Numbers) -> Self {
        self.times = join(self.times, numbers, |a, b| a * b);
        self.plus = self
            .plus
            .and_then(|plus| join(Some(plus), numbers, |a, b| a * b));
        self
    }

    pub fn minus_only(&self) -> Option<Numbers> {
        match (&self.minus, &self.times, &self.plus) {
            (Some(minus), None, None) => Some(minus.clone()),
            _ => None,
        }
    }

    /// The features, unless its numbers are for all of them.
    pub fn features(&self) -> Option<usize> {
        let all = [&self.minus, &self.times, &self.plus];
        all.into_iter()
            .flatten()
            .map(|numbers| numbers.len())
            .filter(|&len| len != 1)
            .max()
    }
}

pub(super) fn negative(numbers: &Numbers) -> Numbers {
    numbers.iter().map(|value| -value).collect()
}

pub(super) fn reciprocal(numbers: &Numbers) -> Numbers {
    numbers.iter().map(|value| value.recip()).collect()
}

fn join(
    first: Option<Numbers>,
    second: &Numbers,
    combine: impl Fn(f64, f64) -> f64,
) -> Option<Numbers> {
    let Some(first) = first else {
        return Some(second.clone());
    };
    let len = first.len().max(second.len());
    Some(
        (0..len)
            .map(|i| combine(at(&first, i), at(second, i)))
            .collect(),
    )
}

/// Numbers for the last axis are the same again for each place before it.
fn at(numbers: &Numbers, i: usize) -> f64 {
    let place = i.checked_rem(numbers.len()).unwrap_or_default();
    numbers.get(place).copied().unwrap_or_default()
}

/// A layer with the values of its weights, by their names without the layer's.
#[derive(Debug)]
pub(super) struct Planned {
    pub layer: Layer,
    pub weights: Vec<(&'static str, Vec<f32>)>,
}

impl Planned {
    pub fn weighted(&mut self) -> Option<&mut Weighted> {
        match &mut self.layer.kind {
            Kind::Dense { weighted, .. } | Kind::Conv2d { weighted, .. } => Some(weighted),
            _ => None,
        }
    }
}

/// Elements have 32-bit indices.
pub(super) fn check_size(shape: &[usize]) -> Result<()> {
    let len = shape.iter().try_fold(1u32, |len, &extent| {
        len.checked_mul(u32::try_from(extent).ok()?)
    });
    match len {
        Some(_) => Ok(()),
        None => Err(format!("samples of the shape {shape:?} are too large")),
    }
}

/// The layers so far.
#[derive(Debug)]
pub(super) struct Chain {
    /// Of the last one's output.
    pub shape: Vec<usize>,
    pub layers: Vec<Planned>,
    /// Which output it is.
    pub version: usize,
    /// How many values weights may still have: as many as the file explains.
    pub left: usize,
}

impl Chain {
    /// An error if there were more values than the file explains.
    pub fn take(&mut self, values: usize) -> Result<()> {
        let left = self.left.checked_sub(values);
        self.left = left.ok_or("it would have more weights than the file has values")?;
        Ok(())
    }

    /// A layer whose output has another shape.
    pub fn push(
        &mut self,
        layer: impl Into<Layer>,
        weights: Vec<(&'static str, Vec<f32>)>,
        shape: Vec<usize>,
    ) -> Result<()> {
        check_size(&shape)?;
        let layer = layer.into();
        self.layers.push(Planned { layer, weights });
        self.shape = shape;
        self.version += 1;
        Ok(())
    }

    /// The elements are the same, in the same order.
    pub fn reshape(&mut self, shape: &[usize]) {
        if self.shape == shape {
            return;
        }
        let layer: Layer = match shape {
            [_] => Flatten::new().into(),
            _ => Reshape::new(shape).into(),
        };
        let weights = Vec::new();
        self.layers.push(Planned { layer, weights });
        self.shape = shape.to_vec();
    }

    fn total(&self) -> usize {
        self.shape.iter().product()
    }

    /// Gives the output the shape that a value has, or that it has in the order of the output.
    pub fn settle(&mut self, flow: &Flow) -> Result<()> {
        if flow.merged {
            return match self.shape.last() == flow.shape.last() {
                true => Ok(()),
                false => Err("its input has values of several samples in a row".into()),
            };
        }
        match &flow.order {
            Order::Same => self.reshape(&flow.shape),
            Order::ChannelsFirst => {
                let mut shape = flow.shape.clone();
                shape.rotate_left(1.min(flow.shape.len()));
                self.reshape(&shape);
            }
            Order::Flattened(_) => self.reshape(&flow.shape),
        }
        Ok(())
    }

    /// Makes the output's last axis that of these axes of a value: its features. They are counted.
    pub fn features(&mut self, flow: &Flow, from: usize, to: usize) -> Result<usize> {
        let extent = flow
            .shape
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .product();
        let rank = flow.shape.len();
        let is_last = match flow.order {
            Order::ChannelsFirst => (from, to) == (0, 1),
            _ => (from, to) == (rank.saturating_sub(1), rank),
        };
        if is_last && rank > 0 {
            self.settle(flow)?;
        } else if extent == self.total() && !flow.merged && to > from {
            self.reshape(&[extent]);
        } else {
            return Err(format!(
                "of an input {:?} it takes the axes {:?}, counted without the batch; they must be the channels, or the last",
                flow.shape,
                (from..to).collect::<Vec<_>>(),
            ));
        }
        Ok(extent)
    }

    /// Values for all elements of a sample, in the order of the output; others are as they are.
    pub fn arranged<T: Copy>(&self, flow: &Flow, values: Vec<T>) -> Vec<T> {
        let shape = match &flow.order {
            _ if values.len() != self.total() => return values,
            Order::Same => return values,
            Order::ChannelsFirst => flow.shape.clone(),
            Order::Flattened(shape) => {
                let mut shape = shape.clone();
                let first = 1.min(shape.len());
                shape.rotate_right(first);
                shape
            }
        };
        let order: Vec<_> = (1..shape.len()).chain([0]).collect();
        let arranged = places(&shape, &order).filter_map(|place| values.get(place).copied());
        arranged.collect()
    }

    /// The last layer, if it has weights, and no activation yet.
    fn sums(&mut self) -> Option<&mut Planned> {
        let planned = self.layers.last_mut()?;
        let is_linear = planned.weighted()?.activation == Activation::Linear;
        is_linear.then_some(planned)
    }

    pub fn activate(&mut self, activation: Activation) -> Result<()> {
        let shape = self.shape.clone();
        match self.sums().and_then(Planned::weighted) {
            Some(weighted) => {
                weighted.activation = activation;
                self.version += 1;
                Ok(())
            }
            None => self.push(activation, Vec::new(), shape),
        }
    }

    /// The features of the output, which numbers are for.
    fn features_of(&mut self, numbers: Option<usize>) -> Result<usize> {
        let last = self.shape.last().copied().unwrap_or(1);
        let features = numbers.unwrap_or(last);
        if self.shape.last() != Some(&features) {
            if features != self.total() {
                return Err(format!("{features} constants, and {last} features"));
            }
            self.reshape(&[features]);
        }
        Ok(features)
    }

    /// In the weights of the last layer if that is possible, else as a normalization that is never trained.
    pub fn affine(&mut self, affine: &Affine) -> Result<()> {
        let features = self.features_of(affine.features())?;
        let kernel = self
            .sums()
            .map(|planned| planned.weights.iter().map(|(_, values)| values.len()).sum());
        self.take(4 * features + kernel.unwrap_or(0))?;
        let all = |numbers: &Option<Numbers>, default: f64| -> Vec<f64> {
            let one = |i| numbers.as_ref().map_or(default, |numbers| at(numbers, i));
            (0..features).map(one).collect()
        };
        let (minus, times, plus) = (
            all(&affine.minus, 0.0),
            all(&affine.times, 1.0),
            all(&affine.plus, 0.0),
        );
        let is_scaled = affine.times.is_some();
        if let Some(planned) = self.sums() {
            let has_bias = planned.weights.len() > 1;
            if is_scaled && let Some((_, kernel)) = planned.weights.first_mut() {
                for (i, value) in kernel.iter_mut().enumerate() {
                    *value = (f64::from(*value) * times[i % features]) as f32;
                }
            }
            let is_shift = !is_scaled && !has_bias && affine.minus.is_none();
            if is_shift {
                planned
                    .weights
                    .push(("bias", plus.iter().map(|&b| b as f32).collect()));
            } else {
                let bias = planned
                    .weights
                    .get(1)
                    .map_or(vec![0.0; features], |(_, bias)| bias.clone());
                let bias = bias
                    .iter()
                    .enumerate()
                    .map(|(i, &b)| ((f64::from(b) - minus[i]) * times[i] + plus[i]) as f32);
                let bias = bias.collect();
                planned.weights.truncate(1);
                planned.weights.push(("bias", bias));
            }
            if let Some(weighted) = planned.weighted() {
                weighted.use_bias = true;
            }
            self.version += 1;
            return Ok(());
        }
        let singles = |numbers: Vec<f64>| numbers.into_iter().map(|value| value as f32).collect();
        let weights = vec![
            ("gamma", singles(times)),
            ("beta", singles(plus)),
            ("moving_mean", singles(minus)),
            ("moving_variance", vec![1.0; features]),
        ];
        // 1 + ε is 1.
        let layer = BatchNormalization::new()
            .epsilon(f32::MIN_POSITIVE.into())
            .trainable(false);
        let shape = self.shape.clone();
        self.push(layer, weights, shape)
    }

    pub fn normalize(
        &mut self,
        [mean, variance]: [Vec<f32>; 2],
        name: Option<String>,
    ) -> Result<()> {
        self.features_of(Some(mean.len()))?;
        let mut layer = Layer::from(Normalization::new());
        layer.name = name;
        let shape = self.shape.clone();
        self.push(layer, vec![("mean", mean), ("variance", variance)], shape)
    }

    pub fn layer_normalize(
        &mut self,
        features: usize,
        epsilon: f64,
        [gamma, beta]: [Option<Numbers>; 2],
        name: Option<String>,
    ) -> Result<()> {
        self.take(2 * features)?;
        let all = |numbers: Option<Numbers>, default: f64| {
            let one = |i| numbers.as_ref().map_or(default, |numbers| at(numbers, i)) as f32;
            (0..features).map(one).collect()
        };
        let weights = vec![("gamma", all(gamma, 1.0)), ("beta", all(beta, 0.0))];
        let mut layer = Layer::from(LayerNormalization::new().epsilon(epsilon));
        layer.name = name;
        let shape = self.shape.clone();
        self.push(layer, weights, shape)
    }
}
