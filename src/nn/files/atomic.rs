//! Files that are there as a whole, or not at all. The command `selfnorm` has this file, too.

use std::io::Write;
use std::path::Path;

/// Writes a file of another name and renames it when complete. What is no file, such as a pipe, is written into.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Of a link, what it leads to.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return std::fs::File::options()
            .write(true)
            .open(path)?
            .write_all(bytes);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Its error does not name the other file.
    std::fs::metadata(folder)?;
    let mut builder = tempfile::Builder::new();
    // The permissions of any other file; by default only the owner can read a temporary one.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
