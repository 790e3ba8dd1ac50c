//! Burn on the same adapter, with Vulkan, fusion and autotune. It has SELU and ELU; the rest is composed
//! here of its tensor operations, as its users do.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{elu, selu};
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor, TensorData};
use selfnorm::wgpu::{AdapterInfo, DeviceType};

use crate::rows::*;
use crate::{Contestant, Result, Timed};

/// The device on this adapter.
pub fn device(info: &AdapterInfo) -> Result<Device> {
    let device = Device::vulkan(match info.device_type {
        DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(0),
        DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(0),
        DeviceType::VirtualGpu => DeviceKind::VirtualGpu(0),
        DeviceType::Cpu => DeviceKind::Cpu,
        DeviceType::Other => DeviceKind::DefaultDevice,
    });
    let name = device
        .identity()
        .ok_or("Burn does not name its adapter")?
        .name;
    if name != info.name {
        return Err(format!("Burn is on {name}, not on {}", info.name).into());
    }
    Ok(device)
}

pub fn contestant(device: &Device, row: Row, inputs: &[Vec<f32>]) -> Result<Box<dyn Contestant>> {
    let device = device.clone();
    Ok(match row {
        Row::Product => {
            let x: Tensor<2> = tensor(&inputs[0], [M, K], &device);
            let w: Tensor<2> = tensor(&inputs[1], [K, N], &device);
            Timed::boxed(
                move || {
                    let y = x.clone().matmul(w.clone());
                    device.sync()?;
                    Ok(y)
                },
                values,
            )
        }
        Row::Chain => {
            let x: Tensor<1> = tensor(&inputs[0], [SMALL], &device);
            Timed::boxed(
                move || values((0..CHAINED).fold(x.clone(), |x, _| selu(x))),
                Ok,
            )
        }
        Row::Small => {
            let x = inputs[0].clone();
            Timed::boxed(move || values(selu(tensor::<1>(&x, [SMALL], &device))), Ok)
        }
        Row::Step => {
            let mut training = Training::new(&device.autodiff(), inputs);
            Timed::boxed(move || training.step(), Ok)
        }
        _ => {
            let data = |i: usize| match inputs.get(i) {
                Some(values) => tensor(values, [LARGE], &device),
                None => Tensor::<1>::zeros([LARGE], &device),
            };
            let (x, dy) = (data(0), data(1));
            let normal = Distribution::Normal(0.0, (FAN_IN as f64).sqrt().recip());
            Timed::boxed(
                move || {
                    let x = x.clone();
                    let y = match row {
                        Row::Selu => selu(x),
                        Row::SeluBackward => backward(x, SCALE, SCALE * ALPHA, dy.clone()),
                        Row::Elu => elu(x, 1.0),
                        Row::EluBackward => backward(x, 1.0, 1.0, dy.clone()),
                        Row::AlphaDropout => alpha_dropout(x, RATE),
                        _ => Tensor::random([LARGE], normal, &device),
                    };
                    // It is lazy: this makes it begin, and waits.
                    device.sync()?;
                    Ok(y)
                },
                values,
            )
        }
    })
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn values<const D: usize>(y: Tensor<D>) -> Result<Vec<f32>> {
    Ok(y.try_into_vec_as()?)
}

/// The formula: its own way back would compute the way there again.
fn backward(x: Tensor<1>, positive: f64, negative: f64, dy: Tensor<1>) -> Tensor<1> {
    let mask = x.clone().greater_scalar(0.0);
    let slope = x.exp().mul_scalar(negative);
    (slope * dy.clone()).mask_where(mask, dy.mul_scalar(positive))
}

fn alpha_dropout<const D: usize>(x: Tensor<D>, rate: f64) -> Tensor<D> {
    let dropped = -SCALE * ALPHA;
    let a = ((1.0 - rate) * (1.0 + rate * dropped * dropped)).powf(-0.5);
    let b = -a * dropped * rate;
    let mask = x.random_like(Distribution::Default).lower_scalar(rate);
    x.mul_scalar(a)
        .add_scalar(b)
        .mask_fill(mask, a * dropped + b)
}

/// The tutorial's network, channels first.
#[derive(Module, Debug)]
struct Network {
    filters: Conv2d,
    dense: Linear,
    last: Linear,
}

impl Network {
    fn new(device: &Device, inputs: &[Vec<f32>]) -> Self {
        let mut network = Self {
            filters: Conv2dConfig::new([1, FILTERS], [3, 3]).init(device),
            dense: LinearConfig::new(POSITIONS * FILTERS, UNITS).init(device),
            last: LinearConfig::new(UNITS, CLASSES).init(device),
        };
        let zeros = |len| Some(Param::from_tensor(Tensor::zeros([len], device)));
        let filters: Tensor<4> = tensor(&inputs[2], [3, 3, 1, FILTERS], device);
        let dense: Tensor<3> = tensor(&inputs[3], [POSITIONS, FILTERS, UNITS], device);
        let dense = dense.swap_dims(0, 1).reshape([POSITIONS * FILTERS, UNITS]);
        network.filters.weight = Param::from_tensor(filters.permute([3, 2, 0, 1]));
        network.filters.bias = zeros(FILTERS);
        network.dense.weight = Param::from_tensor(dense);
        network.dense.bias = zeros(UNITS);
        network.last.weight = Param::from_tensor(tensor(&inputs[4], [UNITS, CLASSES], device));
        network.last.bias = zeros(CLASSES);
        network
    }

    fn logits(&self, x: Tensor<4>) -> Tensor<2> {
        let x = alpha_dropout(selu(self.filters.forward(x)), NETWORK_RATE);
        let x = selu(self.dense.forward(x.flatten::<2>(1, 3)));
        self.last.forward(x)
    }
}

struct Training {
    x: Tensor<4>,
    classes: Tensor<1, Int>,
    network: Option<Network>,
    adam: ModuleOptimizer,
}

impl Training {
    fn new(device: &Device, inputs: &[Vec<f32>]) -> Self {
        let one_hot: Tensor<2> = tensor(&inputs[1], [BATCH, CLASSES], device);
        Self {
            x: tensor(&inputs[0], [BATCH, 1, SIDE, SIDE], device),
            classes: one_hot.argmax(1).reshape([BATCH]),
            network: Some(Network::new(device, inputs)),
            adam: AdamConfig::new().with_epsilon(1e-7).init(),
        }
    }

    fn step(&mut self) -> Result<Vec<f32>> {
        let network = self.network.take().ok_or("a step has failed")?;
        let logits = network.logits(self.x.clone());
        let loss = CrossEntropyLossConfig::new()
            .init(&logits.device())
            .forward(logits, self.classes.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.adam.step(0.001, network, gradients));
        // Reading the loss does not wait for the weights.
        self.x.device().sync()?;
        values(loss)
    }
}
