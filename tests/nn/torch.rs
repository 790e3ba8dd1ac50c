//! Weights of PyTorch's: `state_dict`s that `tests/interop/make_torch.py` has written, and back.

use std::path::{Path, PathBuf};

use crate::common::gpu;
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use selfnorm::Error;
use selfnorm::nn::Activation::{Elu, Selu, Softmax};
use selfnorm::nn::{
    AlphaDropout, BatchNormalization, Conv2d, Dense, Dtype, Flatten, Layer, LayerNormalization,
    Loaded, Mapping, MaxPool2d, Origin, Padding, Reshape, Sequential, SequentialBuilder,
};

/// Of f32 sums, relative to the value, or to the output's root mean square where that is larger.
const BOUND: f64 = 1e-5;

fn path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torch");
    folder.join(format!("{name}.safetensors"))
}

/// `convnet` of make_torch.py.
fn convnet() -> SequentialBuilder {
    let one = Padding::Explicit {
        before: [1, 1],
        after: [1, 1],
    };
    Sequential::new([9, 8, 2])
        .add(Conv2d::new(4, [3, 3]).strides([2, 2]).padding(one))
        .add(BatchNormalization::new())
        .add(Selu)
        .add(AlphaDropout::new(0.1))
        .add(Conv2d::new(3, [2, 3]).use_bias(false).activation(Elu(0.5)))
        .add(MaxPool2d::new([2, 2]).strides([1, 1]).padding(one))
        .add(Flatten::new())
        .add(BatchNormalization::new())
        .add(Dense::new(8).activation(Selu))
        .add(LayerNormalization::new())
        .add(Dense::new(5).activation(Softmax))
}

fn encoder() -> SequentialBuilder {
    Sequential::new([4])
        .add(Dense::new(6).activation(Selu))
        .add(Dense::new(3))
}

/// What the network predicts for x of the file is y of the file.
fn check(name: &str, model: &Sequential) {
    let bytes = std::fs::read(path(&format!("{name}.expected"))).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let x = file.tensor("x").unwrap();
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(x.data());
    let x = gpu().tensor(&values, x.shape()).unwrap();
    let expected: Vec<f64> = bytemuck::pod_collect_to_vec(file.tensor("y").unwrap().data());
    let squares: f64 = expected.iter().map(|y| y * y).sum();
    let typical = (squares / expected.len() as f64).sqrt();
    let y = model.predict(&x).unwrap().to_vec().unwrap();
    assert_eq!(y.len(), expected.len());
    let mut largest = 0.0;
    for (y, expected) in y.into_iter().zip(expected) {
        let error = (f64::from(y) - expected).abs() / expected.abs().max(typical);
        assert!(error <= BOUND, "{name}: {y} is not {expected}");
        largest = error.max(largest);
    }
    println!("{name}: largest difference {largest:.2e}");
}

fn load(name: &str, builder: SequentialBuilder, mapping: &Mapping) -> (Sequential, Loaded) {
    let mut model = builder.build(gpu(), 1).unwrap();
    let loaded = model.load_with(path(name), mapping).unwrap();
    (model, loaded)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_module_of_pytorch_s_predicts_what_it_predicts_there() {
    let (model, loaded) = load("convnet", convnet(), &Mapping::new(Origin::PyTorch));
    assert_eq!(loaded.loaded.len(), model.weights().unwrap().len());
    let rest = [&loaded.missing, &loaded.mismatched, &loaded.left_over];
    assert_eq!(rest, [&Vec::<String>::new(); 3]);
    check("convnet", &model);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn modules_with_names_of_their_own_are_renamed() {
    let torch = Mapping::new(Origin::PyTorch);
    // Which comes first, words do not say.
    let mut model = encoder().build(gpu(), 1).unwrap();
    let error = model.load_with(path("encoder"), &torch).unwrap_err();
    let expected = "which of its modules head and trunk comes first, their names do not say; give each its layer by Mapping::rename";
    assert!(error.to_string().ends_with(expected), "{error}");
    for mapping in [
        torch.clone().rename("trunk", "dense"),
        torch.rename("trunk", "dense").rename("head", "dense_1"),
    ] {
        let (model, loaded) = load("encoder", encoder(), &mapping);
        let pair = |weight: &str, tensor: &str| (weight.to_owned(), tensor.to_owned());
        assert_eq!(
            loaded.loaded,
            [
                pair("dense/kernel", "trunk.weight"),
                pair("dense/bias", "trunk.bias"),
                pair("dense_1/kernel", "head.weight"),
                pair("dense_1/bias", "head.bias"),
            ]
        );
        check("encoder", &model);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn values_of_16_and_64_bits_are_read_as_the_nearest_f32s() {
    for name in ["f16", "bf16", "f64"] {
        let (model, _) = load(name, encoder(), &Mapping::new(Origin::PyTorch));
        check(name, &model);
    }
    let bytes = std::fs::read(path("f64")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let biases: Vec<f64> = bytemuck::pod_collect_to_vec(file.tensor("0.bias").unwrap().data());
    let (model, _) = load("f64", encoder(), &Mapping::new(Origin::PyTorch));
    let rounded: Vec<_> = biases.into_iter().map(|value| value as f32).collect();
    let loaded = model.weight("dense/bias").unwrap().to_vec().unwrap();
    assert_eq!(loaded, rounded);
}

/// A file's tensors: names, types, shapes and bytes.
fn tensors(bytes: &[u8]) -> Vec<(String, Stored, Vec<usize>, Vec<u8>)> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let mut tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().into(), view.data().into()))
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_written_for_pytorch_is_what_it_wrote() {
    let torch = Mapping::new(Origin::PyTorch);
    let (model, _) = load("convnet", convnet(), &torch);
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("convnet.safetensors");
    model.save_with(&written, &torch).unwrap();
    let written = std::fs::read(written).unwrap();
    let mut expected = tensors(&std::fs::read(path("convnet")).unwrap());
    // An activation in a layer with weights is a module behind it, as in `convnet`; batches are not counted.
    expected.retain(|(name, ..)| !name.ends_with("num_batches_tracked"));
    assert_eq!(tensors(&written), expected);
    if let Some(out) = std::env::var_os("SELFNORM_INTEROP_OUT") {
        std::fs::create_dir_all(&out).unwrap();
        let out = Path::new(&out);
        std::fs::write(out.join("convnet.safetensors"), written).unwrap();
        std::fs::copy(
            path("convnet.expected"),
            out.join("convnet.expected.safetensors"),
        )
        .unwrap();
    }
    // Renamed, it is read by the same names only.
    let renamed = torch.rename("head", "dense_1");
    let bytes = pollster::block_on(model.to_bytes_with(&renamed)).unwrap();
    let names: Vec<_> = tensors(&bytes).into_iter().map(|tensor| tensor.0).collect();
    assert!(names.contains(&"head.weight".to_owned()), "{names:?}");
    let mut again = convnet().build(gpu(), 2).unwrap();
    pollster::block_on(again.load_bytes_with(&bytes, &renamed)).unwrap();
    check("convnet", &again);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_is_written_in_16_bits_rounded_to_the_nearest() {
    let model = convnet().build(gpu(), 5).unwrap();
    let kernel = model.weight("dense/kernel").unwrap().to_vec().unwrap();
    for (dtype, stored, rounded) in [
        (
            Dtype::F16,
            Stored::F16,
            (|x| half::f16::from_f32(x).to_f32()) as fn(f32) -> f32,
        ),
        (Dtype::Bf16, Stored::BF16, |x| {
            half::bf16::from_f32(x).to_f32()
        }),
        (Dtype::F32, Stored::F32, |x| x),
    ] {
        let mapping = Mapping::default().dtype(dtype);
        let bytes = pollster::block_on(model.to_bytes_with(&mapping)).unwrap();
        assert!(tensors(&bytes).iter().all(|tensor| tensor.1 == stored));
        // With its layers, as any other.
        let again = pollster::block_on(Sequential::from_bytes(gpu(), &bytes)).unwrap();
        let actual = again.weight("dense/kernel").unwrap().to_vec().unwrap();
        let expected: Vec<_> = kernel.iter().map(|&x| rounded(x)).collect();
        assert_eq!(actual, expected);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_partial_mapping_loads_what_fits_and_reports_the_rest() {
    // Another head, and a layer more.
    let builder = || {
        Sequential::new([4])
            .add(Dense::new(6).activation(Selu))
            .add(Dense::new(3).name("new"))
            .add(Dense::new(2))
    };
    let from = encoder().build(gpu(), 3).unwrap();
    let bytes = pollster::block_on(from.to_bytes_with(&Mapping::default())).unwrap();
    let mut model = builder().build(gpu(), 4).unwrap();
    let partial = Mapping::default().partial();
    let loaded = pollster::block_on(model.load_bytes_with(&bytes, &partial)).unwrap();
    let pair = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(loaded.loaded, [pair("dense/kernel"), pair("dense/bias")]);
    assert_eq!(loaded.missing, ["new/kernel", "new/bias"]);
    assert_eq!(loaded.mismatched, ["dense_1/kernel", "dense_1/bias"]);
    assert_eq!(loaded.left_over, ["dense_1/bias", "dense_1/kernel"]);
    assert_eq!(
        loaded.to_string(),
        "loaded 2; missing: new/kernel, new/bias; of another shape: dense_1/kernel, dense_1/bias; \
         left over: dense_1/bias, dense_1/kernel"
    );
    // The rest is as it was.
    let fresh = builder().build(gpu(), 4).unwrap();
    for (name, weight) in model.weights().unwrap() {
        let source = match name.starts_with("dense/") {
            true => &from,
            false => &fresh,
        };
        let expected = source.weight(&name).unwrap().to_vec().unwrap();
        assert_eq!(weight.to_vec().unwrap(), expected, "{name}");
    }
    // A layer is loaded whole or not at all: here the biases alone would fit.
    let wider = Sequential::new([5]).add(Dense::new(6)).add(Dense::new(3));
    let mut wider = wider.build(gpu(), 4).unwrap();
    let loaded = pollster::block_on(wider.load_bytes_with(&bytes, &partial)).unwrap();
    assert_eq!(loaded.mismatched, ["dense/kernel", "dense/bias"]);
    assert_eq!(loaded.loaded.len(), 2);
}

/// A `state_dict` of modules [8, 8], each with its own values.
fn modules(names: &[&str]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = (0..names.len())
        .map(|module| bytemuck::cast_slice(&[module as f32; 64]).to_vec())
        .collect();
    let tensors = names.iter().zip(&values).flat_map(|(name, values)| {
        let weight = TensorView::new(Stored::F32, vec![8, 8], values).unwrap();
        let bias = TensorView::new(Stored::F32, vec![8], &values[..32]).unwrap();
        [
            (format!("{name}.weight"), weight),
            (format!("{name}.bias"), bias),
        ]
    });
    safetensors::serialize(tensors, None).unwrap()
}

/// For each layer, the module that it is.
fn order(names: &[&str], layers: &[&str], mapping: &Mapping) -> Result<Vec<String>, String> {
    let layer = |name: &&str| Dense::new(8).name(*name);
    let builder = layers
        .iter()
        .map(layer)
        .fold(Sequential::new([8]), SequentialBuilder::add);
    let mut model = builder.build(gpu(), 1).unwrap();
    let loaded = pollster::block_on(model.load_bytes_with(&modules(names), mapping));
    let loaded = loaded.map_err(|error| error.to_string())?;
    for (weight, tensor) in &loaded.loaded {
        let module = tensor.rsplit_once('.').unwrap().0;
        let number = names.iter().position(|name| *name == module).unwrap();
        let values = model.weight(weight).unwrap().to_vec().unwrap();
        assert!(values.iter().all(|&value| value == number as f32));
    }
    let biases = loaded
        .loaded
        .iter()
        .filter(|(weight, _)| weight.ends_with("/bias"));
    Ok(biases
        .map(|(_, tensor)| tensor.replace(".bias", ""))
        .collect())
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn modules_are_in_the_order_of_numbers_or_go_by_names() {
    let torch = Mapping::new(Origin::PyTorch);
    let layers = ["a", "b", "c"];
    for names in [
        ["2", "9", "10"],
        ["fc2", "fc9", "fc10"],
        ["net.2.linear", "net.9.conv", "net.10.norm"],
        ["b1.9", "b2.3", "b10.1"],
    ] {
        assert_eq!(order(&names, &layers, &torch).unwrap(), names);
    }
    // By the names of layers, whatever their order.
    let names = ["encoder", "decoder", "head"];
    assert_eq!(order(&names, &names, &torch).unwrap(), names);
    assert_eq!(
        order(&["0", "1", "decoder"], &["x", "decoder", "y"], &torch).unwrap(),
        ["0", "decoder", "1"]
    );
    // Words have no order, nor has a word beside a number.
    for names in [
        ["conv1", "bn1", "conv2"],
        ["features.0", "classifier.0", "head"],
        ["0", "1", "head"],
    ] {
        let error = order(&names, &layers, &torch).unwrap_err();
        assert!(
            error.contains("comes first, their names do not say"),
            "{error}"
        );
        let partial = torch.clone().partial();
        assert!(order(&names, &layers, &partial).unwrap().is_empty());
    }
    // A module of a layer's name is that layer's, also where others have no module.
    let partial = torch.partial();
    assert_eq!(order(&["b"], &layers, &partial).unwrap(), ["b"]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn renames_that_contradict_each_other_are_errors() {
    let torch = || Mapping::new(Origin::PyTorch);
    let names = ["x", "y"];
    for (mapping, expected) in [
        (
            torch().rename("x", "a").rename("x", "b"),
            "x is renamed to a, and x to b",
        ),
        (
            torch().rename("x", "a").rename("y", "a"),
            "x is renamed to a, and y to a",
        ),
        (
            torch().rename("z", "a"),
            "it has no module z, which is to be a",
        ),
        (
            torch().rename("z", "a").partial(),
            "it has no module z, which is to be a",
        ),
    ] {
        let error = order(&names, &["a", "b"], &mapping).unwrap_err();
        assert_eq!(error, format!("the bytes: {expected}"));
    }
    // Nor is a file written with two tensors of one name.
    let layers = Sequential::new([8]).add(Dense::new(8)).add(Dense::new(8));
    let model = layers.build(gpu(), 1).unwrap();
    for (mapping, expected) in [
        (
            torch().rename("1", "dense"),
            "dense/kernel and dense_1/kernel would both be 1.weight; rename one of them",
        ),
        (
            Mapping::default().rename("dense_1", "dense"),
            "dense/kernel and dense_1/kernel would both be dense_1/kernel; rename one of them",
        ),
    ] {
        let error = pollster::block_on(model.to_bytes_with(&mapping)).unwrap_err();
        assert_eq!(error.to_string(), format!("the bytes: {expected}"));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_reshapes_images_is_no_module() {
    let torch = Mapping::new(Origin::PyTorch);
    let write = |builder: SequentialBuilder| {
        let model = builder.build(gpu(), 1).unwrap();
        pollster::block_on(model.to_bytes_with(&torch))
    };
    let images = || Sequential::new([3, 4, 2]).add(Conv2d::new(2, [1, 1]));
    let expected = "the bytes: reshape reshapes images, whose channels come first in PyTorch: it would be another function there";
    for builder in [
        images().add(Reshape::new([6, 4])).add(Dense::new(3)),
        images()
            .add(Reshape::new([4, 3, 2]))
            .add(Conv2d::new(1, [1, 1])),
        images()
            .add(Flatten::new())
            .add(Reshape::new([6, 4]))
            .add(Dense::new(3)),
        Sequential::new([5])
            .add(Dense::new(24))
            .add(Reshape::new([3, 4, 2]))
            .add(Conv2d::new(1, [1, 1])),
    ] {
        assert_eq!(write(builder).unwrap_err().to_string(), expected);
    }
    // One that flattens is a Flatten, and a single channel is in the same order.
    let [flat, reshaped] = [Layer::from(Flatten::new()), Reshape::new([24]).into()]
        .map(|layer| tensors(&write(images().add(layer).add(Dense::new(3))).unwrap()));
    assert_eq!(reshaped[1], flat[1]);
    let single = Sequential::new([12])
        .add(Reshape::new([3, 4, 1]))
        .add(Conv2d::new(1, [2, 2]));
    write(single).unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_mapping_that_does_not_fit_says_so_and_changes_nothing() {
    let mut model = encoder().build(gpu(), 1).unwrap();
    let before = model.weight("dense/kernel").unwrap().to_vec().unwrap();
    let torch = Mapping::new(Origin::PyTorch);
    for (name, mapping, expected) in [
        (
            "convnet",
            torch.clone(),
            "it has 7 modules with weights (0, 1, 4, 8, 9, 11, 12), the network 2 layers (dense, dense_1); give each its layer by Mapping::rename",
        ),
        (
            "encoder",
            torch.rename("trunk", "dens"),
            "the network has no layer dens for trunk",
        ),
        ("encoder", Mapping::default(), "it has no dense/kernel"),
    ] {
        let Error::File { detail, .. } = model.load_with(path(name), &mapping).unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(detail, expected);
        let after = model.weight("dense/kernel").unwrap().to_vec().unwrap();
        assert_eq!(after, before);
    }
}
