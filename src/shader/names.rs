//! Names in WGSL: other ones for what a text declares, so that it can stand beside any other text.

use hashbrown::HashSet;

/// `text` with `prefix` in front of each name that it declares itself, wherever it stands. For texts of
/// the crate's own, in which no member of a struct has such a name.
pub(crate) fn prefixed(text: &str, prefix: &str) -> String {
    let declared = declared(text);
    let rename = |word: &str| match declared.contains(word) {
        true => format!("{prefix}{word}"),
        false => word.into(),
    };
    parts(text).map(rename).collect()
}

/// Whether `name` is a word of `text`, outside of comments.
pub(crate) fn has_word(text: &str, name: &str) -> bool {
    parts(text).any(|part| part == name)
}

/// What a name may be: letters, digits and underscores, no digit in front.
pub(crate) fn is_name(name: &str) -> bool {
    let begins = |start: char| start.is_ascii_alphabetic() || start == '_';
    name.starts_with(begins) && name.chars().all(continues_word)
}

/// Whether WGSL keeps the name for itself.
pub(crate) fn is_reserved(name: &str) -> bool {
    KEYWORDS.split(' ').any(|word| word == name)
}

/// Keywords and reserved words, of the WGSL specification.
const KEYWORDS: &str = "\
     alias break case const const_assert continue continuing default diagnostic discard else \
     enable false fn for if let loop override requires return struct switch true var while NULL \
     Self abstract active alignas alignof as asm asm_fragment async attribute auto await become \
     cast catch class co_await co_return co_yield coherent column_major common compile \
     compile_fragment concept const_cast consteval constexpr constinit crate debugger decltype \
     delete demote demote_to_helper do dynamic_cast enum explicit export extends extern \
     external fallthrough filter final finally friend from fxgroup get goto groupshared highp \
     impl implements import inline instanceof interface layout lowp macro macro_rules match \
     mediump meta mod module move mut mutable namespace new nil noexcept noinline \
     nointerpolation non_coherent noncoherent noperspective null nullptr of operator package \
     packoffset partial pass patch pixelfragment precise precision premerge priv protected pub \
     public readonly ref regardless register reinterpret_cast require resource restrict self \
     set shared sizeof smooth snorm static static_assert static_cast std subroutine super \
     target template this thread_local throw trait try type typedef typeid typename typeof \
     union unless unorm unsafe unsized use using varying virtual volatile wgsl where with \
     writeonly yield";

/// What stands behind `fn`, `const`, `struct` or `alias`.
fn declared(text: &str) -> HashSet<&str> {
    let words: Vec<_> = parts(text).filter(|part| is_name(part)).collect();
    let declares = |word| matches!(word, "fn" | "const" | "struct" | "alias");
    let pairs = words.windows(2).filter(|pair| declares(pair[0]));
    pairs.map(|pair| pair[1]).collect()
}

/// The text in parts, each of them a word, a comment, or a single other character. A number is a word:
/// no letter of `0x1p-25` is a name.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let first = text.chars().next()?;
        let len = if text.starts_with("//") {
            text.find('\n').unwrap_or(text.len())
        } else if continues_word(first) {
            text.find(|c| !continues_word(c)).unwrap_or(text.len())
        } else {
            first.len_utf8()
        };
        let (part, rest) = text.split_at(len);
        text = rest;
        Some(part)
    })
}

fn continues_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_declares_gets_the_prefix_and_nothing_else_does() {
        let text = "// twice the half\nconst HALF = 0x1p-1;\nfn twice(x: f32) -> f32 {\n    return max(x, 1.0) / HALF;\n}\n";
        let expected = "// twice the half\nconst my_HALF = 0x1p-1;\nfn my_twice(x: f32) -> f32 {\n    return max(x, 1.0) / my_HALF;\n}\n";
        assert_eq!(prefixed(text, "my_"), expected);
    }

    #[test]
    fn words_are_whole_and_no_part_of_a_comment() {
        let text = "let half = whole / 2.0; // no quarter\n";
        assert!(has_word(text, "half") && has_word(text, "whole"));
        assert!(!has_word(text, "hal") && !has_word(text, "quarter"));
    }

    #[test]
    fn a_name_is_letters_digits_and_underscores() {
        for name in ["image", "_1", "Ab_9"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "a-b", "a b", "größe"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
