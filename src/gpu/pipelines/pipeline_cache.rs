use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use etcetera::BaseStrategy;

/// Longer files are not read, so that one that has grown for years starts afresh.
const MAX_BYTES: u64 = 64 << 20;

/// Compiled pipelines in a file for the next process: a header, a checksum of header and data, and
/// wgpu's data. The file only saves time, so whatever goes wrong with it is not an error.
#[derive(Debug)]
pub(crate) struct PipelineCache {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    /// The first bytes of the file, which say whose data it is.
    header: String,
    /// The checksum of the data in the file. SwiftShader returns the data it was given with another
    /// header, so this is taken of what it returns, not of what was read.
    written: Mutex<Option<u32>>,
    /// Pipelines that are being created.
    creating: AtomicUsize,
}

impl PipelineCache {
    /// The cache of the device's adapter, with the contents of its file in `folder`. `None` if the
    /// device has no pipeline caches.
    pub fn open(device: &wgpu::Device, folder: &Path) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let info = device.adapter_info();
        let version = env!("CARGO_PKG_VERSION");
        let name = wgpu::util::pipeline_cache_key(&info)?;
        let path = folder.join(format!("{name}_selfnorm_{version}"));
        let header = format!(
            "selfnorm {version} pipelines\n{:?} {:x} {:x} {:?} {:?} {:?}\n",
            info.backend, info.vendor, info.device, info.name, info.driver, info.driver_info
        );
        let data = read(&path, &header);
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: Some("selfnorm"),
            data: data.as_deref(),
            fallback: true,
        };
        // SAFETY: the data is what `get_data` returned to this crate. The header says that it is
        // from this adapter and driver, and the checksum that it has not changed since. To forge
        // both, one must be able to write to the user's cache directory, or to the one the
        // application names.
        #[allow(unsafe_code)]
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        let written = data.and_then(|_| cache.get_data());
        Some(Self {
            cache,
            path,
            written: Mutex::new(written.map(|data| checksum(&header, &data))),
            header,
            creating: AtomicUsize::new(0),
        })
    }

    /// Runs `create` with the cache, and writes what is new in it. If several threads create
    /// pipelines, the last to finish writes.
    pub fn create<R>(&self, create: impl FnOnce(&wgpu::PipelineCache) -> R) -> R {
        let creating = Creating::new(&self.creating);
        let result = create(&self.cache);
        drop(creating);
        if self.creating.load(Ordering::Relaxed) == 0 {
            self.save();
        }
        result
    }

    fn save(&self) {
        let written = self.written.lock();
        let mut written = written.unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.cache.get_data() else {
            return;
        };
        let checksum = checksum(&self.header, &data);
        if *written != Some(checksum) && write(&self.path, &self.header, &data).is_ok() {
            *written = Some(checksum);
        }
    }
}

/// Counts a pipeline as being created, until it is created or wgpu panics.
struct Creating<'a>(&'a AtomicUsize);

impl<'a> Creating<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The platform's folder for caches, if there is one.
pub(crate) fn default_folder() -> Option<PathBuf> {
    let caches = etcetera::base_strategy::choose_native_strategy()
        .ok()?
        .cache_dir();
    // An empty HOME would be the current directory.
    caches.is_absolute().then(|| caches.join("selfnorm"))
}

/// Writes a file of another name and renames it when complete, so that nobody reads half of it. If
/// two processes write, the last wins.
fn write(path: &Path, header: &str, data: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(header.as_bytes())?;
    file.write_all(&checksum(header, data).to_le_bytes())?;
    file.write_all(data)?;
    file.persist(path)?;
    Ok(())
}

/// The data of a file, if it has this header and every byte is as it was written.
fn read(path: &Path, header: &str) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(path).ok()?;
    // Reading anything but a file could block.
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    let (written, data) = bytes
        .strip_prefix(header.as_bytes())?
        .split_first_chunk::<4>()?;
    (u32::from_le_bytes(*written) == checksum(header, data)).then(|| data.to_vec())
}

fn checksum(header: &str, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.as_bytes());
    hasher.update(data);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "selfnorm 0.1.0 pipelines\nan adapter\n";
    const DATA: &[u8] = b"what a driver has compiled";

    #[test]
    fn what_is_written_is_read_unless_any_byte_is_changed_missing_or_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        assert_eq!(read(&path, HEADER), None);
        write(&path, HEADER, DATA).unwrap();
        assert_eq!(read(&path, HEADER).as_deref(), Some(DATA));
        let good = std::fs::read(&path).unwrap();
        for i in 0..good.len() {
            for bit in 0..8 {
                let mut flipped = good.clone();
                flipped[i] ^= 1 << bit;
                std::fs::write(&path, &flipped).unwrap();
                assert_eq!(read(&path, HEADER), None, "bit {bit} of byte {i}");
            }
            std::fs::write(&path, &good[..i]).unwrap();
            assert_eq!(read(&path, HEADER), None, "{i} bytes");
        }
        std::fs::write(&path, [&good[..], b"0"].concat()).unwrap();
        assert_eq!(read(&path, HEADER), None);
        write(&path, HEADER, DATA).unwrap();
        assert_eq!(read(&path, HEADER).as_deref(), Some(DATA));
    }

    #[test]
    fn the_file_of_another_adapter_or_version_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for other in [
            "selfnorm 0.1.1 pipelines\nan adapter\n",
            "selfnorm 0.1.0 pipelines\nanother adapter\n",
            "selfnorm 0.1.0 pipelines\nan adapter\nand more\n",
            "",
        ] {
            write(&path, other, DATA).unwrap();
            assert_eq!(read(&path, HEADER), None, "{other}");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let around = (HEADER.len() + 4) as u64;
        for (len, fits) in [(MAX_BYTES - around, true), (MAX_BYTES - around + 1, false)] {
            let data = vec![7; len as usize];
            write(&path, HEADER, &data).unwrap();
            assert_eq!(read(&path, HEADER).is_some(), fits);
        }
    }
}
