use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};

use crate::error::Result;

/// Bind groups of an application's recordings, kept for its next one. They keep buffers alive, so
/// each is dropped as soon as one of its tensors is.
#[derive(Debug, Default)]
pub(crate) struct BindGroups(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    groups: HashMap<Key, wgpu::BindGroup>,
    /// The keys that contain a tensor.
    keys: HashMap<u64, HashSet<Key>>,
}

/// The tensors of up to three bindings, and the first element of a chunk of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    tensors: [u64; 3],
    first: u64,
}

/// An id that no tensor has.
const NO_TENSOR: u64 = 0;

impl BindGroups {
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
        if let Some(group) = self.kept().groups.get(&key) {
            return Ok(group.clone());
        }
        let group = create()?;
        let mut kept = self.kept();
        for &tensor in tensors {
            kept.keys.entry(tensor).or_default().insert(key);
        }
        kept.groups.insert(key, group.clone());
        Ok(group)
    }

    pub fn forget(&self, tensor: u64) {
        let mut kept = self.kept();
        let keys = kept.keys.remove(&tensor).unwrap_or_default();
        let mut forgotten = Vec::with_capacity(keys.len());
        for key in keys {
            forgotten.extend(kept.groups.remove(&key));
            for other in key.tensors {
                if let Some(keys) = kept.keys.get_mut(&other) {
                    keys.remove(&key);
                }
            }
        }
        // Unlock before the groups are freed.
        drop(kept);
    }

    /// Every change leaves the maps consistent, so a panic elsewhere does no harm.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
