//! The examples' reader of MNIST's files. Input: whether each is packed, the length of the first,
//! and the two files.

#![no_main]

#[allow(dead_code)] // Examples need more of it.
#[path = "../../examples/common/idx.rs"]
mod idx;

use std::borrow::Cow;
use std::fs;
use std::io::Write;
use std::sync::LazyLock;

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use selfnorm_fuzz::scratch;

static FILES: LazyLock<[std::path::PathBuf; 2]> = LazyLock::new(|| {
    ["labels-idx1", "images-idx3"]
        .map(|name| scratch(&format!("{}-{name}-ubyte", idx::TRAINING[0])))
});

fuzz_target!(|input: &[u8]| {
    let Some((&[flags, low, high], files)) = input.split_first_chunk() else {
        return;
    };
    let len = usize::from(u16::from_le_bytes([low, high]));
    let (labels, images) = files.split_at(len.min(files.len()));
    for (path, file, flag) in [(&FILES[0], labels, 1), (&FILES[1], images, 2)] {
        let written = match flags & flag {
            0 => Cow::from(file),
            _ => packed(file).into(),
        };
        fs::write(path, written).expect("to write the input");
    }
    let folder = FILES[0].parent().expect("the folder of a file");
    let Ok(mut read) = idx::read(folder, idx::TRAINING) else {
        return;
    };
    let Ok(shifted) = idx::number_labels(&mut [&mut read], None) else {
        return;
    };
    assert!(!shifted, "without a number of classes");
    let [height, width] = read.size;
    assert_eq!(read.pixels.len(), read.labels.len() * height * width);
    assert!(!read.pixels.is_empty());
    assert!(read.labels.iter().all(|&label| label < 10));
    // What is packed in the input itself has other bytes.
    for (file, header, contents) in [(labels, 8, read.labels), (images, 16, read.pixels)] {
        if !file.starts_with(&[0x1f, 0x8b]) {
            assert_eq!(file[header..], contents);
        }
    }
});

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}
