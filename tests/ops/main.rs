//! Each operation against its definition in f64, and random numbers against theirs.

#[path = "../common/mod.rs"]
mod common;

mod alpha_dropout;
mod conv2d;
mod dense;
#[cfg(not(target_family = "wasm"))]
mod distributions;
mod elu;
mod every_operation;
mod gelu;
mod image;
mod initializers;
mod layer;
mod leaky_relu;
mod random;
mod relu;
mod rows;
mod same_bits;
mod selu;
mod sigmoid;
mod silu;
mod sine;
mod softmax;
mod softplus;
mod tanh;
mod unary;
mod wgsl;

#[cfg(target_family = "wasm")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

/// A file that is not named is not compiled, and its tests never run.
#[cfg(not(target_family = "wasm"))]
#[test]
fn every_file_of_a_folder_of_tests_is_named_in_its_main_or_mod() {
    use std::fs;
    use std::path::Path;
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let roots = ["main.rs", "mod.rs"].map(|root| folder.join(root));
        let root = roots.iter().find(|root| root.exists());
        let named = root.map(|root| fs::read_to_string(root).unwrap());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_module = path.extension().is_some_and(|extension| extension == "rs")
                || path.join("mod.rs").exists();
            if let Some(named) = &named
                && is_module
                && !roots.contains(&path)
            {
                let line = format!("mod {};", path.file_stem().unwrap().display());
                let is_named = |given: &str| given.trim_start_matches("pub ") == line;
                assert!(named.lines().any(is_named), "{}", path.display());
                files += 1;
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(files > 20, "{files}");
}
