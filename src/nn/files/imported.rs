//! A network as another library's file describes it, before a device has it.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::contents::{Placed, State, put};
use super::error;
use super::metadata::is_users;
use crate::nn::network::{Network, Weight};
use crate::nn::{Loss, Optimizer, Sequential, SequentialBuilder};
use crate::{Gpu, Result};

/// Such files have none, and a network needs one for its masks.
const SEED: u64 = 0;

/// Values for each weight, by its name here and in its layout here.
pub(super) type Values = HashMap<String, Vec<f32>>;

/// What another library's file holds.
pub(super) struct Imported {
    pub builder: SequentialBuilder,
    pub weights: Values,
    pub training: Option<Training>,
    /// Where it comes from, and strings of its maker's.
    pub metadata: BTreeMap<String, String>,
}

/// What training goes on from.
pub(super) struct Training {
    pub optimizer: Optimizer,
    pub loss: Option<Loss>,
    /// Steps done.
    pub step: u64,
    /// As many as [`Optimizer::slots`], each with values for each trained weight; or none, for zeros.
    pub slots: Vec<Values>,
}

impl Imported {
    /// The network on a device. Errors name the file.
    pub async fn build(mut self, gpu: &Gpu, name: &str) -> Result<Sequential> {
        let network = self.builder.network_for(gpu, SEED).map_err(|problem| {
            error(name, format!("not a network that can be built: {problem}"))
        })?;
        let placed = self.place(&network);
        let placed = placed.map_err(|problem| error(name, problem))?;
        let state = match self.training {
            None => None,
            Some(training) => {
                if let Some(loss) = training.loss {
                    let checked = network.check_loss("its loss", loss);
                    checked.map_err(|problem| error(name, problem))?;
                }
                let state = State {
                    step: training.step,
                    epoch: 0,
                    optimized_from: 0,
                    seed: SEED,
                    optimizer: training.optimizer,
                    loss: training.loss,
                    loss_scale: None,
                };
                Some(state.checked().map_err(|problem| error(name, problem))?)
            }
        };
        let mut model = self.builder.allocate(gpu, network, SEED)?;
        put(&mut model, placed, state).await?;
        let entries = self.metadata.into_iter();
        model.metadata = entries.filter(|(key, _)| is_users(key)).collect();
        Ok(model)
    }

    fn place(&mut self, network: &Network) -> std::result::Result<Vec<Placed>, String> {
        let mut placed = place(&mut self.weights, network.weights(), None)?;
        let slots = self
            .training
            .iter_mut()
            .flat_map(|training| &mut training.slots);
        for (slot, values) in slots.enumerate() {
            placed.extend(place(values, network.trained_weights(), Some(slot))?);
        }
        Ok(placed)
    }
}

fn place<'a>(
    values: &mut Values,
    weights: impl Iterator<Item = &'a Weight>,
    slot: Option<usize>,
) -> std::result::Result<Vec<Placed>, String> {
    weights
        .map(|weight| {
            let name = &weight.name;
            let found = values.remove(name);
            let found = found.ok_or_else(|| format!("it has no {name}"))?;
            if found.len() != weight.len {
                let (len, shape) = (found.len(), &weight.shape);
                return Err(format!(
                    "{name} has {len} values, the network has {shape:?}"
                ));
            }
            let start = weight.offset;
            Ok(Placed {
                slot,
                start,
                values: found,
            })
        })
        .collect()
}
