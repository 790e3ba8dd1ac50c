//! Masks and weights that must be the same on every device: their checksums, which the host's own
//! numbers have too.

use selfnorm::{
    AlphaDropout, GlorotNormal, GlorotUniform, Gpu, HeNormal, HeUniform, LecunNormal, LecunUniform,
    Pass, Result, Tensor,
};

/// The elements of each stretch.
pub const LEN: usize = 1 << 26;

/// Where a stretch begins that crosses from block 2³² − 2²³ of four words to block 2³² + 2²³.
const FAR: u64 = (1 << 34) - (1 << 25);

const SEED: u64 = 0x0123_4567_89ab_cdef;
const CALL: u64 = (7 << 32) + 5;

/// A stretch of a random stream.
pub struct Stretch {
    pub name: &'static str,
    /// The CRC-32 of the values as little-endian f32.
    pub checksum: u32,
    pub on_device: fn(&mut Pass, &Tensor) -> Result<()>,
    pub on_host: fn() -> Result<Vec<f32>>,
}

pub static STRETCHES: [Stretch; 9] = [
    Stretch {
        name: "alpha_dropout",
        checksum: 0x0beb_6441,
        on_device: |pass, x| pass.alpha_dropout_in_place(x, &dropout(0, 0)),
        on_host: || dropped(&dropout(0, 0)),
    },
    Stretch {
        name: "alpha_dropout, a late call, past 2³² blocks",
        checksum: 0xa11d_0a1e,
        on_device: |pass, x| pass.alpha_dropout_in_place(x, &dropout(CALL, FAR)),
        on_host: || dropped(&dropout(CALL, FAR)),
    },
    Stretch {
        name: "lecun_normal",
        checksum: 0x298a_46e7,
        on_device: |pass, w| pass.lecun_normal(&normal(0), w),
        on_host: || normal(0).values(LEN),
    },
    Stretch {
        name: "lecun_normal, past 2³² blocks",
        checksum: 0xd5da_1de6,
        on_device: |pass, w| pass.lecun_normal(&normal(FAR), w),
        on_host: || normal(FAR).values(LEN),
    },
    Stretch {
        name: "lecun_uniform, a late call",
        checksum: 0x551e_8ac3,
        on_device: |pass, w| pass.lecun_uniform(&uniform(), w),
        on_host: || uniform().values(LEN),
    },
    Stretch {
        name: "glorot_uniform, past 2³² blocks",
        checksum: 0x3d4e_7dfa,
        on_device: |pass, w| pass.glorot_uniform(&glorot(), w),
        on_host: || glorot().values(LEN),
    },
    Stretch {
        name: "glorot_normal, past 2³² blocks",
        checksum: 0x75c9_e7ff,
        on_device: |pass, w| pass.glorot_normal(&glorot_normal(), w),
        on_host: || glorot_normal().values(LEN),
    },
    Stretch {
        name: "he_normal, a late call",
        checksum: 0x80c1_0e25,
        on_device: |pass, w| pass.he_normal(&he_normal(), w),
        on_host: || he_normal().values(LEN),
    },
    Stretch {
        name: "he_uniform",
        checksum: 0x7fa2_86a4,
        on_device: |pass, w| pass.he_uniform(&he_uniform(), w),
        on_host: || he_uniform().values(LEN),
    },
];

fn dropout(call: u64, offset: u64) -> AlphaDropout {
    AlphaDropout::new(0.3).seed(SEED).call(call).offset(offset)
}

fn normal(offset: u64) -> LecunNormal {
    LecunNormal::new(784).seed(SEED).offset(offset)
}

fn uniform() -> LecunUniform {
    LecunUniform::new(1757).seed(SEED).call(CALL)
}

fn glorot() -> GlorotUniform {
    GlorotUniform::new(3, 1000).seed(SEED).offset(FAR)
}

fn glorot_normal() -> GlorotNormal {
    GlorotNormal::new(3, 1000).seed(SEED).offset(FAR)
}

fn he_normal() -> HeNormal {
    HeNormal::new(1757).seed(SEED).call(CALL)
}

fn he_uniform() -> HeUniform {
    HeUniform::new(784).seed(SEED)
}

/// The alpha dropout of zeros, which has no rounding: b where it is kept, a α' + b where not.
fn dropped(p: &AlphaDropout) -> Result<Vec<f32>> {
    let (a, b) = p.coefficients()?;
    let limit = -selfnorm::Selu::default().alpha * selfnorm::Selu::default().scale;
    let values = [(a * limit + b) as f32, b as f32];
    let mask = p.mask([LEN])?;
    Ok(mask
        .into_iter()
        .map(|kept| values[usize::from(kept)])
        .collect())
}

impl Stretch {
    /// The checksum of what the device makes.
    pub async fn checksum_on(&self, gpu: &Gpu) -> Result<u32> {
        let x = gpu.zeros([LEN])?;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        (self.on_device)(&mut pass, &x)?;
        drop(pass);
        gpu.queue().submit([encoder.finish()]);
        Ok(checksum(&x.read().await?))
    }
}

pub fn checksum(values: &[f32]) -> u32 {
    crc32fast::hash(bytemuck::cast_slice(values))
}
