//! A network that loads files. What it refuses must leave it as it was, what it takes must be it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use safetensors::SafeTensors;
use selfnorm::nn::{Dense, Sequential};
use selfnorm::{Error, Gpu};

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
}

pub struct Network {
    model: Sequential,
    is_checkpoint: bool,
    input: PathBuf,
    state: Contents,
    unread: u32,
}

impl Network {
    pub fn new(is_checkpoint: bool) -> Self {
        let gpu = Gpu::new().unwrap_or_else(|error| panic!("{error}"));
        let network = Sequential::new([2]).add(Dense::new(3));
        let network = match is_checkpoint {
            true => network,
            false => network.add(Dense::new(2)),
        };
        let mut new = Self {
            model: network.build(&gpu, 1).expect("a small network"),
            is_checkpoint,
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
        let result = match self.is_checkpoint {
            true => self.model.save_checkpoint(&path),
            false => self.model.save(&path),
        };
        result.expect("to be saved");
        std::fs::read(path).expect("what was saved")
    }

    fn read(&self) -> Contents {
        Contents::of(&self.saved())
    }

    pub fn load(&mut self, file: &[u8]) {
        std::fs::write(&self.input, file).expect("to write the input");
        let result = match self.is_checkpoint {
            true => self.model.load_checkpoint(&self.input),
            false => self.model.load(&self.input),
        };
        match result {
            Ok(()) => {
                let Contents { tensors, metadata } = Contents::of(file);
                self.state.tensors = tensors;
                if self.is_checkpoint {
                    // It may have more entries than a checkpoint needs, and a number may have
                    // zeros in front.
                    for (name, value) in &mut self.state.metadata {
                        *value = match metadata[name].parse::<u64>() {
                            Ok(number) => number.to_string(),
                            Err(_) => metadata[name].clone(),
                        };
                    }
                    let step = self.model.step().to_string();
                    assert_eq!(self.state.metadata["step"], step);
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
            Err(error) => panic!("{error}"),
        }
    }

    fn compare(&mut self) {
        assert_eq!(self.read(), self.state);
        self.unread = 0;
    }
}
