//! The IDX format: a magic number and the extents, as big-endian u32s, then the bytes; packed or not.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

type Result<T> = std::result::Result<T, String>;

/// Unsigned bytes in three dimensions, and in one.
const IMAGES: u32 = 0x803;
const LABELS: u32 = 0x801;

/// The most bytes after a header; EMNIST, the largest set of the kind, has half as many. A few
/// packed bytes can unpack to many more.
const LARGEST: u64 = 1 << 30;

/// The bytes of a file, which is unpacked as it is read.
pub fn unpacked<'a>(mut file: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    // Goes by the content, because some browsers unpack what they load but keep the name.
    let is_packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(match is_packed {
        true => Box::new(GzDecoder::new(file)),
        false => Box::new(file),
    })
}

/// Their number, height and width, and the pixels.
pub fn images(file: impl Read) -> Result<([usize; 3], Vec<u8>)> {
    parse(file, IMAGES)
}

/// A label for each image.
pub fn labels(file: impl Read) -> Result<Vec<u8>> {
    Ok(parse::<1>(file, LABELS)?.1)
}

/// The extents and the bytes after them.
fn parse<const N: usize>(mut file: impl Read, magic: u32) -> Result<([usize; N], Vec<u8>)> {
    let head_len = 4 + 4 * N;
    let head = bytes(&mut file, head_len as u64)?;
    if head.trim_ascii_start().starts_with(b"<") {
        return Err(
            "it is a web page, not an IDX file; load the file that the page links to".into(),
        );
    }
    if head.len() < head_len {
        return Err(format!("{} bytes are too few for an IDX file", head.len()));
    }
    let mut numbers = head.chunks_exact(4).map(|bytes| {
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u32::from(byte))
    });
    match numbers.next() {
        Some(found) if found == magic => {}
        Some(IMAGES) => return Err("it has images, and should have labels".into()),
        Some(LABELS) => return Err("it has labels, and should have images".into()),
        found => {
            let found = found.unwrap_or_default();
            return Err(format!(
                "not an IDX file: its magic number is {found:#010x}, not {magic:#010x}"
            ));
        }
    }
    let extents = [(); N].map(|()| numbers.next().unwrap_or_default() as usize);
    let announced: u128 = extents.iter().map(|&extent| extent as u128).product();
    let announces = format!("its header announces {extents:?}, that is {announced} bytes");
    let len = match u64::try_from(announced) {
        Ok(len) if len <= LARGEST => len,
        _ => return Err(format!("{announces}, more than any set of the kind has")),
    };
    let bytes = bytes(&mut file, len + 1)?;
    match bytes.len() as u64 {
        found if found < len => Err(format!(
            "{announces}, and {found} follow; it is cut off, load it again"
        )),
        found if found > len => Err(format!("{announces}, and more follow")),
        _ => Ok((extents, bytes)),
    }
}

/// `len` bytes, or all there are: memory grows with what is read, not with what a header announces.
fn bytes(file: &mut impl Read, len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(len)
        .read_to_end(&mut bytes)
        .map_err(|problem| format!("it can't be read to its end, load it again: {problem}"))?;
    Ok(bytes)
}
