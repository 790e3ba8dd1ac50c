//! What is measured: the rows of the table, their inputs, and what must come out.

use selfnorm::{AlphaDropout, LecunNormal};

use crate::Result;

/// Values of the large operations.
pub const LARGE: usize = 1 << 24;
/// Values of the small ones.
pub const SMALL: usize = 1 << 10;
/// SELUs one after the other.
pub const CHAINED: usize = 100;
pub const RATE: f64 = 0.1;
/// The inputs of each unit that Lecun-normal weights are for.
pub const FAN_IN: usize = 256;
// x is [M, K], w is [K, N].
pub const M: usize = 256;
pub const K: usize = 4096;
pub const N: usize = 256;

// The network of the tutorial for MNIST.
pub const BATCH: usize = 250;
pub const SIDE: usize = 28;
pub const FILTERS: usize = 32;
pub const POSITIONS: usize = 26 * 26;
pub const UNITS: usize = 256;
pub const CLASSES: usize = 10;
pub const NETWORK_RATE: f64 = 0.25;

pub const SCALE: f64 = 1.0507009873554805;
pub const ALPHA: f64 = 1.6732632423543772;

/// More than what chance does, in standard errors.
const STANDARD_ERRORS: f64 = 6.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Selu,
    SeluBackward,
    Elu,
    EluBackward,
    AlphaDropout,
    LecunNormal,
    Product,
    Chain,
    Small,
    Step,
}

impl Row {
    pub const ALL: [Self; 10] = [
        Self::Selu,
        Self::SeluBackward,
        Self::Elu,
        Self::EluBackward,
        Self::AlphaDropout,
        Self::LecunNormal,
        Self::Product,
        Self::Chain,
        Self::Small,
        Self::Step,
    ];

    /// What it is called in the table, and, the first word, on a command line.
    pub fn title(self) -> &'static str {
        match self {
            Self::Selu => "selu, 16 Mi",
            Self::SeluBackward => "selu_backward, 16 Mi",
            Self::Elu => "elu, 16 Mi",
            Self::EluBackward => "elu_backward, 16 Mi",
            Self::AlphaDropout => "alpha_dropout, 16 Mi",
            Self::LecunNormal => "lecun_normal, 16 Mi",
            Self::Product => "product, 256 × 4096 × 256",
            Self::Chain => "chain, of 100 SELUs of 1 Ki, with the read",
            Self::Small => "small, SELU of 1 Ki, from upload to read",
            Self::Step => "step, of the MNIST tutorial's network, batch of 250",
        }
    }

    pub fn name(self) -> &'static str {
        self.title().split(',').next().unwrap_or_default()
    }

    /// So often a contestant has its turn.
    pub fn turns(self) -> usize {
        if self == Self::Step { 7 } else { 15 }
    }

    /// Runs of one turn.
    pub fn repeats(self) -> u32 {
        match self {
            Self::Chain => 5,
            Self::Small => 20,
            _ => 1,
        }
    }

    /// Runs whose results are compared: of a network, the losses of some steps.
    pub fn outputs(self) -> usize {
        if self == Self::Step { 3 } else { 1 }
    }

    /// Multiplications and additions, where they are what counts.
    pub fn operations(self) -> Option<f64> {
        (self == Self::Product).then_some((2 * M * K * N) as f64)
    }

    pub fn inputs(self) -> Result<Vec<Vec<f32>>> {
        // Of deviation 1.
        let normal = |seed, len| LecunNormal::new(1).seed(seed).values(len);
        Ok(match self {
            Self::LecunNormal => vec![],
            Self::Chain | Self::Small => vec![normal(1, SMALL)?],
            Self::Product => vec![normal(1, M * K)?, normal(2, K * N)?],
            Self::Step => {
                let words: Vec<u32> =
                    selfnorm::random::words(1, 0, 0..(BATCH * SIDE * SIDE) as u64).collect();
                let pixels = words.iter().map(|word| (word >> 24) as f32 / 255.0);
                let one_hot = words[..BATCH].iter().flat_map(|word| {
                    (0..CLASSES).map(move |class| f32::from(*word as usize % CLASSES == class))
                });
                let kernel = |seed, fan_in, fan_out| {
                    LecunNormal::new(fan_in).seed(seed).values(fan_in * fan_out)
                };
                vec![
                    pixels.collect(),
                    one_hot.collect(),
                    kernel(2, 3 * 3, FILTERS)?,
                    kernel(3, POSITIONS * FILTERS, UNITS)?,
                    kernel(4, UNITS, CLASSES)?,
                ]
            }
            _ => {
                let x = normal(1, LARGE)?;
                let dy = x.iter().rev().copied().collect();
                vec![x, dy]
            }
        })
    }

    /// What must come out, computed in f64; nothing for the network, whose masks are each contestant's
    /// own.
    pub fn expected(self, inputs: &[Vec<f32>]) -> Result<Option<Expected>> {
        let map = |f: &dyn Fn(f64) -> f64| inputs[0].iter().map(|x| f((*x).into())).collect();
        let gradient = |slope: &dyn Fn(f64) -> f64| {
            let pairs = inputs[0].iter().zip(&inputs[1]);
            pairs
                .map(|(x, dy)| slope((*x).into()) * f64::from(*dy))
                .collect()
        };
        Ok(Some(match self {
            Self::Selu | Self::Small => Expected::element_wise(map(&selu)),
            Self::SeluBackward => {
                Expected::element_wise(gradient(&|x| slope(x, SCALE, SCALE * ALPHA)))
            }
            Self::Elu => Expected::element_wise(map(&|x| if x > 0.0 { x } else { x.exp_m1() })),
            Self::EluBackward => Expected::element_wise(gradient(&|x| slope(x, 1.0, 1.0))),
            Self::Chain => Expected::Values {
                values: map(&|x| (0..CHAINED).fold(x, |x, _| selu(x))),
                // Each adds its own.
                absolute: CHAINED as f64 * ELEMENT_WISE,
                relative: CHAINED as f64 * ELEMENT_WISE,
            },
            Self::Product => Expected::Values {
                values: product(&inputs[0], &inputs[1]),
                // Partial sums are below 4 √K = 256, so √K roundings come to 2⁻¹⁰; four times that for
                // chance. Factors of fewer bits, TF32 or f16, give several times more.
                absolute: 4.0 * 2f64.powi(-10),
                relative: 0.0,
            },
            Self::AlphaDropout => {
                let (a, b) = AlphaDropout::new(RATE).coefficients()?;
                Expected::Distribution {
                    deviation: 1.0,
                    dropped: Some(b - a * SCALE * ALPHA),
                }
            }
            Self::LecunNormal => Expected::Distribution {
                deviation: (FAN_IN as f64).sqrt().recip(),
                dropped: None,
            },
            Self::Step => return Ok(None),
        }))
    }
}

fn selu(x: f64) -> f64 {
    SCALE * if x > 0.0 { x } else { ALPHA * x.exp_m1() }
}

fn slope(x: f64, positive: f64, negative: f64) -> f64 {
    if x > 0.0 {
        positive
    } else {
        negative * x.exp()
    }
}

fn product(x: &[f32], w: &[f32]) -> Vec<f64> {
    let mut y = vec![0.0; M * N];
    for (x, y) in x.chunks(K).zip(y.chunks_mut(N)) {
        for (x, w) in x.iter().zip(w.chunks(N)) {
            for (y, w) in y.iter_mut().zip(w) {
                *y += f64::from(*x) * f64::from(*w);
            }
        }
    }
    y
}

/// Most compute eˣ − 1 as it is written: off by some units in the last place of 1.
const ELEMENT_WISE: f64 = 8.0 * f32::EPSILON as f64;

pub enum Expected {
    /// Each value y within `absolute` + `relative` |y|.
    Values {
        values: Vec<f64>,
        absolute: f64,
        relative: f64,
    },
    /// Mean 0, and this deviation; with the value of what is dropped, as much of it as there should be.
    Distribution {
        deviation: f64,
        dropped: Option<f64>,
    },
}

impl Expected {
    fn element_wise(values: Vec<f64>) -> Self {
        Self::Values {
            values,
            absolute: ELEMENT_WISE,
            relative: ELEMENT_WISE,
        }
    }

    /// Losses like these. The weights are the same, the masks are not.
    pub fn losses(losses: &[f32]) -> Self {
        Self::Values {
            values: losses.iter().map(|loss| f64::from(*loss)).collect(),
            absolute: 0.0,
            relative: 0.25,
        }
    }

    /// An error that says what differs.
    pub fn check(&self, output: &[f32]) -> Result<()> {
        match self {
            Self::Values {
                values,
                absolute,
                relative,
            } => {
                equal(output.len() as f64, values.len() as f64, 0.0, "length")?;
                for (output, value) in output.iter().zip(values) {
                    let bound = absolute + relative * value.abs();
                    equal((*output).into(), *value, bound, "value")?;
                }
            }
            Self::Distribution { deviation, dropped } => {
                equal(output.len() as f64, LARGE as f64, 0.0, "length")?;
                let n = LARGE as f64;
                let error = STANDARD_ERRORS / n.sqrt();
                let mean = output.iter().map(|y| f64::from(*y)).sum::<f64>() / n;
                let squares = output.iter().map(|y| (f64::from(*y) - mean).powi(2));
                equal(mean, 0.0, error * deviation, "mean")?;
                let found = (squares.sum::<f64>() / n).sqrt();
                equal(found, *deviation, error * deviation, "deviation")?;
                if let Some(dropped) = dropped {
                    let near = |y: &&f32| (f64::from(**y) - dropped).abs() < 4.0 * ELEMENT_WISE;
                    let kept = 1.0 - output.iter().filter(near).count() as f64 / n;
                    let error = error * (RATE * (1.0 - RATE)).sqrt();
                    equal(kept, 1.0 - RATE, error, "kept fraction")?;
                }
            }
        }
        Ok(())
    }
}

fn equal(found: f64, expected: f64, bound: f64, what: &str) -> Result<()> {
    // A NaN is not within any bound.
    if (found - expected).abs() <= bound {
        return Ok(());
    }
    Err(format!("differs: {what} {found}, not {expected}").into())
}
