//! A network that loads files. What it refuses must leave it as it was, what it takes must be it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use selfnorm::nn::{Activation, AlphaDropout, Dense, Sequential};
use selfnorm::{Error, Gpu};
use serde_json::Value;

use crate::scratch;

/// The state is read from the GPU when something could have changed it, and every so many inputs.
const INTERVAL: u32 = 64;

#[derive(Debug, PartialEq)]
struct Contents {
    tensors: BTreeMap<String, Vec<u8>>,
    metadata: HashMap<String, String>,
}

impl Contents {
    fn of(file: &[u8]) -> Self {
        let tensors = SafeTensors::deserialize(file).expect("the file was loaded, or saved");
        let (_, metadata) = SafeTensors::read_metadata(file).expect("the same");
        Self {
            tensors: (tensors.iter())
                .map(|(name, tensor)| (name.into(), tensor.data().into()))
                .collect(),
            metadata: metadata.metadata().clone().unwrap_or_default(),
        }
    }

    /// What was saved is what was loaded, which may have more entries, other ways to write a number, and
    /// no moments where a checkpoint has zeros.
    fn assert_is(&self, loaded: &Self) {
        for (name, saved) in &self.tensors {
            match loaded.tensors.get(name) {
                Some(loaded) => assert_eq!(saved, loaded, "{name}"),
                None => assert!(
                    name.starts_with("adam/") && saved.iter().all(|&byte| byte == 0),
                    "{name}"
                ),
            }
        }
        assert!(
            loaded
                .tensors
                .keys()
                .all(|name| self.tensors.contains_key(name))
        );
        for (name, saved) in &self.metadata {
            let [saved, loaded] = [saved, &loaded.metadata[name]];
            match name.as_str() {
                // It may have left out much.
                "model_config" => {}
                "optimizer" => {
                    let [saved, loaded] = [saved, loaded].map(|text| {
                        let json = serde_json::from_str(text).expect("it was read");
                        as_floats(json)
                    });
                    assert_eq!(saved, loaded);
                }
                "loss" => assert_eq!(words(saved), words(loaded)),
                _ => assert_eq!(saved.parse::<u64>(), loaded.parse::<u64>()),
            }
        }
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
    model: Sequential,
    kind: Kind,
    input: PathBuf,
    state: Contents,
    unread: u32,
}

impl Network {
    pub fn new(kind: Kind) -> Self {
        let gpu = Gpu::new().unwrap_or_else(|error| panic!("{error}"));
        let network = Sequential::new([2]).add(Dense::new(3));
        let network = match kind {
            Kind::Weights => network.add(Dense::new(2)),
            Kind::Checkpoint => network,
            Kind::Model => network
                .add(AlphaDropout::new(0.5).noise_shape([None, Some(1)]))
                .add(Activation::LeakyRelu(0.5)),
        };
        let mut new = Self {
            model: network.build(&gpu, 1).expect("a small network"),
            kind,
            input: scratch("input"),
            state: Contents {
                tensors: BTreeMap::new(),
                metadata: HashMap::new(),
            },
            unread: 0,
        };
        if kind == Kind::Model {
            // A step that changes nothing makes moments.
            let zeros = |len| gpu.tensor(&[0.0; 3][..len], [1, len]).expect("a few");
            let step = new.model.train_on_batch(&zeros(2), &zeros(3));
            step.expect("a step");
        }
        new.state = new.read();
        new
    }

    /// The file that it saves now.
    pub fn saved(&self) -> Vec<u8> {
        let path = scratch("state");
        let result = match self.kind {
            Kind::Weights => self.model.save(&path),
            Kind::Checkpoint => self.model.save_checkpoint(&path),
            Kind::Model => self.model.save_model(&path),
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
                self.model = Sequential::load_model(self.model.gpu(), path)?;
                Ok(())
            }
        }
    }

    pub fn load(&mut self, file: &[u8]) {
        std::fs::write(&self.input, file).expect("to write the input");
        match self.open(&self.input.clone()) {
            Ok(()) => {
                self.state = self.read();
                self.state.assert_is(&Contents::of(file));
                // What it has saved is what it loads.
                if self.kind == Kind::Model {
                    self.open(&scratch("state")).expect("its own file");
                }
                self.compare();
            }
            Err(Error::File { path, detail }) => {
                assert_eq!(path, self.input.display().to_string());
                self.unread += 1;
                let is_read = !detail.starts_with("not a safetensors file: ");
                if is_read || self.unread == INTERVAL {
                    self.compare();
                }
            }
            // Of a whole model, it is the file that says how much.
            Err(Error::TooLarge { .. }) if self.kind == Kind::Model => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn compare(&mut self) {
        assert_eq!(self.read(), self.state);
        self.unread = 0;
    }
}
