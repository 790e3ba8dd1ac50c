//! Each layer of the crate knows only those before it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// From the ground up. `wgsl`, which lists the shaders of all operations, is no layer's foundation.
const LAYERS: [&str; 10] = [
    "element", "error", "random", "shader", "gpu", "tensor", "pass", "ops", "nn", "wgsl",
];

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The names that code takes from the crate's root: `a` and `b` of `crate::a::c` and `crate::{b, …}`.
fn taken(text: &str) -> Vec<String> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code: Vec<_> = text.lines().filter(is_code).collect();
    let first = |path: &str| {
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
        path[..end.unwrap_or(path.len())].to_owned()
    };
    let mut names = Vec::new();
    for path in code.join(" ").split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find('}').unwrap()];
                names.extend(list.split(',').map(|name| first(name.trim())));
            }
            None => names.push(first(path)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn no_layer_knows_a_later_one() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // What lib.rs gives another name to: `pub use ops::selu::Selu`.
    let root = std::fs::read_to_string(src.join("lib.rs")).unwrap();
    let mut exported = HashMap::new();
    for statement in root.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else {
            continue;
        };
        let Some((path, names)) = path.rsplit_once("::") else {
            continue;
        };
        let layer = path.split("::").next().unwrap();
        for name in names.split([',', '{', '}']).map(str::trim) {
            exported.insert(name.to_owned(), layer.to_owned());
        }
    }
    let height = |name: &str| LAYERS.iter().position(|&layer| layer == name);
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut arrows = 0;
    for path in files {
        let place = path.strip_prefix(&src).unwrap();
        let layer = place.iter().next().unwrap().to_str().unwrap();
        let layer = layer.trim_end_matches(".rs");
        if ["lib", "guide", "bin"].contains(&layer) {
            continue;
        }
        let own =
            height(layer).unwrap_or_else(|| panic!("{layer} is no layer: add it to the list"));
        for name in taken(&std::fs::read_to_string(&path).unwrap()) {
            let from = exported.get(&name).unwrap_or(&name);
            let from = height(from)
                .unwrap_or_else(|| panic!("{name} in {} is of no layer", place.display()));
            assert!(
                from <= own,
                "{} takes {name} of {}, which is a later layer",
                place.display(),
                LAYERS[from]
            );
            arrows += 1;
        }
    }
    assert!(arrows > 100, "{arrows} arrows are too few to be all");
}
