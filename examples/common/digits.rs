//! The digits in `examples/data`.

use std::error::Error;
use std::io::{self, Read};

use flate2::read::GzDecoder;

/// The side of an image.
pub const SIDE: usize = 8;
pub const PIXELS: usize = SIDE * SIDE;

/// The most bytes of CSV, several times what `examples/data` has: a few packed bytes can unpack to
/// gigabytes.
const LARGEST: u64 = 1 << 20;

/// The pixels, from 0 to 16, and the labels of 1,797 digits.
pub fn digits() -> Result<(Vec<u8>, Vec<u8>), Box<dyn Error>> {
    Ok(parse(&unpack(include_bytes!("../data/digits.csv.gz"))?)?)
}

pub fn unpack(packed: &[u8]) -> io::Result<String> {
    let mut csv = String::new();
    let mut unpacked = GzDecoder::new(packed).take(LARGEST + 1);
    unpacked.read_to_string(&mut csv)?;
    if csv.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("more than {LARGEST} bytes")));
    }
    Ok(csv)
}

/// A row for each digit: its pixels, then its label.
pub fn parse(csv: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (row, digit) in (1..).zip(csv.lines()) {
        let mut len = 0;
        for number in digit.split(',') {
            let (values, most) = match len {
                0..PIXELS => (&mut pixels, 16),
                _ => (&mut labels, 9),
            };
            match number.parse() {
                Ok(value) if value <= most => values.push(value),
                _ => return Err(format!("row {row} has {number:?}, not 0 to {most}")),
            }
            len += 1;
        }
        if len != PIXELS + 1 {
            return Err(format!("row {row} has {len} numbers, not {}", PIXELS + 1));
        }
    }
    Ok((pixels, labels))
}
