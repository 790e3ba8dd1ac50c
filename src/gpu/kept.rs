use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};

use crate::error::Result;
use crate::shader::module::MAX_BINDINGS;

/// What an application's recording has prepared for some tensors, kept for its next one. It keeps
/// their buffers alive, so it is dropped as soon as one of the tensors is.
#[derive(Debug)]
pub(crate) struct Kept<V>(Mutex<Values<V>>);

#[derive(Debug)]
struct Values<V> {
    values: HashMap<Key, V>,
    /// The keys that contain a tensor.
    keys: HashMap<u64, HashSet<Key>>,
}

/// The tensors of the bindings, and what tells apart values for the same tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    tensors: [u64; MAX_BINDINGS as usize],
    which: u64,
}

/// An id that no tensor has.
const NO_TENSOR: u64 = 0;

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self(Mutex::new(Values {
            values: HashMap::new(),
            keys: HashMap::new(),
        }))
    }
}

impl<V: Clone> Kept<V> {
    /// What is kept for up to [`MAX_BINDINGS`] tensors under the number `which`, or what `create`
    /// creates.
    pub fn get(
        &self,
        tensors: &[u64],
        which: u64,
        create: impl FnOnce() -> Result<V>,
    ) -> Result<V> {
        let id = |i| tensors.get(i).copied().unwrap_or(NO_TENSOR);
        let key = Key {
            tensors: std::array::from_fn(id),
            which,
        };
        if let Some(value) = self.kept().values.get(&key) {
            return Ok(value.clone());
        }
        let value = create()?;
        let mut kept = self.kept();
        for &tensor in tensors {
            kept.keys.entry(tensor).or_default().insert(key);
        }
        kept.values.insert(key, value.clone());
        Ok(value)
    }
}

impl<V> Kept<V> {
    pub fn forget(&self, tensor: u64) {
        let mut kept = self.kept();
        let keys = kept.keys.remove(&tensor).unwrap_or_default();
        let mut forgotten = Vec::with_capacity(keys.len());
        for key in keys {
            forgotten.extend(kept.values.remove(&key));
            for other in key.tensors {
                if let Some(keys) = kept.keys.get_mut(&other) {
                    keys.remove(&key);
                }
            }
        }
        // Unlock before the values are freed.
        drop(kept);
    }

    /// Every change leaves the maps consistent, so a panic elsewhere does no harm.
    fn kept(&self) -> MutexGuard<'_, Values<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
