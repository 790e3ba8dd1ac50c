//! Floating-point numbers as files store them.

use half::{bf16, f16};

/// A type of little-endian numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Float {
    /// The size of one.
    #[cfg(feature = "keras")]
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The numbers of whole bytes, each rounded to the nearest f32.
    pub fn f32s(self, bytes: &[u8]) -> Vec<f32> {
        fn all<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            let (chunks, _) = bytes.as_chunks();
            chunks.iter().map(|&chunk| value(chunk)).collect()
        }
        match self {
            Self::F16 => all(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::Bf16 => all(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Self::F32 => all(bytes, f32::from_le_bytes),
            Self::F64 => all(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }
}
