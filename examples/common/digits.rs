//! The digits in `examples/data`.

use std::error::Error;
use std::io::Read;

use flate2::read::GzDecoder;

/// The side of an image.
pub const SIDE: usize = 8;
pub const PIXELS: usize = SIDE * SIDE;

/// The pixels, from 0 to 16, and the labels of 1,797 digits.
pub fn digits() -> Result<(Vec<u8>, Vec<u8>), Box<dyn Error>> {
    let mut csv = String::new();
    GzDecoder::new(&include_bytes!("../data/digits.csv.gz")[..]).read_to_string(&mut csv)?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for digit in csv.lines() {
        for (i, number) in digit.split(',').enumerate() {
            // The label comes last.
            let values = if i < PIXELS { &mut pixels } else { &mut labels };
            values.push(number.parse()?);
        }
    }
    Ok((pixels, labels))
}
