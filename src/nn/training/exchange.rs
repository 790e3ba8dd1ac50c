//! What several ranks that train one network tell each other.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::step::{Flight, Training};
use crate::gpu::device::Owner;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::nn::Sequential;
use crate::nn::layers;
use crate::nn::sequential;
use crate::nn::workspace::F32;
use crate::{Error, Gpu, Result};

/// The ranks of a training that computes on several GPUs or machines: processes of MPI, threads, or whatever an engine
/// connects. Each has its own copy of the network and takes its part of every batch; between the gradients of a step
/// and its update, [`sum`](Self::sum) adds them up over all ranks.
///
/// Its promises are those of training. All ranks call it equally often, with equally many values: once to compare what
/// they train, and in a step for each 4 MiB of gradients, then for four totals. It leaves the same
/// bits on all ranks, and in every run: then so does training. An all-reduce of MPI, NCCL or Gloo is one. See
/// [`Fit::exchange`](super::Fit::exchange), and the [guide](crate::guide::distributed).
pub trait Exchange: Debug + Sync {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Replaces each value by the sum of those of all ranks in its place, NaN and infinity included. Waits for the other
    /// ranks.
    ///
    /// # Errors
    ///
    /// If a rank is gone: one whose training has ended with an error tells the others, by dropping its end or by ending its
    /// process. The training then ends with [`Error::Exchange`](crate::Error::Exchange); the step has changed
    /// nothing.
    fn sum(
        &self,
        values: &mut [f32],
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Rows come in blocks of as many, as their masks do.
const BLOCK: usize = 8;

/// The rows of a batch of `count` that are a rank's, in whole blocks but for the last.
pub(super) fn share(count: usize, rank: usize, size: usize) -> Range<usize> {
    let blocks = count.div_ceil(BLOCK);
    let start = |rank: usize| (blocks * rank / size * BLOCK).min(count);
    start(rank)..start(rank + 1)
}

/// The most rows of a rank.
pub(super) fn largest_share(count: usize, size: usize) -> usize {
    let blocks = count.div_ceil(BLOCK);
    (blocks.div_ceil(size) * BLOCK).min(count)
}

/// The sums over all ranks.
pub(super) fn sum(exchange: &dyn Exchange, values: &mut [f32]) -> Result<()> {
    let failed = |problem: Box<dyn std::error::Error + Send + Sync>| Error::Exchange {
        rank: exchange.rank(),
        size: exchange.size(),
        detail: problem.to_string(),
    };
    exchange.sum(values).map_err(failed)
}

impl Sequential {
    /// An error unless this network can be trained on several ranks.
    pub(super) fn check_exchange(&self, exchange: &dyn Exchange) -> Result<()> {
        let (rank, size) = (exchange.rank(), exchange.size());
        if rank >= size {
            let detail = format!("rank {rank} is none of {size} ranks");
            return Err(Error::Exchange { rank, size, detail });
        }
        match self.network.measures_batches() {
            Some(layer) => layers::error(
                layer,
                format!(
                    "it normalizes by the whole batch, of which each of {size} ranks has a part; LayerNormalization needs none of the others' rows"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// An error on the ranks whose network, or what else decides about a step, is another than on most: what differs
    /// here would differ in every step that follows.
    pub(super) async fn compare_ranks(
        &self,
        exchange: &dyn Exchange,
        settings: impl IntoIterator<Item = (&'static str, u32)>,
        progress: &impl transfer::Progress,
    ) -> Result<()> {
        let weights: Vec<f32> = sequential::read(&self.gpu, &self.weights, progress).await?;
        let mut parts = vec![
            ("layers", hashed(self.builder.to_json())),
            ("weights", hashed(bytemuck::cast_slice::<_, u8>(&weights))),
            ("seed", hashed(self.seed)),
            (
                "counts of steps or epochs",
                hashed((self.step, self.epoch, self.optimized_from)),
            ),
        ];
        // Where there is none yet it will be the first: all ranks bring as many values.
        let scale = self.loss_scale(progress).await?;
        parts.push(("loss scale", hashed(scale.unwrap_or_default())));
        parts.extend(settings);
        // In bytes, whose sums over all ranks a float has exactly: the mean is this rank's own if all are equal.
        let bytes = parts.iter().flat_map(|(_, hash)| hash.to_le_bytes());
        let own: Vec<_> = bytes.map(f32::from).collect();
        let mut sums = own.clone();
        sum(exchange, &mut sums)?;
        let (rank, size) = (exchange.rank(), exchange.size());
        let is_other = |place: usize| sums[place] != own[place] * size as f32;
        let differ = parts.iter().enumerate();
        let differ = differ.filter(|(part, _)| (4 * part..4 * part + 4).any(is_other));
        let differ: Vec<_> = differ.map(|(_, (name, _))| *name).collect();
        if differ.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "other ranks have another {}; give all of them the same, or the same checkpoint",
            differ.join(", another "),
        );
        Err(Error::Exchange { rank, size, detail })
    }
}

/// The same in every process of a program.
pub(super) fn hashed(value: impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish() as u32
}

/// The most bytes of gradients that are added up at a time: while the ranks meet over one piece, the next is read and
/// the one before written.
const PIECE_BYTES: u64 = 4 << 20;

/// Pieces that are on their way to the host.
const AHEAD: usize = 3;

/// What the ranks add up between the gradients of a step and its update, piece by piece.
#[derive(Debug)]
pub(super) struct Sharing {
    /// Those that are not asked for yet.
    left: VecDeque<Region>,
    flights: VecDeque<(Flight, Region)>,
    values: Vec<f32>,
}

impl Sharing {
    /// Of the gradients and totals of this rank's rows, which have been submitted.
    pub fn new(training: &Training) -> Self {
        let pieces = |region: Region| {
            let starts = (0..region.bytes).step_by(PIECE_BYTES as usize);
            starts.map(move |start| region.part(start, PIECE_BYTES.min(region.bytes - start)))
        };
        Self {
            left: training.summed().into_iter().flat_map(pieces).collect(),
            flights: VecDeque::new(),
            values: Vec::new(),
        }
    }

    /// Puts the sums over all ranks in place of them. A wait that is given up goes on with the next call.
    pub async fn share(
        &mut self,
        gpu: &Gpu,
        exchange: &dyn Exchange,
        progress: &impl transfer::Progress,
    ) -> Result<()> {
        loop {
            while self.flights.len() < AHEAD
                && let Some(region) = self.left.pop_front()
            {
                let flight = Flight::submit(gpu, Owner::Crate, &region, |_| {})?;
                self.flights.push_back((flight, region));
            }
            let Some((flight, region)) = self.flights.front_mut() else {
                return Ok(());
            };
            let values = &mut self.values;
            values.resize((region.bytes / F32) as usize, 0.0);
            flight
                .bring(gpu, bytemuck::cast_slice_mut(values), progress)
                .await?;
            sum(exchange, values)?;
            let (memory, bytes) = (gpu.memory(), bytemuck::cast_slice(values));
            let alignment = transfer::COPY_ALIGNMENT;
            transfer::write(memory, &region.buffer, region.offset, bytes, alignment)?;
            self.flights.pop_front();
        }
    }
}

#[cfg(not(target_family = "wasm"))]
pub use threads::Threads;

#[cfg(not(target_family = "wasm"))]
mod threads {
    use std::sync::{Arc, Condvar, Mutex, PoisonError};

    use super::Exchange;

    /// Ranks that are threads of one process, each with a [`Gpu`](crate::Gpu) of its own. They add up in memory, in the
    /// order of the ranks.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Softmax, Adam, Dataset, Dense, Fit, Sequential, Threads};
    /// use selfnorm::{Gpu, GpuOptions, Result};
    ///
    /// # let options = GpuOptions::new();
    /// let gpus = pollster::block_on(Gpu::all(&options))?;
    /// let train = |gpu: &Gpu, ranks: Threads| -> Result<f64> {
    ///     let data = Dataset::from_floats(gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
    ///     let layers = Sequential::new([2]).add(Dense::new(2).activation(Softmax));
    ///     let mut model = layers.build(gpu, 42)?; // the same seed everywhere
    ///     let history = model.fit(&data, &Fit::new(Adam::default()).exchange(&ranks))?;
    ///     Ok(history.losses[0])
    /// };
    /// std::thread::scope(|scope| {
    ///     let ranks = gpus.iter().zip(Threads::ranks(gpus.len()));
    ///     let threads: Vec<_> = ranks.map(|(gpu, ranks)| scope.spawn(move || train(gpu, ranks))).collect();
    ///     threads.into_iter().try_for_each(|thread| {
    ///         println!("{:.4}", thread.join().expect("no panic")?);
    ///         Ok::<_, selfnorm::Error>(())
    ///     })
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    pub struct Threads {
        rank: usize,
        shared: Arc<Shared>,
    }

    #[derive(Debug)]
    struct Shared {
        meeting: Mutex<Meeting>,
        has_changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct Meeting {
        /// How many are over.
        rounds: u64,
        /// By rank, what those who are there bring.
        brought: Vec<Option<Vec<f32>>>,
        /// What the last round has come to.
        sums: Arc<Vec<f32>>,
        /// A rank that is gone.
        gone: Option<usize>,
    }

    impl Meeting {
        /// The sums, if all have brought equally many values.
        fn sum(&mut self) -> Option<Vec<f32>> {
            let brought = self.brought.iter_mut().filter_map(Option::take);
            let mut brought = brought.collect::<Vec<_>>().into_iter();
            let mut sums = brought.next()?;
            for values in brought {
                if values.len() != sums.len() {
                    return None;
                }
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value;
                }
            }
            Some(sums)
        }
    }

    impl Threads {
        /// `size` ranks, one for each thread.
        pub fn ranks(size: usize) -> Vec<Self> {
            let shared = Arc::new(Shared {
                meeting: Mutex::new(Meeting {
                    brought: vec![None; size],
                    ..Meeting::default()
                }),
                has_changed: Condvar::new(),
            });
            let rank = |rank| Self {
                rank,
                shared: shared.clone(),
            };
            (0..size).map(rank).collect()
        }
    }

    impl Exchange for Threads {
        fn rank(&self) -> usize {
            self.rank
        }

        fn size(&self) -> usize {
            self.lock().brought.len()
        }

        fn sum(&self, values: &mut [f32]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let mut meeting = self.lock();
            let round = meeting.rounds;
            meeting.brought[self.rank] = Some(values.to_vec());
            if meeting.brought.iter().all(Option::is_some) {
                meeting.sums = meeting.sum().unwrap_or_default().into();
                meeting.rounds += 1;
                self.shared.has_changed.notify_all();
            }
            while meeting.rounds == round {
                if let Some(gone) = meeting.gone {
                    return Err(format!("rank {gone} has ended").into());
                }
                let woken = self.shared.has_changed.wait(meeting);
                meeting = woken.unwrap_or_else(PoisonError::into_inner);
            }
            let sums = meeting.sums.clone();
            drop(meeting);
            if sums.len() != values.len() {
                return Err("the ranks have different numbers of values".into());
            }
            values.copy_from_slice(&sums);
            Ok(())
        }
    }

    impl Threads {
        fn lock(&self) -> std::sync::MutexGuard<'_, Meeting> {
            let meeting = self.shared.meeting.lock();
            meeting.unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Drop for Threads {
        fn drop(&mut self) {
            self.lock().gone.get_or_insert(self.rank);
            self.shared.has_changed.notify_all();
        }
    }
}
