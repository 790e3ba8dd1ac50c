//! The images to learn.

use std::io::Cursor;

use selfnorm::nn::Dataset;
use selfnorm::{Gpu, Tensor, random};

use crate::failure::{Failure, failure, refused};

#[path = "../../examples/common/digits.rs"]
mod digits;
#[path = "../../examples/common/idx_format.rs"]
mod idx_format;

/// How many of the 8×8 digits are learned; the others are held out.
const TRAINED: usize = 1440;

/// The images that statistics are of.
const SAMPLE: usize = 128;

/// Images on the GPU.
pub struct Task {
    /// Of an image, in pixels.
    pub side: usize,
    /// A full pixel.
    pub ink: u8,
    pub training: Dataset,
    pub held_out: Dataset,
    /// The first of those held out, as the network sees them.
    pub sample: Tensor,
    shown: Images,
    /// The network sees pixel · scale + shift: mean 0 and variance 1, as SELU wants it from the first
    /// layer on.
    scale: f32,
    shift: f32,
}

struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Task {
    /// The 8×8 digits that come with the crate, with the same held out as in `examples/mnist.rs`.
    pub fn digits(gpu: &Gpu) -> Result<Self, Failure> {
        let (pixels, labels) = digits::digits().map_err(|problem| refused(problem.to_string()))?;
        // The file goes writer by writer; once shuffled, those held out are of all of them.
        let words: Vec<u32> = random::words(0, 0, 0..labels.len() as u64).collect();
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&i| words[i]);
        let (trained, held_out) = order.split_at(TRAINED);
        let images = |order: &[usize]| Images {
            pixels: order
                .iter()
                .flat_map(|&i| &pixels[i * digits::PIXELS..][..digits::PIXELS])
                .copied()
                .collect(),
            labels: order.iter().map(|&i| labels[i]).collect(),
        };
        Self::new(gpu, digits::SIDE, 16, images(trained), images(held_out))
    }

    /// MNIST's: names and contents of its files.
    pub fn mnist(gpu: &Gpu, files: &[(String, Vec<u8>)]) -> Result<Self, Failure> {
        let (side, training) = part(files, &["train"])?;
        let (other, held_out) = part(files, &["t10k", "test"])?;
        if side != other {
            return Err(refused(format!(
                "the images for training are {side}×{side}, those for the test {other}×{other}"
            )));
        }
        Self::new(gpu, side, 255, training, held_out)
    }

    fn new(
        gpu: &Gpu,
        side: usize,
        ink: u8,
        training: Images,
        held_out: Images,
    ) -> Result<Self, Failure> {
        let len = training.pixels.len() as f64;
        let values = || training.pixels.iter().map(|&pixel| f64::from(pixel));
        let mean = values().sum::<f64>() / len;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / len;
        if variance == 0.0 {
            return Err(refused("all pixels of the images are the same"));
        }
        let scale = (1.0 / variance.sqrt()) as f32;
        let shift = (-mean / variance.sqrt()) as f32;
        let seen = |pixels: &[u8]| input(gpu, side, pixels, scale, shift);
        let dataset = |images: &Images| -> Result<Dataset, selfnorm::Error> {
            let pixels = Dataset::from_bytes(gpu, &images.pixels, [side * side])?;
            pixels.scaled(scale, shift).classes(&images.labels)
        };
        let sampled = SAMPLE.min(held_out.labels.len()) * side * side;
        Ok(Self {
            side,
            ink,
            training: dataset(&training).map_err(failure)?,
            held_out: dataset(&held_out).map_err(failure)?,
            sample: seen(&held_out.pixels[..sampled]).map_err(failure)?,
            shown: held_out,
            scale,
            shift,
        })
    }

    /// Pixels of images, as the network sees them.
    pub fn input(&self, gpu: &Gpu, pixels: &[u8]) -> selfnorm::Result<Tensor> {
        input(gpu, self.side, pixels, self.scale, self.shift)
    }

    /// The pixels and the label of a held-out image; its number may be any.
    pub fn picture(&self, number: usize) -> (&[u8], u8) {
        let Images { pixels, labels } = &self.shown;
        let (i, len) = (number % labels.len(), self.side * self.side);
        (&pixels[i * len..][..len], labels[i])
    }
}

fn input(
    gpu: &Gpu,
    side: usize,
    pixels: &[u8],
    scale: f32,
    shift: f32,
) -> selfnorm::Result<Tensor> {
    let values: Vec<f32> = pixels
        .iter()
        .map(|&pixel| f32::from(pixel) * scale + shift)
        .collect();
    let len = side * side;
    gpu.tensor(&values, [values.len() / len, len])
}

/// The side and the images of a part of MNIST, whose files' names have one of `names`.
fn part(files: &[(String, Vec<u8>)], names: &[&str]) -> Result<(usize, Images), Failure> {
    let find = |content: &str| {
        let is_it = |(file, _): &&(String, Vec<u8>)| {
            file.contains(content) && names.iter().any(|name| file.contains(name))
        };
        files.iter().find(is_it).ok_or_else(|| {
            refused(format!(
                "there is no {}-{content} among the files; MNIST is four: train-images-idx3-ubyte, \
                 train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each as it \
                 is or with .gz",
                names.join("-… or ")
            ))
        })
    };
    let ((images_name, images), (labels_name, labels)) = (find("images")?, find("labels")?);
    let read = |name: &str, file| {
        idx_format::unpacked(Cursor::new(file))
            .map_err(|problem| in_file(name)(problem.to_string()))
    };
    let ([count, height, width], pixels) =
        idx_format::images(read(images_name, images)?).map_err(in_file(images_name))?;
    let labels = idx_format::labels(read(labels_name, labels)?).map_err(in_file(labels_name))?;
    if count != labels.len() {
        return Err(refused(format!(
            "{images_name} has {count} images, {labels_name} has {} labels; they are not of one data set",
            labels.len()
        )));
    }
    if pixels.is_empty() || height != width {
        let detail = format!("{count} images of {height}×{width} pixels; they must be square");
        return Err(in_file(images_name)(detail));
    }
    if let Some(i) = labels.iter().position(|&label| label > 9) {
        let detail = format!("label {i} is {}, labels are from 0 to 9", labels[i]);
        return Err(in_file(labels_name)(detail));
    }
    Ok((height, Images { pixels, labels }))
}

fn in_file(name: &str) -> impl Fn(String) -> Failure {
    move |problem| refused(format!("{name}: {problem}"))
}
