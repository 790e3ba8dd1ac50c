//! Fourier features: an encoding of coordinates.

use std::f64::consts::TAU;

use crate::{Error, Result};

/// γ(x) = (sin 2πBx, cos 2πBx), for a matrix B of frequencies: with it a small network learns fine detail
/// of a picture or a shape from coordinates, which by themselves it learns slowly (Tancik et al. 2020,
/// arXiv 2006.10739; in this order in the authors' code).
///
/// ```
/// use selfnorm::nn::FourierFeatures;
///
/// // Of two coordinates in 0..1 four features: sines of one wave across and two waves down, and cosines.
/// let waves = FourierFeatures::new([1.0, 0.0, 0.0, 2.0], 2);
/// let features = waves.encode(&[0.25, 0.125])?;
/// # for (feature, expected) in features.iter().zip([1.0, 1.0, 0.0, 0.0]) {
/// #     assert!((feature - expected).abs() < 1e-7);
/// # }
/// # selfnorm::Result::Ok(())
/// ```
///
/// The authors draw B from a normal distribution; its deviation, in waves per unit of x, decides how fine
/// the detail can be: try 1 to 10 for coordinates in 0..1.
#[derive(Clone, Debug, PartialEq)]
pub struct FourierFeatures {
    matrix: Vec<f32>,
    inputs: usize,
}

impl FourierFeatures {
    /// With the matrix B `[m, inputs]`, row by row: 2m features of `inputs` values. In waves per unit of x.
    pub fn new(matrix: impl Into<Vec<f32>>, inputs: usize) -> Self {
        Self {
            matrix: matrix.into(),
            inputs,
        }
    }

    /// With one, two, four, … 2^(`octaves` − 1) half waves per unit, along each of `inputs` axes:
    /// sin 2ᵏπx and cos 2ᵏπx (Mildenhall et al. 2020, arXiv 2003.08934).
    pub fn octaves(inputs: usize, octaves: u32) -> Self {
        let mut matrix = vec![0.0; inputs * inputs * octaves as usize];
        for (row, weights) in matrix.chunks_exact_mut(inputs.max(1)).enumerate() {
            weights[row % inputs] = 0.5 * 2f32.powi((row / inputs) as i32);
        }
        Self::new(matrix, inputs)
    }

    /// The features `[n, 2m]` of x `[n, inputs]`, to train with; each is f64's, rounded.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if x or the matrix has no whole rows, or the matrix a NaN or an infinity.
    pub fn encode(&self, x: &[f32]) -> Result<Vec<f32>> {
        const OP: &str = "encode";
        self.check(OP)?;
        if !x.len().is_multiple_of(self.inputs) {
            let (len, inputs) = (x.len(), self.inputs);
            let detail = format!("x has {len} values, which are no rows of {inputs}");
            return Err(Error::Data { op: OP, detail });
        }
        let mut features = Vec::with_capacity(x.len() / self.inputs * self.features());
        for x in x.chunks_exact(self.inputs) {
            for function in [f64::sin, f64::cos] {
                features.extend(self.rows().map(|row| {
                    let products = row.iter().zip(x);
                    let waves: f64 = products.map(|(b, x)| f64::from(*b) * f64::from(*x)).sum();
                    function(TAU * (waves - waves.round())) as f32
                }));
            }
        }
        Ok(features)
    }

    pub(super) fn check(&self, op: &'static str) -> Result<()> {
        let len = self.matrix.len();
        let detail = if self.inputs == 0 || len == 0 || !len.is_multiple_of(self.inputs) {
            let inputs = self.inputs;
            format!("a matrix of Fourier features has rows of {inputs}, but {len} values")
        } else if self.matrix.iter().any(|b| !b.is_finite()) {
            "a matrix of Fourier features has a NaN or an infinity".into()
        } else {
            return Ok(());
        };
        Err(Error::Data { op, detail })
    }

    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(super) fn features(&self) -> usize {
        2 * self.rows().count()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.matrix.chunks_exact(self.inputs.max(1))
    }
}
