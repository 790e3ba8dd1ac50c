//! Philox4x32-10 on the host against the published known answers, and the order of the words.

use selfnorm::random::{philox4x32_10, truncated_normal, uniform, words};
use selfnorm::{AlphaDropout, GlorotUniform, LecunNormal, LecunUniform};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = test)]
fn philox_gives_the_published_known_answers() {
    // kat_vectors of Random123 (Salmon et al. 2011), philox4x32 10
    let answers = [
        (
            [0; 4],
            [0; 2],
            [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
        ),
        (
            [u32::MAX; 4],
            [u32::MAX; 2],
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
        ),
        (
            [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
            [0xa4093822, 0x299f31d0],
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
        ),
    ];
    for (counter, key, expected) in answers {
        assert_eq!(philox4x32_10(counter, key), expected);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn element_i_is_word_i_mod_4_of_block_i_div_4() {
    let (seed, call) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
    for first in [0, 1, 2, 3, 4, 1757, (1 << 34) - 3, 1 << 40] {
        let range: Vec<u32> = words(seed, call, first..first + 11).collect();
        assert_eq!(range.len(), 11);
        for (element, word) in (first..).zip(range) {
            let block = element / 4;
            let counter = [block as u32, (block >> 32) as u32, 0x7654_3210, 0xfedc_ba98];
            assert_eq!(
                word,
                philox4x32_10(counter, [0x89ab_cdef, 0x0123_4567])[element as usize % 4]
            );
        }
    }
    assert_eq!(words(1, 2, 5..5).count(), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn masks_have_their_call_in_the_counter_and_weights_their_call_with_the_top_bit() {
    const N: usize = 1757;
    for (seed, offset) in [(0, 0), (7, 4), (u64::MAX, (1 << 34) - 400)] {
        let elements = offset..offset + N as u64;
        for call in [0, 1, 5, 1 << 33, (1 << 62) - 1] {
            let word = |i: u32| {
                words(seed, 1 << 63 | call, elements.clone())
                    .nth(i as usize)
                    .unwrap()
            };
            let normal = LecunNormal::new(1).seed(seed).call(call).offset(offset);
            let limits = LecunUniform::new(3).seed(seed).call(call).offset(offset);
            let glorot = GlorotUniform::new(2, 4)
                .seed(seed)
                .call(call)
                .offset(offset);
            let [normal, limits, glorot] =
                [normal.values(N), limits.values(N), glorot.values(N)].map(Result::unwrap);
            for i in [0, 1, 2, 3, 4, 399, 400, 401, 1756] {
                // σ is 1, so the factor is that of the truncated normal; the limits are 1.
                let z =
                    f64::from(truncated_normal(word(i))) * 2f64.powi(-22) / 0.879_625_661_034_239_8;
                let found = f64::from(normal[i as usize]);
                assert!(
                    (found - z).abs() <= z.abs() * 2f64.powi(-22),
                    "{found}, not {z}"
                );
                let u = uniform(word(i)) as f32 * 2f32.powi(-24);
                assert_eq!([limits[i as usize], glorot[i as usize]], [u, u]);
            }
        }
        for call in [0, 1, 5, 1 << 33, (1 << 63) - 1] {
            let p = AlphaDropout::new(0.25).seed(seed).call(call).offset(offset);
            let kept: Vec<_> = words(seed, call, elements.clone())
                .map(|word| word >= 1 << 30)
                .collect();
            assert_eq!(p.mask([N]).unwrap(), kept);
        }
    }
}
