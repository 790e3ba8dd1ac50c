//! Weights of candle's in a network of this crate's, and back: each library writes safetensors, and the
//! mapping says whose layer is whose.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Conv2d, Linear, Module, VarBuilder, VarMap, conv2d, linear, ops};
use selfnorm::nn::Activation::Selu;
use selfnorm::nn::{self, Adam, Dense, Flatten, Loss, Mapping, Origin, Sequential};
use selfnorm::{Gpu, Selu as Constants};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The largest difference that is not an error.
const BOUND: f32 = 1e-5;

const PICTURES: usize = 64;
const CHANNELS: usize = 3;
const SIDE: usize = 6;
const FILTERS: usize = 8;
const UNITS: usize = 32;
const CLASSES: usize = 4;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let folder = tempfile::tempdir()?;
    let pictures = Tensor::randn(0f32, 1.0, (PICTURES, CHANNELS, SIDE, SIDE), &Device::Cpu)?;

    let mut variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let theirs = Network::new(builder)?;
    let mut ours = Sequential::new([SIDE, SIDE, CHANNELS])
        .add(nn::Conv2d::new(FILTERS, [3, 3]).activation(Selu))
        .add(Flatten::new())
        .add(Dense::new(UNITS).activation(Selu))
        .add(Dense::new(CLASSES))
        .build(&gpu, 42)?;
    // candle has PyTorch's layouts; the names are the application's.
    let mapping = Mapping::new(Origin::PyTorch)
        .rename("features.0", "conv2d")
        .rename("encoder.0", "dense")
        .rename("head", "dense_1");

    let path = folder.path().join("candle.safetensors");
    variables.save(&path)?;
    let loaded = ours.load_with(&path, &mapping)?;
    println!("from candle: {loaded}");
    compare(&theirs, &ours, &pictures)?;

    let channels_last = gpu.tensor(
        &values(&channels_last(&pictures)?)?,
        [PICTURES, SIDE, SIDE, CHANNELS],
    )?;
    let targets = gpu.tensor(&[1.0; PICTURES * CLASSES], [PICTURES, CLASSES])?;
    ours.compile(Adam::new(0.01), Loss::MeanSquaredError)?;
    for _ in 0..10 {
        ours.train_on_batch(&channels_last, &targets)?;
    }

    let path = folder.path().join("selfnorm.safetensors");
    ours.save_with(&path, &mapping)?;
    variables.load(&path)?;
    println!("to candle, after {} steps of training", ours.step());
    compare(&theirs, &ours, &pictures)
}

/// candle's network, with the pictures' channels first.
struct Network {
    filters: Conv2d,
    dense: Linear,
    last: Linear,
}

impl Network {
    fn new(variables: VarBuilder) -> Result<Self> {
        let inside = SIDE - 2;
        let flat = FILTERS * inside * inside;
        Ok(Self {
            filters: conv2d(
                CHANNELS,
                FILTERS,
                3,
                Default::default(),
                variables.pp("features.0"),
            )?,
            dense: linear(flat, UNITS, variables.pp("encoder.0"))?,
            last: linear(UNITS, CLASSES, variables.pp("head"))?,
        })
    }
}

impl Module for Network {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = selu(&self.filters.forward(x)?)?.flatten_from(1)?;
        self.last.forward(&selu(&self.dense.forward(&x)?)?)
    }
}

fn selu(x: &Tensor) -> candle_core::Result<Tensor> {
    let Constants { alpha, scale } = Constants::default();
    ops::selu(x, alpha as f32, scale as f32)
}

/// Pictures as Keras and this crate have them.
fn channels_last(pictures: &Tensor) -> candle_core::Result<Tensor> {
    pictures.permute((0, 2, 3, 1))
}

fn values(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// Fails if the two predict differently.
fn compare(theirs: &Network, ours: &Sequential, pictures: &Tensor) -> Result<()> {
    let expected = theirs.forward(pictures)?;
    let predicted = ours.predict_floats(&values(&channels_last(pictures)?)?)?;
    let predicted = Tensor::from_vec(predicted, expected.shape(), &Device::Cpu)?;
    let difference = (predicted - &expected)?.abs()?.max(D::Minus1)?.max(0)?;
    let difference: f32 = difference.to_scalar()?;
    let largest: f32 = expected.abs()?.max(D::Minus1)?.max(0)?.to_scalar()?;
    println!("  predictions up to {largest:.3}, largest difference {difference:.1e}");
    if difference.is_nan() || difference > BOUND {
        return Err(format!("the difference is above {BOUND:e}").into());
    }
    Ok(())
}
