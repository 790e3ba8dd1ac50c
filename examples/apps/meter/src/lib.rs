//! What the applications measure in each frame: the CPU's time, the GPU's time, and from both how many
//! training steps fit.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use selfnorm::wgpu;

/// The arguments that the applications have in common.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// `--frames N`: ends after so many frames.
    pub frames: Option<u64>,
    /// `--budget MS`: what training and inference may take of a frame, in the GPU's milliseconds.
    pub budget_ms: f64,
    /// `--lose-device N`: destroys the device in this frame, as a driver's reset would.
    pub lose_device: Option<u64>,
    /// Anything else.
    pub rest: Vec<String>,
}

impl Arguments {
    /// Those of the command line.
    pub fn parse() -> Result<Self, String> {
        let mut arguments = Self {
            frames: None,
            budget_ms: 8.0,
            lose_device: None,
            rest: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().unwrap_or_default();
                let wrong = |_| format!("{word} takes a whole number, not \"{value}\"");
                value.parse::<u32>().map_err(wrong)
            };
            match word.as_str() {
                "--frames" => arguments.frames = Some(number()?.into()),
                "--budget" => arguments.budget_ms = number()?.into(),
                "--lose-device" => arguments.lose_device = Some(number()?.into()),
                _ if word.starts_with("--") => {
                    let known = "--frames N, --budget MS and --lose-device N";
                    return Err(format!("{word}: there are {known}"));
                }
                _ => arguments.rest.push(word),
            }
        }
        Ok(arguments)
    }
}

/// Destroys the device, and has its callback called, as after a driver's reset.
pub fn lose(device: &wgpu::Device) {
    device.destroy();
    // An error here is what was asked for.
    let _ = device.poll(wgpu::PollType::wait_indefinitely());
}

/// The CPU's time of the frames, and of the calls to selfnorm in them.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    pub frames: Series,
    pub calls: Series,
}

impl Meter {
    /// One line of both.
    pub fn report(&self) -> String {
        format!(
            "{} frames; CPU of a frame: {}; of it in selfnorm's calls: {}",
            self.frames.count, self.frames, self.calls
        )
    }
}

/// Milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Series {
    count: u64,
    sum: f64,
    worst: f64,
    pub last: f64,
}

impl Series {
    pub fn add(&mut self, time: Duration) {
        let ms = 1e3 * time.as_secs_f64();
        self.count += 1;
        self.sum += ms;
        self.worst = self.worst.max(ms);
        self.last = ms;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "mean {:.2} ms, worst {:.2} ms", self.mean(), self.worst)
    }
}

/// How many training steps a frame can take, by what the last ones have cost the GPU.
#[derive(Clone, Debug)]
pub struct Budget {
    /// For everything that the network does in a frame.
    pub ms: f64,
    steps: RangeInclusive<usize>,
    /// What a step costs, and what is always done.
    step: Option<f64>,
    rest: f64,
}

impl Budget {
    /// A new cost counts so much, the ones before the rest.
    const WEIGHT: f64 = 0.2;

    pub fn new(ms: f64, steps: RangeInclusive<usize>) -> Self {
        Self {
            ms,
            steps,
            step: None,
            rest: 0.0,
        }
    }

    /// The least number as long as nothing has been measured.
    pub fn steps(&self) -> usize {
        let fit = self.step.map_or(0.0, |step| (self.ms - self.rest) / step);
        (fit as usize).clamp(*self.steps.start(), *self.steps.end())
    }

    /// Begins anew, for another network.
    pub fn forget(&mut self) {
        self.step = None;
        self.rest = 0.0;
    }

    /// Learns from a frame.
    pub fn learn(&mut self, times: &FrameTimes) {
        if times.work.steps > 0 {
            let cost = times.training_ms / times.work.steps as f64;
            let (step, rest) = match self.step {
                Some(step) => (step, self.rest),
                None => (cost, times.inference_ms),
            };
            self.step = Some(step + Self::WEIGHT * (cost - step));
            self.rest = rest + Self::WEIGHT * (times.inference_ms - rest);
        }
    }
}

/// The GPU's time between marks in a frame's encoder. Its answer comes some frames later; nobody waits.
#[derive(Debug)]
pub struct GpuTimer {
    marks: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readbacks: Vec<Readback>,
    ns_per_tick: f64,
}

/// A frame's times on their way back.
#[derive(Debug)]
struct Readback {
    buffer: wgpu::Buffer,
    state: Arc<AtomicU8>,
    work: Work,
}

const FREE: u8 = 0;
const RECORDED: u8 = 1;
const MAPPING: u8 = 2;
const MAPPED: u8 = 3;

/// Begin, between training and inference, end.
const MARKS: u32 = 3;
const BYTES: u64 = MARKS as u64 * 8;
/// More than the frames that are in flight.
const READBACKS: usize = 4;

/// What the network does in a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Training steps.
    pub steps: usize,
    /// The share of the picture that is inferred.
    pub share: f64,
}

/// What the GPU has taken for it.
#[derive(Clone, Copy, Debug)]
pub struct FrameTimes {
    pub work: Work,
    pub training_ms: f64,
    pub inference_ms: f64,
}

impl GpuTimer {
    /// None: the device has no timestamps.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        let has_timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("times"),
                size: BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        has_timestamps.then(|| Self {
            marks: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("times"),
                ty: wgpu::QueryType::Timestamp,
                count: MARKS,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readbacks: (0..READBACKS)
                .map(|_| Readback {
                    buffer: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
                    state: Arc::default(),
                    work: Work::default(),
                })
                .collect(),
            ns_per_tick: queue.get_timestamp_period().into(),
        })
    }

    /// Notes the time when the GPU comes here: before training, after it, after inference.
    pub fn mark(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("time"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.marks,
                beginning_of_pass_write_index: Some(index),
                end_of_pass_write_index: None,
            }),
        });
    }

    /// Records the way back of this frame's times, and returns those that have arrived.
    pub fn finish(&mut self, encoder: &mut wgpu::CommandEncoder, work: Work) -> Vec<FrameTimes> {
        let mut arrived = Vec::new();
        for readback in &self.readbacks {
            match readback.state.load(Ordering::Acquire) {
                // Submitted by now, or dropped with a frame that was not shown.
                RECORDED => {
                    let state = readback.state.clone();
                    state.store(MAPPING, Ordering::Release);
                    readback
                        .buffer
                        .map_async(wgpu::MapMode::Read, .., move |answer| {
                            let next = if answer.is_ok() { MAPPED } else { FREE };
                            state.store(next, Ordering::Release);
                        });
                }
                MAPPED => {
                    arrived.extend(self.times(readback));
                    readback.buffer.unmap();
                    readback.state.store(FREE, Ordering::Release);
                }
                _ => {}
            }
        }
        let is_free = |readback: &&mut Readback| readback.state.load(Ordering::Acquire) == FREE;
        if let Some(free) = self.readbacks.iter_mut().find(is_free) {
            encoder.resolve_query_set(&self.marks, 0..MARKS, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &free.buffer, 0, BYTES);
            free.work = work;
            free.state.store(RECORDED, Ordering::Release);
        }
        arrived
    }

    fn times(&self, readback: &Readback) -> Option<FrameTimes> {
        let bytes = readback.buffer.get_mapped_range(..).ok()?;
        let mark = |index: usize| {
            let ticks: [u8; 8] = bytes[8 * index..][..8].try_into().ok()?;
            Some(u64::from_le_bytes(ticks))
        };
        // A mark that was not reached is 0.
        let ms = |from: u64, to: u64| {
            let ticks = to.checked_sub(from).filter(|_| from > 0)?;
            Some(ticks as f64 * self.ns_per_tick / 1e6)
        };
        let (begin, between, end) = (mark(0)?, mark(1)?, mark(2)?);
        Some(FrameTimes {
            work: readback.work,
            training_ms: ms(begin, between)?,
            inference_ms: ms(between, end)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(steps: usize, training_ms: f64, inference_ms: f64) -> FrameTimes {
        let work = Work { steps, share: 1.0 };
        FrameTimes {
            work,
            training_ms,
            inference_ms,
        }
    }

    #[test]
    fn steps_fill_what_inference_leaves_of_the_budget() {
        let mut budget = Budget::new(8.0, 1..=16);
        assert_eq!(budget.steps(), 1);
        budget.learn(&times(1, 1.0, 2.0));
        assert_eq!(budget.steps(), 6);
        budget.forget();
        assert_eq!(budget.steps(), 1);
    }

    #[test]
    fn steps_stay_within_their_range() {
        let mut slow = Budget::new(8.0, 1..=16);
        slow.learn(&times(1, 30.0, 200.0));
        assert_eq!(slow.steps(), 1);
        let mut fast = Budget::new(8.0, 1..=16);
        fast.learn(&times(1, 0.01, 0.1));
        assert_eq!(fast.steps(), 16);
    }
}
