//! What goes wrong outside the program: a device that goes, memory that ends, devices without one
//! feature or another, disks that fill, and callbacks that panic. Every call gives the error that its
//! documentation names; no panic, no hang, nothing in the application's error handler; the network
//! and the files are as they were, bit for bit, and the next call works.

mod common;

use std::future::Future;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, OnceLock, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::calls::Counted;
use common::ops::{self, Op, Parameter};
use common::value::Value;
use common::{Watched, activations, gpu_with, smallest_gpu, without_hanging};
use half::f16;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout as Dropout, Batch, Batches, Dataset, Dense, Fit, Loss, Precision, Progress,
    Samples, Sequential, SequentialBuilder, Sgd,
};
use selfnorm::{AlphaDropout, Conv2dOptions, Error, Gpu, Result, Tensor, wgpu};

/// Features of a sample, units of the hidden layer, samples, and samples in a batch.
#[derive(Clone, Copy)]
struct Size {
    features: usize,
    units: usize,
    samples: usize,
    batch: usize,
}

const SMALL: Size = Size {
    features: 12,
    units: 16,
    samples: 60,
    batch: 16,
};

const CLASSES: usize = 3;

impl Size {
    fn network(self) -> SequentialBuilder {
        Sequential::new([self.features])
            .add(Dense::new(self.units).activation(Selu))
            .add(Dropout::new(0.1))
            .add(Dense::new(CLASSES).activation(Softmax))
    }

    fn values(self) -> &'static [f32] {
        static VALUES: OnceLock<Vec<f32>> = OnceLock::new();
        &VALUES.get_or_init(|| activations(1 << 16))[..self.samples * self.features]
    }

    fn data(self, gpu: &Gpu) -> Result<Dataset> {
        let samples = 0..self.samples as u32;
        let labels: Vec<_> = samples.map(|i| i * i % CLASSES as u32).collect();
        Dataset::from_floats(gpu, self.values(), [self.features])?.classes(&labels)
    }

    fn fit(self) -> Fit<'static> {
        let fit = Fit::new(Adam::default()).batch_size(self.batch);
        fit.epochs(2).validation_split(0.3)
    }
}

/// A device, and everything that calls are made with.
struct World {
    gpu: Gpu,
    size: Size,
    x: Tensor,
    dy: Tensor,
    targets: Tensor,
    texture: wgpu::Texture,
    data: Dataset,
    model: Sequential,
    files: Files,
}

/// Files of networks that have been trained.
#[derive(Clone)]
struct Files {
    /// Of one of another seed.
    weights: PathBuf,
    checkpoint: PathBuf,
    /// Of the network itself.
    before: PathBuf,
    /// To write to.
    saved: PathBuf,
}

impl Files {
    fn new(folder: &Path, size: Size) -> Self {
        let file = |name| folder.join(name);
        let files = Self {
            weights: file("weights.safetensors"),
            checkpoint: file("checkpoint.safetensors"),
            before: file("before.safetensors"),
            saved: file("saved.safetensors"),
        };
        let gpu = common::gpu();
        let mut model = size.network().build(gpu, 1).unwrap();
        model.fit(&size.data(gpu).unwrap(), &size.fit()).unwrap();
        model.save_checkpoint(&files.before).unwrap();
        let mut other = size.network().build(gpu, 2).unwrap();
        other.fit(&size.data(gpu).unwrap(), &size.fit()).unwrap();
        other.save(&files.weights).unwrap();
        for path in [&files.checkpoint, &files.saved] {
            other.save_checkpoint(path).unwrap();
        }
        files
    }
}

impl World {
    fn new(gpu: &Gpu, size: Size, files: &Files) -> Self {
        Self::try_new(gpu, size, files).unwrap()
    }

    fn try_new(gpu: &Gpu, size: Size, files: &Files) -> Result<Self> {
        let shape = [size.batch, size.features];
        let batch = &size.values()[..size.batch * size.features];
        let targets = vec![0.25; size.batch * CLASSES];
        // As far as a checkpoint goes, so that there are moments to be lost and buffers to be made.
        let mut model = size.network().build(gpu, 3)?;
        model.load_checkpoint(&files.before)?;
        Ok(Self {
            gpu: gpu.clone(),
            size,
            x: gpu.tensor(batch, shape)?,
            dy: gpu.tensor(batch, shape)?,
            targets: gpu.tensor(&targets, [size.batch, CLASSES])?,
            texture: texture(gpu),
            data: size.data(gpu)?,
            model,
            files: files.clone(),
        })
    }
}

/// An application's, to be read and written.
fn texture(gpu: &Gpu) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d {
            width: 8,
            height: 8,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING,
        view_formats: &[],
    })
}

/// Weights, moments and step.
fn state(model: &Sequential) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    model.save_checkpoint(&path).unwrap();
    contents(&path)
}

/// What of a file is its network's: its order of metadata is not.
fn contents(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut contents: Vec<u8> = Vec::new();
    for (name, view) in tensors {
        contents.extend(name.as_bytes());
        contents.extend(view.data());
    }
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap_or_default();
    let mut metadata: Vec<_> = metadata.into_iter().collect();
    metadata.sort();
    contents.extend(format!("{metadata:?}").bytes());
    contents
}

type Call = Box<dyn Fn(&mut World) -> Result<()>>;

/// Every call that asks something of the device: the operations, and [`OTHER_CALLS`].
fn calls() -> Vec<(String, Call)> {
    let ops = Op::<f32>::cases().filter_map(|(op, p)| {
        let call = op.call?;
        let call: Call = Box::new(move |w| {
            let tensors = op.inputs.iter().map(|&input| match input {
                "x" => &w.x,
                _ => &w.dy,
            });
            call(&tensors.collect::<Vec<_>>(), &of_a_new_seed(p)).map(drop)
        });
        Some((op.title(p), call))
    });
    let others = OTHER_CALLS.map(|(name, call)| (name.into(), Box::new(call) as Call));
    ops.chain(others).collect()
}

type OtherCall = fn(&mut World) -> Result<()>;

const OTHER_CALLS: [(&str, OtherCall); 34] = [
    ("tensor", |w| {
        w.gpu
            .tensor(w.size.values(), [w.size.samples, w.size.features])
            .map(drop)
    }),
    ("tensor of f16", |w| {
        w.gpu.tensor(&[f16::ONE; 1757], [1757]).map(drop)
    }),
    ("zeros", |w| w.gpu.zeros::<f32>(w.x.shape()).map(drop)),
    ("zeros of a new size", |w| {
        w.gpu.zeros::<f32>([54_321]).map(drop)
    }),
    ("lecun_normal", |w| {
        w.gpu.lecun_normal(w.x.shape(), 1).map(drop)
    }),
    ("to_vec", |w| w.x.to_vec().map(drop)),
    ("read", |w| pollster::block_on(w.x.read()).map(drop)),
    ("a pass, and what it has written", |w| {
        let y: Tensor = w.gpu.wrap(w.dy.slice(), w.dy.shape())?;
        let mut encoder = w.gpu.device().create_command_encoder(&Default::default());
        let mut pass = w.gpu.pass(&mut encoder);
        pass.selu(&w.x, &y)?;
        pass.alpha_dropout_in_place(&y, &dropout())?;
        drop(pass);
        w.gpu.queue().submit([encoder.finish()]);
        y.to_vec().map(drop)
    }),
    ("softmax", |w| {
        w.x.softmax()?.softmax_backward(&w.dy).map(drop)
    }),
    ("dense", |w| {
        let kernel = w.gpu.zeros([w.size.features, w.size.units])?;
        w.x.dense(&kernel, None, Softmax).map(drop)
    }),
    ("dense_backward", |w| {
        let kernel = w.gpu.zeros([w.size.features, CLASSES])?;
        w.x.dense_backward(&kernel, &w.targets).map(drop)
    }),
    ("conv2d", |w| {
        let [x, kernel] = [w.gpu.zeros([3, 9, 9, 8])?, w.gpu.zeros([3, 3, 8, 8])?];
        let y = x.conv2d(&kernel, None, &Conv2dOptions::new(), Selu)?;
        x.conv2d_backward(&kernel, &y, &Conv2dOptions::new())
            .map(drop)
    }),
    (
        "rows and a texture, and what a pass has read of them",
        |w| {
            let features = w.size.features;
            let stride = 4 * features as u64;
            let rows = w.gpu.wrap_rows(w.dy.slice(), [2, features - 1], stride)?;
            let image = w.gpu.wrap_texture(&w.texture)?;
            let [x, y] = [w.gpu.zeros([2, features - 1])?, w.gpu.zeros([8, 8, 4])?];
            let mut encoder = w.gpu.device().create_command_encoder(&Default::default());
            let mut pass = w.gpu.pass(&mut encoder);
            pass.read_rows(&rows, &x)?;
            pass.read_texture(&image, &y)?;
            pass.write_texture(&y, &image)?;
            drop(pass);
            w.gpu.queue().submit([encoder.finish()]);
            y.to_vec().map(drop)
        },
    ),
    ("from_tensors", |w| {
        Dataset::from_tensors(&w.x, &w.targets).map(drop)
    }),
    ("from_floats", |w| {
        Dataset::from_floats(&w.gpu, w.size.values(), [w.size.features]).map(drop)
    }),
    ("from_bytes", |w| {
        Dataset::from_bytes(&w.gpu, &[7; 100_000], [10]).map(drop)
    }),
    ("classes", |w| {
        let data = Dataset::from_bytes(&w.gpu, &[7; 50_000], [1])?;
        data.classes(&[1u8; 50_000]).map(drop)
    }),
    ("targets", |w| {
        let data = Dataset::from_bytes(&w.gpu, &[7; 50_000], [1])?;
        data.targets(&[0.5; 50_000], [1]).map(drop)
    }),
    ("build", |w| w.size.network().build(&w.gpu, 3).map(drop)),
    ("predict", |w| w.model.predict(&w.x).map(drop)),
    ("train_on_batch", |w| {
        w.model.train_on_batch(&w.x, &w.targets).map(drop)
    }),
    ("fit", |w| w.model.fit(&w.data, &w.size.fit()).map(drop)),
    ("fit with data to validate", |w| {
        w.model
            .fit(&w.data, &w.size.fit().validation_data(&w.data))
            .map(drop)
    }),
    ("fit of a network in 16-bit floats", |w| {
        let precision = match w.gpu.supports_f16() {
            true => Precision::F16,
            false => Precision::F32,
        };
        let mut model = w.size.network().precision(precision).build(&w.gpu, 3)?;
        model.fit(&w.data, &w.size.fit()).map(drop)
    }),
    ("evaluate", |w| w.model.evaluate(&w.data).map(drop)),
    ("gradient", |w| {
        w.model.gradient(&w.x, &w.targets, true).map(drop)
    }),
    ("statistics", |w| w.model.statistics(&w.x).map(drop)),
    ("weights", |w| w.model.weights().map(drop)),
    ("set_weights", |w| {
        let names = ["dense/kernel", "dense/bias"];
        let shapes = [&[w.size.features, w.size.units][..], &[w.size.units]];
        let tensor = |i: usize| Ok((names[i], w.gpu.zeros(shapes[i])?));
        w.model.set_weights(&[tensor(0)?, tensor(1)?])
    }),
    ("save", |w| {
        w.model.save(w.files.saved.with_extension("weights"))
    }),
    ("save_checkpoint", |w| {
        w.model.save_checkpoint(&w.files.saved)
    }),
    ("load", |w| w.model.load(&w.files.weights)),
    ("load_checkpoint", |w| {
        w.model.load_checkpoint(&w.files.checkpoint)
    }),
    ("fit with another optimizer", |w| {
        let fit = Fit::new(Sgd::new(0.01).momentum(0.9)).batch_size(w.size.batch);
        w.model.fit(&w.data, &fit)?;
        w.model
            .compile(Adam::default(), Loss::CategoricalCrossentropy)
    }),
];

/// The samples in their order, and how many batches of them were given.
struct Host(Size, usize);

impl Batches for Host {
    fn samples(&self) -> Samples {
        Samples::floats([self.0.features]).classes()
    }

    fn start(&mut self, _: u64) -> Result<()> {
        self.1 = 0;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        let Self(size, given) = self;
        let values = size.values().chunks(size.batch * size.features).nth(*given);
        *given += 1;
        let labels = &[0u32; 1 << 10];
        values
            .map(|values| Batch::floats(values).classes(&labels[..values.len() / size.features]))
            .transpose()
    }
}

/// With a seed that was never used, so that nothing of it is cached.
fn dropout() -> AlphaDropout {
    AlphaDropout::new(0.3).seed(new_seed())
}

fn new_seed() -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(0);
    SEED.fetch_add(1, Ordering::Relaxed)
}

fn of_a_new_seed(p: &Parameter) -> Parameter {
    match p.clone() {
        Parameter::Dropout(p) => Parameter::Dropout(ops::Dropout {
            seed: new_seed(),
            ..p
        }),
        p => p,
    }
}

/// Panics in the crate and its dependencies, even if they were caught.
fn panics() -> Vec<String> {
    PANICS.lock().unwrap().clone()
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn watch_for_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = |location: &std::panic::Location| {
                let file = location.file();
                file.starts_with("tests") || file.starts_with("/rustc/")
            };
            if !info.location().is_some_and(ours) {
                PANICS.lock().unwrap().push(info.to_string());
            }
            before(info);
        }));
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_call_on_a_destroyed_device_is_device_lost() {
    watch_for_panics();
    for features in [wgpu::Features::empty(), all_features()] {
        without_hanging(move || {
            let folder = tempfile::tempdir().unwrap();
            let gpu = Watched::new(gpu_with(features, limits(features)));
            let files = Files::new(folder.path(), SMALL);
            let mut world = World::new(&gpu, SMALL, &files);
            gpu.device().destroy();
            // Twice, since the first may be what notices.
            for _ in 0..2 {
                for (name, call) in calls() {
                    assert_eq!(call(&mut world), Err(Error::DeviceLost), "{name}");
                }
            }
            works_elsewhere(&world);
        });
    }
    assert_eq!(panics(), [""; 0]);
}

fn all_features() -> wgpu::Features {
    USED & common::adapter().features()
}

/// Those that the crate uses where they are.
const USED: wgpu::Features = wgpu::Features::SHADER_F16
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::IMMEDIATES);

fn limits(features: wgpu::Features) -> wgpu::Limits {
    let immediates = features.contains(wgpu::Features::IMMEDIATES);
    wgpu::Limits {
        max_immediate_size: if immediates { 128 } else { 0 },
        ..Default::default()
    }
}

/// The files are still there, and their network trains on, on another device.
fn works_elsewhere(world: &World) {
    let gpu = common::gpu();
    let mut model = world.size.network().build(gpu, 9).unwrap();
    model.load(&world.files.weights).unwrap();
    for path in [&world.files.checkpoint, &world.files.saved] {
        model.load_checkpoint(path).unwrap();
    }
    model
        .fit(&world.size.data(gpu).unwrap(), &world.size.fit())
        .unwrap();
}

/// Destroyed from another thread, at moments that are further and further into the calls.
fn destroyed_while_calls_are_made(rounds: u32) {
    watch_for_panics();
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), SMALL);
    for round in 0..rounds {
        let files = files.clone();
        without_hanging(move || {
            let features = [wgpu::Features::empty(), all_features()][round as usize % 2];
            let gpu = Watched::new(gpu_with(features, limits(features)));
            let mut world = World::new(&gpu, SMALL, &files);
            // So that nothing is compiled any more, and to know how long it takes.
            for (name, call) in calls() {
                call(&mut world).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            let start = Instant::now();
            for (_, call) in calls() {
                call(&mut world).unwrap();
            }
            let all = start.elapsed();
            let device = gpu.device().clone();
            let (started, begin) = mpsc::channel();
            let destroyer = std::thread::spawn(move || {
                begin.recv().unwrap();
                std::thread::sleep(all * (2 * round + 1) / (2 * rounds));
                device.destroy();
            });
            started.send(()).unwrap();
            let every = calls();
            let mut endless = every.iter().cycle();
            let first = endless.find_map(|(name, call)| Some((name, call(&mut world).err()?)));
            let (name, error) = first.unwrap();
            assert_eq!(error, Error::DeviceLost, "{name}");
            destroyer.join().unwrap();
            // The checkpoint's, if a fit with another was under way.
            let loss = Loss::CategoricalCrossentropy;
            world.model.compile(Adam::default(), loss).unwrap();
            for (name, call) in calls() {
                assert_eq!(call(&mut world), Err(Error::DeviceLost), "{name}");
            }
            works_elsewhere(&world);
        });
    }
    assert_eq!(panics(), [""; 0]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_device_destroyed_while_calls_are_made_is_device_lost() {
    destroyed_while_calls_are_made(4);
}

#[test]
#[ignore = "minutes"]
fn a_device_destroyed_at_any_moment_is_device_lost() {
    destroyed_while_calls_are_made(100);
}

/// The answer was there before, or never comes.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_readback_that_waits_when_the_device_is_destroyed_ends() {
    watch_for_panics();
    for delay in [0, 1, 10] {
        let (gpu, x) = busy();
        let data = activations(1757);
        // From the same thread, before the first poll, and after it.
        let mut read = pin!(x.read());
        let polled = match delay {
            0 => Poll::Pending,
            _ => read.as_mut().poll(&mut Context::from_waker(Waker::noop())),
        };
        std::thread::sleep(Duration::from_millis(delay));
        gpu.device().destroy();
        let outcome = match polled {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => pollster::block_on(read),
        };
        assert!(outcome == Err(Error::DeviceLost) || outcome == Ok(data));

        // While another thread waits.
        let (gpu, x) = busy();
        let device = gpu.device().clone();
        let reader = std::thread::spawn(move || without_hanging(move || (x.to_vec(), x.to_vec())));
        std::thread::sleep(Duration::from_millis(delay));
        device.destroy();
        let (first, second) = reader.join().unwrap();
        let data = activations(1757);
        assert!(first == Err(Error::DeviceLost) || first == Ok(data.clone()));
        assert!(second == Err(Error::DeviceLost) || second == Ok(data));
    }
    assert_eq!(panics(), [""; 0]);
}

/// A device with work for a while, and a tensor of it.
fn busy() -> (Watched, Tensor) {
    let gpu = Watched::new(smallest_gpu());
    let x = gpu.tensor(&activations(1757), [1757]).unwrap();
    x.to_vec().unwrap();
    let y: Tensor = gpu.zeros([4 << 20]).unwrap();
    common::record(&gpu, |pass| {
        (0..20).try_for_each(|_| pass.selu_in_place(&y))
    });
    (gpu, x)
}

/// Whether in a callback or from another thread, the checkpoint of the last epoch is whole, and what
/// goes on from it is what would have been.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn training_goes_on_from_the_last_checkpoint_of_a_destroyed_device() {
    const EPOCHS: usize = 8;
    watch_for_panics();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let fit = || SMALL.fit().epochs(EPOCHS);
    let mut whole = SMALL.network().build(common::gpu(), 1).unwrap();
    let data = SMALL.data(common::gpu()).unwrap();
    whole.fit(&data, &fit()).unwrap();
    let steps = whole.step() as usize / EPOCHS;
    let expected = state(&whole);

    let mut interrupted = 0;
    for (at_step, in_callback) in [
        (0, true),
        (5 * steps, true),
        (0, false),
        (2 * steps + 1, false),
        (7 * steps, false),
    ] {
        let gpu = Watched::new(common::new_gpu());
        let data = SMALL.data(&gpu).unwrap();
        let mut model = SMALL.network().build(&gpu, 1).unwrap();
        model.save_checkpoint(&path).unwrap();
        let device = gpu.device().clone();
        let (started, begin) = mpsc::channel();
        let destroyer = std::thread::spawn(move || {
            if begin.recv().is_ok() {
                device.destroy();
            }
        });
        let (device, saved) = (gpu.device().clone(), path.clone());
        let (result, model) = without_hanging(move || {
            let mut done = 0;
            let result = model.fit_with(&data, &fit(), |progress| {
                match progress {
                    Progress::Batch(_) => {
                        if done == at_step && in_callback {
                            device.destroy();
                        } else if done == at_step {
                            started.send(()).unwrap();
                        }
                        done += 1;
                    }
                    Progress::Epoch(end) => match end.model().save_checkpoint(&saved) {
                        Ok(()) | Err(Error::DeviceLost) => {}
                        Err(error) => panic!("{error}"),
                    },
                    _ => {}
                }
                Ok(ControlFlow::Continue(()))
            });
            (result, model)
        });
        destroyer.join().unwrap();
        match result {
            Err(error) => {
                assert_eq!(error, Error::DeviceLost);
                interrupted += usize::from(!in_callback);
            }
            // It was done before.
            Ok(_) => assert!(!in_callback),
        }
        assert_eq!(model.weights().map(drop), Err(Error::DeviceLost));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let gpu = Watched::new(common::new_gpu());
        let mut model = SMALL.network().build(&gpu, 2).unwrap();
        model.load_checkpoint(&path).unwrap();
        let epochs = model.step() as usize / steps;
        assert_eq!(model.epoch(), epochs as u64);
        let rest = fit().epochs(EPOCHS - epochs);
        model.fit(&SMALL.data(&gpu).unwrap(), &rest).unwrap();
        assert!(state(&model) == expected, "after {epochs} epochs");
    }
    assert!(interrupted > 0, "no thread was in time");
    assert_eq!(panics(), [""; 0]);
}

/// Device memory that is used up, except for what is released: the process's limit leaves the driver no
/// room for another block, and the rest of its last block is taken.
struct Full {
    gpu: Gpu,
    taken: Vec<wgpu::Buffer>,
    /// Of so many bytes each.
    piece: u64,
    pieces: Vec<wgpu::Buffer>,
}

/// More than a call needs.
const LEFT: u64 = 2 << 20;
const BLOCK: u64 = 64 << 20;

impl Full {
    fn new(gpu: &Gpu, piece: u64) -> Self {
        let mut full = Self {
            gpu: gpu.clone(),
            taken: Vec::new(),
            piece,
            pieces: Vec::new(),
        };
        full.refill();
        common::limit_memory(BLOCK - (4 << 20));
        full.take_the_rest();
        full
    }

    fn take(&self, bytes: u64) -> Option<wgpu::Buffer> {
        let scope = self
            .gpu
            .device()
            .push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::STORAGE;
        let buffer = common::foreign_buffer(&self.gpu, bytes, usage);
        pollster::block_on(scope.pop()).is_none().then_some(buffer)
    }

    fn refill(&mut self) {
        while (self.pieces.len() as u64) < LEFT / self.piece {
            let Some(piece) = self.take(self.piece) else {
                break;
            };
            self.pieces.push(piece);
        }
    }

    fn take_the_rest(&mut self) {
        for bytes in (8..=25).rev().map(|log| 1 << log) {
            while let Some(buffer) = self.take(bytes) {
                self.taken.push(buffer);
            }
        }
    }

    /// Lets `pieces` pieces go, and no more.
    fn leave(&mut self, pieces: usize) {
        self.refill();
        self.take_the_rest();
        // The crate lets go of the buffers that it keeps, and then of those that come back from work.
        for _ in 0..2 {
            let error = self.gpu.zeros::<f32>([BLOCK as usize / 8]).unwrap_err();
            assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
            self.take_the_rest();
        }
        self.pieces.truncate(self.pieces.len() - pieces);
    }

    fn leave_all(&mut self) {
        self.pieces.clear();
        self.taken.clear();
    }
}

/// Buffers are of all sizes, up to the data's 128 KiB.
const LARGE: Size = Size {
    features: 128,
    units: 128,
    samples: 256,
    batch: 64,
};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn memory_that_ends_at_any_point_of_a_call_is_an_error_that_changes_nothing() {
    memory_ends_apart(
        "memory_that_ends_at_any_point_of_a_call_is_an_error_that_changes_nothing",
        64 << 10,
    );
}

#[test]
#[ignore = "minutes"]
fn memory_that_ends_before_any_buffer_is_an_error_that_changes_nothing() {
    memory_ends_apart(
        "memory_that_ends_before_any_buffer_is_an_error_that_changes_nothing",
        1 << 10,
    );
}

/// Leaves a multiple of `piece` bytes. A software driver's memory is the process's, so the limit is set on a
/// process of its own.
fn memory_ends_apart(name: &str, piece: u64) {
    const APART: &str = "SELFNORM_TEST_MEMORY_ENDS";
    if cfg!(not(target_os = "linux"))
        || common::gpu().adapter_info().device_type != wgpu::DeviceType::Cpu
    {
        eprintln!("not run: the device's memory is not the process's");
        return;
    }
    if std::env::var_os(APART).is_none() {
        common::passes_without_memory(name, &[(APART, "1")]);
        return;
    }
    watch_for_panics();
    for features in [wgpu::Features::empty(), all_features()] {
        memory_ends(features, piece);
    }
    assert_eq!(panics(), [""; 0]);
}

fn memory_ends(features: wgpu::Features, piece: u64) {
    let folder = tempfile::tempdir().unwrap();
    let descriptor = wgpu::DeviceDescriptor {
        required_features: features,
        required_limits: limits(features),
        memory_hints: wgpu::MemoryHints::Manual {
            suballocated_device_memory_block_size: BLOCK..BLOCK + 1,
        },
        ..Default::default()
    };
    let (device, queue) =
        pollster::block_on(common::adapter().request_device(&descriptor)).unwrap();
    let gpu = Watched::new(Gpu::from_wgpu(device, queue).unwrap());
    // Compile everything beforehand.
    let files = Files::new(folder.path(), LARGE);
    let mut world = World::new(&gpu, LARGE, &files);
    for (name, call) in calls() {
        call(&mut world).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    drop(world);
    let mut full = Full::new(&gpu, piece);
    assert_sweep_passes(&gpu, LARGE, &files, |left| match left {
        Some(pieces) => full.leave(pieces),
        None => full.leave_all(),
    });
}

/// Every call with no memory left, then with one piece of it, and so on until it succeeds. `leave` lets as many go, or
/// all.
fn assert_sweep_passes(gpu: &Gpu, size: Size, files: &Files, mut leave: impl FnMut(Option<usize>)) {
    let mut failures = Vec::new();
    for (name, call) in calls() {
        let mut errors = 0;
        for left in 0.. {
            leave(None);
            let mut world = World::new(gpu, size, files);
            let before = state(&world.model);
            leave(Some(left));
            let result = call(&mut world);
            leave(None);
            let mut fail = |what: &str| {
                failures.push(format!("{name}, {left} pieces left: {what}"));
            };
            match result {
                Ok(()) => break,
                Err(Error::OutOfMemory { .. }) => errors += 1,
                Err(error) => {
                    fail(&error.to_string());
                    break;
                }
            }
            if state(&world.model) != before {
                fail("the network has changed");
            }
            if let Err(error) = call(&mut world) {
                fail(&format!("afterwards {error}"));
            }
        }
        if errors == 0 {
            failures.push(format!("{name} needed no memory"));
        }
    }
    assert_eq!(failures, [""; 0]);
}

/// On any device: where its memory ends is said before the driver is asked.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn any_buffer_of_a_call_may_be_the_first_that_does_not_fit() {
    watch_for_panics();
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), SMALL);
    for counted in [Counted::smallest(), Counted::new()] {
        let gpu = Watched::new(counted.clone());
        assert_sweep_passes(&gpu, SMALL, &files, |left| {
            counted.leave(left.map(|_| 0));
            if left.is_some() {
                // The crate lets go of the buffers that it keeps, and then of those that come back from work.
                for _ in 0..2 {
                    let error = gpu.zeros::<f32>([1 << 20]).unwrap_err();
                    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
                }
            }
            counted.leave(left);
        });
    }
    assert_eq!(panics(), [""; 0]);
}

/// A batch from the host comes when a step before it has been taken, which counts.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_from_the_host_that_does_not_fit_ends_the_training_after_the_steps_before() {
    let gpu = Counted::new();
    let fit = Fit::new(Adam::default()).batch_size(SMALL.batch).epochs(2);
    let build = || SMALL.network().build(&gpu, 3).unwrap();
    let after = |steps| {
        let (mut model, mut host) = (build(), Host(SMALL, 0));
        let mut run = model.train(&mut host, &fit).unwrap();
        while run.model().step() < steps {
            pollster::block_on(run.next()).unwrap();
        }
        drop(run);
        state(&model)
    };
    let mut steps = vec![0];
    for left in 0.. {
        let mut model = build();
        // Of earlier ones nothing is kept.
        gpu.leave(Some(0));
        assert!(gpu.zeros::<f32>([1 << 20]).is_err());
        gpu.leave(Some(left));
        let result = model.fit(&mut Host(SMALL, 0), &fit);
        gpu.leave(None);
        match result {
            Ok(_) => break,
            Err(Error::OutOfMemory { .. }) => {}
            Err(error) => panic!("{left} buffers: {error}"),
        }
        assert!(state(&model) == after(model.step()), "{left} buffers");
        steps.push(model.step());
    }
    assert!(steps.iter().any(|&steps| steps > 0), "{steps:?}");
}

/// Runs every call with buffers or bindings of at most `limit` bytes.
fn assert_limited(limit: u64, lower: fn(&mut wgpu::Limits, u64), files: &Files) -> [usize; 2] {
    let mut limits = wgpu::Limits::default();
    lower(&mut limits, limit);
    let gpu = Watched::new(gpu_with(wgpu::Features::empty(), limits));
    let mut counts = [0, 0];
    let mut world = match World::try_new(&gpu, WIDE, files) {
        Ok(world) => world,
        Err(error) => {
            assert!(matches!(error, Error::TooLarge { .. }), "{limit}: {error}");
            return counts;
        }
    };
    let before = state(&world.model);
    for (name, call) in calls() {
        match call(&mut world) {
            Ok(()) => {
                world.model.load_checkpoint(&files.before).unwrap();
                counts[0] += 1;
            }
            Err(Error::TooLarge { .. }) => counts[1] += 1,
            Err(error) => panic!("{name}, at most {limit} bytes: {error}"),
        }
        assert!(state(&world.model) == before, "{name}, {limit} bytes");
    }
    counts
}

/// Its activations are larger than the weights and the data.
const WIDE: Size = Size {
    features: 8,
    units: 256,
    samples: 400,
    batch: 120,
};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_beyond_a_limit_at_any_point_of_a_call_is_too_large_and_changes_nothing() {
    // The network does not fit, or its batches, and everything does.
    assert_limits(&[4 << 10, 50_004, 1 << 20]);
}

#[test]
#[ignore = "minutes"]
fn what_is_beyond_any_limit_is_too_large_and_changes_nothing() {
    let limits = std::iter::successors(Some(1u64 << 10), |limit| Some((limit * 9 / 8) | 1));
    let limits: Vec<_> = limits.take_while(|&limit| limit < 1 << 20).collect();
    assert_limits(&[&limits[..], &[1 << 20]].concat());
}

fn assert_limits(sizes: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path(), WIDE);
    let lower: [fn(&mut wgpu::Limits, u64); 2] = [
        |limits, bytes| limits.max_buffer_size = bytes,
        // Less is an unsupported device.
        |limits, bytes| limits.max_storage_buffer_binding_size = bytes.max(16 << 10),
    ];
    for lower in lower {
        let counts: Vec<_> = sizes
            .iter()
            .map(|&limit| assert_limited(limit, lower, &files))
            .collect();
        assert_eq!(counts.last(), Some(&[calls().len(), 0]));
        let between = |[fits, too_large]: &[usize; 2]| *fits > 0 && *too_large > 0;
        assert!(counts.iter().any(between), "{counts:?}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_at_a_limit_is_split_or_lacks_targets() {
    let limits = wgpu::Limits {
        max_buffer_size: 50_001,
        ..Default::default()
    };
    let gpu = Watched::new(gpu_with(wgpu::Features::empty(), limits));
    // Copies move multiples of four bytes, so it takes 50,004: too large for one sample, not for many.
    let error = Dataset::from_bytes(&gpu, &[7; 50_001], [50_001]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let data = Dataset::from_bytes(&gpu, &[7; 50_001], [1]).unwrap();
    assert_eq!(data.len(), 50_001);
    // It fits, and the numbers of its samples do not.
    let data = Dataset::from_bytes(&gpu, &[7; 50_000], [1]).unwrap();
    let mut model = Sequential::new([1])
        .add(Dense::new(1))
        .build(&gpu, 1)
        .unwrap();
    let error = model.fit(&data, &SMALL.fit().batch_size(2400)).unwrap_err();
    assert!(error.to_string().contains("no targets"), "{error}");
}

/// What a device computes.
struct Computed {
    /// After two epochs.
    weights: Vec<u8>,
    f32s: Vec<Vec<f32>>,
    /// Where there are any.
    f16s: Option<Vec<Vec<f16>>>,
}

impl Computed {
    fn on(gpu: &Gpu) -> Self {
        let mut model = SMALL.network().build(gpu, 1).unwrap();
        let data = SMALL.data(gpu).unwrap();
        model.fit(&data, &SMALL.fit()).unwrap();
        let values = activations(1757);
        let halves: Vec<_> = values.iter().copied().map(f16::from_f32).collect();
        let f16s = || operations(&gpu.tensor(&halves, [7, 251]).unwrap());
        Self {
            weights: state(&model),
            f32s: operations(&gpu.tensor(&values, [7, 251]).unwrap()),
            f16s: gpu.supports_f16().then(f16s),
        }
    }
}

fn operations<T: Value>(x: &Tensor<T>) -> Vec<Vec<T>> {
    let results = Op::cases().map(|(op, p)| {
        let y = op.apply(x.gpu(), x.shape(), &[x, x][..op.inputs.len()], p);
        y.unwrap().to_vec().unwrap()
    });
    results.collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_device_without_one_feature_or_with_the_smallest_limits_gives_the_same_bits() {
    let available = all_features();
    let all = Computed::on(&gpu_with(available, limits(available)));
    let mut devices = vec![
        ("WebGPU's", wgpu::Features::empty(), wgpu::Limits::default()),
        (
            "downlevel",
            wgpu::Features::empty(),
            wgpu::Limits::downlevel_defaults(),
        ),
    ];
    for (name, missing) in available.iter_names() {
        let features = available - missing;
        devices.push((name, features, limits(features)));
    }
    for (name, features, limits) in devices {
        let gpu = Watched::new(gpu_with(features, limits));
        let computed = Computed::on(&gpu);
        assert!(computed.weights == all.weights, "{name}: other weights");
        assert!(computed.f32s == all.f32s, "{name}: other f32");
        match computed.f16s {
            Some(f16s) => assert!(Some(f16s) == all.f16s, "{name}: other f16"),
            None => common::assert_f16_is_an_error(&gpu),
        }
    }
}

/// WebGL 2 has no compute shaders.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_limits_of_webgl_are_an_unsupported_device() {
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits::downlevel_webgl2_defaults(),
        ..Default::default()
    };
    let (device, queue) =
        pollster::block_on(common::adapter().request_device(&descriptor)).unwrap();
    let error = Gpu::from_wgpu(device, queue).unwrap_err();
    assert!(matches!(error, Error::UnsupportedDevice(_)), "{error}");
}

/// A limit on the size of files ends a write at any byte, as a full disk does: EFBIG in place of ENOSPC.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_full_disk_keeps_the_file_that_was_there() {
    const APART: &str = "SELFNORM_TEST_FULL_DISK";
    if std::env::var_os(APART).is_none() {
        // Where the signal that comes with the limit is ignored.
        let mut program = std::process::Command::new("bash");
        program.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        program.arg(std::env::current_exe().unwrap());
        let name = "a_full_disk_keeps_the_file_that_was_there";
        common::passes_as(program, name, &[(APART, "1")]);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let gpu = common::gpu();
    type Save = fn(&Sequential, &Path) -> Result<()>;
    type Load = fn(&mut Sequential, &Path) -> Result<()>;
    let kinds: [(Save, Load); 2] = [
        (
            |model, path| model.save(path),
            |model, path| model.load(path),
        ),
        (
            |model, path| model.save_checkpoint(path),
            |model, path| model.load_checkpoint(path),
        ),
    ];
    for (save, load) in kinds {
        let mut old = LARGE.network().build(gpu, 1).unwrap();
        old.fit(&LARGE.data(gpu).unwrap(), &LARGE.fit()).unwrap();
        save(&old, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // Its file is as long.
        let mut model = LARGE.network().build(gpu, 2).unwrap();
        model.fit(&LARGE.data(gpu).unwrap(), &LARGE.fit()).unwrap();
        let len = bytes.len() as u64;
        let steps = (0..len).step_by(len as usize / 16);
        for size in steps.chain([1, 7, 8, 9, 4096, len - 1]) {
            common::limit("fsize", size);
            let error = save(&model, &path).unwrap_err();
            // Enough for everything else.
            common::limit("fsize", 1 << 40);
            let Error::File {
                path: named,
                detail,
            } = &error
            else {
                panic!("{size} bytes: {error}");
            };
            assert_eq!(*named, path.display().to_string());
            assert!(detail.contains("File too large"), "{detail}");
            assert!(std::fs::read(&path).unwrap() == bytes, "{size} bytes");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        let mut loaded = LARGE.network().build(gpu, 3).unwrap();
        load(&mut loaded, &path).unwrap();
        common::limit("fsize", len);
        save(&model, &path).unwrap();
        common::limit("fsize", 1 << 40);
        assert!(std::fs::read(&path).unwrap() != bytes);
        load(&mut loaded, &path).unwrap();
    }
}

/// Not even root may write to /proc; and a folder can't be replaced by a file.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_path_that_can_t_be_written_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    let model = SMALL.network().build(common::gpu(), 1).unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "old").unwrap();
    for path in [
        PathBuf::from("/proc/self/weights.safetensors"),
        PathBuf::from("/"),
        PathBuf::new(),
        folder.path().join("missing/weights.safetensors"),
        file.join("weights.safetensors"),
        taken,
    ] {
        for result in [model.save(&path), model.save_checkpoint(&path)] {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, Error::File { path: named, .. } if *named == path.display().to_string()),
                "{path:?}: {error}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "old");
}

/// As after a callback that stops training at the same point.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_callback_that_panics_leaves_the_network_as_one_that_stops_it() {
    let gpu = common::gpu();
    let data = SMALL.data(gpu).unwrap();
    for (epoch, batch) in [(1, Some(1)), (1, None), (2, Some(2)), (2, None)] {
        let here = |progress: &Progress| match progress {
            Progress::Batch(end) => (end.epoch, Some(end.batch)) == (epoch, batch),
            Progress::Epoch(end) => (end.epoch, None) == (epoch, batch),
            _ => false,
        };
        let train = |at_that_point: fn() -> ControlFlow<()>| {
            let mut model = SMALL.network().build(gpu, 1).unwrap();
            let fit = || {
                model.fit_with(&data, &SMALL.fit(), |progress| {
                    if here(&progress) {
                        return Ok(at_that_point());
                    }
                    Ok(ControlFlow::Continue(()))
                })
            };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fit));
            (result.is_err(), model)
        };
        let (panicked, mut stopped) = train(|| ControlFlow::Break(()));
        assert!(!panicked);
        let (panicked, mut model) = train(|| panic!("what a callback may do"));
        assert!(panicked);
        assert_eq!(model.step(), stopped.step());
        assert!(state(&model) == state(&stopped));
        for model in [&mut model, &mut stopped] {
            model.fit(&data, &SMALL.fit()).unwrap();
        }
        assert!(state(&model) == state(&stopped));
    }
}
