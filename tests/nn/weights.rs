//! Weights by name, in files, and in checkpoints. Everything is compared by its bits: nothing is
//! computed on the way. What is broken in a file must leave the network as it was, and what can't be
//! written must leave the folder as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::reference::derived_seed;
use crate::common::{self, gpu};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten, Initializer, Loss, MaxPool2d,
    Optimizer, Sequential, SequentialBuilder, Sgd,
};
use selfnorm::{
    Error, GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, Tensor,
};

type Bits = Vec<(String, Vec<usize>, Vec<u32>)>;

fn bits(model: &Sequential) -> Bits {
    let weights = model.weights().unwrap();
    let entry = |(name, w): (String, Tensor)| {
        let values = w.to_vec().unwrap();
        (
            name,
            w.shape().to_vec(),
            values.iter().map(|x| x.to_bits()).collect(),
        )
    };
    weights.into_iter().map(entry).collect()
}

/// Two of a kind, dropout, and a frozen layer between trained ones.
fn network() -> SequentialBuilder {
    Sequential::new([6, 6, 1])
        .add(Conv2d::new(3, [3, 3]).activation(Selu))
        .add(AlphaDropout::new(0.2))
        .add(Conv2d::new(4, [2, 2]).activation(Selu).use_bias(false))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten::new())
        .add(Dense::new(5).trainable(false).activation(Selu))
        .add(Dense::new(7).activation(Selu).name("middle"))
        .add(Dense::new(3).activation(Softmax))
}

const NAMES: [&str; 9] = [
    "conv2d/kernel",
    "conv2d/bias",
    "conv2d_1/kernel",
    "dense/kernel",
    "dense/bias",
    "middle/kernel",
    "middle/bias",
    "dense_1/kernel",
    "dense_1/bias",
];

fn build(seed: u64) -> Sequential {
    network().build(gpu(), seed).unwrap()
}

fn data() -> Dataset {
    let words = selfnorm::random::words(1, 1, 0..50 * 36);
    let pixels: Vec<_> = words.map(|word| word as u8).collect();
    let labels: Vec<_> = (0..50u32).map(|i| i * i % 3).collect();
    let data = Dataset::from_bytes(gpu(), &pixels, [6, 6, 1]).unwrap();
    data.classes(&labels).unwrap()
}

/// A folder that is gone afterwards.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// A file's tensors, to be changed and written again.
#[derive(Clone)]
struct Contents(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Contents {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let contents = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            (name, contents)
        });
        Self(tensors.collect())
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_have_keras_s_names_order_and_shapes() {
    let weights = bits(&build(1));
    let names: Vec<_> = weights.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, NAMES);
    let shapes: Vec<_> = weights.iter().map(|(_, shape, _)| &shape[..]).collect();
    let expected: [&[usize]; 9] = [
        &[3, 3, 1, 3],
        &[3],
        &[2, 2, 3, 4],
        &[4, 5],
        &[5],
        &[5, 7],
        &[7],
        &[7, 3],
        &[3],
    ];
    assert_eq!(shapes, expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_are_the_host_s_from_the_seeds_of_their_layers() {
    let seed = 0x0123_4567_89ab_cdef;
    let network = Sequential::new([6])
        .add(AlphaDropout::new(0.2))
        .add(Dense::new(5).bias_initializer(Initializer::LecunUniform))
        .add(Dense::new(4).kernel_initializer(Initializer::LecunNormal))
        .add(Dense::new(3).kernel_initializer(Initializer::LecunUniform))
        .add(Dense::new(7).kernel_initializer(Initializer::HeNormal))
        .add(Dense::new(2).kernel_initializer(Initializer::HeUniform))
        .add(Dense::new(8).kernel_initializer(Initializer::GlorotNormal));
    let model = network.build(gpu(), seed).unwrap();
    let found: Vec<_> = model
        .weights()
        .unwrap()
        .into_iter()
        .map(|(_, w)| w.to_vec().unwrap())
        .collect();
    // Layer 0 is the dropout; of each, 0 is the kernel's seed and 1 the biases'.
    let seed = |layer: u64, of: u64| derived_seed(seed, 3 * layer + of);
    let expected = [
        GlorotUniform::for_kernel([6, 5])
            .seed(seed(1, 0))
            .values(30)
            .unwrap(),
        LecunUniform::for_kernel([5])
            .seed(seed(1, 1))
            .values(5)
            .unwrap(),
        LecunNormal::for_kernel([5, 4])
            .seed(seed(2, 0))
            .values(20)
            .unwrap(),
        vec![0.0; 4],
        LecunUniform::for_kernel([4, 3])
            .seed(seed(3, 0))
            .values(12)
            .unwrap(),
        vec![0.0; 3],
        HeNormal::for_kernel([3, 7])
            .seed(seed(4, 0))
            .values(21)
            .unwrap(),
        vec![0.0; 7],
        HeUniform::for_kernel([7, 2])
            .seed(seed(5, 0))
            .values(14)
            .unwrap(),
        vec![0.0; 2],
        GlorotNormal::for_kernel([2, 8])
            .seed(seed(6, 0))
            .values(16)
            .unwrap(),
        vec![0.0; 8],
    ];
    assert_eq!(found, expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_that_are_set_are_the_weights() {
    let (from, mut to) = (build(1), build(2));
    assert_ne!(bits(&from), bits(&to));
    to.set_weights(&from.weights().unwrap()).unwrap();
    assert_eq!(bits(&from), bits(&to));

    // Only one, NaN and -0 among its bits; the rest stays.
    let values = [f32::from_bits(0x7fc0_1234), -0.0, 1e-40, f32::INFINITY, 5.0];
    let bias = gpu().tensor(&values, [5]).unwrap();
    to.set_weights(&[("dense/bias", bias)]).unwrap();
    for ((name, _, before), (_, _, after)) in bits(&from).iter().zip(bits(&to)) {
        if name == "dense/bias" {
            assert_eq!(after, values.map(f32::to_bits));
        } else {
            assert_eq!(*before, after, "{name}");
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_weight_is_found_by_its_name() {
    let model = build(1);
    for (name, shape, expected) in bits(&model) {
        let weight = model.weight(&name).unwrap();
        assert_eq!(weight.shape(), shape, "{name}");
        let values = weight.to_vec().unwrap().into_iter().map(f32::to_bits);
        assert_eq!(values.collect::<Vec<_>>(), expected, "{name}");
    }
    let error = model.weight("dense/gamma").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("weight: there is no weight \"dense/gamma\", only {NAMES:?}")
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_that_do_not_fit_change_nothing() {
    let mut model = build(1);
    let before = bits(&model);
    let good = || ("conv2d/bias", gpu().tensor(&[9.0; 3], [3]).unwrap());
    let tensor = |len: usize, shape: &[usize]| gpu().tensor(&vec![9.0; len], shape).unwrap();
    let error = model
        .set_weights(&[good(), ("dense/gamma", tensor(5, &[5]))])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("set_weights: there is no weight \"dense/gamma\", only {NAMES:?}")
    );
    let error = model
        .set_weights(&[good(), ("dense/bias", tensor(5, &[5, 1]))])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "set_weights: expected shape [5] for a weight, got [5, 1]"
    );
    let other = common::new_gpu();
    let foreign = other.tensor(&[9.0; 5], [5]).unwrap();
    let error = model
        .set_weights(&[good(), ("dense/bias", foreign)])
        .unwrap_err();
    assert!(matches!(error, Error::OtherGpu { .. }), "{error}");
    assert_eq!(bits(&model), before);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn saved_weights_load_bit_for_bit() {
    let folder = folder();
    let path = folder.path().join("weights.safetensors");
    let mut from = build(1);
    from.fit(&data(), &Fit::new(Adam::new(0.01)).batch_size(16))
        .unwrap();
    from.save(&path).unwrap();
    assert_eq!(listed(folder.path()), std::slice::from_ref(&path));

    let contents = Contents::read(&path);
    let mut names = NAMES;
    names.sort();
    assert_eq!(contents.0.keys().collect::<Vec<_>>(), names);
    for (name, shape, values) in bits(&from) {
        let data: Vec<u8> = values.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        assert_eq!(contents.0[&name], (Dtype::F32, shape, data), "{name}");
    }

    let mut to = build(2);
    to.load(&path).unwrap();
    assert_eq!(bits(&to), bits(&from));
    // What is opened and saved again is the same file.
    let again = folder.path().join("again.safetensors");
    let opened = Sequential::open(gpu(), &path).unwrap();
    opened.save(&again).unwrap();
    assert!(std::fs::read(again).unwrap() == std::fs::read(path).unwrap());
    let x = gpu().tensor(&[0.25; 2 * 36], [2, 6, 6, 1]).unwrap();
    let y = [from.predict(&x).unwrap(), to.predict(&x).unwrap()];
    assert_eq!(y[0].to_vec().unwrap(), y[1].to_vec().unwrap());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn files_that_are_broken_or_of_something_else_change_nothing() {
    let folder = folder();
    let path = folder.path().join("weights.safetensors");
    build(1).save(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    let contents = Contents::read(&path);
    let changed = |change: &dyn Fn(&mut Contents)| {
        let mut contents = contents.clone();
        change(&mut contents);
        contents.bytes()
    };
    let dtype = |dtype: Dtype, bytes: usize| {
        changed(&|contents| {
            let zeros = vec![0; 5 * bytes];
            contents
                .0
                .insert("dense/bias".into(), (dtype, vec![5], zeros));
        })
    };
    let shape = |shape: &[usize]| {
        changed(&|contents| contents.0.get_mut("middle/kernel").unwrap().1 = shape.into())
    };
    let missing = changed(&|contents| {
        contents.0.remove("dense_1/bias");
    });
    let extra = changed(&|contents| {
        let tensor = contents.0["dense/bias"].clone();
        contents.0.insert("gamma".into(), tensor);
    });
    let renamed = changed(&|contents| {
        let tensor = contents.0.remove("dense/bias").unwrap();
        contents.0.insert("dense/Bias".into(), tensor);
    });
    let header = |len: u64, rest: &[u8]| [&len.to_le_bytes()[..], rest].concat();
    let json = |text: &str| header(text.len() as u64, &[text.as_bytes(), &[0; 64]].concat());
    let mut files = vec![
        (missing, "it has no dense_1/bias"),
        (extra, "it has gamma, which the network has not"),
        (renamed, "it has no dense/bias"),
        (
            shape(&[7, 5]),
            "middle/kernel is F32 [7, 5], the network has F32 [5, 7]",
        ),
        (
            shape(&[35]),
            "middle/kernel is F32 [35], the network has F32 [5, 7]",
        ),
        (
            dtype(Dtype::F8_E4M3, 1),
            "dense/bias is F8_E4M3 [5], the network has F32 [5]",
        ),
        (
            dtype(Dtype::I64, 8),
            "dense/bias is I64 [5], the network has F32 [5]",
        ),
        (
            dtype(Dtype::I32, 4),
            "dense/bias is I32 [5], the network has F32 [5]",
        ),
        (Vec::new(), "not a safetensors file"),
        (
            b"PK\x03\x04 something else, and long enough".to_vec(),
            "not a safetensors file",
        ),
        (vec![0xff; 1000], "not a safetensors file"),
        (header(u64::MAX, &good[8..]), "not a safetensors file"),
        (header(1 << 40, &good[8..]), "not a safetensors file"),
        (header(99_999_999, &good[8..]), "not a safetensors file"),
        (header(0, &[]), "not a safetensors file"),
        (json("{}"), "it has no conv2d/kernel"),
        (json("[1, 2"), "not a safetensors file"),
        (
            json(
                r#"{"dense/bias":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,64]}}"#,
            ),
            "not a safetensors file",
        ),
        (
            json(r#"{"dense/bias":{"dtype":"F32","shape":[16],"data_offsets":[64,0]}}"#),
            "not a safetensors file",
        ),
        (
            json(r#"{"dense/bias":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}"#),
            "it has no conv2d/kernel",
        ),
    ];
    // Tensors one behind the other, up to the last byte that 64 bits can count; the format's own
    // crate adds to that.
    let (mut ends, mut end) = (Vec::new(), 0u64);
    while end < u64::MAX {
        let len = (u64::MAX - end).min(u64::MAX / 8);
        ends.push(format!(
            r#""{}":{{"dtype":"U8","shape":[{len}],"data_offsets":[{end},{}]}}"#,
            ends.len(),
            end + len
        ));
        end += len;
    }
    let endless = format!("{{{}}}", ends.join(","));
    files.push((json(&endless), "it has no conv2d/kernel"));
    for len in [
        1,
        7,
        8,
        9,
        100,
        good.len() / 2,
        good.len() - 4,
        good.len() - 1,
    ] {
        files.push((good[..len].to_vec(), "not a safetensors file"));
    }
    files.push(([&good[..], &[0]].concat(), "not a safetensors file"));

    let mut model = build(2);
    let before = bits(&model);
    let refused = |path: &Path, detail: &str, model: &mut Sequential| {
        for checkpoint in [false, true] {
            let error = match checkpoint {
                false => model.load(path).unwrap_err(),
                true => model.load_checkpoint(path).unwrap_err(),
            };
            let Error::File {
                path: named,
                detail: actual,
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!(*named, path.display().to_string());
            // A checkpoint has more to miss before it comes to this.
            assert!(
                checkpoint || actual.starts_with(detail),
                "{error}, not {detail}"
            );
            assert_eq!(bits(model), before, "{error}");
            assert_eq!(model.step(), 0);
        }
    };
    let bad = folder.path().join("bad.safetensors");
    for (bytes, detail) in files {
        std::fs::write(&bad, bytes).unwrap();
        refused(&bad, detail, &mut model);
    }
    refused(
        &folder.path().join("nothing.safetensors"),
        "No such file",
        &mut model,
    );
    refused(
        &folder.path().join("no/folder.safetensors"),
        "No such file",
        &mut model,
    );
    refused(folder.path(), "Is a directory", &mut model);
    // The weights of another network.
    let other = folder.path().join("other.safetensors");
    let small = Sequential::new([2])
        .add(Dense::new(1))
        .build(gpu(), 1)
        .unwrap();
    small.save(&other).unwrap();
    let error = model.load(&other).unwrap_err().to_string();
    let detail = "conv2d: the file has Dense, the network Conv2D";
    assert_eq!(error, format!("{}: {detail}", other.display()));
    refused(&other, detail, &mut model);
    // What is no checkpoint says what to use.
    let error = model.load_checkpoint(&path).unwrap_err().to_string();
    let detail = "not a checkpoint: it has no state of a training; use load";
    assert_eq!(error, format!("{}: {detail}", path.display()));
    assert_eq!(bits(&model), before);
    model.load(&path).unwrap();
    assert_ne!(bits(&model), before);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn saving_is_all_or_nothing() {
    let folder = folder();
    let model = build(1);
    let missing = folder.path().join("missing/weights.safetensors");
    for error in [model.save(&missing), model.save_checkpoint(&missing)] {
        let error = error.unwrap_err();
        assert!(
            matches!(&error, Error::File { path, .. } if *path == missing.display().to_string()),
            "{error}"
        );
    }
    assert!(listed(folder.path()).is_empty());

    // A folder of that name can't be replaced by a file.
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("content"), "old").unwrap();
    let error = model.save(&taken).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert_eq!(listed(folder.path()), std::slice::from_ref(&taken));
    assert_eq!(
        std::fs::read_to_string(taken.join("content")).unwrap(),
        "old"
    );

    // A file that is open goes on being the old one: it was replaced, not overwritten.
    let path = folder.path().join("weights.safetensors");
    build(2).save(&path).unwrap();
    let old = std::fs::read(&path).unwrap();
    let mut open = std::fs::File::open(&path).unwrap();
    model.save(&path).unwrap();
    let mut still = Vec::new();
    std::io::Read::read_to_end(&mut open, &mut still).unwrap();
    assert_eq!(still, old);
    assert_ne!(std::fs::read(&path).unwrap(), old);
    assert_eq!(listed(folder.path()), [taken, path.clone()]);
    let mut loaded = build(3);
    loaded.load(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&model));
}

/// As somebody who may not write there; root may write everywhere.
#[test]
#[cfg(unix)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_save_that_fails_leaves_the_old_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = folder.path().join("weights.safetensors");
    build(1).save(&path).unwrap();
    let old = std::fs::read(&path).unwrap();
    let allow = |mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
    };
    allow(0o555);
    let result = build(2).save(&path);
    allow(0o755);
    assert_eq!(listed(folder.path()), std::slice::from_ref(&path));
    match result {
        Err(error) => {
            assert!(matches!(error, Error::File { .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), old);
        }
        // Root.
        Ok(()) => assert_ne!(std::fs::read(&path).unwrap(), old),
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped() {
    let folder = folder();
    let (data, path) = (data(), folder.path().join("checkpoint.safetensors"));
    let optimizers = [
        Optimizer::from(Adam::new(0.01)),
        Sgd::new(0.05).momentum(0.9).into(),
        Sgd::new(0.05).into(),
    ];
    for optimizer in optimizers {
        let fit = || {
            Fit::new(optimizer.clone())
                .batch_size(16)
                .validation_split(0.1)
        };
        let mut whole = build(1);
        let loss = Loss::CategoricalCrossentropy;
        whole.compile(optimizer.clone(), loss).unwrap();
        let history = whole.fit(&data, &fit().epochs(5)).unwrap();

        for stopped_after in [0, 1, 3] {
            let mut first = build(1);
            first
                .compile(optimizer.clone(), Loss::CategoricalCrossentropy)
                .unwrap();
            let part = first.fit(&data, &fit().epochs(stopped_after)).unwrap();
            assert_eq!(part.epochs, history.epochs[..stopped_after]);
            first.save_checkpoint(&path).unwrap();
            assert_eq!(listed(folder.path()), std::slice::from_ref(&path));
            let (step, weights) = (first.step(), bits(&first));
            drop(first);

            // Of another seed, and with something behind it.
            let mut second = build(2);
            second
                .compile(optimizer.clone(), Loss::CategoricalCrossentropy)
                .unwrap();
            second.fit(&data, &fit()).unwrap();
            second.load_checkpoint(&path).unwrap();
            assert_eq!((second.step(), bits(&second)), (step, weights));
            let rest = fit().epochs(5 - stopped_after);
            let rest = second.fit(&data, &rest).unwrap();
            assert_eq!(rest.epochs, history.epochs[stopped_after..]);
            assert_eq!([part.losses, rest.losses].concat(), history.losses);
            assert_eq!(bits(&second), bits(&whole));
            // The moments, the step and the seed too.
            let paths = ["a", "b"].map(|name| folder.path().join(name));
            whole.save_checkpoint(&paths[0]).unwrap();
            second.save_checkpoint(&paths[1]).unwrap();
            let [a, b] = paths.each_ref().map(|path| std::fs::read(path).unwrap());
            assert_eq!(Contents::read(&paths[0]).0, Contents::read(&paths[1]).0);
            let metadata = |bytes: &[u8]| {
                let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
                metadata.metadata().clone()
            };
            assert_eq!(metadata(&a), metadata(&b));
            for path in paths {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_alone_are_not_what_training_goes_on_from() {
    // What the test above would see if the moments were lost.
    let folder = folder();
    let (data, path) = (data(), folder.path().join("weights.safetensors"));
    let fit = || Fit::new(Adam::new(0.01)).batch_size(16);
    let mut whole = build(1);
    let history = whole.fit(&data, &fit().epochs(2)).unwrap();
    let mut first = build(1);
    first.fit(&data, &fit()).unwrap();
    first.save(&path).unwrap();
    let mut second = build(1);
    second.load(&path).unwrap();
    let rest = second.fit(&data, &fit()).unwrap();
    assert_ne!(rest.epochs, history.epochs[1..]);
    assert_ne!(bits(&second), bits(&whole));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_of_another_optimizer_or_network_is_an_error() {
    let folder = folder();
    let path = folder.path().join("checkpoint.safetensors");
    let mut model = build(1);
    model
        .fit(&data(), &Fit::new(Adam::default()).batch_size(16))
        .unwrap();
    model.save_checkpoint(&path).unwrap();
    let refused = |model: &mut Sequential, detail: &str| {
        let before = (bits(model), model.step());
        let error = model.load_checkpoint(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {detail}", path.display()));
        assert_eq!((bits(model), model.step()), before);
    };
    let mut sgd = build(2);
    sgd.compile(Sgd::new(0.1).momentum(0.9), Loss::CategoricalCrossentropy)
        .unwrap();
    refused(
        &mut sgd,
        "a checkpoint of adam, the network is compiled for sgd",
    );
    let mut other = network().add(Dense::new(2)).build(gpu(), 2).unwrap();
    let expected = "dense_2: the network has this layer, the file has not";
    refused(&mut other, expected);
    // It is not of weights alone.
    let mut loaded = build(2);
    let before = bits(&loaded);
    let error = loaded.load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("it is a checkpoint; use load_checkpoint, or Sequential::open"),
        "{error}"
    );
    assert_eq!(bits(&loaded), before);

    // Momentum is not in a checkpoint of plain steps.
    let plain = |momentum: f64| {
        let mut model = build(1);
        let sgd = Sgd::new(0.1).momentum(momentum);
        model.compile(sgd, Loss::CategoricalCrossentropy).unwrap();
        model
    };
    plain(0.0).save_checkpoint(&path).unwrap();
    let mut momentum = plain(0.9);
    let before = bits(&momentum);
    assert!(momentum.load_checkpoint(&path).is_err());
    assert_eq!(bits(&momentum), before);
}
