//! candle on the CPU. It has ELU; SELU it composes itself; the rest is composed here.

use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss, ops};

use crate::rows::*;
use crate::{Contestant, Result, Timed};

const CPU: &Device = &Device::Cpu;

pub fn contestant(row: Row, inputs: &[Vec<f32>]) -> Result<Box<dyn Contestant>> {
    let tensor = |i: usize, shape: &[usize]| Tensor::from_slice(&inputs[i], shape, CPU);
    Ok(match row {
        Row::Product => {
            let (x, w) = (tensor(0, &[M, K])?, tensor(1, &[K, N])?);
            Timed::boxed(move || Ok(x.matmul(&w)?), values)
        }
        Row::Chain => {
            let x = tensor(0, &[SMALL])?;
            Timed::boxed(
                move || values((0..CHAINED).try_fold(x.clone(), |x, _| selu(&x))?),
                Ok,
            )
        }
        Row::Small => {
            let x = inputs[0].clone();
            Timed::boxed(
                move || values(selu(&Tensor::from_slice(&x, SMALL, CPU)?)?),
                Ok,
            )
        }
        Row::Step => {
            let mut network = Network::new(inputs)?;
            Timed::boxed(move || Ok(vec![network.step()?]), Ok)
        }
        Row::LecunNormal => {
            let deviation = (FAN_IN as f32).sqrt().recip();
            Timed::boxed(
                move || Ok(Tensor::randn(0f32, deviation, LARGE, CPU)?),
                values,
            )
        }
        _ => {
            let (x, dy) = (tensor(0, &[LARGE])?, tensor(1, &[LARGE])?);
            Timed::boxed(
                move || {
                    Ok(match row {
                        Row::Selu => selu(&x)?,
                        Row::SeluBackward => backward(&x, SCALE, SCALE * ALPHA, &dy)?,
                        Row::Elu => x.elu(1.0)?,
                        Row::EluBackward => backward(&x, 1.0, 1.0, &dy)?,
                        _ => alpha_dropout(&x, RATE)?,
                    })
                },
                values,
            )
        }
    })
}

fn values(y: Tensor) -> Result<Vec<f32>> {
    Ok(y.flatten_all()?.to_vec1()?)
}

fn selu(x: &Tensor) -> CandleResult<Tensor> {
    ops::selu(x, ALPHA as f32, SCALE as f32)
}

/// The formula: its own way back would compute the way there again.
fn backward(x: &Tensor, positive: f64, negative: f64, dy: &Tensor) -> CandleResult<Tensor> {
    let slope = (x.exp()? * negative)?;
    x.gt(0f32)?.where_cond(&(dy * positive)?, &(slope * dy)?)
}

fn alpha_dropout(x: &Tensor, rate: f64) -> CandleResult<Tensor> {
    let dropped = -SCALE * ALPHA;
    let a = ((1.0 - rate) * (1.0 + rate * dropped * dropped)).powf(-0.5);
    let b = -a * dropped * rate;
    let kept = Tensor::rand(0f32, 1f32, x.dims(), CPU)?.ge(rate as f32)?;
    let dropped = Tensor::full((a * dropped + b) as f32, x.dims(), CPU)?;
    kept.where_cond(&x.affine(a, b)?, &dropped)
}

/// The tutorial's network, channels first.
struct Network {
    x: Tensor,
    classes: Tensor,
    weights: [Var; 6],
    adam: AdamW,
}

impl Network {
    fn new(inputs: &[Vec<f32>]) -> CandleResult<Self> {
        let tensor = |i: usize, shape: &[usize]| Tensor::from_slice(&inputs[i], shape, CPU);
        let var = |tensor: Tensor| Var::from_tensor(&tensor.contiguous()?);
        let zeros = |len: usize| Var::zeros(len, DType::F32, CPU);
        let weights = [
            var(tensor(2, &[3, 3, 1, FILTERS])?.permute([3, 2, 0, 1])?)?,
            zeros(FILTERS)?,
            var(tensor(3, &[POSITIONS, FILTERS, UNITS])?
                .transpose(0, 1)?
                .reshape((FILTERS * POSITIONS, UNITS))?)?,
            zeros(UNITS)?,
            var(tensor(4, &[UNITS, CLASSES])?)?,
            zeros(CLASSES)?,
        ];
        let adam = ParamsAdamW {
            lr: 0.001,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-7,
            weight_decay: 0.0,
        };
        Ok(Self {
            x: tensor(0, &[BATCH, 1, SIDE, SIDE])?,
            classes: tensor(1, &[BATCH, CLASSES])?.argmax(1)?,
            adam: AdamW::new(weights.to_vec(), adam)?,
            weights,
        })
    }

    fn step(&mut self) -> CandleResult<f32> {
        let [filters, filter_bias, dense, dense_bias, last, last_bias] = &self.weights;
        let x = self.x.conv2d(filters, 0, 1, 1, 1)?;
        let x = selu(&x.broadcast_add(&filter_bias.reshape((1, FILTERS, 1, 1))?)?)?;
        let x = alpha_dropout(&x, NETWORK_RATE)?.flatten_from(1)?;
        let x = selu(&x.matmul(dense)?.broadcast_add(dense_bias)?)?;
        let logits = x.matmul(last)?.broadcast_add(last_bias)?;
        let loss = loss::cross_entropy(&logits, &self.classes)?;
        self.adam.backward_step(&loss)?;
        loss.to_scalar()
    }
}
