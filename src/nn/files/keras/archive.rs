//! Zip files of stored entries, which is what Keras writes: as bytes they are no larger than they look.

use std::io::Write;

use super::METADATA;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveWriter};

/// What is wrong with a file.
type Result<T> = std::result::Result<T, String>;

pub(super) const SIGNATURE: &[u8] = b"PK\x03\x04";

/// The entries of these names, if they are there.
pub(super) fn read<'a, const N: usize>(
    bytes: &'a [u8],
    names: [&str; N],
) -> Result<[Option<&'a [u8]>; N]> {
    let not_one = |problem: rawzip::Error| format!("not a zip file: {problem}");
    let archive = ZipArchive::from_slice(bytes).map_err(not_one)?;
    let mut found: [Option<(usize, usize)>; N] = [None; N];
    for record in archive.entries() {
        let record = record.map_err(not_one)?;
        let path = record.file_path();
        let is_named = |name: &&str| path.as_ref() == name.as_bytes();
        let Some(place) = names.iter().position(is_named) else {
            continue;
        };
        let name = names[place];
        let method = record.compression_method();
        let is_plain = method == CompressionMethod::STORE && !record.flags().is_encrypted();
        // Whoever wrote it says there who they are, and nothing else.
        if !is_plain && name == METADATA {
            continue;
        }
        if !is_plain {
            return Err(format!(
                "{name} is compressed or encrypted ({method:?}); Keras stores it, as zip -0 does"
            ));
        }
        let wrong = |problem: rawzip::Error| format!("{name}: {problem}");
        let entry = archive.get_entry(record.wayfinder()).map_err(wrong)?;
        let data = entry.data();
        let verifier = entry.claim_verifier();
        if verifier.uncompressed_size != data.len() as u64 || verifier.crc != rawzip::crc32(data) {
            return Err(format!("{name} is damaged: its checksum is another"));
        }
        let (start, end) = entry.compressed_data_range();
        // Both are within the bytes.
        let range = (start as usize, end as usize);
        if found[place].replace(range).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    let mut ranges: Vec<_> = found.iter().flatten().collect();
    ranges.sort();
    if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err("its entries overlap".into());
    }
    Ok(found.map(|range| range.and_then(|(start, end)| bytes.get(start..end))))
}

/// A file with these entries.
pub(super) fn write(entries: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let failed = |problem: rawzip::Error| problem.to_string();
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, bytes) in entries {
        let (mut entry, config) = archive.new_file(*name).start().map_err(failed)?;
        let mut writer = config.wrap(&mut entry);
        let written = writer.write_all(bytes);
        written.map_err(|problem| problem.to_string())?;
        let (_, descriptor) = writer.finish().map_err(failed)?;
        entry.finish(descriptor).map_err(failed)?;
    }
    archive.finish().map_err(failed)
}
