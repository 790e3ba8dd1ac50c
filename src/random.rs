//! The random numbers of the shaders, on the host, bit for bit.
//!
//! Element *i* of a tensor takes word *i* mod 4 of the Philox4x32-10 block with the counter
//! (*i* / 4 low, *i* / 4 high, call low, call high) and the key (seed low, seed high). So a mask or
//! a weight is a pure function of (seed, call, element): the same on every device, whatever the
//! order of the work.
//!
//! Salmon et al. 2011, *Parallel Random Numbers: As Easy as 1, 2, 3*, doi 10.1145/2063384.2063405.

use std::ops::Range;

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: u32 = 10;

/// Four random words from a counter and a key.
///
/// ```
/// // the published known answer
/// let words = selfnorm::random::philox4x32_10([0; 4], [0; 2]);
/// assert_eq!(words, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        [c0, c1, c2, c3] = [
            (b >> 32) as u32 ^ c1 ^ k0,
            b as u32,
            (a >> 32) as u32 ^ c3 ^ k1,
            a as u32,
        ];
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    [c0, c1, c2, c3]
}

/// The words of a range of elements.
///
/// ```
/// let far = selfnorm::random::words(7, 0, 1 << 40..(1 << 40) + 6);
/// assert_eq!(far.count(), 6);
/// ```
pub fn words(seed: u64, call: u64, elements: Range<u64>) -> impl Iterator<Item = u32> {
    let block = move |block: u64| {
        philox4x32_10(
            [
                block as u32,
                (block >> 32) as u32,
                call as u32,
                (call >> 32) as u32,
            ],
            [seed as u32, (seed >> 32) as u32],
        )
    };
    let skipped = (elements.start % 4) as usize;
    let len = elements.end.saturating_sub(elements.start) as usize;
    (elements.start / 4..elements.end.div_ceil(4))
        .flat_map(block)
        .skip(skipped)
        .take(len)
}

/// One word as a standard normal truncated at ±2, in multiples of 2⁻²²: the inverse CDF in integer
/// arithmetic, monotonic in the word's low 31 bits; the top bit is the sign.
///
/// Within 1.6 · 2⁻²² of the true quantile.
pub fn truncated_normal(word: u32) -> i32 {
    let high = |a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32;
    let x = (word << 1) | 1;
    let s = high(x, x);
    let s2 = high(s, s);
    let s4 = high(s2, s2);
    let s8 = high(s4, s4);
    let s16 = high(s8, s8);
    let powers = [s, s, s, s, s2, s2, s4, s4, s8, s16, s16];
    let coefficients = INVERSE_CDF.map(|(_, coefficient)| coefficient);
    let y = powers
        .into_iter()
        .zip(coefficients)
        .rev()
        .fold(coefficients[powers.len()], |y, (power, coefficient)| {
            high(y, power) + coefficient
        });
    let z = ((high(y, x) + (1 << 7)) >> 8) as i32;
    if word >> 31 == 1 { -z } else { z }
}

/// P in Φ⁻¹(½ + x (Φ(2) − ½)) ≈ x P(x²), by the power of x² in the name, in multiples of 2⁻³⁰. Minimax
/// over these powers, error 2⁻²²·⁹⁵, with P(1) just below 2. They are few because the singularity at
/// x² = 1.098 needs high powers and small coefficients, and positive because it is the only one.
pub(crate) const INVERSE_CDF: [(&str, u32); 12] = [
    ("ICDF_0", 1_284_502_856),
    ("ICDF_1", 306_413_743),
    ("ICDF_2", 153_413_272),
    ("ICDF_3", 92_320_647),
    ("ICDF_4", 82_464_284),
    ("ICDF_6", 91_032_484),
    ("ICDF_8", 41_159_574),
    ("ICDF_12", 58_014_270),
    ("ICDF_16", 13_505_955),
    ("ICDF_24", 21_034_978),
    ("ICDF_40", 2_729_004),
    ("ICDF_56", 892_453),
];

/// One word as an odd multiple of 2⁻²⁴ in (−1, 1), uniformly.
pub fn uniform(word: u32) -> i32 {
    ((word >> 7) | 1) as i32 - (1 << 24)
}
