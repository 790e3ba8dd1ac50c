//! NumPy's arrays in files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

use half::f16;

use crate::Result;
use crate::table::Samples;

const MAGIC: &[u8] = b"\x93NUMPY";

/// An array in C's order, of floats or of integers, whose values become the nearest f32s.
pub fn read(bytes: &[u8]) -> Result<Samples> {
    let (header, data) = split(bytes).ok_or("not a .npy file")?;
    let field = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let missing = |key: &str| format!("its header has no {key}");
    let descr = field("descr").ok_or_else(|| missing("descr"))?;
    let order = field("fortran_order").ok_or_else(|| missing("fortran_order"))?;
    let shape = field("shape").ok_or_else(|| missing("shape"))?;
    if !order.starts_with("False") {
        return Err("it is in Fortran's order; save numpy.ascontiguousarray of it".into());
    }
    let extents = shape
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (extents, _) = extents.ok_or("its shape is not a tuple")?;
    let extents = extents
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty());
    let shape: Vec<usize> = extents
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let dtype = descr
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''));
    let (dtype, _) = dtype.ok_or("it is an array of records")?;
    let values =
        values(dtype, data).ok_or_else(|| format!("its type is {dtype}; convert it to float32"))?;
    let len = shape
        .iter()
        .try_fold(1usize, |len, &extent| len.checked_mul(extent));
    if len != Some(values.len()) {
        return Err(format!("it has {} values, not {shape:?}", values.len()).into());
    }
    Ok(Samples {
        shape,
        values,
        is_table: false,
    })
}

/// The header and what follows.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (len, rest) = match version[0] {
        1 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u16::from_le_bytes(*len) as usize, rest)
        }
        _ => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
    };
    let (header, data) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// Of a type that is read, and of whole values.
fn values(dtype: &str, data: &[u8]) -> Option<Vec<f32>> {
    fn all<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        let (values, rest) = data.as_chunks();
        let values = values.iter().map(|&bytes| value(bytes)).collect();
        rest.is_empty().then_some(values)
    }
    match dtype {
        "<f2" => all(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        "<f4" => all(data, f32::from_le_bytes),
        "<f8" => all(data, |bytes| f64::from_le_bytes(bytes) as f32),
        "|u1" => all(data, |[byte]: [u8; 1]| f32::from(byte)),
        "<i4" => all(data, |bytes| i32::from_le_bytes(bytes) as f32),
        "<i8" => all(data, |bytes| i64::from_le_bytes(bytes) as f32),
        _ => None,
    }
}

/// An array of f32s.
pub fn write(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let extents: Vec<_> = shape.iter().map(usize::to_string).collect();
    let tuple = match &extents[..] {
        [one] => format!("({one},)"),
        several => format!("({})", several.join(", ")),
    };
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple}, }}");
    // The data begins at a multiple of 64, behind a new line.
    let start = MAGIC.len() + 2 + 2;
    let len = (start + header.len() + 1).next_multiple_of(64) - start;
    header += &" ".repeat(len - 1 - header.len());
    header.push('\n');
    let mut bytes = [
        MAGIC,
        &[1, 0],
        &(len as u16).to_le_bytes(),
        header.as_bytes(),
    ]
    .concat();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.save` of `numpy.array([[1, 2, 3], [4, 5, 6]], dtype)`, of NumPy 2.4.
    fn file(dtype: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': (2, 3), }}");
        let header = format!("{header:117}\n");
        [MAGIC, &[1, 0, 118, 0], header.as_bytes(), data].concat()
    }

    #[test]
    fn arrays_of_every_type_are_read() {
        let data = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let bytes =
            |each: &dyn Fn(f32) -> Vec<u8>| data.iter().flat_map(|&x| each(x)).collect::<Vec<_>>();
        for (dtype, data) in [
            ("<f2", bytes(&|x| f16::from_f32(x).to_le_bytes().into())),
            ("<f4", bytes(&|x| x.to_le_bytes().into())),
            ("<f8", bytes(&|x| f64::from(x).to_le_bytes().into())),
            ("|u1", bytes(&|x| vec![x as u8])),
            ("<i4", bytes(&|x| (x as i32).to_le_bytes().into())),
            ("<i8", bytes(&|x| (x as i64).to_le_bytes().into())),
        ] {
            let samples = read(&file(dtype, &data)).unwrap();
            assert_eq!(
                (samples.shape, samples.values),
                (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
            );
        }
        let written = write(&[2, 3], &data);
        assert_eq!(written, file("<f4", &bytes(&|x| x.to_le_bytes().into())));
    }

    #[test]
    fn what_is_no_array_is_an_error() {
        let good = write(&[2, 3], &[0.0; 6]);
        for len in 0..good.len() {
            assert!(read(&good[..len]).is_err(), "{len}");
        }
        for (from, to) in [
            ("False", "True "),
            ("<f4", "<c8"),
            ("(2, 3)", "(2, -3)"),
            ("(2, 3)", "(9**9,)"),
        ] {
            let text = good.iter().map(|&byte| byte as char).collect::<String>();
            let changed: Vec<u8> = text.replace(from, to).chars().map(|c| c as u8).collect();
            assert_ne!(changed, good);
            assert!(read(&changed).is_err(), "{to}");
        }
    }
}
