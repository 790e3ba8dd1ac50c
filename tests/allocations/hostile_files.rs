//! Files that announce more than they have, and packed ones that have more than they look. What
//! reads them must not need more memory than the file could explain: the allocator counts. The
//! readers of data sets are the examples' own.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use crate::common::gpu;
use crate::{ALLOCATOR, alone, digits, idx};
use flate2::{Compression, write::GzEncoder};
use safetensors::SafeTensors;
use selfnorm::nn::{Activation, Dense, Dtype, Flatten, Mapping, Origin, Sequential, onnx};
use serde_json::{Value, json};

/// What buffers, paths and messages take.
const FEW: usize = 1 << 20;

/// The result, and the most bytes that there were meanwhile and not before.
fn peak<T>(of: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = of();
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

fn packed(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}

/// 32 MiB of zeros, which are far less when they are packed.
fn bomb(start: &[u8]) -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut pieces = vec![start];
    pieces.extend([&zeros[..]; 32]);
    packed(&pieces)
}

fn idx_header(magic: u32, extents: &[u32]) -> Vec<u8> {
    let numbers = [&[magic], extents].concat();
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// Two images of 2 × 3 pixels.
fn images() -> Vec<u8> {
    let pixels: Vec<u8> = (1..=12).collect();
    [idx_header(0x803, &[2, 2, 3]), pixels].concat()
}

fn labels() -> Vec<u8> {
    [idx_header(0x801, &[2]), vec![7, 9]].concat()
}

fn write_part(folder: &Path, images: &[u8], labels: &[u8]) {
    std::fs::write(folder.join("train-images-idx3-ubyte"), images).unwrap();
    std::fs::write(folder.join("train-labels-idx1-ubyte"), labels).unwrap();
}

#[test]
fn idx_files_are_read_as_they_are_and_packed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for (images, labels) in [
        (images(), labels()),
        (packed(&[&images()]), labels()),
        (images(), packed(&[&labels()])),
    ] {
        write_part(folder.path(), &images, &labels);
        let read = idx::read(folder.path(), idx::TRAINING).unwrap();
        assert_eq!(read.size, [2, 3]);
        assert_eq!(read.pixels, Vec::from_iter(1..=12));
        assert_eq!(read.labels, [7, 9]);
    }
    let error = idx::read(folder.path(), idx::TEST).err().unwrap();
    assert!(error.starts_with("there is no t10k-images"), "{error}");
}

#[test]
fn idx_files_that_announce_or_unpack_to_too_much_take_no_memory() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (images_path, labels_path) = (
        path("train-images-idx3-ubyte"),
        path("train-labels-idx1-ubyte"),
    );
    let announcing = |extents: [u32; 3]| [&idx_header(0x803, &extents)[..], &[1; 12]].concat();
    let mut flipped = packed(&[&images()]);
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    let cut_off = packed(&[&images()]);
    let wrong_images: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "0 bytes are too few for an IDX file"),
        (
            images()[..15].into(),
            "15 bytes are too few for an IDX file",
        ),
        (vec![0xff; 40], "not an IDX file"),
        (labels().repeat(2), "it has labels, and should have images"),
        (
            images()[..27].into(),
            "its header announces [2, 2, 3], that is 12 bytes, and 11 follow; it is cut off",
        ),
        (
            [&images()[..], &[0]].concat(),
            "its header announces [2, 2, 3], that is 12 bytes, and more follow",
        ),
        // Products of which 64 bits keep nothing, or what there is.
        (
            announcing([u32::MAX; 3]),
            "its header announces [4294967295, 4294967295, 4294967295]",
        ),
        (announcing([1 << 30, 1 << 30, 16]), "its header announces"),
        (announcing([1, 1, u32::MAX]), "its header announces"),
        (
            announcing([1, 1, 1 << 30]),
            "its header announces [1, 1, 1073741824], that is 1073741824 bytes, and 12 follow",
        ),
        (
            announcing([0, 1, 1]),
            "its header announces [0, 1, 1], that is 0 bytes, and more follow",
        ),
        (
            bomb(&images()),
            "its header announces [2, 2, 3], that is 12 bytes, and more follow",
        ),
        (
            bomb(&idx_header(0x803, &[1 << 20, 1 << 10, 4])),
            "its header announces",
        ),
        (bomb(&[]), "not an IDX file"),
        (flipped, "it can't be read to its end, load it again"),
        (
            cut_off[..cut_off.len() - 9].into(),
            "it can't be read to its end, load it again",
        ),
        (packed(&[]), "0 bytes are too few"),
        // What a server sends for an address that is a page's.
        (
            b"\r\n<!DOCTYPE html><html>".to_vec(),
            "it is a web page, not an IDX file",
        ),
        (packed(&[b"<html>"]), "it is a web page, not an IDX file"),
    ];
    let wrong_labels: Vec<(Vec<u8>, &str)> = vec![
        (images(), "it has images, and should have labels"),
        (
            bomb(&labels()),
            "its header announces [2], that is 2 bytes, and more follow",
        ),
        (
            [&idx_header(0x801, &[u32::MAX])[..], &[1; 2]].concat(),
            "its header announces [4294967295]",
        ),
    ];
    let refused = |path: &str, detail: &str, len: usize| {
        let (result, bytes) = peak(|| idx::read(folder.path(), idx::TRAINING));
        let error = result.err().unwrap();
        assert!(error.starts_with(&format!("{path}: {detail}")), "{error}");
        assert!(bytes <= FEW, "{bytes} bytes for a file of {len}: {error}");
    };
    for (wrong, detail) in wrong_images {
        write_part(folder.path(), &wrong, &labels());
        refused(&images_path, detail, wrong.len());
    }
    for (wrong, detail) in wrong_labels {
        write_part(folder.path(), &images(), &wrong);
        refused(&labels_path, detail, wrong.len());
    }
    let three = [&idx_header(0x801, &[3])[..], &[1; 3]].concat();
    write_part(folder.path(), &images(), &three);
    let error = idx::read(folder.path(), idx::TRAINING).err().unwrap();
    assert!(error.ends_with("they are not of one data set"), "{error}");
}

/// Images and labels of a part, two of each.
fn write_files(folder: &Path, names: [&str; 2], labels: [u8; 2]) {
    std::fs::write(folder.join(names[0]), images()).unwrap();
    let labels = [&idx_header(0x801, &[2])[..], &labels].concat();
    std::fs::write(folder.join(names[1]), labels).unwrap();
}

#[test]
fn idx_files_are_found_by_every_name_they_go_by() {
    let _alone = alone();
    for dot in ["-", "."] {
        for gz in ["", ".gz"] {
            for prefix in ["", "emnist-letters-"] {
                for [part, other] in [["train", "test"], ["test", "train"], ["t10k", "train"]] {
                    let folder = tempfile::tempdir().unwrap();
                    let names = |part: &str| {
                        [
                            format!("{prefix}{part}-images{dot}idx3-ubyte{gz}"),
                            format!("{prefix}{part}-labels{dot}idx1-ubyte{gz}"),
                        ]
                    };
                    let [images, labels] = names(part);
                    write_files(folder.path(), [&images, &labels], [1, 2]);
                    let [images, labels] = names(other);
                    write_files(folder.path(), [&images, &labels], [3, 4]);
                    let part = if part == "train" {
                        idx::TRAINING
                    } else {
                        idx::TEST
                    };
                    let read = idx::read(folder.path(), part).unwrap();
                    assert_eq!(read.labels, [1, 2], "{images}");
                }
            }
        }
    }
}

#[test]
fn idx_files_of_several_sets_are_taken_only_if_one_has_no_prefix() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let read = || idx::read(folder.path(), idx::TRAINING);
    for (set, label) in [("a-", 1), ("b-", 2)] {
        let names = ["images-idx3", "labels-idx1"].map(|name| format!("{set}train-{name}-ubyte"));
        write_files(folder.path(), [&names[0], &names[1]], [label; 2]);
    }
    let error = read().err().unwrap();
    assert!(
        error.contains(
            "has 2 files of this kind: a-train-images-idx3-ubyte, b-train-images-idx3-ubyte;"
        ),
        "{error}"
    );
    let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    write_files(folder.path(), names, [3; 2]);
    assert_eq!(read().unwrap().labels, [3, 3]);
}

#[test]
fn a_folder_without_idx_files_says_which_it_looked_for() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("train-images-idx3-ubyte")).unwrap();
    let error = idx::read(folder.path(), idx::TRAINING).err().unwrap();
    let looked_for = "there is no train-images-idx3-ubyte or train-images-idx3-ubyte.gz or \
                      train-images.idx3-ubyte or train-images.idx3-ubyte.gz in ";
    assert!(error.starts_with(looked_for), "{error}");
    let none = folder.path().join("none");
    let error = idx::read(&none, idx::TRAINING).err().unwrap();
    assert!(error.starts_with(looked_for), "{error}");
    assert!(error.contains(&format!("{} (", none.display())), "{error}");
}

#[test]
fn labels_from_1_and_more_than_10_need_the_number_of_classes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-labels-idx1-ubyte");
    let numbered = |training: [u8; 2], test: [u8; 2], classes| {
        let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
        write_files(folder.path(), names, training);
        let names = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
        write_files(folder.path(), names, test);
        let mut training = idx::read(folder.path(), idx::TRAINING).unwrap();
        let mut test = idx::read(folder.path(), idx::TEST).unwrap();
        let shifted = idx::number_labels(&mut [&mut training, &mut test], classes)?;
        Ok::<_, String>((shifted, training.labels, test.labels))
    };
    let good = [
        ([0, 9], [1, 9], None, false),
        // They could be 1 to 9 of 0 to 9.
        ([1, 9], [2, 9], Some(10), false),
        ([0, 61], [2, 3], Some(62), false),
        ([1, 26], [2, 3], Some(26), true),
    ];
    for (training, test, classes, shifted) in good {
        let less = |labels: [u8; 2]| labels.map(|label| label - u8::from(shifted)).to_vec();
        let expected = (shifted, less(training), less(test));
        assert_eq!(numbered(training, test, classes), Ok(expected));
    }
    for (training, classes, detail) in [
        (
            [3, 10],
            None,
            "label 1 is 10, labels are from 0 to 9; for EMNIST, whose images are transposed, there are \
             --classes 10 and --transpose",
        ),
        (
            [1, 26],
            None,
            "label 1 is 26, labels are from 0 to 9; for EMNIST, whose images are transposed, there are \
             --classes 26 and --transpose",
        ),
        (
            [0, 26],
            Some(26),
            "label 1 is 26, with --classes 26 labels are from 0 to 25, or from 1 to 26; these are from 0 to 26",
        ),
    ] {
        let error = numbered(training, [1, 9], classes).unwrap_err();
        assert_eq!(error, format!("{}: {detail}", path.display()));
    }
}

#[test]
fn transposed_images_have_rows_for_columns() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    write_part(folder.path(), &images(), &labels());
    let read = idx::read(folder.path(), idx::TRAINING)
        .unwrap()
        .transposed();
    assert_eq!(read.size, [3, 2]);
    assert_eq!(read.pixels, [1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]);
    assert_eq!(read.labels, [7, 9]);
    assert_eq!(read.transposed().pixels, Vec::from_iter(1..=12));
}

#[test]
fn digits_have_64_pixels_and_a_label() {
    let _alone = alone();
    let (pixels, labels) = digits::digits().unwrap();
    assert_eq!((pixels.len(), labels.len()), (1797 * 64, 1797));
    let row =
        |len: usize, value: &str, last: &str| [&vec![value; len][..], &[last]].concat().join(",");
    let good = format!("{}\n{}\n", row(64, "16", "9"), row(64, "0", "0"));
    let expected = ([[16; 64], [0; 64]].concat(), vec![9, 0]);
    assert_eq!(digits::parse(&good), Ok(expected));
    assert_eq!(digits::parse(""), Ok((Vec::new(), Vec::new())));
    for (wrong, detail) in [
        (row(63, "1", "1"), "row 1 has 64 numbers, not 65"),
        (row(65, "1", "1"), "row 1 has 66 numbers, not 65"),
        (format!("{good}\n{good}"), "row 3 has \"\", not 0 to 16"),
        (row(64, "17", "1"), "row 1 has \"17\", not 0 to 16"),
        (row(64, "1", "10"), "row 1 has \"10\", not 0 to 9"),
        (row(64, "1", "256"), "row 1 has \"256\", not 0 to 9"),
        (row(64, "-1", "1"), "row 1 has \"-1\", not 0 to 16"),
        (row(64, " 1", "1"), "row 1 has \" 1\", not 0 to 16"),
    ] {
        assert_eq!(digits::parse(&wrong), Err(detail.into()));
    }
}

#[test]
fn packed_digits_do_not_unpack_to_more_than_a_mebibyte() {
    let _alone = alone();
    let bomb = bomb(b"1,2");
    let (result, bytes) = peak(|| digits::unpack(&bomb));
    assert_eq!(result.unwrap_err().to_string(), "more than 1048576 bytes");
    // A vector has up to twice what is in it, and the half of that while it grows.
    assert!(bytes <= 3 * (1 << 20) + FEW, "{bytes} bytes");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_take_at_most_twice_their_file() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let network = Sequential::new([1500]).add(Dense::new(1500));
    let mut model = network.build(gpu(), 1).unwrap();
    for origin in [Origin::Keras, Origin::PyTorch] {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let mapping = Mapping::new(origin).dtype(dtype);
            model.save_with(&path, &mapping).unwrap();
            let size = std::fs::metadata(&path).unwrap().len() as usize;
            let (loaded, bytes) = peak(|| model.load_with(&path, &mapping));
            loaded.unwrap();
            // A piece of the file, of 1 MiB, is there twice.
            assert!(
                bytes <= 2 * size + 2 * FEW,
                "{bytes} of {size}: {mapping:?}"
            );
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_that_announce_too_much_take_no_memory() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.safetensors");
    let network = Sequential::new([2]).add(Dense::new(3));
    let mut model = network.build(gpu(), 1).unwrap();
    let file = |announced: Option<u64>, text: &str| {
        let len = announced.unwrap_or(text.len() as u64);
        [&len.to_le_bytes()[..], text.as_bytes()].concat()
    };
    let mut files = Vec::new();
    for announced in [1 << 20, 99_999_999, 100_000_000, 1 << 32, 1 << 60, u64::MAX] {
        files.push(file(Some(announced), "{}"));
    }
    for elements in [1u64 << 31, 1 << 32, 1 << 60, 1 << 61, u64::MAX] {
        for dtype in ["F32", "U8"] {
            for end in [24, elements.wrapping_mul(4), elements, elements / 8] {
                let tensor = format!(
                    r#"{{"dtype":"{dtype}","shape":[{elements}],"data_offsets":[0,{end}]}}"#
                );
                for name in ["dense/kernel", "more"] {
                    files.push(file(None, &format!(r#"{{"{name}":{tensor}}}"#)));
                }
            }
        }
    }
    // As the network's, in a file that goes on, and one that is not a network's and has all it says.
    let right = r#"{"dense/bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"dense/kernel":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]}}"#;
    let other = r#"{"more":{"dtype":"U8","shape":[268435456],"data_offsets":[0,268435456]}}"#;
    let cases = files.into_iter().map(|bytes| (bytes, 0));
    for (bytes, sparse) in cases.chain([right, other].map(|text| (file(None, text), 256 << 20))) {
        let mut written = std::fs::File::create(&path).unwrap();
        written.write_all(&bytes).unwrap();
        written.set_len(bytes.len() as u64 + sparse).unwrap();
        for checkpoint in [false, true] {
            let (result, peak) = peak(|| match checkpoint {
                false => model.load(&path),
                true => model.load_checkpoint(&path),
            });
            let error = result.unwrap_err();
            assert!(peak <= FEW, "{peak} bytes: {error}");
        }
    }
}

/// The entries of metadata of a network with one layer.
fn metadata() -> HashMap<String, String> {
    let network = Sequential::new([1]).add(Dense::new(1));
    let model = network.build(gpu(), 1).unwrap();
    let bytes = pollster::block_on(model.to_bytes()).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().clone().unwrap()
}

fn header(mut tensors: Value, metadata: &HashMap<String, String>) -> Vec<u8> {
    tensors["__metadata__"] = json!(metadata);
    prefixed(&tensors.to_string())
}

fn prefixed(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

fn config(layers: &str) -> String {
    format!(r#"{{"class_name":"Sequential","config":{{"name":"","layers":[{layers}]}}}}"#)
}

/// The header of a network's file, whose layers and tensors are these.
fn model_header(layers: &str, tensors: Value) -> Vec<u8> {
    let mut metadata = metadata();
    metadata.insert("model_config".into(), config(layers));
    header(tensors, &metadata)
}

/// What opens a file, and what loads it into a network: neither takes more memory than the file explains. What
/// they say.
fn refused(file: &[u8]) -> [String; 2] {
    let network = Sequential::new([8]).add(Dense::new(1));
    let mut model = network.build(gpu(), 1).unwrap();
    let (opened, in_open) = peak(|| pollster::block_on(Sequential::from_bytes(gpu(), file)));
    let (loaded, in_load) = peak(|| pollster::block_on(model.load_bytes(file)));
    let errors = [opened.map(drop).unwrap_err(), loaded.unwrap_err()];
    let errors = errors.map(|error| error.to_string());
    let len = file.len();
    for (peak, error) in [in_open, in_load].iter().zip(&errors) {
        let start: String = error.chars().take(200).collect();
        assert!(
            *peak <= 32 * len + FEW,
            "{peak} bytes for a file of {len}: {start}"
        );
    }
    errors
}

fn input(shape: &[usize]) -> String {
    let mut extents = vec![Value::Null];
    extents.extend(shape.iter().map(|&extent| extent.into()));
    let config = json!({"name": "", "batch_shape": extents});
    json!({"class_name": "InputLayer", "config": config}).to_string()
}

/// That many layers, each made from its number.
fn layers(count: usize, layer: impl Fn(usize) -> String) -> String {
    let layers = (0..count).map(|position| format!(",{}", layer(position)));
    layers.collect()
}

fn activation(position: usize) -> String {
    format!(r#"{{"class_name":"ReLU","config":{{"name":"{position}","trainable":true}}}}"#)
}

fn flatten(position: usize) -> String {
    format!(r#"{{"class_name":"Flatten","config":{{"name":"{position}","trainable":true}}}}"#)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn models_that_announce_too_much_take_no_memory() {
    let _alone = alone();
    let dense = |units: u64| {
        let initializer = json!({"class_name": "Zeros", "config": {}});
        let config = json!({
            "name": "dense", "trainable": true, "units": units, "activation": "linear",
            "use_bias": false, "kernel_initializer": initializer, "bias_initializer": initializer,
        });
        format!(",{}", json!({"class_name": "Dense", "config": config}))
    };
    let kernel = |units: u64| {
        let shape = json!([8, units]);
        let end = units.wrapping_mul(32);
        json!({"dense/kernel": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})
    };
    // Some are such that a device binds them, all such that 32 bits count their elements.
    let mut files = Vec::new();
    for units in [1u64 << 20, 1 << 24, 1 << 28] {
        files.push((input(&[8]) + &dense(units), kernel(units), "fewer than"));
        files.push((
            input(&[8]) + &dense(units),
            kernel(1),
            "dense/kernel is F32 [8, 1]",
        ));
    }
    for units in [1u64 << 29, 1 << 59, 1 << 60, u64::MAX] {
        files.push((input(&[8]) + &dense(units), json!({}), "is too large"));
    }
    // Scales and variances are 1 of as many features.
    for class in ["BatchNormalization", "LayerNormalization", "Normalization"] {
        let mut config = json!({"name": "normalization", "trainable": true});
        if class != "Normalization" {
            config["epsilon"] = 0.5.into();
        }
        if class == "BatchNormalization" {
            config["momentum"] = 0.5.into();
        }
        let normalization = format!(",{}", json!({"class_name": class, "config": config}));
        let layers = input(&[8]) + &dense(1 << 26) + &normalization;
        files.push((layers, json!({}), "it has no dense/kernel"));
    }
    // The square of the file's size.
    let axes = input(&[1; 10_000]) + &layers(10_000, flatten);
    files.push((axes, json!({}), "batch_shape is [null,1,1"));
    let known = input(&[1]) + &layers(1, flatten);
    files.push((known, kernel(1 << 28), "it has dense/kernel"));
    // As many axes in each of the layers behind, likewise.
    let reshape = json!({"class_name": "Reshape", "config": {
        "name": "reshape", "trainable": true, "target_shape": vec![1; 10_000],
    }});
    let axes = format!("{},{reshape}", input(&[1])) + &layers(10_000, activation);
    files.push((axes, json!({}), "target_shape is [1,1,1"));
    for (layers, tensors, expected) in files {
        let [opened, _] = refused(&model_header(&layers, tensors));
        assert!(opened.contains(expected), "{opened}, not {expected}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn metadata_that_is_wrong_takes_no_memory_and_is_an_error() {
    let _alone = alone();
    let good = metadata();
    let network = |units: &str| {
        let initializer = r#"{"class_name":"Zeros","config":{}}"#;
        let dense = format!(
            r#"{{"class_name":"Dense","config":{{"name":"dense","trainable":true,"units":{units},"activation":"linear","use_bias":true,"kernel_initializer":{initializer},"bias_initializer":{initializer}}}}}"#
        );
        config(&format!("{},{dense}", input(&[8])))
    };
    let mut files = Vec::new();
    let mut changed = |key: &str, text: &str, expected: &'static str| {
        let mut metadata = good.clone();
        metadata.insert(key.into(), text.into());
        files.push((header(json!({}), &metadata), expected));
    };
    for (units, expected) in [
        ("-1", "units: invalid value"),
        ("1e400", "number out of range"),
        ("1.5", "units: invalid type"),
        ("NaN", "expected value"),
        ("Infinity", "expected value"),
        ("null", "units: invalid type"),
        ("\"1\"", "units: invalid type"),
        ("[1]", "units: invalid type"),
        ("true", "units: invalid type"),
        ("18446744073709551616", "units: invalid type"),
        // Of a value that is there twice, one program would see the first, another the last.
        ("1,\"units\":1", "\"units\" is there twice"),
        ("1,\"\\u0075nits\":1", "\"units\" is there twice"),
    ] {
        changed("model_config", &network(units), expected);
    }
    let selu = r#"{"class_name":"SeluWith","config":{"alpha":NaN,"scale":1}}"#;
    let nan = network("1").replace("\"linear\"", selu);
    changed("model_config", &nan, "expected value");
    let elu = r#"{"class_name":"ELU","config":{"alpha":null}}"#;
    let null = network("1").replace("\"linear\"", elu);
    changed("model_config", &null, "alpha: invalid type: null");
    for (open, expected) in [("[", "recursion"), ("{\"a\":", "recursion")] {
        for depth in [128, 1_000_000] {
            changed("model_config", &open.repeat(depth), expected);
        }
        changed("optimizer", &open.repeat(1_000_000), expected);
    }
    changed("model_config", &"9".repeat(1 << 20), "number out of range");
    // Values that take far more than their text: alone, as the layers, and as what a layer has of them.
    for small in ["0,", "[],", "{\"\":0},", "{\"\":[]},", "[{\"\":\"\"}],"] {
        let list = format!("[{}0]", small.repeat(1 << 18));
        changed("model_config", &list, "too many values in");
        changed(
            "model_config",
            &config(&list[1..list.len() - 1]),
            "too many values in",
        );
        changed("model_config", &network(&list), "too many values in");
        changed("optimizer", &list, "too many values in");
    }
    changed(
        "optimizer",
        "{\"optimizer\":\"adam\",\"optimizer\":\"adam\"}",
        "\"optimizer\" is there twice",
    );
    let boundaries = format!(
        r#"{{"optimizer":"adam","learning_rate":{{"schedule":"piecewise_constant_decay","boundaries":[{}0],"values":[1]}}}}"#,
        "0,".repeat(1 << 18)
    );
    changed("optimizer", &boundaries, "too many values in");
    for key in ["seed", "step", "epoch", "optimized_from"] {
        changed(key, "-1", "is \"-1\", not a number");
        changed(key, &"9".repeat(1 << 20), "not a number");
    }
    changed("loss", &"huber ".repeat(1 << 18), "which is none");
    // Strings of the user's, of any size.
    changed(
        "mine",
        &"\u{1f34e}".repeat(1 << 18),
        "it has no dense/kernel",
    );
    // Many names, twice each in the end.
    let names = |count: usize| Vec::from_iter((0..count).map(|n| format!("\"{n}\":\"\"")));
    let many = names(100_000).join(",");
    files.push((
        prefixed(&format!("{{\"__metadata__\":{{{many},\"7\":\"\"}}}}")),
        "\"7\" is there twice",
    ));
    files.push((
        prefixed(&format!("{{\"__metadata__\":{{{many}}}}}")),
        "it has no",
    ));
    let tensor = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    files.push((
        prefixed(&format!("{{\"a\":{tensor},\"a\":{tensor}}}")),
        "\"a\" is there twice",
    ));
    files.push((
        prefixed("{\"__metadata__\":{\"seed\":1}}"),
        "invalid type: integer `1`",
    ));
    files.push((prefixed("{\"__metadata__\":[]}"), "invalid type: sequence"));
    for (file, expected) in files {
        let [opened, loaded] = refused(&file);
        // Which is refused first is not the same.
        let is_it = [&opened, &loaded]
            .iter()
            .any(|error| error.contains(expected));
        let starts = [opened, loaded].map(|error| error.chars().take(300).collect::<String>());
        assert!(is_it, "{starts:?}, not {expected}");
    }
}

/// Tens of thousands of layers that are the network's but for the last.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_of_many_layers_is_compared_with_a_file_s_in_little_memory() {
    let _alone = alone();
    let file = model_header(&(input(&[1]) + &layers(50_000, flatten)), json!({}));
    let mut network = Sequential::new([1]);
    for position in 0..50_000 {
        network = network.add(Flatten::new().name(position.to_string()));
    }
    let network = network.add(Activation::Relu);
    let mut model = network.build(gpu(), 1).unwrap();
    let (result, peak) = peak(|| pollster::block_on(model.load_bytes(&file)));
    let error = result.unwrap_err().to_string();
    let expected = "the bytes: 49999: the file has activation linear, the network relu";
    assert_eq!(error, expected);
    let len = file.len();
    assert!(peak <= 32 * len, "{peak} bytes for a file of {len}");
}

/// If each were compared with all others, this would take an hour.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_model_of_a_million_layers_takes_a_million_times_one() {
    let _alone = alone();
    let same = |_| flatten(7);
    let unknown = |position| format!(r#"{{"class_name":"{position}","config":{{}}}}"#);
    let all_unknown = r#"layers[100000].class_name is "99999""#;
    for (layers, expected) in [
        (layers(1_000_000, flatten), None),
        (
            layers(100_000, same),
            Some("7: the name is another layer's"),
        ),
        (layers(100_000, unknown), Some(all_unknown)),
    ] {
        let file = model_header(&(input(&[1]) + &layers), json!({}));
        let (result, peak) = peak(|| pollster::block_on(Sequential::from_bytes(gpu(), &file)));
        match expected {
            None => assert_eq!(result.unwrap().output_shape(), [1]),
            Some(expected) => assert!(result.unwrap_err().to_string().contains(expected)),
        }
        let len = file.len();
        assert!(peak <= 32 * len, "{peak} bytes for a file of {len}");
    }
}

/// An ONNX model with a graph of so many parts of these bytes.
fn onnx_model(part: &[u8], count: usize, around: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let field = |key: u8, bytes: &[u8]| {
        let mut len = bytes.len();
        let mut field = vec![key];
        while len >= 128 {
            field.push(len as u8 | 128);
            len >>= 7;
        }
        field.push(len as u8);
        [&field, bytes].concat()
    };
    let graph = field(0x3a, &around(part.repeat(count)));
    // Of opset 17.
    [graph, field(0x42, &[0x0a, 0x00, 0x10, 17])].concat()
}

#[test]
fn onnx_files_of_the_smallest_parts_take_no_more_than_thirty_two_times_their_size() {
    let _alone = alone();
    let gpu = gpu();
    let as_is = |bytes: Vec<u8>| bytes;
    // In a node, or an initializer, whose length takes three bytes.
    let inside = |key: u8| {
        move |bytes: Vec<u8>| {
            let len = bytes.len();
            let len = [len as u8 | 128, (len >> 7) as u8 | 128, (len >> 14) as u8];
            [&[key], &len[..], &bytes].concat()
        }
    };
    let files = [
        (
            "nodes",
            onnx_model(b"\x0a\x06\x12\x01a\x22\x01R", 1 << 17, as_is),
        ),
        (
            "initializers",
            onnx_model(b"\x2a\x03\x42\x01w", 1 << 17, as_is),
        ),
        ("inputs", onnx_model(b"\x5a\x03\x0a\x01x", 1 << 17, as_is)),
        ("attributes", onnx_model(b"\x2a\x00", 1 << 19, inside(0x0a))),
        ("names", onnx_model(b"\x0a\x00", 1 << 19, inside(0x0a))),
        ("extents", onnx_model(b"\x08\x01", 1 << 19, inside(0x2a))),
    ];
    for (name, bytes) in files {
        let (result, peak) = peak(|| pollster::block_on(onnx::from_bytes(gpu, &bytes)));
        assert!(result.is_err(), "{name}");
        let times = peak.saturating_sub(FEW) / bytes.len();
        println!("{name}: {times} times {} bytes", bytes.len());
        assert!(times <= 32, "{name}: {times}");
    }
}
