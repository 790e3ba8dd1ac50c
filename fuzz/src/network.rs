//! A network that loads files. What it refuses must leave it as it was, what it takes must be it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use selfnorm::nn::{
    Activation, AlphaDropout, BatchNormalization, Conv2d, Dense, Flatten, Sequential,
    SequentialBuilder,
};
use selfnorm::{Error, Gpu};
use serde_json::Value;

use crate::scratch;

/// The state is read from the GPU when something could have changed it, and every so many inputs.
const INTERVAL: u32 = 64;

#[derive(Debug, PartialEq)]
struct Contents {
    /// By their bits.
    tensors: BTreeMap<String, Vec<u32>>,
    metadata: HashMap<String, String>,
}

impl Contents {
    fn of(file: &[u8]) -> Self {
        let tensors = SafeTensors::deserialize(file).expect("the file was loaded, or saved");
        let (_, metadata) = SafeTensors::read_metadata(file).expect("the same");
        Self {
            tensors: (tensors.iter())
                .map(|(name, tensor)| (name.into(), bits(tensor.dtype(), tensor.data())))
                .collect(),
            metadata: metadata.metadata().clone().unwrap_or_default(),
        }
    }

    /// What was saved, after this was loaded, is it: with other ways to write a number, without moments that are all
    /// zeros, and for weights alone, without what else there was.
    fn assert_in(&self, saved: &Self, kind: Kind) {
        for (name, loaded) in &self.tensors {
            match saved.tensors.get(name) {
                Some(saved) => {
                    // Another type's NaN may become any.
                    let is_same = |(&saved, &loaded): (&u32, &u32)| {
                        let is_nan = |bits| f32::from_bits(bits).is_nan();
                        saved == loaded || is_nan(saved) && is_nan(loaded)
                    };
                    assert_eq!(saved.len(), loaded.len(), "{name}");
                    assert!(saved.iter().zip(loaded).all(is_same), "{name}");
                }
                None => assert!(
                    name.matches('/').count() == 3 && loaded.iter().all(|&bits| bits == 0),
                    "{name}"
                ),
            }
        }
        assert!(
            saved
                .tensors
                .keys()
                .all(|name| self.tensors.contains_key(name))
        );
        let is_ours = self.metadata.contains_key("model_config");
        for (name, loaded) in &self.metadata {
            let saved = saved.metadata.get(name);
            match name.as_str() {
                // It may have left out much.
                "model_config" => {}
                "seed" | "step" | "epoch" | "optimized_from" | "optimizer" | "loss"
                    if kind == Kind::Weights => {}
                "seed" | "step" | "epoch" | "optimized_from" => {
                    let saved = saved.expect("a count");
                    assert_eq!(saved.parse::<u64>(), loaded.parse::<u64>());
                }
                "optimizer" => {
                    let [saved, loaded] = [saved.expect("an optimizer"), loaded].map(|text| {
                        let json = serde_json::from_str(text).expect("it was read");
                        as_floats(json)
                    });
                    assert_eq!(saved, loaded);
                }
                "loss" => assert_eq!(words(saved.expect("a loss")), words(loaded)),
                _ => assert!(!is_ours || saved == Some(loaded), "{name}"),
            }
        }
    }
}

/// As f32s, of which a network consists.
fn bits(dtype: Dtype, data: &[u8]) -> Vec<u32> {
    fn all<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<u32> {
        let values = data.as_chunks().0.iter();
        values.map(|&bytes| value(bytes).to_bits()).collect()
    }
    match dtype {
        Dtype::F16 => all(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => all(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => all(data, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => all(data, f32::from_le_bytes),
    }
}

fn words(text: &str) -> Vec<Result<f64, &str>> {
    text.split(' ')
        .map(|word| word.parse().map_err(|_| word))
        .collect()
}

/// With 1.0 for 1.
fn as_floats(json: Value) -> Value {
    match json {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.into_iter().map(as_floats).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(name, value)| (name, as_floats(value)))
            .collect(),
        json => json,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Weights,
    Checkpoint,
    Model,
}

pub struct Network {
    gpu: Gpu,
    model: Sequential,
    kind: Kind,
    input: PathBuf,
    state: Contents,
    unread: u32,
}

impl Network {
    pub fn new(kind: Kind) -> Self {
        let gpu = Gpu::new().unwrap_or_else(|error| panic!("{error}"));
        let model = build(&gpu, kind);
        let mut new = Self {
            gpu,
            model,
            kind,
            input: scratch("input"),
            state: Contents {
                tensors: BTreeMap::new(),
                metadata: HashMap::new(),
            },
            unread: 0,
        };
        new.state = new.read();
        new
    }

    /// The file that it saves now.
    pub fn saved(&self) -> Vec<u8> {
        let path = scratch("state");
        let result = match self.kind {
            Kind::Weights => self.model.save(&path),
            Kind::Checkpoint | Kind::Model => self.model.save_checkpoint(&path),
        };
        result.expect("to be saved");
        std::fs::read(path).expect("what was saved")
    }

    fn read(&self) -> Contents {
        Contents::of(&self.saved())
    }

    fn open(&mut self, path: &Path) -> Result<(), Error> {
        match self.kind {
            Kind::Weights => self.model.load(path),
            Kind::Checkpoint => self.model.load_checkpoint(path),
            Kind::Model => {
                self.model = Sequential::open(&self.gpu, path)?;
                Ok(())
            }
        }
    }

    pub fn load(&mut self, file: &[u8]) {
        std::fs::write(&self.input, file).expect("to write the input");
        match self.open(&self.input.clone()) {
            Ok(()) => {
                self.state = self.read();
                Contents::of(file).assert_in(&self.state, self.kind);
                // What it has saved is what it loads.
                self.open(&scratch("state")).expect("its own file");
                self.compare();
                self.compare_predictions();
                // Strings of all files would add up.
                if self.kind != Kind::Model && !self.model.metadata().is_empty() {
                    self.model = build(&self.gpu, self.kind);
                    self.state = self.read();
                }
            }
            Err(Error::File { path, detail }) => {
                assert_eq!(path, self.input.display().to_string());
                self.unread += 1;
                let is_read = !detail.starts_with("not a safetensors file: ");
                if is_read || self.unread == INTERVAL {
                    self.compare();
                }
            }
            // Of a network that is opened, it is the file that says how much.
            Err(Error::TooLarge { .. }) if self.kind == Kind::Model => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn compare(&mut self) {
        assert_eq!(self.read(), self.state);
        self.unread = 0;
    }

    /// A file that is opened predicts what the network does that has loaded it, or it was another function's.
    fn compare_predictions(&self) {
        let Ok(opened) = Sequential::open(&self.gpu, &self.input) else {
            return;
        };
        let predicted = |model: &Sequential| {
            let x = self.gpu.tensor(&[0.5, -0.75], [1, 2])?;
            model.predict(&x)?.to_vec()
        };
        let (Ok(opened), Ok(loaded)) = (predicted(&opened), predicted(&self.model)) else {
            return;
        };
        for (opened, loaded) in opened.into_iter().zip(loaded) {
            let is_same = (opened - loaded).abs() <= 1e-5 * loaded.abs().max(1.0);
            // Of infinities the order of a sum makes NaN.
            assert!(
                is_same || !opened.is_finite() || !loaded.is_finite(),
                "{opened}, {loaded}"
            );
        }
    }
}

/// A network whose weights are in another order in PyTorch.
pub fn torch() -> SequentialBuilder {
    Sequential::new([2, 3, 2])
        .add(Conv2d::new(4, [1, 2]))
        .add(BatchNormalization::new())
        .add(Flatten::new())
        .add(Dense::new(6))
        .add(Dense::new(3))
}

fn build(gpu: &Gpu, kind: Kind) -> Sequential {
    let network = Sequential::new([2]).add(Dense::new(3).activation(Activation::Selu));
    let network = match kind {
        Kind::Weights => network.add(Dense::new(2)),
        Kind::Checkpoint => network,
        Kind::Model => network
            .add(AlphaDropout::new(0.5).noise_shape([None, Some(1)]))
            .add(Activation::LeakyRelu(0.5)),
    };
    let mut model = network.build(gpu, 1).expect("a small network");
    if kind != Kind::Weights {
        // A step makes moments.
        let halves = |len| gpu.tensor(&[0.5; 3][..len], [1, len]).expect("a few");
        let step = model.train_on_batch(&halves(2), &halves(3));
        step.expect("a step");
    }
    if kind == Kind::Model {
        model.set_metadata("classes", "a").expect("a key of ours");
    }
    model
}
