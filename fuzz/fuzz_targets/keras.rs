//! Models of Keras. Input: how many bytes of it are a config, and, unless there are none, what goes into a `.keras`
//! file; otherwise an HDF5 file as it is. A zip file as it is would hardly ever have the right checksums.

#![no_main]

#[path = "../../tests/common/stored.rs"]
mod stored;

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use selfnorm::nn::{Activation, Dense, Sequential, keras};
use selfnorm::{Error, Gpu};
use stored::zip;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().unwrap_or_else(|error| panic!("{error}")));

static MODEL: LazyLock<Mutex<Sequential>> = LazyLock::new(|| {
    let network = Sequential::new([2]).add(Dense::new(3).activation(Activation::Selu));
    network.build(&GPU, 1).expect("a small network").into()
});

fuzz_target!(init: { LazyLock::force(&MODEL); }, |input: &[u8]| {
    let Some((len, rest)) = input.split_first_chunk() else {
        return;
    };
    let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
    let (config, weights) = rest.split_at(len);
    let file = match config {
        [] => weights.to_vec(),
        config => zip(&[("config.json", config), ("model.weights.h5", weights)]),
    };
    pollster::block_on(async {
        match keras::from_bytes(&GPU, &file).await {
            Ok(model) => {
                // What it has written is what it reads, unless Keras has no name for something.
                if let Ok(bytes) = keras::to_bytes(&model).await {
                    let again = keras::from_bytes(&GPU, &bytes).await;
                    let again = again.unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(again.step(), model.step());
                }
            }
            Err(Error::File { .. } | Error::TooLarge { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let mut model = MODEL.lock().expect("no panic before");
        match model.load_keras_weights_bytes(&file).await {
            Ok(()) | Err(Error::File { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    });
});
