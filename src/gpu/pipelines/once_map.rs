use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::error::Result;

/// Values that are each created once, by the first thread that asks for one. Only threads that ask
/// for the same value wait for it: the map is locked only to look up or to insert.
#[derive(Debug)]
pub(super) struct OnceMap<K, V>(RwLock<HashMap<K, Arc<Slot<V>>>>);

#[derive(Debug)]
struct Slot<V> {
    value: OnceLock<V>,
    /// Held by the thread that creates the value.
    creating: Mutex<()>,
}

impl<K, V> Default for OnceMap<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> OnceMap<K, V> {
    /// The value of `key`. After an error or a panic, the next call tries again.
    pub fn get_or_create(&self, key: K, create: impl FnOnce(&K) -> Result<V>) -> Result<V> {
        let slots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(&key);
        if let Some(value) = slot.and_then(|slot| slot.value.get()) {
            return Ok(value.clone());
        }
        let slot = slot.cloned();
        drop(slots);
        let slot = slot.unwrap_or_else(|| {
            let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
            slots.entry(key.clone()).or_default().clone()
        });
        let creating = slot.creating.lock();
        let _creating = creating.unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        if let Some(value) = slot.value.get() {
            return Ok(value.clone());
        }
        let value = create(&key)?;
        Ok(slot.value.get_or_init(|| value).clone())
    }
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self {
            value: OnceLock::new(),
            creating: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::Error;

    #[test]
    fn threads_that_ask_for_one_value_create_it_once() {
        let map = OnceMap::default();
        let created = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let value = map.get_or_create("a", |_| {
                        // Long enough for all threads to arrive.
                        thread::sleep(Duration::from_millis(100));
                        Ok(created.fetch_add(1, Ordering::Relaxed))
                    });
                    assert_eq!(value, Ok(0));
                });
            }
        });
        assert_eq!(created.into_inner(), 1);
    }

    #[test]
    fn nobody_waits_for_the_creation_of_another_value() {
        let map = Arc::new(OnceMap::default());
        map.get_or_create("there", |_| Ok(1)).unwrap();
        let slow = map.get_or_create("slow", |_| {
            let others = map.clone();
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || {
                let there = others.get_or_create("there", |_| unreachable!());
                let new = others.get_or_create("new", |_| Ok(2));
                sender.send([there, new]).unwrap();
            });
            let answers = receiver.recv_timeout(Duration::from_secs(60));
            assert_eq!(answers, Ok([Ok(1), Ok(2)]));
            Ok(3)
        });
        assert_eq!(slow, Ok(3));
    }

    #[test]
    fn after_an_error_or_a_panic_the_next_call_creates_the_value() {
        let map = OnceMap::default();
        let error = map.get_or_create("a", |_| Err(Error::DeviceLost));
        assert_eq!(error, Err(Error::DeviceLost));
        let panics = || map.get_or_create("a", |_| panic!("as wgpu may"));
        let panics = std::panic::AssertUnwindSafe(panics);
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(map.get_or_create("a", |_| Ok(1)), Ok(1));
        assert_eq!(map.get_or_create("a", |_| unreachable!()), Ok(1));
    }
}
