//! The guides, for everything that does not fit on the front page.

// The links and pictures of these pages lead to files of the repository, which rustdoc does not
// have. Of two definitions of a link, CommonMark takes the first, so docs/links.md (rustdoc's
// pages) and docs/pictures.md (the pictures as data) come before each page's own definitions.
// Doctests do without them, so that each is named by its page and line.
macro_rules! guides {
    ($($(#[$about:meta])+ $name:ident = $path:literal;)+) => {$(
        $(#[cfg_attr(not(doctest), $about)])+
        #[cfg_attr(not(doctest), doc = "")]
        #[cfg_attr(not(doctest), doc = include_str!("../docs/links.md"))]
        #[cfg_attr(not(doctest), doc = include_str!("../docs/pictures.md"))]
        #[doc = include_str!(concat!("../", $path))]
        pub mod $name {}
    )+};
}

guides! {
    /// Numbers in, numbers out; your device and encoder; your shader; your network.
    ways_in = "docs/ways_in.md";
    /// Recipes for egui, Bevy and winit: infer and train in a frame, threads, surfaces, lost devices.
    applications = "docs/applications.md";
    /// A page that trains and draws: what waits and its async form, errors, size, tests, publishing.
    browser = "docs/browser.md";
    /// Formulas, error bounds, and the errors measured at every float; random numbers.
    accuracy = "docs/accuracy.md";
    /// Layers, training and files; what SELU is for, in pictures; MNIST; memory.
    networks = "docs/networks.md";
    /// Models of Keras, PyTorch, scikit-learn and ONNX, and back: what is read and written, what is lost, how exactly.
    models = "docs/models.md";
    /// From a CSV file to a saved model: what to choose, in code to copy.
    tables = "docs/tables.md";
    /// Several GPUs and machines: MPI, threads, other engines, when it pays; scoring large files.
    distributed = "docs/distributed.md";
    /// Times of operations and training, beside copies, Burn, Keras and PyTorch.
    performance = "docs/performance.md";
    /// The promises, the tests that hold them, and the measurements.
    reliability = "docs/reliability.md";
    /// No adapter, the wrong adapter, containers, f16, caches.
    troubleshooting = "docs/troubleshooting.md";
    /// What limits the speed of each kernel, and what was tried and rejected.
    notes = "benches/NOTES.md";
    /// How to add an activation or an operation, and what a change must pass.
    contributing = "CONTRIBUTING.md";
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    #[test]
    fn the_front_page_has_at_most_130_lines() {
        assert!(include_str!("../README.md").lines().count() <= 130);
    }

    #[test]
    fn docs_pictures_md_has_the_pictures_of_docs() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let mut pictures = String::new();
        for name in [
            "curves",
            "deep",
            "mnist",
            "scaling",
            "twelve_tables",
            "web_light_1600",
        ] {
            let png = std::fs::read(docs.join(name).with_extension("png")).unwrap();
            pictures += &format!(
                "[{name}]: data:image/png;base64,{}\n",
                BASE64_STANDARD.encode(png)
            );
        }
        let copies = docs.join("pictures.md");
        if std::fs::read_to_string(&copies).is_ok_and(|text| text == pictures) {
            return;
        }
        std::fs::write(&copies, pictures).unwrap();
        panic!("docs/pictures.md was not up to date; it is now: look at it and commit it");
    }
}
