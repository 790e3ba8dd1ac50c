//! What only shows over time, with threads, or at unusual ends of life: memory stays flat however many
//! operations there are, threads on one device get the right bits, and everything may be dropped in any
//! order, whatever is still running.
//!
//! Long runs have a short form for every day. Training uses what the documentation of `Sequential` says,
//! and no more however long it goes on. What grows is looked for in two places: wgpu's allocator, where the
//! backend has one that reports; and, on Linux, the memory of the process, which is where a software device
//! has its buffers, and wgpu its records of them. What a driver keeps of each dispatch is not the crate's: the
//! same dispatches in bare wgpu say how much that is.
//!
//! The threads also run under ThreadSanitizer, on a nightly with `rust-src` (without it, the sanitizer does
//! not see the standard library's own locks):
//!
//! ```sh
//! RUSTFLAGS=-Zsanitizer=thread cargo +nightly test -Zbuild-std \
//!     --target x86_64-unknown-linux-gnu --test device endurance::for_three_seconds
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::common::{self, activations, allocated, gpu, passes_apart, record, resident};
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{self, Adam, Conv2d, Dataset, Dense, Fit, Flatten, MaxPool2d, Sequential};
use selfnorm::{AlphaDropout, Gpu, LecunNormal, Tensor, random, wgpu};

/// Set in the process that runs one test alone.
const APART: &str = "SELFNORM_APART";

fn dropout() -> AlphaDropout {
    AlphaDropout::new(0.3).seed(1 << 40 | 7)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

// ---------------------------------------------------------------- time

/// Dispatches of a round of [`dispatch_a_round`].
const ROUND: usize = 1000;

/// Through tensors, through an application's encoders with tensors that it keeps, and with others; with
/// lengths that fill lanes, that do not, and that are wrapped.
fn dispatch_a_round(gpu: &Gpu, kept: &[Tensor; 3]) {
    for i in 0..50 {
        let len = [64, 1757, 5, 4096][i % 4];
        let x = gpu.lecun_normal([len], 1).unwrap();
        let y = x.selu().unwrap().alpha_dropout(&dropout()).unwrap();
        let wrapped = gpu.wrap::<f32>(kept[0].slice(), [kept[0].len()]).unwrap();
        drop((y.elu(0.7).unwrap(), wrapped.elu(0.7).unwrap()));
    }
    for seed in 0..10 {
        let others: [Tensor; 2] = [gpu.zeros([333]).unwrap(), gpu.zeros([333]).unwrap()];
        let [x, y, dx] = kept;
        record(gpu, |pass| {
            for _ in 0..18 {
                pass.selu(x, y)?;
                pass.selu_backward(x, y, dx)?;
                pass.alpha_dropout_in_place(y, &dropout().seed(seed))?;
                pass.elu_in_place(dx, 0.7)?;
            }
            pass.selu(&others[0], &others[1])
        });
    }
    kept[1].to_vec().unwrap();
    pollster::block_on(kept[2].read()).unwrap();
}

/// The same number of dispatches as in [`dispatch_a_round`] without this crate: of buffers and bind groups that are
/// kept and of others, in ten submissions, and two reads.
struct BareRounds<'a> {
    gpu: &'a Gpu,
    pipeline: wgpu::ComputePipeline,
    kept: wgpu::Buffer,
    group: wgpu::BindGroup,
}

impl<'a> BareRounds<'a> {
    const BYTES: u64 = 1757 * 4;
    const SOURCE: &'static str = "
        @group(0) @binding(0) var<storage, read_write> x: array<f32>;

        @compute @workgroup_size(256)
        fn halve(@builtin(global_invocation_id) id: vec3u) {
            if (id.x < arrayLength(&x)) {
                x[id.x] *= 0.5;
            }
        }
    ";

    fn new(gpu: &'a Gpu) -> Self {
        let pipeline = common::compute_pipeline(gpu.device(), Self::SOURCE);
        let (kept, group) = Self::bound(gpu, &pipeline);
        Self {
            gpu,
            pipeline,
            kept,
            group,
        }
    }

    fn bound(gpu: &Gpu, pipeline: &wgpu::ComputePipeline) -> (wgpu::Buffer, wgpu::BindGroup) {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let buffer = common::foreign_buffer(gpu, Self::BYTES, usage);
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: buffer.as_entire_binding(),
            }],
        });
        (buffer, group)
    }

    fn dispatch_a_round(&self) {
        const SUBMISSIONS: usize = 10;
        const OTHERS: usize = 25;
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        for _ in 0..SUBMISSIONS {
            let mut encoder = device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            let others = (0..OTHERS).map(|_| Self::bound(self.gpu, &self.pipeline).1);
            let kept = std::iter::repeat_n(self.group.clone(), ROUND / SUBMISSIONS - OTHERS);
            for group in others.chain(kept) {
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(7, 1, 1);
            }
            drop(pass);
            queue.submit([encoder.finish()]);
        }
        for _ in 0..2 {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let staging = common::foreign_buffer(self.gpu, Self::BYTES, usage);
            let mut encoder = device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&self.kept, 0, &staging, 0, Self::BYTES);
            queue.submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
            device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        }
    }
}

fn dispatches_take_no_memory(name: &str, dispatches: usize) {
    // In a process of its own, where no other test allocates.
    if std::env::var_os(APART).is_none() {
        // An arena for each thread would grow the process late, and once.
        passes_apart(name, &[(APART, "1"), ("MALLOC_ARENA_MAX", "2")]);
        return;
    }
    let gpu = gpu();
    let rounds = dispatches / ROUND / SPANS;
    // Some drivers keep something of each dispatch, whoever makes it: NVIDIA's 170 bytes.
    let bare = BareRounds::new(gpu);
    for _ in 0..5 {
        bare.dispatch_a_round();
    }
    let control = least_growth(|| (0..rounds).for_each(|_| bare.dispatch_a_round()));
    drop(bare);
    let kept = [(); 3].map(|()| gpu.tensor(&activations(1757), [1757]).unwrap());
    // The first rounds allocate the buffers that later ones reuse.
    for _ in 0..5 {
        dispatch_a_round(gpu, &kept);
    }
    let before = allocated(gpu);
    let start = Instant::now();
    let grown = least_growth(|| {
        for round in 0..rounds {
            dispatch_a_round(gpu, &kept);
            assert_eq!(allocated(gpu), before, "in round {round}");
        }
    });
    let rate = dispatches as f64 / start.elapsed().as_secs_f64();
    let (Some(control), Some(grown)) = (control, grown) else {
        println!("the memory of the process was not looked at: it is known on Linux alone");
        return;
    };
    println!(
        "{dispatches} dispatches, {rate:.0} a second: {grown} bytes more in a quarter, {control} in bare wgpu"
    );
    // 16 bytes a dispatch, less than anything that wgpu keeps.
    let most = control + (rounds * ROUND * 16) as u64;
    assert!(
        grown < most,
        "the process has grown by {grown} bytes, in bare wgpu by {control}"
    );
}

/// Parts that a long run is looked at in.
const SPANS: usize = 4;

/// The least that the process grows by while `span` runs, of so many times. A leak grows each time; a driver that
/// allocates a larger piece now and then, as NVIDIA's does, in some.
fn least_growth(mut span: impl FnMut()) -> Option<u64> {
    let grown = (0..SPANS).map(|_| {
        let before = resident();
        span();
        Some(resident()?.saturating_sub(before?))
    });
    grown.min().flatten()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn twenty_thousand_dispatches_take_no_memory() {
    dispatches_take_no_memory(
        "endurance::twenty_thousand_dispatches_take_no_memory",
        20_000,
    );
}

#[test]
#[ignore = "a million dispatches: minutes"]
fn a_million_dispatches_take_no_memory() {
    dispatches_take_no_memory("endurance::a_million_dispatches_take_no_memory", 1_000_000);
}

// ---------------------------------------------------------------- threads

const THREADS: usize = 8;

/// None, less than a lane, around a workgroup, and no multiple of anything.
const LENGTHS: [usize; 8] = [0, 1, 3, 5, 255, 257, 1757, 20_000];

/// What a thread computes, and the bits of it: a host's, or a single thread's on another device.
struct Work {
    data: Vec<f32>,
    /// Of selu, alpha_dropout of it, and the gradient of selu times that.
    computed: [Vec<u32>; 3],
    weights: Vec<u32>,
}

impl Work {
    fn new(len: usize) -> Self {
        let data = activations(len);
        let x = gpu().tensor(&data, [len]).unwrap();
        let y = x.selu().unwrap();
        let dropped = y.alpha_dropout(&dropout()).unwrap();
        let dx = x.selu_backward(&dropped).unwrap();
        Self {
            computed: [&y, &dropped, &dx].map(|y| bits(&y.to_vec().unwrap())),
            weights: bits(&LecunNormal::new(3).seed(5).values(len).unwrap()),
            data,
        }
    }
}

/// A tensor and what must be in it.
struct Parcel {
    tensor: Tensor,
    expected: Vec<u32>,
}

impl Parcel {
    fn open(&self) {
        assert!(bits(&self.tensor.to_vec().unwrap()) == self.expected);
    }
}

/// A read that is under way, and its tensor; whoever drops it drops both.
type Reading = Pin<Box<dyn Future<Output = ()> + Send>>;

fn begun(parcel: Parcel) -> Reading {
    let mut reading: Reading = Box::pin(async move {
        let read = parcel.tensor.read().await.unwrap();
        assert!(bits(&read) == parcel.expected);
    });
    let mut context = Context::from_waker(Waker::noop());
    match reading.as_mut().poll(&mut context) {
        Poll::Pending => reading,
        Poll::Ready(()) => Box::pin(std::future::ready(())),
    }
}

/// What a thread sends to another.
enum Message {
    Parcel(Parcel),
    Reading(Reading),
    Gpu(Gpu),
}

struct Thread {
    gpu: Gpu,
    works: Arc<Vec<Work>>,
    /// The seed of the random choices, and how many have been made.
    seed: u64,
    choices: u64,
    parcels: Vec<Parcel>,
    readings: Vec<Reading>,
    inbox: mpsc::Receiver<Message>,
    others: Vec<mpsc::Sender<Message>>,
    actions: Arc<AtomicU64>,
}

/// The most parcels that a thread keeps.
const KEPT: usize = 24;

impl Thread {
    /// A random number below `n`.
    fn choose(&mut self, n: usize) -> usize {
        self.choices += 1;
        let mut words = random::words(self.seed, 0, self.choices..self.choices + 1);
        words.next().unwrap() as usize % n
    }

    /// Chains of operations, one after the other or in a pass, whose intermediate tensors are dropped
    /// while they are computed.
    fn compute(&mut self) -> Parcel {
        let works = self.works.clone();
        let work = &works[self.choose(works.len())];
        let shape = [work.data.len()];
        let of = |tensor: Tensor, expected: &[u32]| Parcel {
            tensor,
            expected: expected.to_vec(),
        };
        let [selu, dropped, dx] = &work.computed;
        let gpu = &self.gpu.clone();
        if let choice @ 0..2 = self.choose(8) {
            return if choice == 0 {
                let w = gpu.zeros(shape).unwrap();
                let p = LecunNormal::new(3).seed(5);
                record(gpu, |pass| pass.lecun_normal(&p, &w));
                of(w, &work.weights)
            } else {
                let zeros = vec![0; work.data.len()];
                of(gpu.zeros(shape).unwrap(), &zeros)
            };
        }
        let x = gpu.tensor(&work.data, shape).unwrap();
        match self.choose(5) {
            0 => of(x, &bits(&work.data)),
            1 => of(x.selu().unwrap(), selu),
            2 => of(
                x.selu().unwrap().alpha_dropout(&dropout()).unwrap(),
                dropped,
            ),
            3 => {
                let y = x.selu().unwrap().alpha_dropout(&dropout()).unwrap();
                of(x.selu_backward(&y).unwrap(), dx)
            }
            _ => {
                let [y, z] = [gpu.zeros(shape).unwrap(), gpu.zeros(shape).unwrap()];
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                let mut pass = gpu.pass(&mut encoder);
                pass.selu(&x, &y).unwrap();
                pass.alpha_dropout_in_place(&y, &dropout()).unwrap();
                pass.selu_backward(&x, &y, &z).unwrap();
                // The recording keeps their buffers.
                drop((x, y));
                drop(pass);
                gpu.queue().submit([encoder.finish()]);
                of(z, dx)
            }
        }
    }

    /// One of the parcels, or a new one if there are none.
    fn take(&mut self) -> Parcel {
        if self.parcels.is_empty() {
            return self.compute();
        }
        let i = self.choose(self.parcels.len());
        self.parcels.swap_remove(i)
    }

    fn send(&mut self, message: Message) {
        let other = self.choose(self.others.len());
        // Others may be done already.
        let _ = self.others[other].send(message);
    }

    fn act(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Parcel(parcel) => self.parcels.push(parcel),
                Message::Reading(reading) => self.readings.push(reading),
                Message::Gpu(gpu) => self.gpu = gpu,
            }
        }
        while self.parcels.len() > KEPT {
            drop(self.take());
        }
        match self.choose(12) {
            0..=3 => {
                let parcel = self.compute();
                self.parcels.push(parcel);
            }
            4 => self.compute().open(),
            5 => {
                let parcel = self.take();
                parcel.open();
                self.parcels.push(parcel);
            }
            6 => drop(self.take()),
            7 => {
                let parcel = self.take();
                self.send(Message::Parcel(parcel));
            }
            8 => {
                let parcel = self.take();
                self.readings.push(begun(parcel));
            }
            9 => {
                let gpu = self.gpu.clone();
                self.send(Message::Gpu(gpu));
            }
            10 => {
                if let Some(reading) = self.readings.pop() {
                    self.send(Message::Reading(reading));
                }
            }
            _ => {
                // Some are waited for, some are dropped.
                while self.readings.len() > 4 {
                    let i = self.choose(self.readings.len());
                    let reading = self.readings.swap_remove(i);
                    if self.choose(2) == 0 {
                        pollster::block_on(reading);
                    }
                }
            }
        }
        self.actions.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether nothing is left of the devices of `instance`, soon: threads that wait for the GPU have a
/// handle until it is done.
fn nothing_is_left(instance: &wgpu::Instance) -> bool {
    let start = Instant::now();
    loop {
        let report = instance.generate_report().unwrap();
        let hub = report.hub_report();
        if [hub.devices.num_allocated, hub.buffers.num_allocated] == [0, 0] {
            return true;
        }
        if start.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A device of its own, and whether it is gone.
fn gpu_of_an_instance() -> (Gpu, wgpu::Instance) {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let info = gpu().adapter_info();
    let adapter = pollster::block_on(instance.enumerate_adapters(info.backend.into()))
        .into_iter()
        .find(|adapter| adapter.get_info().name == info.name)
        .unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
    (Gpu::from_wgpu(device, queue).unwrap(), instance)
}

fn threads_get_right_bits_for(duration: Duration) {
    let works: Arc<Vec<_>> = Arc::new(LENGTHS.map(Work::new).into());
    let (gpu, instance) = gpu_of_an_instance();
    let actions = Arc::new(AtomicU64::new(0));
    let counted = actions.clone();
    let run = move || {
        let (outboxes, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
        let mut threads = Vec::new();
        for (i, inbox) in inboxes.into_iter().enumerate() {
            let mut thread = Thread {
                gpu: gpu.clone(),
                works: works.clone(),
                seed: i as u64,
                choices: 0,
                parcels: Vec::new(),
                readings: Vec::new(),
                inbox,
                others: outboxes.clone(),
                actions: actions.clone(),
            };
            threads.push(std::thread::spawn(move || {
                let start = Instant::now();
                while start.elapsed() < duration {
                    thread.act();
                }
                thread
            }));
        }
        drop((gpu, outboxes));
        let ended: Vec<_> = threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect();
        // All that is left is dropped where none of it was made, the last handle too.
        let left = std::thread::spawn(|| {
            for thread in ended {
                thread.parcels.iter().for_each(Parcel::open);
            }
        });
        left.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    };
    common::answers_within(duration + Duration::from_secs(60), run);
    let counted = counted.load(Ordering::Relaxed);
    println!("{counted} actions in {duration:?}");
    assert!(counted > 100);
    assert!(nothing_is_left(&instance), "the device is still there");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn for_three_seconds_eight_threads_get_right_bits_from_one_device() {
    threads_get_right_bits_for(Duration::from_secs(3));
}

#[test]
#[ignore = "a minute"]
fn for_a_minute_eight_threads_get_right_bits_from_one_device() {
    threads_get_right_bits_for(Duration::from_secs(60));
}

// ---------------------------------------------------------------- ends of life

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let insert = |order: Vec<usize>| {
        (0..n).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    orders(last).into_iter().flat_map(insert).collect()
}

/// An end of something: it is dropped, or used a last time.
type End<'a> = Box<dyn FnOnce() + 'a>;

fn dropped<'a>(what: impl Sized + 'a) -> End<'a> {
    Box::new(move || drop(what))
}

/// Ends `things`, made anew for each order, in that order; in one of `ways` to end them, in turn.
fn any_order_does_no_harm<const N: usize>(
    ways: usize,
    things: impl Fn(Gpu, usize) -> [End<'static>; N],
) {
    let (gpu, instance) = gpu_of_an_instance();
    for (i, order) in orders(N).into_iter().enumerate() {
        // Another handle of the same device, with buffers and pipelines of its own.
        let gpu = Gpu::from_wgpu(gpu.device().clone(), gpu.queue().clone()).unwrap();
        let mut things = things(gpu, i % ways).map(Some);
        for i in order {
            things[i].take().unwrap()();
        }
    }
    drop(gpu);
    assert!(nothing_is_left(&instance), "the device is still there");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_gpu_its_tensors_recordings_and_reads_end_in_any_order() {
    let work = Arc::new(Work::new(1757));
    any_order_does_no_harm(3, |gpu, way| {
        let x = gpu.tensor(&work.data, [1757]).unwrap();
        let y = gpu.zeros(x.shape()).unwrap();
        let z = x.selu().unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        pass.selu(&x, &y).unwrap();
        drop(pass);
        let queue = gpu.queue().clone();
        let parcel = Parcel {
            tensor: z,
            expected: work.computed[0].clone(),
        };
        // Awaited, dropped under way, and never polled.
        let read: End = match way {
            0 => {
                let reading = begun(parcel);
                Box::new(move || pollster::block_on(reading))
            }
            1 => dropped(begun(parcel)),
            _ => dropped(async move { parcel.tensor.read().await }),
        };
        let recording: End = match way {
            0 => Box::new(move || {
                queue.submit([encoder.finish()]);
            }),
            1 => dropped(encoder.finish()),
            _ => dropped(encoder),
        };
        [dropped(gpu), dropped((x, y)), recording, read]
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_pass_outlives_its_gpu_and_its_tensors() {
    let work = Work::new(1757);
    let (gpu, instance) = gpu_of_an_instance();
    let (device, queue) = (gpu.device().clone(), gpu.queue().clone());
    let y = common::foreign_buffer(&gpu, 1757 * 4, wgpu::BufferUsages::STORAGE);
    let out = common::foreign_buffer(
        &gpu,
        1757 * 4,
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
    );
    let [middle, last] = [&y, &out].map(|y| gpu.wrap(y.slice(..), [1757]).unwrap());
    let x = gpu.tensor(&work.data, [1757]).unwrap();
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = gpu.pass(&mut encoder);
    pass.selu(&x, &middle).unwrap();
    drop(gpu);
    pass.alpha_dropout_in_place(&middle, &dropout()).unwrap();
    pass.selu_backward(&x, &middle, &last).unwrap();
    drop((x, y, middle, last));
    drop(pass);
    queue.submit([encoder.finish()]);
    let gpu = Gpu::from_wgpu(device, queue).unwrap();
    let read = gpu.wrap(out.slice(..), [1757]).unwrap().to_vec().unwrap();
    assert!(bits(&read) == work.computed[2]);
    drop((gpu, out));
    assert!(nothing_is_left(&instance), "the device is still there");
}

/// Right after training, of which all that the device does with the weights is still under way.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_its_data_outputs_and_gpu_end_in_any_order() {
    let inputs = activations(20 * 3);
    let labels: Vec<_> = (0..20u32).map(|i| i % 3).collect();
    let trained = |gpu: &Gpu| {
        let data = Dataset::from_floats(gpu, &inputs, [3]).unwrap();
        let data = data.classes(&labels).unwrap();
        let mut model = Sequential::new([3])
            .add(Dense::new(3).activation(Softmax))
            .build(gpu, 1)
            .unwrap();
        model.fit(&data, &Fit::new(Adam::default())).unwrap();
        let x = gpu.tensor(&inputs, [20, 3]).unwrap();
        (model.predict(&x).unwrap(), model, data)
    };
    let expected = bits(&trained(gpu()).0.to_vec().unwrap());
    any_order_does_no_harm(2, |gpu, way| {
        let (y, model, data) = trained(&gpu);
        let weights = model.weights().unwrap();
        let parcel = Parcel {
            tensor: y,
            expected: expected.clone(),
        };
        let output: End = if way == 0 {
            Box::new(move || parcel.open())
        } else {
            dropped((begun(parcel), weights))
        };
        [dropped(gpu), dropped(model), dropped(data), output]
    });
}

// ---------------------------------------------------------------- training

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ten_thousand_steps_take_no_memory() {
    // In a process of its own, where no other test allocates.
    if std::env::var_os(APART).is_none() {
        passes_apart(
            "endurance::ten_thousand_steps_take_no_memory",
            &[(APART, "1")],
        );
        return;
    }
    let gpu = gpu();
    let words = selfnorm::random::words(1, 1, 0..400 * 8);
    let bytes: Vec<_> = words.map(|word| word as u8).collect();
    let labels: Vec<_> = (0..400u32).map(|i| i % 3).collect();
    let data = Dataset::from_bytes(gpu, &bytes, [8]).unwrap();
    let data = data.classes(&labels).unwrap();
    let mut model = Sequential::new([8])
        .add(Dense::new(8).activation(Selu))
        .add(nn::AlphaDropout::new(0.1))
        .add(Dense::new(3).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    // Of 100 steps, of one long epoch, and of one by one.
    let short = Fit::new(Adam::default())
        .batch_size(4)
        .validation_split(0.01);
    let long = |steps: usize| Fit::new(Adam::default()).batch_size(4).epochs(steps / 100);
    let x = gpu.tensor(&[0.5; 4 * 8], [4, 8]).unwrap();
    let y = gpu.tensor(&[0.25; 4 * 3], [4, 3]).unwrap();
    let mut round = || {
        model.fit(&data, &short).unwrap();
        model.fit(&data, &long(300)).unwrap();
        for _ in 0..20 {
            model.train_on_batch(&x, &y).unwrap();
        }
        model.evaluate(&data).unwrap();
        (model.memory(), allocated(gpu))
    };
    // The first rounds allocate the buffers that later ones reuse.
    for _ in 0..3 {
        round();
    }
    let (memory, before) = round();
    let grown = least_growth(|| {
        for i in 0..24 / SPANS {
            let (now, allocated) = round();
            assert_eq!(now, memory);
            assert_eq!(allocated, before, "in round {i}");
        }
    });
    assert!(model.step() >= 10_000, "{}", model.step());
    if let Some(grown) = grown {
        // 100 bytes a step, less than anything that wgpu keeps; measured: 0.
        assert!(
            grown < (1 << 20) / SPANS as u64,
            "the process has grown by {grown} bytes"
        );
    }
}

/// In f32s. A layer's parameters begin at a multiple of this many.
fn padded(gpu: &Gpu, layers: &[usize]) -> u64 {
    let alignment = u64::from(gpu.device().limits().min_storage_buffer_offset_alignment / 4);
    let layers = layers.iter().map(|&layer| layer as u64);
    layers
        .map(|layer| layer.next_multiple_of(alignment.max(8)))
        .sum()
}

#[track_caller]
fn assert_within_a_tenth(actual: u64, expected: u64) {
    let error = (actual as f64 / expected as f64 - 1.0).abs();
    assert!(
        error < 0.1,
        "{actual} bytes, the sum says {expected}: {:.1} %",
        error * 100.0
    );
}

fn trained(model: &mut Sequential, gpu: &Gpu, batch: usize) -> u64 {
    let n: usize = model.input_shape().iter().product();
    let data = Dataset::from_bytes(gpu, &vec![7; 2 * batch * n], model.input_shape()).unwrap();
    let data = data.classes(&vec![1u32; 2 * batch]).unwrap();
    model
        .fit(&data, &Fit::new(Adam::default()).batch_size(batch))
        .unwrap();
    model.memory().total()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_documentation_s_sum_is_the_memory_of_dense_layers() {
    let gpu = gpu();
    let mut model = Sequential::new([100])
        .add(Dense::new(200).activation(Selu))
        .add(nn::AlphaDropout::new(0.1))
        .add(Dense::new(120).activation(Selu).trainable(false))
        .add(Dense::new(10).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    let (first, second, third) = (100 * 200 + 200, 200 * 120 + 120, 120 * 10 + 10);
    let p = padded(gpu, &[first, second, third]);
    let t = padded(gpu, &[first, third]);
    // A batch of 50 is computed as 56.
    let sums_and_activations = (200 + 200) + (120 + 120) + (10 + 10);
    // Of the sums, as far down as there are weights; the targets; no gradient of the input.
    let gradients = 200 + 120 + 10 + 10;
    let batch = 56 * (100 + sums_and_activations + gradients);
    assert_within_a_tenth(trained(&mut model, gpu, 50), 4 * p + 12 * t + 4 * batch);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_documentation_s_sum_is_the_memory_of_convolutions_and_pools() {
    let gpu = gpu();
    let mut model = Sequential::new([40, 40, 3])
        .add(Conv2d::new(4, [3, 3]).activation(Selu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(4, [3, 3]))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    let (conv, pooled, second) = (38 * 38 * 4, 19 * 19 * 4, 17 * 17 * 4);
    let kernels = [3 * 3 * 3 * 4 + 4, 3 * 3 * 4 * 4 + 4, second * 10 + 10];
    let p = padded(gpu, &kernels);
    // The pool has its maxima and where they are from; the second convolution has no activation.
    let values = 40 * 40 * 3 + (conv + conv) + (pooled + pooled) + second + (10 + 10);
    let gradients = conv + pooled + second + 10 + 10;
    let batch = 32 * (values + gradients) as u64;
    // The kernels' gradients are sums over up to 46,208 positions and cut into chunks, each with a
    // kernel of its own; small ones, so that this is not in the sum: up to 144 of 148.
    assert_within_a_tenth(trained(&mut model, gpu, 32), 4 * p + 12 * p + 4 * batch);
}
