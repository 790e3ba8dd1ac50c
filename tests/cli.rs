//! The command `selfnorm`, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "common/mod.rs"]
mod common;

use common::gpu;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{Conv2d, Dense, Flatten, Mapping, Origin, Sequential};

fn selfnorm(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfnorm"));
    command.args(arguments).current_dir(folder);
    command.output().unwrap()
}

/// What it prints.
fn done(arguments: &[&str], folder: &Path) -> String {
    let output = selfnorm(arguments, folder);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first line of what it says of a mistake.
fn refused(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = selfnorm(arguments, folder);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    // Of the driver's on Linux without a desktop.
    let mut lines = said
        .lines()
        .filter(|line| !line.contains("XDG_RUNTIME_DIR"));
    lines.next().unwrap_or_default().into()
}

fn model() -> Sequential {
    let layers = Sequential::new([4, 4, 2])
        .add(Conv2d::new(3, [2, 2]).activation(Selu))
        .add(Flatten::new())
        .add(Dense::new(3).activation(Softmax));
    let mut model = layers.build(gpu(), 7).unwrap();
    model.set_metadata("classes", "a,b,c").unwrap();
    model
}

/// A folder with the model as `model.safetensors`, and four samples as `x.csv`.
fn folder() -> (tempfile::TempDir, Vec<f32>) {
    let folder = tempfile::tempdir().unwrap();
    model()
        .save(folder.path().join("model.safetensors"))
        .unwrap();
    let samples: Vec<f32> = (0..4 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
    let names: Vec<_> = (0..32).map(|i| format!("pixel {i}")).collect();
    let mut text = names.join(",") + "\n";
    for row in samples.chunks(32) {
        let row: Vec<_> = row.iter().map(f32::to_string).collect();
        text += &(row.join(",") + "\n");
    }
    std::fs::write(folder.path().join("x.csv"), text).unwrap();
    (folder, samples)
}

/// Numbers as text, of all lines.
fn numbers(path: PathBuf) -> Vec<f32> {
    let text = std::fs::read_to_string(path).unwrap();
    let fields = text.lines().flat_map(|line| line.split(','));
    fields.map(|field| field.parse().unwrap()).collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_model_is_inspected() {
    let (folder, _) = folder();
    let folder = folder.path();
    let text = done(&["inspect", "model.safetensors"], folder);
    assert!(
        text.starts_with("model.safetensors: safetensors, "),
        "{text}"
    );
    assert!(text.contains("\nclasses: a,b,c\n"), "{text}");
    assert!(text.ends_with(&model().summary()), "{text}");
    let torch = Mapping::new(Origin::PyTorch);
    model()
        .save_with(folder.join("torch.safetensors"), &torch)
        .unwrap();
    let text = done(&["inspect", "torch.safetensors"], folder);
    assert!(text.contains("no layers: build the network"), "{text}");
    assert!(text.contains("\n0.weight: F32 [3, 2, 2, 2]\n"), "{text}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn predictions_of_every_format_are_the_model_s() {
    let (folder, samples) = folder();
    let folder = folder.path();
    let expected = model().predict_floats(&samples).unwrap();
    for to in ["model.keras", "model.onnx", "checkpoint.safetensors"] {
        done(&["convert", "model.safetensors", to], folder);
        done(&["predict", to, "x.csv", "y.csv"], folder);
        assert_eq!(numbers(folder.join("y.csv")), expected, "{to}");
        let text = done(&["inspect", to], folder);
        assert!(text.contains("conv2d (Conv2D)"), "{text}");
    }
    // From format to format, and back.
    done(&["convert", "model.keras", "again.onnx"], folder);
    done(&["convert", "again.onnx", "again.keras"], folder);
    done(&["predict", "again.keras", "x.csv", "y.npy"], folder);
    let file = std::fs::read(folder.join("y.npy")).unwrap();
    let header = String::from_utf8_lossy(&file[..128]).into_owned();
    assert!(header.contains("'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), "));
    let y: Vec<f32> = bytemuck::pod_collect_to_vec(&file[128..]);
    assert_eq!(y, expected);
    // An array has the sample's shape.
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 4, 4, 2), }";
    let header = format!("{header:117}\n");
    let mut file = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat();
    file.extend(samples.iter().flat_map(|&x| f64::from(x).to_le_bytes()));
    std::fs::write(folder.join("x.npy"), file).unwrap();
    done(&["predict", "model.safetensors", "x.npy", "y.csv"], folder);
    assert_eq!(numbers(folder.join("y.csv")), expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_state_dict_is_written_in_16_bits() {
    let (folder, _) = folder();
    let folder = folder.path();
    let convert = ["convert", "model.safetensors", "torch.safetensors"];
    done(
        &[&convert[..], &["--pytorch", "--dtype", "bf16"]].concat(),
        folder,
    );
    let text = done(&["inspect", "torch.safetensors"], folder);
    assert!(text.contains("\n0.weight: BF16 [3, 2, 2, 2]\n"), "{text}");
    assert!(text.contains("\n3.weight: BF16 [3, 27]\n"), "{text}");
}

/// A folder with `count` chunks of samples, in two folders of the same names: their names.
fn chunks(folder: &Path, count: usize) -> Vec<String> {
    let names = (0..count).map(|i| format!("in/{}/{}.csv", i % 2, i / 2));
    let names: Vec<_> = names.collect();
    for (i, name) in names.iter().enumerate() {
        let rows = (0..i % 5 + 1).map(|row| {
            let values =
                (0..32).map(|k| ((i * 100 + row * 32 + k) as f32 * 0.37).sin().to_string());
            values.collect::<Vec<_>>().join(",") + "\n"
        });
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, rows.collect::<String>()).unwrap();
    }
    names
}

/// All results are those of one undisturbed run.
fn assert_scored(folder: &Path, names: &[String]) {
    for name in names {
        let samples = numbers(folder.join(name));
        let expected = model().predict_floats(&samples).unwrap();
        assert_eq!(numbers(folder.join("out").join(name)), expected, "{name}");
    }
    let mut found = Vec::new();
    for part in ["0", "1"] {
        for entry in std::fs::read_dir(folder.join("out/in").join(part)).unwrap() {
            found.push(entry.unwrap().path());
        }
    }
    let is_result = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "csv");
    assert_eq!(
        found.iter().filter(|path| is_result(path)).count(),
        names.len()
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn chunks_are_scored_one_by_one_and_once() {
    let (folder, _) = folder();
    let folder = folder.path();
    let names = chunks(folder, 5);
    let mut arguments = vec!["score", "model.safetensors", "out"];
    arguments.extend(names.iter().map(String::as_str));
    let printed = done(&arguments, folder);
    let expected: Vec<_> = names.iter().map(|name| format!("out/{name}")).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    assert_scored(folder, &names);
    // What is there stays; what is wrong with one chunk is said, and the others are scored.
    let old = folder.join("out").join(&names[1]);
    std::fs::write(&old, "1,2,3\n").unwrap();
    std::fs::remove_file(folder.join("out").join(&names[4])).unwrap();
    std::fs::write(folder.join("in/bad.csv"), "1,2\n").unwrap();
    let mut arguments = vec![
        "score",
        "model.safetensors",
        "out",
        "in/bad.csv",
        "in/../x.csv",
    ];
    arguments.extend(names.iter().map(String::as_str));
    let output = selfnorm(&arguments, folder);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "in/bad.csv: a row has 2 values, the model's input is 32: [4, 4, 2]",
        "in/../x.csv: a chunk is named from here on, or from the root, without ..",
        "2 of 7 chunks have no result",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "1,2,3\n");
    std::fs::remove_file(&old).unwrap();
    done(&["score", "model.safetensors", "out", &names[1]], folder);
    assert_scored(folder, &names);
    // The same name from here on and from the root are two files.
    let whole = folder.join(&names[0]);
    let whole = whole.to_str().unwrap();
    let printed = done(
        &["score", "--gpu", "3", "model.safetensors", "out", whole],
        folder,
    );
    assert_eq!(printed.trim(), format!("out/absolute{whole}"));
    for name in ["absolute/x.csv", "./absolute/x.csv"] {
        let text = refused(&["score", "model.safetensors", "out", name], folder, 1);
        assert!(
            text.contains("for files that are named from the root"),
            "{text}"
        );
    }
    let text = refused(&["score", "model.safetensors", ".", &names[0]], folder, 1);
    assert!(text.contains("its result would take its place"), "{text}");
}

/// Two at a time take names from pipes; the first of them is killed with whatever it is at, again and again, until
/// nothing is left to do.
#[test]
#[cfg(unix)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn killed_workers_lose_and_double_nothing() {
    let (folder, _) = folder();
    let folder = folder.path();
    let names = chunks(folder, 60);
    let list = format!("\n{}\r\n", names.join("\n"));
    let worker = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfnorm"));
        command
            .args(["score", "model.safetensors", "out"])
            .current_dir(folder);
        command
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null());
        let mut worker = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut worker.stdin.take().unwrap(), list.as_bytes()).unwrap();
        worker
    };
    let mut killed = 0;
    for lines in [1, 7, 20] {
        let mut worker = worker();
        // After so many results.
        let out = std::io::BufReader::new(worker.stdout.take().unwrap());
        let printed = std::io::BufRead::lines(out).take(lines).count();
        worker.kill().unwrap();
        killed += usize::from(!worker.wait().unwrap().success() && printed == lines);
    }
    assert_eq!(killed, 3);
    let workers = [worker(), worker()];
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            output.stdout.iter().filter(|byte| **byte == b'\n').count(),
            names.len()
        );
    }
    assert_scored(folder, &names);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn mistakes_are_sentences_and_write_nothing() {
    let (folder, _) = folder();
    let folder = folder.path();
    let listed = || {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = listed();
    for (arguments, code, expected) in [
        (&[][..], 2, "a command is missing"),
        (&["train"], 2, "train is none of its commands"),
        (&["inspect"], 2, "inspect takes FILE, not 0 files"),
        (
            &["predict", "a", "b"],
            2,
            "predict takes MODEL IN OUT, not 2 files",
        ),
        (
            &["score", "a"],
            2,
            "score takes MODEL FOLDER [IN…], not 1 files",
        ),
        (
            &["inspect", "--pytorch", "x"],
            2,
            "inspect takes no --dtype or --pytorch",
        ),
        (
            &["convert", "--dtype", "f8", "a", "b"],
            2,
            "cannot parse argument \"f8\": not one of f32, f16 and bf16",
        ),
        (
            &["convert", "model.safetensors", "a.onnx", "--pytorch"],
            1,
            "--dtype and --pytorch are for .safetensors",
        ),
        (
            &["convert", "model.safetensors", "a.h5"],
            1,
            "an .h5 is read only; write a .keras",
        ),
        (
            &["convert", "model.safetensors", "a.pt"],
            1,
            "a.pt: PyTorch's own files are programs; write safetensors.torch.save_file(module.state_dict(), …), or torch.onnx.export(…) for the layers, too",
        ),
        (
            &["convert", "model.safetensors", "a.tflite"],
            1,
            "a.tflite: not the name of a model, which ends in .keras, .h5, .onnx or .safetensors",
        ),
        (
            &["inspect", "none.safetensors"],
            1,
            "none.safetensors: No such file or directory (os error 2)",
        ),
        (
            &["predict", "model.safetensors", "x.csv", "y.txt"],
            1,
            "y.txt: not a name that ends in .csv or .npy",
        ),
        (
            &["predict", "model.safetensors", "none.csv", "y.csv"],
            1,
            "none.csv: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(
            refused(arguments, folder, code),
            format!("selfnorm: {expected}")
        );
    }
    let wide = folder.join("x.csv");
    std::fs::write(&wide, "1,2\n").unwrap();
    assert_eq!(
        refused(
            &["predict", "model.safetensors", "x.csv", "y.csv"],
            folder,
            1
        ),
        "selfnorm: x.csv: a row has 2 values, the model's input is 32: [4, 4, 2]"
    );
    assert_eq!(listed(), before);
}
