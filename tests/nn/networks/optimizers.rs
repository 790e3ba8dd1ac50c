//! Steps of the optimizers against their formulas, and against Keras's.

use super::{blobs, dataset, real, weight_bits};
use crate::common::reference::normal;
use crate::common::{golden, gpu, smallest_gpu};
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AdamW, CosineDecay, Dataset, Dense, ExponentialDecay, Fit, LearningRate, Loss, Optimizer,
    PiecewiseConstantDecay, Sequential, Sgd,
};
use selfnorm::{Error, Gpu};

/// A linear network and its optimizer in f64: w [4, 3], b [3], and a mean squared error.
struct Host {
    w: Vec<f64>,
    /// momentum, or Adam's m; Adam's v
    slots: [Vec<f64>; 2],
    step: u64,
}

const BATCH: usize = 5;

/// What a gradient is multiplied by, so that its norm is at most `limit`.
fn clipping(gradient: &[f64], limit: f64) -> f64 {
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    (limit / norm).min(1.0)
}

/// The gradient as the options of the optimizer clip it; its variables are w and b.
fn clipped(mut gradient: Vec<f64>, options: [Option<f64>; 3]) -> Vec<f64> {
    let [clipnorm, global_clipnorm, clipvalue] = options;
    if let Some(limit) = clipnorm {
        let (w, b) = gradient.split_at_mut(12);
        for part in [w, b] {
            let factor = clipping(part, limit);
            part.iter_mut().for_each(|g| *g *= factor);
        }
    }
    if let Some(limit) = global_clipnorm {
        let factor = clipping(&gradient, limit);
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
    if let Some(limit) = clipvalue {
        gradient
            .iter_mut()
            .for_each(|g| *g = g.clamp(-limit, limit));
    }
    gradient
}

impl Host {
    fn step(&mut self, optimizer: &Optimizer, x: &[f64], t: &[f64]) {
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
        let (decay, options) = match optimizer {
            Optimizer::Adam(o) => (o.weight_decay, [o.clipnorm, o.global_clipnorm, o.clipvalue]),
            Optimizer::Sgd(o) => (o.weight_decay, [o.clipnorm, o.global_clipnorm, o.clipvalue]),
            _ => unreachable!(),
        };
        let rate = optimizer.learning_rate().at(self.step);
        self.step += 1;
        let t = self.step as f64;
        let [m, v] = &mut self.slots;
        for (i, g) in clipped(gradient, options).into_iter().enumerate() {
            self.w[i] -= self.w[i] * decay * rate;
            match optimizer {
                Optimizer::Sgd(Sgd {
                    momentum, nesterov, ..
                }) => {
                    m[i] = momentum * m[i] - rate * g;
                    self.w[i] += if *nesterov {
                        momentum * m[i] - rate * g
                    } else {
                        m[i]
                    };
                }
                Optimizer::Adam(adam) => {
                    m[i] = adam.beta_1 * m[i] + (1.0 - adam.beta_1) * g;
                    v[i] = adam.beta_2 * v[i] + (1.0 - adam.beta_2) * g * g;
                    let unbiased = (1.0 - adam.beta_2.powf(t)).sqrt() / (1.0 - adam.beta_1.powf(t));
                    self.w[i] -= rate * unbiased * m[i] / (v[i].sqrt() + adam.epsilon);
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
    for (i, optimizer) in optimizers.iter().enumerate() {
        let x = normal(BATCH * 4, 2, i as u64);
        let t = normal(BATCH * 3, 3, i as u64);
        let data = Dataset::from_floats(gpu(), &x, [4]).unwrap();
        let data = data.targets(&t, [3]).unwrap();
        model
            .fit(&data, &Fit::new(optimizer.clone()).batch_size(BATCH))
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
            beta_1: 0.8,
            beta_2: 0.95,
            epsilon: 1e-3,
            ..Adam::new(0.05)
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
        AdamW::default().into(),
        AdamW::new(0.01).weight_decay(2.0).into(),
        Sgd::new(0.1).weight_decay(0.5).into(),
        Sgd::new(0.1).momentum(0.9).weight_decay(0.5).into(),
        Sgd::new(0.1)
            .momentum(0.9)
            .nesterov(true)
            .weight_decay(0.5)
            .into(),
        // The norms of the gradients are 0.5 to 3 here.
        Sgd::new(0.1).clipnorm(0.6).into(),
        Sgd::new(0.1).global_clipnorm(1.2).into(),
        Sgd::new(0.1).clipvalue(0.2).into(),
        Adam::new(0.01).clipnorm(0.6).weight_decay(0.1).into(),
        Adam::new(0.01).global_clipnorm(1.2).into(),
        Adam::new(0.01).clipvalue(0.2).into(),
        Sgd::new(ExponentialDecay::new(0.1, 3, 0.5)).into(),
        AdamW::new(CosineDecay::new(0.001, 4).warmup(0.05, 3))
            .weight_decay(2.0)
            .into(),
        Sgd::new(PiecewiseConstantDecay::new([1, 4], [0.1, 0.02, 0.05]))
            .momentum(0.5)
            .into(),
        Sgd::new(LearningRate::custom(|step| 0.1 / (1 + step) as f64)).into(),
    ];
    for optimizer in all {
        check_optimizers(&vec![optimizer; 8]);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn another_rate_keeps_the_moments() {
    let adam = Adam::new(0.01);
    let slower = Adam {
        beta_1: 0.8,
        ..Adam::new(0.001)
    };
    check_optimizers(&[&adam, &adam, &adam, &slower, &slower, &adam].map(|a| a.clone().into()));
    let sgd = Sgd::new(0.1).momentum(0.9);
    let slower = Sgd::new(0.01).momentum(0.5).nesterov(true);
    check_optimizers(&[&sgd, &sgd, &slower, &slower, &sgd].map(|s| s.clone().into()));
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
    let weights = [&plain, &plain, &momentum, &momentum].map(|sgd| fit(sgd.clone()));
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

/// The schedules of the file, with its parameters.
fn schedules() -> Vec<(&'static str, LearningRate)> {
    let exponential = ExponentialDecay::new(0.1, 4, 0.5);
    let warmup = CosineDecay::new(0.01, 5).alpha(0.05).warmup(0.1, 3);
    vec![
        ("exponential_decay", exponential.into()),
        (
            "exponential_decay_staircase",
            exponential.staircase(true).into(),
        ),
        ("cosine_decay", CosineDecay::new(0.1, 8).alpha(0.1).into()),
        ("cosine_decay_warmup", warmup.into()),
        (
            "piecewise_constant_decay",
            PiecewiseConstantDecay::new([2, 5], [0.1, 0.05, 0.01]).into(),
        ),
    ]
}

#[test]
fn learning_rates_are_keras_s() {
    let file = golden("optimizers");
    for (name, schedule) in schedules() {
        let expected = file.f64(&format!("rates.{name}"));
        // From before the first boundary to behind the last.
        assert_eq!(expected.len(), 12);
        for (step, expected) in expected.into_iter().enumerate() {
            let error = (schedule.at(step as u64) - expected).abs();
            // An f64 that was rounded a few times.
            assert!(error <= 1e-15 * expected, "{name}, step {step}: {error:e}");
        }
    }
}

/// Ten steps on other data each, from the same weights.
fn check_keras(gpu: &Gpu, name: &str, optimizer: Optimizer) {
    let file = golden("optimizers");
    let mut model = Sequential::new([5])
        .add(Dense::new(7).activation(Selu))
        .add(Dense::new(3).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    model
        .compile(optimizer, Loss::CategoricalCrossentropy)
        .unwrap();
    let mut weights = model.weights().unwrap();
    for (i, (_, weight)) in weights.iter_mut().enumerate() {
        let values = file.f32(&format!("init.{i}"));
        *weight = gpu.tensor(&values, weight.shape()).unwrap();
    }
    model.set_weights(&weights).unwrap();
    let (x, y) = (file.f32("x"), file.f32("y"));
    for (x, y) in x.chunks(6 * 5).zip(y.chunks(6 * 3)) {
        let x = gpu.tensor(x, [6, 5]).unwrap();
        let y = gpu.tensor(y, [6, 3]).unwrap();
        model.train_on_batch(&x, &y).unwrap();
    }
    assert_eq!(model.step(), 10);
    for (i, (weight, tensor)) in model.weights().unwrap().iter().enumerate() {
        let expected = file.f64(&format!("{name}.{i}"));
        for (actual, expected) in tensor.to_vec().unwrap().iter().zip(expected) {
            let error = (f64::from(*actual) - expected).abs();
            // The bound of the documentation, as in golden_networks.rs.
            assert!(error <= 1e-5, "{name}, {weight}: {actual}, not {expected}");
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ten_steps_of_every_optimizer_and_option_are_keras_s() {
    let momentum = || Sgd::new(0.1).momentum(0.9);
    let warmup = || schedules().swap_remove(3).1;
    let mut cases: Vec<(String, Optimizer)> = [
        ("adam", Adam::default().into()),
        ("adamw", AdamW::default().into()),
        ("adamw_decay", AdamW::new(0.01).weight_decay(0.3).into()),
        (
            "adam_weight_decay",
            Adam::new(0.01).weight_decay(0.1).into(),
        ),
        ("sgd_momentum", momentum().into()),
        ("sgd_nesterov", momentum().nesterov(true).into()),
        ("sgd_weight_decay", momentum().weight_decay(0.1).into()),
        ("sgd_clipnorm", Sgd::new(0.1).clipnorm(0.3).into()),
        (
            "sgd_global_clipnorm",
            Sgd::new(0.1).global_clipnorm(1.6).into(),
        ),
        ("sgd_clipvalue", Sgd::new(0.1).clipvalue(0.1).into()),
        ("adam_clipnorm", Adam::new(0.01).clipnorm(0.3).into()),
        (
            "adam_global_clipnorm",
            Adam::new(0.01).global_clipnorm(1.6).into(),
        ),
        ("adam_clipvalue", Adam::new(0.01).clipvalue(0.1).into()),
        ("adam_cosine_decay_warmup", Adam::new(warmup()).into()),
        (
            "all_at_once",
            Sgd::new(warmup())
                .momentum(0.8)
                .nesterov(true)
                .weight_decay(0.1)
                .global_clipnorm(1.6)
                .into(),
        ),
    ]
    .map(|(name, optimizer)| (name.to_owned(), optimizer))
    .into();
    for (name, schedule) in schedules() {
        cases.push((format!("sgd_{name}"), Sgd::new(schedule).into()));
    }
    for (name, optimizer) in cases {
        check_keras(gpu(), &name, optimizer);
    }
}

/// Parameters in uniform buffers.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ten_steps_with_clipped_gradients_on_a_device_with_webgpu_s_defaults_are_keras_s() {
    let gpu = smallest_gpu();
    check_keras(&gpu, "sgd_clipnorm", Sgd::new(0.1).clipnorm(0.3).into());
    let adam = Adam::new(0.01).global_clipnorm(1.6);
    check_keras(&gpu, "adam_global_clipnorm", adam.into());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_rate_that_is_no_rate_is_an_error_after_the_steps_before_it() {
    let (x, labels) = blobs(32, 4, 3);
    let data = dataset(&x, &labels, [4]);
    for wrong in [f64::NAN, f64::INFINITY, -0.1, 1e39] {
        let network = Sequential::new([4]).add(Dense::new(3).activation(Softmax));
        let mut model = network.build(gpu(), 5).unwrap();
        let rate = LearningRate::custom(move |step| if step == 3 { wrong } else { 0.1 });
        let fit = |rate| Fit::new(Sgd::new(rate)).batch_size(8);
        let error = model.fit(&data, &fit(rate));
        let detail = format!(
            "the learning rate (custom) of the optimizer's step 4 is {wrong:?}, must be at least 0, and a finite f32"
        );
        assert_eq!(error, Err(Error::Data { op: "sgd", detail }));
        // As one that is stopped there.
        let mut stopped = network.build(gpu(), 5).unwrap();
        let mut run = stopped.train(&data, &fit(0.1.into())).unwrap();
        for _ in 0..3 {
            pollster::block_on(run.next()).unwrap().unwrap();
        }
        drop(run);
        assert_eq!(model.step(), 3);
        assert_eq!(weight_bits(&model), weight_bits(&stopped));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_holds_the_learning_rate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let x = gpu().tensor(&normal(20, 1, 0), [5, 4]).unwrap();
    let y = gpu().tensor(&normal(15, 2, 0), [5, 3]).unwrap();
    let build = |optimizer: Optimizer| {
        let mut model = Sequential::new([4])
            .add(Dense::new(3))
            .build(gpu(), 5)
            .unwrap();
        model.compile(optimizer, Loss::MeanSquaredError).unwrap();
        model
    };
    let train = |model: &mut Sequential| {
        for _ in 0..3 {
            model.train_on_batch(&x, &y).unwrap();
        }
    };
    let step_rate = || LearningRate::custom(|step| 0.1 / (1 + step) as f64);
    let cases: Vec<(Optimizer, Optimizer)> = vec![
        (
            Adam::new(ExponentialDecay::new(0.1, 3, 0.7)).into(),
            Adam::default().into(),
        ),
        (
            Sgd::new(0.1).momentum(0.9).clipvalue(0.3).into(),
            Sgd::new(0.3).momentum(0.1).nesterov(true).into(),
        ),
        (Sgd::new(step_rate()).into(), Sgd::new(step_rate()).into()),
    ];
    for (optimizer, other) in cases {
        let mut whole = build(optimizer);
        train(&mut whole);
        whole.save_checkpoint(&path).unwrap();
        let mut loaded = build(other);
        loaded.load_checkpoint(&path).unwrap();
        train(&mut whole);
        train(&mut loaded);
        assert_eq!(weight_bits(&loaded), weight_bits(&whole));
    }
    // The last one's rate is a function.
    let error = build(Sgd::default().into()).load_checkpoint(&path);
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("compile the network with one"), "{error}");
}
