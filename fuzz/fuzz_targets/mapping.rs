//! `Sequential::load_bytes_with`: a file of PyTorch's, all of it or what fits.

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use selfnorm::nn::{Mapping, Origin, Sequential};
use selfnorm::{Error, Gpu};
use selfnorm_fuzz::mutate::mutate;
use selfnorm_fuzz::network::torch;

static MODEL: LazyLock<Mutex<Sequential>> = LazyLock::new(|| {
    let gpu = Gpu::new().unwrap_or_else(|error| panic!("{error}"));
    let model = torch().build(&gpu, 1);
    model.expect("a small network").into()
});

fn bits(model: &Sequential) -> Vec<Vec<u32>> {
    let weights = model.weights().expect("its weights");
    let bits = |(_, weight): (String, selfnorm::Tensor)| {
        let values = weight.to_vec().expect("its values");
        values.into_iter().map(f32::to_bits).collect()
    };
    weights.into_iter().map(bits).collect()
}

fuzz_target!(init: { LazyLock::force(&MODEL); }, |file: &[u8]| {
    let mut model = MODEL.lock().expect("no panic before");
    let torch = Mapping::new(Origin::PyTorch);
    let renamed = torch.clone().rename("0", "dense_1").partial();
    for mapping in [torch.clone(), torch.partial(), renamed] {
        let before = bits(&model);
        match pollster::block_on(model.load_bytes_with(file, &mapping)) {
            Ok(loaded) => {
                let found = loaded.loaded.len();
                assert_eq!(found + loaded.missing.len() + loaded.mismatched.len(), before.len());
                // What is written again is what is loaded again.
                let after = bits(&model);
                // What is renamed to the place of another is not written.
                let written = pollster::block_on(model.to_bytes_with(&mapping));
                if let Ok(written) = written {
                    let again = pollster::block_on(model.load_bytes_with(&written, &mapping));
                    assert_eq!(again.expect("its own file").loaded.len(), before.len());
                    assert_eq!(bits(&model), after);
                }
            }
            Err(Error::File { detail, .. }) => {
                if !detail.starts_with("not a safetensors file: ") {
                    assert_eq!(bits(&model), before);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed, fuzzer_mutate)
});
