//! The shaders' random numbers, computed on the host, bit for bit.
//!
//! Element *i* of a tensor takes word *i* mod 4 of the Philox4x32-10 block with the counter
//! (*i* / 4 low, *i* / 4 high, call low, call high) and the key (seed low, seed high). So a mask or
//! a weight is a pure function of (seed, call, element): the same on every device, whatever the
//! order of the work.
//!
//! **One seed serves a whole program**: the top bits of the call word say what the numbers are for, so
//! that no two of these share a block, whatever their calls:
//!
//! | stream | key | call word | top bits | elements |
//! | --- | --- | --- | --- | --- |
//! | the mask of a dropout | its seed | its `call`, below 2⁶³ | 0 | the mask's, from `offset` on |
//! | weights, of every initializer | their seed | 2⁶³ + their `call`, below 2⁶² | 10 | the tensor's, from `offset` on |
//! | the seeds of a network's layers | the network's seed | 2⁶³ + 2⁶² | 110 | 4 *p* and 4 *p* + 1 are the low and the high word of seed *p* |
//! | the order of the samples in epoch *e* | the network's seed, or `fit`'s | 2⁶³ + 2⁶² + 2⁶¹ + *e* | 111 | one for each swap of a Fisher–Yates shuffle, from the last sample down |
//! | the order of a shuffled data set | its seed | 2⁶³ + 2⁶² + 2⁶¹ + 2⁶⁰, as if of an epoch that nobody gets to | 111 | the same |
//!
//! Of layer *l* of a network, both counted from 0, the kernel has seed *p* = 3 *l*, the biases 3 *l* + 1,
//! the dropout 3 *l* + 2. Its weights have call 0, and its masks the number of the training step. Weights
//! of one seed need calls of their own, as masks do: initializers with the same seed and call have the
//! same random words.
//!
//! Salmon et al. 2011, *Parallel Random Numbers: As Easy as 1, 2, 3*, doi 10.1145/2063384.2063405.

use std::ops::Range;

use crate::{Error, Result};

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

/// The random words of a range of elements. `call` is the whole call word of the counter, with the
/// bits that say what the numbers are for: see the table [above](self).
///
/// ```
/// use selfnorm::{LecunNormal, random};
///
/// let w = LecunNormal::new(1).seed(7).call(3).values(2)?;
/// let words: Vec<u32> = random::words(7, 1 << 63 | 3, 0..2).collect();
/// assert_eq!(w[0] > w[1], random::truncated_normal(words[0]) > random::truncated_normal(words[1]));
/// # Ok::<(), selfnorm::Error>(())
/// ```
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

/// The call word of what random numbers are for. Two of these are equal only if they are of the same
/// use and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream(u64);

impl Stream {
    const WEIGHTS: u64 = 0b10 << 62;
    const SEEDS: u64 = 0b110 << 61;
    const ORDERS: u64 = 0b111 << 61;

    /// The mask of this number. Errors name `op`.
    pub fn mask(op: &'static str, call: u64) -> Result<Self> {
        let rule = "below 2^63, where the calls of weights begin";
        Self::numbered(op, 0, call, Self::WEIGHTS, rule)
    }

    /// The weights of this number. Errors name `op`.
    pub fn weights(op: &'static str, call: u64) -> Result<Self> {
        let end = Self::SEEDS - Self::WEIGHTS;
        Self::numbered(op, Self::WEIGHTS, call, end, "below 2^62")
    }

    /// The seeds of a network's layers.
    const fn seeds() -> Self {
        Self(Self::SEEDS)
    }

    /// The order of the samples in an epoch; nobody gets to epoch 2⁶¹, whose order is that of the
    /// first.
    const fn order(epoch: u64) -> Self {
        Self(Self::ORDERS | epoch)
    }

    fn numbered(
        op: &'static str,
        first: u64,
        call: u64,
        end: u64,
        rule: &'static str,
    ) -> Result<Self> {
        if call >= end {
            return Err(Error::Parameter {
                op,
                name: "call",
                value: call as f64,
                rule,
            });
        }
        Ok(Self(first | call))
    }

    pub fn call(self) -> u64 {
        self.0
    }

    /// The words of a range of elements.
    pub fn words(self, seed: u64, elements: Range<u64>) -> impl Iterator<Item = u32> {
        words(seed, self.0, elements)
    }
}

/// The seed for what is at `position` in a network, derived from the network's.
pub(crate) fn derived_seed(seed: u64, position: u64) -> u64 {
    let first = 4 * position;
    let words = Stream::seeds().words(seed, first..first + 2);
    words
        .zip([0, 32])
        .map(|(word, bits)| u64::from(word) << bits)
        .sum()
}

/// The epoch whose order is that of a shuffled data set.
pub(crate) const DATA_SET: u64 = 1 << 60;

/// The Fisher–Yates shuffle of 0, 1, 2, …: a function of the seed and the epoch.
pub(crate) fn shuffle(order: &mut [u32], seed: u64, epoch: u64) {
    for (place, i) in order.iter_mut().zip(0..) {
        *place = i;
    }
    let words = Stream::order(epoch).words(seed, 0..order.len() as u64);
    for (i, word) in (1..order.len()).rev().zip(words) {
        let j = (u64::from(word) * (i as u64 + 1)) >> 32;
        order.swap(i, j as usize);
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Numbers below `end`: the first, the last, and some in between.
    fn numbers(end: u64) -> Vec<u64> {
        let powers = (0..64).map(|bit| 1 << bit).take_while(|&power| power < end);
        let mut all: Vec<u64> = (0..100).chain(powers).chain([end - 2, end - 1]).collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn no_two_streams_of_a_seed_share_a_block() {
        let masks = numbers(1 << 63);
        let masks = masks
            .into_iter()
            .map(|call| Stream::mask("", call).unwrap());
        let weights = numbers(1 << 62);
        let weights = weights
            .into_iter()
            .map(|call| Stream::weights("", call).unwrap());
        let orders = numbers(1 << 61).into_iter().map(Stream::order);
        let streams: Vec<_> = masks
            .chain(weights)
            .chain([Stream::seeds()])
            .chain(orders)
            .collect();
        // Philox maps different counters to different blocks: these are different only if the counters are.
        let blocks = [0, 1, 2, (1 << 32) - 1, 1 << 32, 1 << 60];
        let mut found = HashSet::new();
        for stream in &streams {
            for block in blocks {
                let block: Vec<_> = stream.words(7, 4 * block..4 * block + 4).collect();
                assert!(found.insert(block), "{stream:x?}");
            }
        }
        assert_eq!(found.len(), streams.len() * blocks.len());
    }

    #[test]
    fn each_use_has_top_bits_of_its_own() {
        let top = |stream: Stream, bits: u32| stream.call() >> (64 - bits);
        for call in numbers(1 << 63) {
            assert_eq!(top(Stream::mask("", call).unwrap(), 1), 0b0);
        }
        for call in numbers(1 << 62) {
            assert_eq!(top(Stream::weights("", call).unwrap(), 2), 0b10);
        }
        assert_eq!(top(Stream::seeds(), 3), 0b110);
        for epoch in numbers(1 << 61).into_iter().chain([1 << 61, u64::MAX]) {
            assert_eq!(top(Stream::order(epoch), 3), 0b111);
        }
        for call in [1 << 63, u64::MAX] {
            assert!(Stream::mask("", call).is_err());
        }
        for call in [1 << 62, 1 << 63, u64::MAX] {
            assert!(Stream::weights("", call).is_err());
        }
    }

    #[test]
    fn seeds_of_a_network_are_the_first_two_words_of_blocks() {
        for position in [0, 1, 2, 3, 1757] {
            let counter = [position as u32, 0, 0, 0b110 << 29];
            let [low, high, ..] = philox4x32_10(counter, [7, 5]);
            let expected = u64::from(high) << 32 | u64::from(low);
            assert_eq!(derived_seed(5 << 32 | 7, position), expected);
        }
    }

    #[test]
    fn a_shuffle_swaps_by_the_words_of_the_epoch() {
        for epoch in [0, 1, 1 << 40] {
            let mut expected: Vec<u32> = (0..1000).collect();
            let mut words = words(9, 0b111 << 61 | epoch, 0..1000);
            for i in (1..1000).rev() {
                let j = words.next().unwrap() as f64 * 2f64.powi(-32) * (i + 1) as f64;
                expected.swap(i, j as usize);
            }
            let mut order = vec![0; 1000];
            shuffle(&mut order, 9, epoch);
            assert_eq!(order, expected);
        }
        shuffle(&mut [], 9, 0);
    }

    #[test]
    fn the_guide_has_the_table_of_streams() {
        let table = include_str!("random.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! |"));
        let guide = include_str!("../docs/accuracy.md");
        assert_eq!(table.clone().count(), 6);
        for row in table {
            assert!(guide.contains(&format!("\n|{row}\n")), "|{row}");
        }
    }
}
