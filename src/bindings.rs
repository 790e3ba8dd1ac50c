use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::Result;

/// The bind groups of tensors that an application records with, for its next recording. They hold
/// buffers alive, so they go when one of their tensors does.
#[derive(Debug, Default)]
pub(crate) struct Bindings(Mutex<HashMap<Key, wgpu::BindGroup>>);

/// The tensors of up to three bindings, and the first element of a chunk of them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    tensors: [u64; 3],
    first: u64,
}

/// No tensor has it.
const NO_TENSOR: u64 = 0;

impl Bindings {
    pub fn get(
        &self,
        tensors: &[u64],
        first: u64,
        create: impl FnOnce() -> Result<wgpu::BindGroup>,
    ) -> Result<wgpu::BindGroup> {
        let id = |i| tensors.get(i).copied().unwrap_or(NO_TENSOR);
        let key = Key {
            tensors: std::array::from_fn(id),
            first,
        };
        if let Some(group) = self.groups().get(&key) {
            return Ok(group.clone());
        }
        let group = create()?;
        self.groups().insert(key, group.clone());
        Ok(group)
    }

    pub fn forget(&self, tensor: u64) {
        self.groups()
            .retain(|key, _| !key.tensors.contains(&tensor));
    }

    /// Every change leaves the map whole, so that a panic elsewhere does no harm.
    fn groups(&self) -> MutexGuard<'_, HashMap<Key, wgpu::BindGroup>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
