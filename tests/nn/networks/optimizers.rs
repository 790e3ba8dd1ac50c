//! Steps of the optimizers against their formulas.

use super::{blobs, dataset, real};
use crate::common::gpu;
use crate::common::reference::normal;
use selfnorm::nn::Activation::Softmax;
use selfnorm::nn::{Adam, Dataset, Dense, Fit, Loss, Optimizer, Sequential, Sgd};

/// A linear network and its optimizer in f64: w [4, 3], b [3], and a mean squared error.
struct Host {
    w: Vec<f64>,
    /// momentum, or Adam's m; Adam's v
    slots: [Vec<f64>; 2],
    step: i32,
}

const BATCH: usize = 5;

impl Host {
    fn step(&mut self, optimizer: Optimizer, x: &[f64], t: &[f64]) {
        let mut gradient = vec![0.0; 15];
        for sample in 0..BATCH {
            for j in 0..3 {
                let sum: f64 = (0..4).map(|i| x[sample * 4 + i] * self.w[i * 3 + j]).sum();
                let dy = 2.0 * (sum + self.w[12 + j] - t[sample * 3 + j]) / (3 * BATCH) as f64;
                for i in 0..4 {
                    gradient[i * 3 + j] += x[sample * 4 + i] * dy;
                }
                gradient[12 + j] += dy;
            }
        }
        self.step += 1;
        let [m, v] = &mut self.slots;
        for (i, g) in gradient.into_iter().enumerate() {
            match optimizer {
                Optimizer::Sgd(Sgd {
                    learning_rate: rate,
                    momentum,
                    nesterov,
                    ..
                }) => {
                    m[i] = momentum * m[i] - rate * g;
                    self.w[i] += if nesterov {
                        momentum * m[i] - rate * g
                    } else {
                        m[i]
                    };
                }
                Optimizer::Adam(adam) => {
                    m[i] = adam.beta_1 * m[i] + (1.0 - adam.beta_1) * g;
                    v[i] = adam.beta_2 * v[i] + (1.0 - adam.beta_2) * g * g;
                    let unbiased = (1.0 - adam.beta_2.powi(self.step)).sqrt()
                        / (1.0 - adam.beta_1.powi(self.step));
                    self.w[i] -=
                        adam.learning_rate * unbiased * m[i] / (v[i].sqrt() + adam.epsilon);
                }
                _ => unreachable!(),
            }
        }
    }
}

/// Steps of these optimizers, one fit each.
fn check_optimizers(optimizers: &[Optimizer]) {
    let initial = normal(15, 1, 1);
    let dense = Dense::new(3).weights(&initial[..12], &initial[12..]);
    let mut model = Sequential::new([4]).add(dense).build(gpu(), 1).unwrap();
    let zeros = || vec![0.0; 15];
    let mut host = Host {
        w: real(&initial),
        slots: [zeros(), zeros()],
        step: 0,
    };
    for (i, &optimizer) in optimizers.iter().enumerate() {
        let x = normal(BATCH * 4, 2, i as u64);
        let t = normal(BATCH * 3, 3, i as u64);
        let data = Dataset::from_floats(gpu(), &x, [4]).unwrap();
        let data = data.targets(&t, [3]).unwrap();
        model
            .fit(&data, &Fit::new(optimizer).batch_size(BATCH))
            .unwrap();
        host.step(optimizer, &real(&x), &real(&t));
        let weights = model.weights().unwrap();
        let weights: Vec<_> = weights
            .iter()
            .flat_map(|(_, w)| w.to_vec().unwrap())
            .collect();
        for (j, (actual, expected)) in weights.iter().zip(&host.w).enumerate() {
            let error = (f64::from(*actual) - expected).abs();
            // Weights of size one are rounded in each step, and the gradient's error of 1e-6 times its
            // size times the rate: 0.1 at most, but for Adam, whose steps are of the rate's size.
            assert!(
                error <= 1e-6,
                "weight {j} after step {}: {actual}, not {expected}; {optimizers:?}",
                i + 1
            );
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn optimizers_are_their_formulas() {
    let all = [
        Adam::default().into(),
        Adam {
            learning_rate: 0.05,
            beta_1: 0.8,
            beta_2: 0.95,
            epsilon: 1e-3,
        }
        .into(),
        Adam {
            beta_1: 0.0,
            ..Adam::new(0.01)
        }
        .into(),
        Sgd::default().into(),
        Sgd::new(0.1).momentum(0.9).into(),
        Sgd::new(0.1).momentum(0.9).nesterov(true).into(),
        // Without momentum there is nothing to look ahead with.
        Sgd::new(0.1).nesterov(true).into(),
    ];
    for optimizer in all {
        check_optimizers(&[optimizer; 8]);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn another_rate_keeps_the_moments() {
    let adam = Adam::new(0.01);
    let slower = Adam {
        learning_rate: 0.001,
        beta_1: 0.8,
        ..adam
    };
    check_optimizers(&[adam, adam, adam, slower, slower, adam].map(Optimizer::from));
    let sgd = Sgd::new(0.1).momentum(0.9);
    let slower = Sgd::new(0.01).momentum(0.5).nesterov(true);
    check_optimizers(&[sgd, sgd, slower, slower, sgd].map(Optimizer::from));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn momentum_that_comes_later_counts_from_then_on() {
    let (plain, momentum) = (Sgd::new(0.1), Sgd::new(0.1).momentum(0.9));
    // What plain steps leave behind is no velocity.
    let initial = normal(15, 1, 1);
    let dense = Dense::new(3).weights(&initial[..12], &initial[12..]);
    let mut model = Sequential::new([4]).add(dense).build(gpu(), 1).unwrap();
    let x = normal(BATCH * 4, 2, 0);
    let t = normal(BATCH * 3, 3, 0);
    let data = Dataset::from_floats(gpu(), &x, [4])
        .unwrap()
        .targets(&t, [3])
        .unwrap();
    let mut fit = |optimizer: Sgd| {
        model
            .fit(&data, &Fit::new(optimizer).batch_size(BATCH))
            .unwrap();
        let weights = model.weights().unwrap();
        weights
            .iter()
            .flat_map(|(_, w)| real(&w.to_vec().unwrap()))
            .collect::<Vec<_>>()
    };
    let weights = [fit(plain), fit(plain), fit(momentum), fit(momentum)];
    let moved = |i: usize| weights[i][0] - weights[i - 1][0];
    // velocity₂ = 0.9 velocity₁ − η g, and g shrinks slowly here.
    assert!(moved(3) / moved(2) > 1.3, "{} after {}", moved(3), moved(2));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn another_loss_learning_rate_or_optimizer_goes_on_with_the_count_of_steps() {
    let (x, labels) = blobs(8, 4, 3);
    let data = dataset(&x, &labels, [4]);
    let mut model = Sequential::new([4])
        .add(Dense::new(3).activation(Softmax))
        .build(gpu(), 5)
        .unwrap();
    let mut steps_after = |fit: Fit| {
        model.fit(&data, &fit).unwrap();
        model.step()
    };
    assert_eq!(steps_after(Fit::new(Adam::default())), 1);
    assert_eq!(
        steps_after(Fit::new(Adam::default()).loss(Loss::MeanSquaredError)),
        2
    );
    assert_eq!(steps_after(Fit::new(Adam::new(0.1))), 3);
    assert_eq!(steps_after(Fit::new(Sgd::new(0.1))), 4);
    assert_eq!(steps_after(Fit::new(Sgd::new(0.1).momentum(0.9))), 5);
}
