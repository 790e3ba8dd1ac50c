//! The examples' reader of digits: packed, or the text itself.

#![no_main]

#[allow(dead_code)] // Examples need more of it.
#[path = "../../examples/common/digits.rs"]
mod digits;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let unpacked = match input.starts_with(&[0x1f, 0x8b]) {
        true => digits::unpack(input).ok(),
        false => str::from_utf8(input).ok().map(String::from),
    };
    let Some(Ok(read)) = unpacked.as_deref().map(digits::parse) else {
        return;
    };
    let (pixels, labels) = &read;
    assert_eq!(pixels.len(), labels.len() * digits::PIXELS);
    assert!(pixels.iter().all(|&pixel| pixel <= 16));
    assert!(labels.iter().all(|&label| label <= 9));
    // Written again, it is the same.
    let mut csv = String::new();
    for (pixels, label) in pixels.chunks(digits::PIXELS).zip(labels) {
        for pixel in pixels {
            csv += &format!("{pixel},");
        }
        csv += &format!("{label}\n");
    }
    assert_eq!(digits::parse(&csv).as_ref(), Ok(&read));
});
