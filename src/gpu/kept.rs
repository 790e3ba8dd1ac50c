use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};

use crate::error::Result;

/// What applications' recordings bind, kept for the next ones. It keeps buffers alive, so each is
/// dropped as soon as one of those that it is for is.
#[derive(Debug)]
pub(crate) struct Kept<V>(Mutex<Values<V>>);

#[derive(Debug)]
struct Values<V> {
    values: HashMap<Key, V>,
    /// The keys that contain an owner.
    keys: HashMap<Id, HashSet<Key>>,
}

/// What somebody is known by who binds buffers, such as a tensor: unique, and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64);

impl Id {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Those that a value is for, and the part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    owners: [Option<Id>; MAX_OWNERS],
    part: u64,
}

/// As many as an operation has tensors.
const MAX_OWNERS: usize = 4;

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self(Mutex::new(Values {
            values: HashMap::new(),
            keys: HashMap::new(),
        }))
    }
}

impl<V: Clone> Kept<V> {
    /// The value for `part` of `owners`, which `create` creates unless it is there.
    pub fn get(&self, owners: &[Id], part: u64, create: impl FnOnce() -> Result<V>) -> Result<V> {
        let key = Key {
            owners: std::array::from_fn(|i| owners.get(i).copied()),
            part,
        };
        if let Some(value) = self.lock().values.get(&key) {
            return Ok(value.clone());
        }
        let value = create()?;
        let mut kept = self.lock();
        for &owner in owners {
            kept.keys.entry(owner).or_default().insert(key);
        }
        kept.values.insert(key, value.clone());
        Ok(value)
    }

    /// Drops what is kept for `owner`, which is no more.
    pub fn forget(&self, owner: Id) {
        let mut kept = self.lock();
        let keys = kept.keys.remove(&owner).unwrap_or_default();
        let mut forgotten = Vec::with_capacity(keys.len());
        for key in keys {
            forgotten.extend(kept.values.remove(&key));
            for other in key.owners.into_iter().flatten() {
                if let Some(keys) = kept.keys.get_mut(&other) {
                    keys.remove(&key);
                }
            }
        }
        // Unlock before the values are freed.
        drop(kept);
    }

    /// Every change leaves the maps consistent, so a panic elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, Values<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
