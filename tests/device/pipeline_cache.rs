//! The pipelines that drivers have compiled, on disk: a file that works is used, any other is replaced, and
//! whatever happens to it changes no result.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::{self, activations, gpu};
use selfnorm::{AlphaDropout, Gpu, GpuOptions, wgpu};

fn gpu_in(folder: &Path) -> Gpu {
    let options = GpuOptions::new().pipeline_cache_dir(folder);
    pollster::block_on(Gpu::request(&options)).unwrap()
}

/// Whether the adapter supports pipeline caches.
fn has_cache() -> bool {
    let features = gpu().device().features();
    let has = features.contains(wgpu::Features::PIPELINE_CACHE);
    if !has {
        eprintln!("not run: the adapter has no PIPELINE_CACHE");
    }
    has
}

/// Creates three pipelines, and asserts that the results are those of a device without a file.
fn computes(gpu: &Gpu) {
    let results = |gpu: &Gpu| {
        let x = gpu.tensor(&activations(1757), [1757]).unwrap();
        [
            x.selu().unwrap().to_vec().unwrap(),
            x.elu(0.7).unwrap().to_vec().unwrap(),
            x.alpha_dropout(&AlphaDropout::new(0.3).seed(7))
                .unwrap()
                .to_vec()
                .unwrap(),
        ]
    };
    assert_eq!(results(gpu), results(common::gpu()));
}

/// The only one in the folder.
fn file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().collect();
    let [Ok(file)] = &files[..] else {
        panic!("{files:?}");
    };
    file.path()
}

/// Two lines that say whose file it is, the CRC-32 of these lines and the data, and the data.
fn is_whole(bytes: &[u8]) -> bool {
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let header: Vec<_> = lines.by_ref().take(2).flatten().copied().collect();
    let Some((checksum, data)) = bytes[header.len()..].split_first_chunk() else {
        return false;
    };
    let version = format!("selfnorm {} pipelines\n", env!("CARGO_PKG_VERSION"));
    header.starts_with(version.as_bytes())
        && u32::from_le_bytes(*checksum) == crc32fast::hash(&[&header, data].concat())
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_one_device_writes_the_next_reads() {
    let folder = tempfile::tempdir().unwrap();
    computes(&gpu_in(folder.path()));
    if !has_cache() {
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        return;
    }
    let path = file(folder.path());
    let bytes = fs::read(&path).unwrap();
    assert!(is_whole(&bytes));
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    let opened = fs::File::options().write(true).open(&path).unwrap();
    opened.set_modified(long_ago).unwrap();
    drop(opened);
    computes(&gpu_in(folder.path()));
    // A file that was rejected would have been written again, with the same pipelines.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let now = fs::read(&path).unwrap();
    assert!(modified == long_ago || now != bytes);
    assert!(is_whole(&now));
}

/// Anybody who can write it can make the driver run anything.
#[cfg(unix)]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn nobody_but_the_user_can_write_the_file() {
    let folder = tempfile::tempdir().unwrap();
    computes(&gpu_in(folder.path()));
    if has_cache() {
        let metadata = fs::metadata(file(folder.path())).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_damaged_file_changes_no_result_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    computes(&gpu_in(folder.path()));
    if !has_cache() {
        return;
    }
    let path = file(folder.path());
    let good = fs::read(&path).unwrap();
    // Right in itself, but of another version.
    let other_version = |version: &str| {
        let text = format!("selfnorm {version} pipelines\nan adapter\n");
        let checksum = crc32fast::hash(&[text.as_bytes(), b"data"].concat());
        [text.as_bytes(), &checksum.to_le_bytes(), b"data"].concat()
    };
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let random: Vec<u8> = selfnorm::random::words(1, 2, 0..1 << 18)
        .flat_map(u32::to_le_bytes)
        .collect();
    let len = good.len();
    for damaged in [
        Vec::new(),
        good[..1].to_vec(),
        good[..len / 2].to_vec(),
        good[..len - 1].to_vec(),
        [&good[..], b"more"].concat(),
        flipped(0),
        flipped(len / 3),
        flipped(len - 1),
        other_version("0.0.9"),
        other_version(env!("CARGO_PKG_VERSION")),
        random,
    ] {
        fs::write(&path, &damaged).unwrap();
        computes(&gpu_in(folder.path()));
        assert!(is_whole(&fs::read(file(folder.path())).unwrap()));
    }
    // A terabyte of nothing.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    computes(&gpu_in(folder.path()));
    assert!(is_whole(&fs::read(file(folder.path())).unwrap()));
}

/// Anything there that is not a file is left alone.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn where_no_file_can_be_everything_works_without() {
    let folder = tempfile::tempdir().unwrap();
    computes(&gpu_in(folder.path()));
    if !has_cache() {
        return;
    }
    let path = file(folder.path());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    computes(&gpu_in(folder.path()));
    assert!(file(folder.path()).is_dir());
    fs::remove_dir(&path).unwrap();
    let taken = folder.path().join("a file");
    fs::write(&taken, "mine").unwrap();
    computes(&gpu_in(&taken));
    computes(&gpu_in(&taken.join("below")));
    // Not even root may write there.
    computes(&gpu_in(Path::new("/proc/self/selfnorm")));
    assert_eq!(fs::read_to_string(file(folder.path())).unwrap(), "mine");
}

/// Reading from a pipe would wait forever.
#[cfg(unix)]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_pipe_in_place_of_the_file_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    computes(&gpu_in(folder.path()));
    if !has_cache() {
        return;
    }
    let path = file(folder.path());
    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let inside = folder.path().to_path_buf();
    common::without_hanging(move || computes(&gpu_in(&inside)));
    assert!(is_whole(&fs::read(file(folder.path())).unwrap()));
}

/// A limit on the size of files ends a write at any byte, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_full_disk_leaves_nothing_behind() {
    const APART: &str = "SELFNORM_TEST_FULL_DISK";
    if std::env::var_os(APART).is_none() {
        // Where the signal that comes with the limit is ignored.
        let mut program = std::process::Command::new("bash");
        program.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        program.arg(std::env::current_exe().unwrap());
        let environment = [(APART, "1"), ("MESA_SHADER_CACHE_DISABLE", "true")];
        common::passes_as(
            program,
            "pipeline_cache::a_full_disk_leaves_nothing_behind",
            &environment,
        );
        return;
    }
    if !has_cache() {
        return;
    }
    let recorded = |gpu: &Gpu, limited: Option<u64>| {
        let x = gpu.tensor(&[1.0; 4], [4]).unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        if let Some(size) = limited {
            common::limit("fsize", size);
        }
        gpu.pass(&mut encoder).selu_in_place(&x).unwrap();
        common::limit("fsize", 1 << 40);
    };
    let folder = tempfile::tempdir().unwrap();
    recorded(&gpu_in(folder.path()), None);
    // Mesa 25's device has its memory in a file, and does not survive the limit.
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let mut open = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    if open.any(|path| path.to_string_lossy().starts_with("/memfd:allocation")) {
        eprintln!("not run: the device's memory is a file");
        return;
    }
    // A driver may write the same pipeline in a few bytes more or fewer.
    let len = fs::metadata(file(folder.path())).unwrap().len();
    for size in [0, 1, len / 2, len - len / 8] {
        let folder = tempfile::tempdir().unwrap();
        let gpu = gpu_in(folder.path());
        recorded(&gpu, Some(size));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        computes(&gpu);
        assert!(is_whole(&fs::read(file(folder.path())).unwrap()));
    }
}

/// Four processes of two devices each, which create the same pipelines at the same time.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn processes_that_write_at_once_leave_a_whole_file() {
    const FOLDER: &str = "SELFNORM_TEST_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| computes(&gpu_in(Path::new(&folder))));
            }
        });
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "pipeline_cache::processes_that_write_at_once_leave_a_whole_file";
    let environment = [(FOLDER, folder.path().to_str().unwrap())];
    let apart = || common::passes_apart(name, &environment);
    std::thread::scope(|scope| {
        let processes = [(); 4].map(|()| scope.spawn(apart));
        // Meanwhile there is no file yet, or a whole one.
        while !processes.iter().all(|process| process.is_finished()) {
            for entry in fs::read_dir(folder.path()).unwrap() {
                let path = entry.unwrap().path();
                let is_temporary = path.file_name().unwrap().as_encoded_bytes()[0] == b'.';
                assert!(is_temporary || is_whole(&fs::read(path).unwrap()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(!has_cache() || is_whole(&fs::read(file(folder.path())).unwrap()));
}

/// Each thread starts with a different one, so that pipelines are created side by side.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn threads_that_create_pipelines_at_once_leave_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let gpu = gpu_in(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let gpu = &gpu;
            scope.spawn(move || {
                let x = gpu.tensor(&activations(1757), [1757]).unwrap();
                match thread % 3 {
                    0 => x.elu_backward(0.7, &x),
                    1 => x.selu_backward(&x),
                    _ => gpu.lecun_normal([7, 251], 1),
                }
                .unwrap();
                computes(gpu);
            });
        }
    });
    assert!(!has_cache() || is_whole(&fs::read(file(folder.path())).unwrap()));
}

/// By default in the user's cache directory; nowhere if the cache is off, or the device is an application's.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_file_is_where_it_should_be_or_nowhere() {
    const CASE: &str = "SELFNORM_TEST_CASE";
    let without = |options: GpuOptions| {
        pollster::block_on(Gpu::request(&options.pipeline_cache(false))).unwrap()
    };
    if let Ok(case) = std::env::var(CASE) {
        computes(&match &case[..] {
            "default" => Gpu::new().unwrap(),
            "off" => without(GpuOptions::new()),
            "off, with a directory" => without(
                GpuOptions::new().pipeline_cache_dir(std::env::var_os("XDG_CACHE_HOME").unwrap()),
            ),
            _ => common::gpu_with(
                gpu().device().features() & wgpu::Features::PIPELINE_CACHE,
                wgpu::Limits::default(),
            ),
        });
        return;
    }
    let has_cache = has_cache();
    let files = |case: &str, caches: &str, home: &str| {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| match name {
            "" => String::new(),
            name => folder.path().join(name).to_str().unwrap().into(),
        };
        common::passes_apart(
            "pipeline_cache::a_file_is_where_it_should_be_or_nowhere",
            &[
                (CASE, case),
                ("XDG_CACHE_HOME", &inside(caches)),
                ("HOME", &inside(home)),
                ("MESA_SHADER_CACHE_DISABLE", "true"),
            ],
        );
        let mut found = Vec::new();
        let mut folders = vec![folder.path().to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let parent = path.parent().unwrap().strip_prefix(folder.path());
                    found.push(parent.unwrap().to_str().unwrap().to_string());
                }
            }
        }
        found
    };
    let one = |path: &str| vec![path.to_string(); has_cache.into()];
    let none: [&str; 0] = [];
    assert_eq!(files("default", "caches", "home"), one("caches/selfnorm"));
    assert_eq!(files("default", "", "home"), one("home/.cache/selfnorm"));
    for case in ["off", "off, with a directory", "an application's device"] {
        assert_eq!(files(case, "caches", "home"), none, "{case}");
    }
    // /proc takes no files, and there is no other place.
    let nowhere = [
        (CASE, "default"),
        ("XDG_CACHE_HOME", "/proc/self"),
        ("HOME", ""),
    ];
    common::passes_apart(
        "pipeline_cache::a_file_is_where_it_should_be_or_nowhere",
        &nowhere,
    );
}
