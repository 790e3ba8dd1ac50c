//! Philox4x32-10 on the host against the published known answers, and the order of the words.

use selfnorm::random::{philox4x32_10, words};

#[test]
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

#[test]
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
