//! `Sequential::open`

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use selfnorm_fuzz::mutate::mutate;
use selfnorm_fuzz::network::{Kind, Network};

static NETWORK: LazyLock<Mutex<Network>> = LazyLock::new(|| Network::new(Kind::Model).into());

fuzz_target!(init: { LazyLock::force(&NETWORK); }, |file: &[u8]| {
    NETWORK.lock().expect("no panic before").load(file);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed, fuzzer_mutate)
});
