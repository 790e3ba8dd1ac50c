//! Zip files of stored entries.

/// A file with these entries, and their checksums.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in entries {
        let mut described = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        described.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        let len = u32::try_from(bytes.len()).expect("a short entry");
        described.extend_from_slice(&len.to_le_bytes());
        described.extend_from_slice(&len.to_le_bytes());
        let name_len = u16::try_from(name.len()).expect("a short name");
        described.extend_from_slice(&name_len.to_le_bytes());
        described.extend_from_slice(&[0, 0]);

        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&described);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&(file.len() as u32).to_le_bytes());
        directory.extend_from_slice(name.as_bytes());

        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&described);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(bytes);
    }
    let start = file.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&count);
    file.extend_from_slice(&count);
    file.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    file.extend_from_slice(&start.to_le_bytes());
    file.extend_from_slice(&[0, 0]);
    file
}
