//! A seed gives the same bits on every device and on the host.

use crate::common::gpu;
use crate::common::same_bits::{STRETCHES, Stretch, checksum};

/// Every stretch is looked at, so that the message names all that differ.
fn check(found: impl Fn(&Stretch) -> u32) {
    let differing: Vec<String> = STRETCHES
        .iter()
        .map(|stretch| (stretch, found(stretch)))
        .filter(|(stretch, found)| *found != stretch.checksum)
        .map(|(stretch, found)| format!("{}: {found:#010x}", stretch.name))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn masks_and_weights_have_the_checksums_that_every_device_has() {
    check(|stretch| stretch.checksum_on(gpu()).unwrap());
}

#[test]
fn masks_and_weights_have_these_checksums_on_the_host() {
    check(|stretch| checksum(&(stretch.on_host)().unwrap()));
}
