//! What networks do on every platform, a browser's page among them: train on after whatever happens, wait for
//! data, and say what is wrong with a call, a file or a device.

use std::task::{Context, Poll};

use crate::common::{gpu_async, new_gpu_async, smallest_gpu_async};
use half::f16;
use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AlphaDropout, Batch, Batches, Dataset, Dense, Exchange, Fit, Initializer, Progress,
    Samples, Sequential, SequentialBuilder, keras, onnx,
};
use selfnorm::wgpu::{
    BufferDescriptor, BufferUsages, Extent3d, TextureDescriptor, TextureDimension, TextureFormat,
    TextureUsages,
};
use selfnorm::{Error, Gpu, GpuOptions, Result, Tensor, wgpu};
use wasm_bindgen_test::wasm_bindgen_test;

const SAMPLES: usize = 60;
const INPUTS: usize = 6;
const CLASSES: u32 = 3;

/// Numbers from −1 to 1, and class numbers, that look random.
fn samples() -> (Vec<f32>, Vec<u32>) {
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
    let pixels = (0..SAMPLES * INPUTS).map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.0);
    let labels = (0..SAMPLES).map(|i| hash(i + 9) % CLASSES);
    (pixels.collect(), labels.collect())
}

fn data(gpu: &Gpu) -> Dataset {
    let (values, labels) = samples();
    let data = Dataset::from_floats(gpu, &values, [INPUTS]).unwrap();
    data.classes(&labels).unwrap()
}

fn layers() -> SequentialBuilder {
    let hidden = Dense::new(16).kernel_initializer(Initializer::LecunNormal);
    Sequential::new([INPUTS])
        .add(hidden.activation(Selu))
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(CLASSES as usize).activation(Softmax))
}

fn fit() -> Fit<'static> {
    Fit::new(Adam::new(0.01)).batch_size(16)
}

async fn train(model: &mut Sequential, data: &Dataset, epochs: usize) -> Result<()> {
    let mut run = model.train(data, &fit().epochs(epochs))?;
    while run.next().await?.is_some() {}
    Ok(())
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_training_goes_on_from_its_checkpoint_on_another_device_with_the_same_bits() {
    let gpu = gpu_async().await;
    let mut whole = layers().build(gpu, 1).unwrap();
    train(&mut whole, &data(gpu), 4).await.unwrap();

    let lost = new_gpu_async().await;
    let mut model = layers().build(&lost, 1).unwrap();
    train(&mut model, &data(&lost), 2).await.unwrap();
    let checkpoint = model.to_bytes().await.unwrap();
    // In the middle of the third epoch.
    let on_lost = data(&lost);
    let mut run = model.train(&on_lost, &fit().epochs(2)).unwrap();
    let step = run.next().await.unwrap();
    assert!(matches!(step, Some(Progress::Batch(_))));
    lost.device().destroy();
    let error = loop {
        match run.next().await {
            Ok(progress) => assert!(progress.is_some(), "the training has ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::DeviceLost);

    let other = new_gpu_async().await;
    let mut opened = Sequential::from_bytes(&other, &checkpoint).await.unwrap();
    // The seed is the checkpoint's.
    let mut resumed = layers().build(&other, 7).unwrap();
    resumed.load_bytes(&checkpoint).await.unwrap();
    let whole = whole.to_bytes().await.unwrap();
    for model in [&mut opened, &mut resumed] {
        train(model, &data(&other), 2).await.unwrap();
        assert!(model.to_bytes().await.unwrap() == whole);
    }
}

async fn weights(model: &Sequential) -> Vec<Vec<f32>> {
    let mut values = Vec::new();
    for (_, weight) in model.weights().unwrap() {
        values.push(weight.read().await.unwrap());
    }
    values
}

/// The samples in batches, each there when it is asked for the second time.
struct Later {
    values: Vec<f32>,
    labels: Vec<u32>,
    next: usize,
    is_ready: bool,
    waits: usize,
}

impl Batches for Later {
    fn samples(&self) -> Samples {
        Samples::floats([INPUTS]).classes()
    }

    fn start(&mut self, _epoch: u64) -> Result<()> {
        self.next = 0;
        Ok(())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            return Poll::Ready(Ok(()));
        }
        self.waits += 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        assert!(self.is_ready);
        let range = self.next..SAMPLES.min(self.next + 16);
        self.next = range.end;
        if range.is_empty() {
            return Ok(None);
        }
        let values = &self.values[range.start * INPUTS..range.end * INPUTS];
        let labels = &self.labels[range];
        Batch::floats(values).classes(labels).map(Some)
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn batches_that_come_later_train_like_a_data_set() {
    let gpu = gpu_async().await;
    let mut resident = layers().build(gpu, 1).unwrap();
    let on_gpu = data(gpu);
    let mut run = resident
        .train(&on_gpu, &fit().epochs(2).shuffle(false))
        .unwrap();
    while run.next().await.unwrap().is_some() {}

    let (values, labels) = samples();
    let mut later = Later {
        values,
        labels,
        next: 0,
        is_ready: true,
        waits: 0,
    };
    let mut streamed = layers().build(gpu, 1).unwrap();
    let mut run = streamed.train(&mut later, &fit().epochs(2)).unwrap();
    while run.next().await.unwrap().is_some() {}
    // Four batches an epoch, and its end.
    assert_eq!(later.waits, 10);
    let bytes = [&resident, &streamed].map(Sequential::to_bytes);
    let [resident, streamed] = bytes;
    assert!(resident.await.unwrap() == streamed.await.unwrap());
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn bytes_that_are_no_such_file_are_errors_and_change_nothing() {
    let gpu = gpu_async().await;
    let mut model = layers().build(gpu, 1).unwrap();
    let good = model.to_bytes().await.unwrap();
    let mut hostile: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; 8],
        vec![0xff; 64],
        b"<!doctype html>".into(),
    ];
    // Cut off, with a byte more, with a header of any length, and with each byte of the header changed.
    hostile.extend([1, 7, 8, 9, 100, good.len() - 1].map(|len| good[..len].to_vec()));
    hostile.push([&good[..], &[0]].concat());
    for len in [1u64, 1 << 27, 1 << 40, u64::MAX] {
        hostile.push([&len.to_le_bytes(), &good[8..]].concat());
    }
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for at in (8..8 + header).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] = b'9';
        hostile.push(bytes);
    }
    let mut refused = 0;
    for bytes in hostile {
        // What a changed byte has left right is taken.
        if let Err(error) = Sequential::from_bytes(gpu, &bytes).await {
            let is_it = matches!(
                error,
                Error::File { .. }
                    | Error::Layer { .. }
                    | Error::TooLarge { .. }
                    | Error::Parameter { .. }
                    | Error::Length { .. }
                    | Error::Shape { .. }
            );
            assert!(is_it, "{error}");
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused}");
    for bytes in [&b""[..], &good[..100]] {
        let error = model.load_bytes(bytes).await.unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
    }
    assert!(model.to_bytes().await.unwrap() == good);
}

/// The error of what is known at once, or of what is read then.
async fn read(tensor: Result<Tensor>) -> Error {
    match tensor {
        Ok(tensor) => tensor.read().await.unwrap_err(),
        Err(error) => error,
    }
}

fn buffer(gpu: &Gpu, usage: BufferUsages, mapped_at_creation: bool) -> wgpu::Buffer {
    gpu.device().create_buffer(&BufferDescriptor {
        label: Some("image"),
        size: 1024,
        usage,
        mapped_at_creation,
    })
}

/// The names of all errors, from the source.
fn errors() -> impl Iterator<Item = &'static str> {
    let source = include_str!("../../src/error.rs");
    let (_, variants) = source.split_once("pub enum Error {\n").unwrap();
    let (variants, _) = variants.split_once("\n}\n").unwrap();
    let names = variants.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.split([' ', '(', ',']).next()?;
        name.starts_with(char::is_uppercase).then_some(name)
    });
    names.filter(|name| name.chars().all(char::is_alphanumeric))
}

/// Those that the test below does not provoke on this platform.
const ELSEWHERE: &[&str] = &[
    // The page's own tests have a browser without WebGPU, and tests/device a machine without a driver.
    "NoAdapter",
    // tests/device has limits below WebGPU's, which no browser has.
    "UnsupportedDevice",
    // The test below this one, and tests/faults.rs.
    "OutOfMemory",
    // An application's own, which goes through unchanged.
    "Application",
    // What the crate should have prevented.
    "Unexpected",
    // A browser says so only when the application finishes the encoder.
    #[cfg(target_family = "wasm")]
    "EncoderLocked",
    // tests/device has one of another device of the same wgpu::Instance; of another it may be taken for one of
    // this.
    #[cfg(not(target_family = "wasm"))]
    "OtherDevice",
];

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn predictions_from_the_host_and_of_data_sets_are_those_of_tensors() {
    let gpu = gpu_async().await;
    let model = layers().build(gpu, 1).unwrap();
    let (values, _) = samples();
    let x = gpu.tensor(&values, [SAMPLES, INPUTS]).unwrap();
    let y = model.predict_async(&x).await.unwrap().read().await.unwrap();
    assert!(model.predict_floats_async(&values).await.unwrap() == y);
    let data = data(gpu);
    let of_data = model.predict_dataset_async(&data).await.unwrap();
    assert!(of_data.read().await.unwrap() == y);
    let classes = model.predict_classes_async(&data).await.unwrap();
    let rows = y.chunks(CLASSES as usize).zip(classes);
    for (row, class) in rows {
        assert!(row.iter().all(|&other| other <= row[class]), "{row:?}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_mistake_is_its_error() {
    let mut provoked = Vec::new();
    macro_rules! assert_error {
        ($variant:ident, $error:expr) => {
            let error: Error = $error;
            let name = stringify!($variant);
            assert!(
                matches!(error, Error::$variant { .. }),
                "{error}, not {name}"
            );
            provoked.push(name);
        };
    }
    let gpu = &gpu_async().await;
    let usages = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let x = gpu.tensor(&[1.0f32; 4], [4]).unwrap();
    let wanted = GpuOptions::new().adapter_name("none of this name");
    assert_error!(AdapterNotFound, Gpu::request(&wanted).await.unwrap_err());
    let y: Tensor = gpu.zeros([5]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    assert_error!(Shape, gpu.pass(&mut encoder).selu(&x, &y).unwrap_err());
    assert_error!(Aliased, gpu.pass(&mut encoder).selu(&x, &x).unwrap_err());
    drop(encoder);
    assert_error!(Length, gpu.tensor(&[1.0f32], [2]).unwrap_err());
    assert_error!(TooLarge, gpu.zeros::<f32>([1 << 20, 1 << 20]).unwrap_err());
    let p = selfnorm::AlphaDropout::new(1.5);
    assert_error!(Parameter, x.alpha_dropout(&p).unwrap_err());
    let p = selfnorm::AlphaDropout::new(0.5).noise_shape([3]);
    assert_error!(NoiseShape, x.alpha_dropout(&p).unwrap_err());
    let whole = buffer(gpu, usages, false);
    assert_error!(
        Misaligned,
        gpu.wrap::<f32>(whole.slice(4..), [4]).unwrap_err()
    );
    assert_error!(
        TooShort,
        gpu.wrap::<f32>(whole.slice(..), [999]).unwrap_err()
    );
    let unreadable = buffer(gpu, BufferUsages::STORAGE, false);
    let unreadable = gpu.wrap::<f32>(unreadable.slice(..), [4]).unwrap();
    assert_error!(MissingUsage, unreadable.read().await.unwrap_err());

    let whole = gpu.device().create_texture(&TextureDescriptor {
        label: None,
        size: Extent3d::default(),
        mip_level_count: 1,
        sample_count: 1,
        dimension: TextureDimension::D2,
        format: TextureFormat::R32Uint,
        usage: TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    assert_error!(Texture, gpu.wrap_texture(&whole).unwrap_err());

    let small = smallest_gpu_async().await;
    let model = layers().build(gpu, 1).unwrap();
    let on_small = small.tensor(&[0.5f32; INPUTS], [1, INPUTS]).unwrap();
    assert_error!(OtherGpu, model.predict_async(&on_small).await.unwrap_err());
    let single = gpu.tensor(&[0.5f32; INPUTS], [INPUTS]).unwrap();
    assert_error!(NoBatchAxis, model.predict_async(&single).await.unwrap_err());
    let halves = small.tensor(&[f16::ONE], [1]);
    assert_error!(
        MissingFeature,
        match halves.and_then(|halves| halves.selu()) {
            Ok(_) => panic!("no device of no features computes with f16"),
            Err(error) => error,
        }
    );
    let error = Sequential::new([4]).add(Dense::new(0)).build(gpu, 1);
    assert_error!(Layer, error.unwrap_err());
    let error = Dataset::from_floats(gpu, &[f32::NAN], [1]);
    assert_error!(Data, error.unwrap_err());
    let mut model = layers().build(gpu, 1).unwrap();
    let error = model.load_bytes(b"no such file").await;
    assert_error!(File, error.unwrap_err());
    let samples = gpu.tensor(&[0.5f32; INPUTS], [1, INPUTS]).unwrap();
    let y = gpu.tensor(&[1.0f32, 0.0, 0.0], [1, 3]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut open = encoder.begin_compute_pass(&Default::default());
    let error = gpu
        .record_in(&mut open)
        .train_on_batch(&mut model, &samples, &y);
    assert_error!(NeedsEncoder, error.unwrap_err());
    let open = open.forget_lifetime();
    let recorded = gpu.pass(&mut encoder).selu_in_place(&x);
    if !ELSEWHERE.contains(&"EncoderLocked") {
        assert_error!(EncoderLocked, recorded.unwrap_err());
    }
    drop((open, encoder));

    // Too high a rate for numbers of this size.
    let huge = gpu.tensor(&[1e30f32; INPUTS], [1, INPUTS]).unwrap();
    let before = weights(&model).await;
    let error = model.train_on_batch_async(&huge, &y).await.unwrap_err();
    assert_eq!(error, Error::NotFinite { step: 1 });
    assert_error!(NotFinite, error);
    assert!(weights(&model).await == before);

    /// One of two, whose engine has lost the other.
    #[derive(Debug)]
    struct Alone;
    impl Exchange for Alone {
        fn rank(&self) -> usize {
            0
        }
        fn size(&self) -> usize {
            2
        }
        fn sum(
            &self,
            _: &mut [f32],
        ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err("the other is gone".into())
        }
    }
    let (data, fit) = (data(gpu), fit().exchange(&Alone));
    let mut run = model.train(&data, &fit).unwrap();
    assert_error!(Exchange, run.next().await.unwrap_err());
    drop(run);
    assert!(weights(&model).await == before);

    // What wgpu or the browser finds out.
    let image = buffer(gpu, usages, false);
    let t = gpu.wrap::<f32>(image.slice(..), [256]).unwrap();
    image.destroy();
    let (error, label) = (read(t.selu()).await, "image".into());
    assert_eq!(error, Error::Destroyed { label });
    assert_error!(Destroyed, error);
    let image = buffer(gpu, usages, true);
    let t = gpu.wrap::<f32>(image.slice(..), [256]).unwrap();
    let (error, label) = (read(t.selu()).await, "image".into());
    assert_eq!(error, Error::Mapped { label });
    assert_error!(Mapped, error);
    image.unmap();
    if !ELSEWHERE.contains(&"OtherDevice") {
        let foreign = buffer(&small, usages, false);
        let foreign = gpu.wrap::<f32>(foreign.slice(..), [256]);
        let foreign = foreign.and_then(|t| t.selu());
        let (error, label) = (read(foreign).await, "image".into());
        assert_eq!(error, Error::OtherDevice { label });
        assert_error!(OtherDevice, error);
    }
    // Everything goes on.
    assert_eq!(x.selu().unwrap().read().await.unwrap(), [1.050_701; 4]);

    small.device().destroy();
    assert_error!(DeviceLost, read(on_small.selu()).await);
    assert_error!(DeviceLost, read(small.tensor(&[1.0f32], [1])).await);

    for name in errors() {
        assert!(
            provoked.contains(&name) || ELSEWHERE.contains(&name),
            "{name} is not provoked"
        );
    }
    assert!(errors().count() > 25);
}

/// Natively there may be as much memory as the machine has: tests/faults.rs limits it.
#[cfg(target_family = "wasm")]
#[wasm_bindgen_test]
async fn no_memory_is_an_error_and_the_device_goes_on() {
    let gpu = new_gpu_async().await;
    let len = gpu.device().limits().max_storage_buffer_binding_size as usize / size_of::<f32>();
    let x = gpu.tensor(&[1.0f32], [1]).unwrap();
    let mut held: Vec<Tensor> = Vec::new();
    let error = loop {
        held.push(gpu.zeros([len]).unwrap());
        if let Err(error) = x.selu().unwrap().read().await {
            break error;
        }
        assert!(held.len() < 1000, "no end of memory");
    };
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    drop(held);
    assert_eq!(x.selu().unwrap().read().await.unwrap(), [1.050_701]);
    let mut model = layers().build(&gpu, 1).unwrap();
    train(&mut model, &data(&gpu), 1).await.unwrap();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_model_of_pytorch_s_in_onnx_is_read_from_bytes_and_written_with_the_same_predictions() {
    let gpu = gpu_async().await;
    let model = include_bytes!("../data/onnx/torch_dynamo_cnn.onnx");
    let mut model = onnx::from_bytes(gpu, model).await.unwrap();
    assert_eq!(model.metadata()["producer_name"], "pytorch");
    model.set_metadata("classes", "a,b").unwrap();
    let len = model.input_shape().iter().product::<usize>();
    let x: Vec<_> = (0..2 * len).map(|i| (i as f32 * 0.7).sin()).collect();
    let y = model.predict_floats_async(&x).await.unwrap();
    // In float64 as PyTorch computes it: `tests/nn/onnx.rs`. Here, that it is the same through either format.
    let file = onnx::to_bytes(&model).await.unwrap();
    let again = onnx::from_bytes(gpu, &file).await.unwrap();
    assert_eq!(again.predict_floats_async(&x).await.unwrap(), y);
    assert_eq!(again.metadata()["producer_name"], "selfnorm");
    assert_eq!(again.metadata()["classes"], "a,b");
    let file = keras::to_bytes(&model).await.unwrap();
    let again = keras::from_bytes(gpu, &file).await.unwrap();
    assert_eq!(again.predict_floats_async(&x).await.unwrap(), y);
}
