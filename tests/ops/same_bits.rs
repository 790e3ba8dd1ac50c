//! A seed gives the same bits on every device and on the host.

use crate::common::gpu_async;
use crate::common::same_bits::{STRETCHES, Stretch, checksum};
use wasm_bindgen_test::wasm_bindgen_test;

/// Every stretch is looked at, so that the message names all that differ.
async fn check(found: impl AsyncFn(&Stretch) -> u32) {
    let mut differing = Vec::new();
    for stretch in &STRETCHES {
        let found = found(stretch).await;
        if found != stretch.checksum {
            differing.push(format!("{}: {found:#010x}", stretch.name));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn masks_and_weights_have_the_checksums_that_every_device_has() {
    let gpu = gpu_async().await;
    check(async |stretch| stretch.checksum_on(gpu).await.unwrap()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn weights_have_the_checksum_of_the_front_page() {
    let weights = gpu_async().await.lecun_normal([784, 256], 42).unwrap();
    let found = format!("{:08x}", checksum(&weights.read().await.unwrap()));
    let front_page = include_str!("../../README.md");
    assert!(
        front_page.contains(&format!("is {found} on yours")),
        "{found}"
    );
}

/// In a browser it would take half a minute; `every_operation` compares its host's bits with its device's.
#[cfg(not(target_family = "wasm"))]
#[pollster::test]
async fn masks_and_weights_have_these_checksums_on_the_host() {
    check(async |stretch| checksum(&(stretch.on_host)().unwrap())).await;
}
