//! The shaders' random numbers, computed on the host, bit for bit.
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

/// The random words of a range of elements.
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
/// arithmetic. The top bit is the sign; the size grows with the other bits.
///
/// Within 1.1 · 10⁻⁶ of the true quantile.
pub fn truncated_normal(word: u32) -> i32 {
    let high = |a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32;
    let x = (word << 1) | 1;
    let s = high(x, x);
    let s2 = high(s, s);
    let s3 = high(s2, s);
    let s5 = high(s3, s2);
    let s7 = high(s5, s2);
    let s12 = high(s7, s5);
    let s24 = high(s12, s12);
    let s48 = high(s24, s24);
    let [(_, first), rest @ ..] = INVERSE_CDF;
    let terms = [s, s2, s3, s5, s7, s12, s24, s48].into_iter().zip(rest);
    let p = first
        + terms
            .map(|(power, (_, coefficient))| high(power, coefficient))
            .sum::<u32>();
    let z = ((high(x, p) + (1 << 7)) >> 8) as i32;
    if word >> 31 == 1 { -z } else { z }
}

/// P in Φ⁻¹(½ + x (Φ(2) − ½)) ≈ x P(x²), by the power of x² in the name, in multiples of 2⁻³⁰.
///
/// Minimax over these powers, error 2⁻²⁰·¹⁴, with P(1) just below 2. The function's nearest
/// singularity is at x² = 1.098, which takes high powers. A search found that these few suffice,
/// with positive coefficients, and with each power the product of two before it.
pub(crate) const INVERSE_CDF: [(&str, u32); 9] = [
    ("ICDF_0", 1_284_497_139),
    ("ICDF_1", 306_791_802),
    ("ICDF_2", 148_106_344),
    ("ICDF_3", 122_372_385),
    ("ICDF_5", 116_174_095),
    ("ICDF_7", 62_439_298),
    ("ICDF_12", 79_214_172),
    ("ICDF_24", 25_241_053),
    ("ICDF_48", 2_647_232),
];

/// One word as an odd multiple of 2⁻²⁴ in (−1, 1), uniformly.
pub fn uniform(word: u32) -> i32 {
    ((word >> 7) | 1) as i32 - (1 << 24)
}

/// Interim.
pub(crate) fn shuffle(order: &mut [u32], seed: u64, epoch: u64) {
    for (place, i) in order.iter_mut().zip(0..) {
        *place = i;
    }
    let words = words(seed, epoch, 0..order.len() as u64);
    for (i, word) in (1..order.len()).rev().zip(words) {
        let j = (u64::from(word) * (i as u64 + 1)) >> 32;
        order.swap(i, j as usize);
    }
}
