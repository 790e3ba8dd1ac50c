//! The guard of training: a step whose loss or gradient is not finite changes nothing.
//!
//! After the backward pass it sums the squares of the gradients, and judges: [`Guard::dispatches`]. The
//! update that follows reads the guard's state, which stands behind the gradients, and changes weights
//! and moments only if it says so. Steps that are not finite are skipped; after more of them than are
//! allowed, or one with invalid targets, all are, until a step of a later generation starts it over. So
//! steps that were recorded before the host has seen an error, and run after it, change nothing. The squares are f32s: a gradient beyond 1.8 · 10¹⁹ counts as not
//! finite.

mod accumulate;
mod clip_gradients;
mod gradient_norm;
mod judge;
mod loss_scale;
mod move_averages;

pub(crate) use accumulate::accumulate;

use std::ops::Range;

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::gpu::transfer::{self, Source};
use crate::shader::module::Module;
use crate::shader::params::{params, vec2u, vec4u};
use crate::{Error, Gpu, Result};

pub(super) static MODULES: &[&Module] = &[
    &accumulate::MODULE,
    &clip_gradients::MODULE,
    &gradient_norm::MODULE,
    &judge::MODULE,
    &loss_scale::MODULE,
    &move_averages::MODULE,
];

params! {
    /// All 0 to begin with.
    pub(crate) struct GuardState {
        /// what the update multiplies gradients by, and 1 if it changes anything, else 0
        scale: f32,
        update: f32,
        /// 1 after more non-finite steps than are allowed, and how many there were
        halted: u32,
        bad: u32,
        /// which start it is since: a step of a later one starts it over
        generation: u32,
        /// the low word of the number of the step that it has judged last
        judged: u32,
        /// the number of the step that has halted it
        step: vec2u,
        /// log2 of the loss scale, less that of the initial one, and the steps since it changed
        loss_scale: f32,
        loss_scale_steps: u32,
        /// to the end of a lane
        padding: vec2u,
    }
}

const INITIAL_LOSS_SCALE_LOG2: u32 = 15;
const MAX_LOSS_SCALE_LOG2: u32 = 24;

/// What the loss is multiplied by so that its gradients keep their bits as 16-bit floats, and the finite steps since it
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LossScale {
    pub log2: u32,
    pub steps: u32,
}

impl LossScale {
    /// From 1 to 2²⁴.
    pub fn new(scale: u32, steps: u32) -> Option<Self> {
        let log2 = scale.checked_ilog2()?;
        let is_one = scale.is_power_of_two() && log2 <= MAX_LOSS_SCALE_LOG2;
        is_one.then_some(Self { log2, steps })
    }

    pub fn scale(self) -> u32 {
        1 << self.log2
    }
}

impl Default for LossScale {
    fn default() -> Self {
        Self {
            log2: INITIAL_LOSS_SCALE_LOG2,
            steps: 0,
        }
    }
}

impl GuardState {
    /// The number of the step that has halted it since the start of this generation, counted from 0.
    pub fn halted_by(&self, generation: u32) -> Option<u64> {
        let [low, high] = self.step.map(u64::from);
        let is_halted = self.halted > 0 && self.generation == generation;
        is_halted.then_some(low | high << 32)
    }
}

impl Default for GuardState {
    fn default() -> Self {
        bytemuck::Zeroable::zeroed()
    }
}

impl Module {
    /// The module, with tensors that hold the guard's state.
    const fn guarded(mut self) -> Self {
        self.shared = &[GuardState::LAYOUT];
        self
    }
}

/// The values of a piece: enough for a workgroup to be worth its barriers, see benches/NOTES.md.
const PIECE: u32 = 1 << 14;

/// How gradients are clipped, with Keras's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clip {
    None,
    /// The norm of each variable's gradient.
    Norm(f32),
    /// The norm of all.
    GlobalNorm(f32),
    /// Each value, by the update.
    Value(f32),
}

/// Judges the steps of a network's training.
#[derive(Debug)]
pub(crate) struct Guard {
    gradients: Region,
    state: Region,
    /// Of each variable for itself, and of all: variables that follow each other share pieces there.
    own: Pieces,
    all: Pieces,
    /// \[variables, 2\]: first piece, end.
    variables: Region,
    /// The sums of the pieces' squares, and the variables' factors.
    norms: Region,
    variable_count: u32,
}

/// The pieces whose squares are summed, each by a workgroup.
#[derive(Debug)]
struct Pieces {
    /// \[pieces, 4\]: first value, end, variable.
    table: Region,
    count: u32,
}

/// The pieces of these places, [first value, end, place, 0], and for each place the first piece and the end.
pub(super) fn cut(places: &[Range<u32>]) -> (Vec<vec4u>, Vec<vec2u>) {
    let (mut pieces, mut runs) = (Vec::new(), Vec::new());
    for (number, values) in (0..).zip(places) {
        let first = pieces.len() as u32;
        // Pieces end where lanes do.
        let starts = (values.start / PIECE * PIECE..values.end).step_by(PIECE as usize);
        pieces.extend(starts.map(|start| {
            let end = values.end.min(start + PIECE);
            [values.start.max(start), end, number, 0]
        }));
        runs.push([first, pieces.len() as u32]);
    }
    (pieces, runs)
}

impl Guard {
    /// The f32s behind the gradients in which it keeps its state.
    pub const VALUES: usize = size_of::<GuardState>() / size_of::<f32>();

    /// Of `gradients`, a region of [`VALUES`](Self::VALUES) f32s more than there are gradients, these a
    /// multiple of what the device can bind. `variables` are the places of the variables in it, in f32s.
    pub fn new(gpu: &Gpu, gradients: &Region, variables: &[Range<u32>]) -> Result<Self> {
        let mut joined: Vec<Range<u32>> = Vec::new();
        for variable in variables {
            match joined.last_mut() {
                Some(last) if last.end == variable.start => last.end = variable.end,
                _ => joined.push(variable.clone()),
            }
        }
        let (own, runs) = cut(variables);
        let (all, _) = cut(&joined);
        // A table without entries is bound all the same.
        let bytes = |values: usize| (values * size_of::<u32>()).max(size_of::<vec4u>()) as u64;
        let region = |values: usize| gpu.memory().region(bytes(values));
        let table = |words: &[u32]| {
            let region = region(words.len())?;
            let bytes = bytemuck::cast_slice(words);
            transfer::write(
                gpu.memory(),
                &region.buffer,
                0,
                bytes,
                transfer::COPY_ALIGNMENT,
            )?;
            Ok(region)
        };
        let pieces = |pieces: &[vec4u]| {
            Ok::<_, Error>(Pieces {
                table: table(pieces.as_flattened())?,
                count: pieces.len() as u32,
            })
        };
        let state = size_of::<GuardState>() as u64;
        Ok(Self {
            gradients: gradients.clone(),
            state: gradients.part(gradients.bytes - state, state),
            own: pieces(&own)?,
            all: pieces(&all)?,
            variables: table(runs.as_flattened())?,
            norms: region(own.len() + runs.len())?,
            variable_count: runs.len() as u32,
        })
    }

    /// The number of the step that has halted it since the start of this generation, counted from 0.
    pub async fn halted(
        &self,
        gpu: &Gpu,
        generation: u32,
        progress: impl transfer::Progress,
    ) -> Result<Option<u64>> {
        Ok(self.read(gpu, progress).await?.halted_by(generation))
    }

    /// What it multiplies the next step's loss by.
    pub async fn loss_scale(
        &self,
        gpu: &Gpu,
        progress: impl transfer::Progress,
    ) -> Result<LossScale> {
        let state = self.read(gpu, progress).await?;
        Ok(LossScale {
            log2: (INITIAL_LOSS_SCALE_LOG2 as f32 + state.loss_scale) as u32,
            steps: state.loss_scale_steps,
        })
    }

    /// Begins with another loss scale than the initial one.
    pub fn set_loss_scale(&self, gpu: &Gpu, scale: LossScale) -> Result<()> {
        let state = GuardState {
            loss_scale: scale.log2 as f32 - INITIAL_LOSS_SCALE_LOG2 as f32,
            loss_scale_steps: scale.steps,
            ..GuardState::default()
        };
        let Region { buffer, offset, .. } = &self.state;
        let bytes = bytemuck::bytes_of(&state);
        transfer::write(
            gpu.memory(),
            buffer,
            *offset,
            bytes,
            transfer::COPY_ALIGNMENT,
        )
    }

    async fn read(&self, gpu: &Gpu, progress: impl transfer::Progress) -> Result<GuardState> {
        let mut state: GuardState = bytemuck::Zeroable::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut state);
        transfer::read(gpu.memory(), Source::of(&self.state), bytes, progress).await?;
        Ok(state)
    }

    /// What comes between the backward pass and the update. In `totals` [2, 4] the loss has
    /// written (Σ loss, Σ hits, rows that count, rows with invalid targets); this
    /// adds (norm of the mean gradient before it is clipped, 1 if all is finite, 1 if weights change,
    /// non-finite steps so far). If the loss `is_scaled`, a step whose gradients alone are not finite is skipped, too,
    /// and the next has half the scale; but it is none of the non-finite ones.
    pub fn dispatches(
        &self,
        gpu: &Gpu,
        totals: &Region,
        clip: Clip,
        is_scaled: bool,
    ) -> Result<Vec<Dispatch>> {
        let mut dispatches = vec![
            gradient_norm::dispatch(gpu, self, self.pieces(clip))?,
            judge::dispatch(gpu, self, totals, clip, is_scaled)?,
        ];
        if matches!(clip, Clip::Norm(_)) {
            dispatches.push(clip_gradients::dispatch(gpu, self)?);
        }
        Ok(dispatches)
    }

    /// The pieces to clip by: fewer where it matters not which variable they are of, because a software GPU
    /// takes longer for a workgroup's barriers than for a small variable.
    fn pieces(&self, clip: Clip) -> &Pieces {
        match clip {
            Clip::Norm(_) => &self.own,
            _ => &self.all,
        }
    }

    /// Its state, which a step in a frame brings back.
    pub fn state(&self) -> &Region {
        &self.state
    }

    /// The buffers besides the gradients'.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        [
            &self.own.table,
            &self.all.table,
            &self.variables,
            &self.norms,
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::gpu::device::Owner;
    use crate::gpu::platform;
    use crate::gpu::recording::begin_pass;
    use crate::ops::network::step::{Step, Steps};

    /// A kernel of more than a piece, its bias, which begins and ends within a lane, and, behind what the
    /// alignment leaves, another layer's.
    const VARIABLES: [Range<u32>; 4] = [0..40_001, 40_001..40_010, 40_064..40_067, 40_067..40_068];
    const LEN: usize = 40_128;
    const ROWS: f32 = 8.0;

    struct World {
        gpu: Gpu,
        gradients: Region,
        totals: Region,
        guard: Guard,
        steps: Steps,
        /// Of the steps to come.
        generation: Cell<u32>,
        allowed: Cell<u32>,
        is_scaled: Cell<bool>,
    }

    impl World {
        fn new() -> Self {
            let gpu = Gpu::new().unwrap();
            let region = |values: usize| gpu.memory().region(values as u64 * 4).unwrap();
            let gradients = region(LEN + Guard::VALUES);
            Self {
                guard: Guard::new(&gpu, &gradients, &VARIABLES).unwrap(),
                steps: Steps::new(&gpu, 1).unwrap(),
                generation: Cell::new(0),
                allowed: Cell::new(0),
                is_scaled: Cell::new(false),
                totals: region(8),
                gradients,
                gpu,
            }
        }

        fn write(&self, region: &Region, offset: u64, values: &[f32]) {
            let bytes = bytemuck::cast_slice(values);
            transfer::write(self.gpu.memory(), &region.buffer, offset, bytes, 4).unwrap();
        }

        fn read(&self, region: &Region) -> Vec<f32> {
            let mut values = vec![0.0; region.bytes as usize / 4];
            let bytes = bytemuck::cast_slice_mut(&mut values);
            let source = transfer::Source::of(region);
            let read = transfer::read(self.gpu.memory(), source, bytes, platform::wait_for_answer);
            pollster::block_on(read).unwrap();
            values
        }

        fn record(&self, step: Step, dispatches: &[Dispatch]) {
            self.steps.write(&self.gpu, &[step]).unwrap();
            let recorded = self.gpu.link().submit(Owner::Crate, |encoder| {
                let mut pass = begin_pass(encoder);
                for dispatch in dispatches {
                    dispatch.record(&mut pass, Some(self.steps.bound(0)));
                }
                Ok(())
            });
            recorded.unwrap();
        }

        fn start_over(&self, allowed: u32) {
            self.generation.set(self.generation.get() + 1);
            self.allowed.set(allowed);
        }

        /// The verdict on a step: norm, finite, updated, bad so far; the scale; and the gradients after it.
        fn judged(
            &self,
            loss: [f32; 4],
            gradients: &[f32],
            clip: Clip,
        ) -> ([f32; 4], f32, Vec<f32>) {
            self.write(&self.gradients, 0, gradients);
            self.write(&self.totals, 0, &loss);
            let dispatches = self
                .guard
                .dispatches(&self.gpu, &self.totals, clip, self.is_scaled.get())
                .unwrap();
            let step = Step {
                generation: self.generation.get(),
                allowed: self.allowed.get(),
                ..Step::default()
            };
            self.record(step, &dispatches);
            let totals = self.read(&self.totals);
            let mut gradients = self.read(&self.gradients);
            let state = gradients.split_off(LEN);
            assert_eq!(state[1], totals[6], "update, as reported");
            assert_eq!(
                totals[..4].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                loss.map(f32::to_bits)
            );
            (
                [totals[4], totals[5], totals[6], totals[7]],
                state[0],
                gradients,
            )
        }
    }

    fn is_near(actual: f32, expected: f64) -> bool {
        // Sums of up to 64 squares an invocation, then a tree.
        (f64::from(actual) - expected).abs() <= 1e-6 * expected
    }

    /// Values of every size between 2⁻⁸ and 1, so that a lost one is seen.
    fn gradients() -> Vec<f32> {
        let mut values = vec![0.0; LEN];
        for i in VARIABLES.into_iter().flatten() {
            let word = crate::random::philox4x32_10([i, 0, 0, 0], [3, 0])[0];
            values[i as usize] = (f64::from(word) / 2f64.powi(31) - 1.0) as f32;
        }
        values
    }

    fn norm(values: &[f32]) -> f64 {
        let squares = values.iter().map(|&x| f64::from(x) * f64::from(x));
        squares.sum::<f64>().sqrt()
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn norms_and_scales_are_those_of_the_mean_gradient() {
        let world = World::new();
        let raw = gradients();
        let all = norm(&raw) / f64::from(ROWS);
        let loss = [1.0, 0.0, ROWS, 0.0];
        for (clip, factor) in [
            (Clip::None, 1.0),
            (Clip::Value(0.1), 1.0),
            (Clip::GlobalNorm(0.7), 0.7 / all),
            (Clip::GlobalNorm(1e6), 1.0),
        ] {
            let (verdict, scale, after) = world.judged(loss, &raw, clip);
            assert!(is_near(verdict[0], all), "{clip:?}: {verdict:?}, not {all}");
            assert_eq!(verdict[1..], [1.0, 1.0, 0.0]);
            assert!(
                is_near(scale, factor / f64::from(ROWS)),
                "{clip:?}: {scale}"
            );
            assert_eq!(after, raw);
        }
        // The first variable's norm is 14, the last one's at most 1/8.
        let (verdict, scale, after) = world.judged(loss, &raw, Clip::Norm(0.15));
        assert!(is_near(verdict[0], all), "{verdict:?}, not {all}");
        assert_eq!((scale, &verdict[1..]), (1.0, &[1.0, 1.0, 0.0][..]));
        let mut clipped = 0;
        for variable in VARIABLES {
            let range = variable.start as usize..variable.end as usize;
            let own = norm(&raw[range.clone()]) / f64::from(ROWS);
            let factor = (0.15 / own).min(1.0);
            clipped += usize::from(factor < 1.0);
            for i in range {
                let expected = f64::from(raw[i]) / f64::from(ROWS) * factor;
                let error = (f64::from(after[i]) - expected).abs();
                assert!(
                    error <= 1e-6 * expected.abs(),
                    "{i}: {}, not {expected}",
                    after[i]
                );
            }
        }
        assert!(
            (1..VARIABLES.len()).contains(&clipped),
            "{clipped} are clipped"
        );
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn one_value_that_is_not_finite_anywhere_is_found() {
        let world = World::new();
        let loss = [1.0, 0.0, ROWS, 0.0];
        let places = VARIABLES.into_iter().flat_map(|v| [v.start, v.end - 1]);
        // The ends of pieces, too.
        for place in places.chain([PIECE - 1, PIECE, 2 * PIECE + 5]) {
            // The last one's square overflows.
            for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2e19] {
                let mut wrong_one = gradients();
                wrong_one[place as usize] = wrong;
                world.start_over(0);
                let (verdict, ..) = world.judged(loss, &wrong_one, Clip::None);
                assert_eq!(verdict[1..], [0.0, 0.0, 1.0], "{wrong} at {place}");
            }
        }
        for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            world.start_over(0);
            let (verdict, ..) = world.judged([wrong, 0.0, ROWS, 0.0], &gradients(), Clip::None);
            assert_eq!(verdict[1..], [0.0, 0.0, 1.0], "a loss of {wrong}");
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn after_more_bad_steps_than_are_allowed_all_are_skipped_until_the_next_generation() {
        let world = World::new();
        let (good, bad) = ([1.0, 0.0, ROWS, 0.0], [f32::NAN, 0.0, ROWS, 0.0]);
        let verdict = |loss| world.judged(loss, &gradients(), Clip::None).0[1..].to_vec();
        // Finite, updated, bad so far. A new state allows none.
        assert_eq!(verdict(good), [1.0, 1.0, 0.0]);
        assert_eq!(verdict(bad), [0.0, 0.0, 1.0]);
        assert_eq!(verdict(good), [1.0, 0.0, 1.0]);
        assert_eq!(verdict(bad), [0.0, 0.0, 1.0]);
        world.start_over(2);
        assert_eq!(verdict(bad), [0.0, 0.0, 1.0]);
        assert_eq!(verdict(good), [1.0, 1.0, 1.0]);
        assert_eq!(verdict(bad), [0.0, 0.0, 2.0]);
        assert_eq!(verdict(good), [1.0, 1.0, 2.0]);
        assert_eq!(verdict(bad), [0.0, 0.0, 3.0]);
        assert_eq!(verdict(good), [1.0, 0.0, 3.0]);
        // Invalid targets are never allowed.
        world.start_over(2);
        assert_eq!(verdict([1.0, 0.0, ROWS, 1.0]), [0.0, 0.0, 1.0]);
        assert_eq!(verdict(good), [1.0, 0.0, 1.0]);
        // A batch whose rows are all void is no mistake, and changes nothing.
        world.start_over(0);
        assert_eq!(verdict([0.0; 4]), [1.0, 0.0, 0.0]);
        assert_eq!(verdict(good), [1.0, 1.0, 0.0]);
        // A step of an earlier generation changes nothing, and is no reason to.
        world.generation.set(world.generation.get() - 1);
        assert_eq!(verdict(good), [1.0, 0.0, 0.0]);
        assert_eq!(verdict(bad), [0.0, 0.0, 0.0]);
        world.generation.set(world.generation.get() + 1);
        assert_eq!(verdict(good), [1.0, 1.0, 0.0]);
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn gradients_that_overflow_halve_the_loss_scale_and_are_no_bad_step() {
        let world = World::new();
        world.is_scaled.set(true);
        let scale = || {
            let read = world
                .guard
                .loss_scale(&world.gpu, platform::wait_for_answer);
            let LossScale { log2, steps } = pollster::block_on(read).unwrap();
            [log2, steps]
        };
        let good = [1.0, 0.0, ROWS, 0.0];
        let mut overflown = gradients();
        overflown[5] = f32::INFINITY;
        let judged =
            |loss, gradients: &[f32]| world.judged(loss, gradients, Clip::None).0[1..].to_vec();
        assert_eq!(scale(), [15, 0]);
        // Finite, updated, bad so far.
        assert_eq!(judged(good, &gradients()), [1.0, 1.0, 0.0]);
        assert_eq!(scale(), [15, 1]);
        assert_eq!(judged(good, &overflown), [0.0, 0.0, 0.0]);
        assert_eq!(scale(), [14, 0]);
        assert_eq!(judged(good, &gradients()), [1.0, 1.0, 0.0]);
        assert_eq!(scale(), [14, 1]);
        // A batch of void rows says nothing of it.
        assert_eq!(judged([0.0; 4], &gradients()), [1.0, 0.0, 0.0]);
        assert_eq!(scale(), [14, 1]);
        // Neither does a loss that is infinite by itself, which is a bad step.
        assert_eq!(
            judged([f32::INFINITY, 0.0, ROWS, 0.0], &overflown),
            [0.0, 0.0, 1.0]
        );
        assert_eq!(scale(), [14, 1]);
        // Doubled after 2,000 steps, up to 2^24.
        for (log2, then) in [(14, 15), (24, 24)] {
            let nearly = LossScale { log2, steps: 1999 };
            world.guard.set_loss_scale(&world.gpu, nearly).unwrap();
            assert_eq!(judged(good, &gradients()), [1.0, 1.0, 0.0]);
            assert_eq!(scale(), [then, 0]);
        }
        // A scale of 1 is not at fault.
        let one = LossScale::new(1, 7).unwrap();
        world.guard.set_loss_scale(&world.gpu, one).unwrap();
        assert_eq!(judged(good, &overflown), [0.0, 0.0, 1.0]);
        assert_eq!(scale(), [0, 7]);
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn the_loss_scale_is_a_power_of_two_that_leaves_every_bit() {
        let world = World::new();
        let values = gradients();
        for (log2, len) in [(0, LEN), (15, LEN - 1), (24, LEN)] {
            let scale = LossScale { log2, steps: 0 };
            world.guard.set_loss_scale(&world.gpu, scale).unwrap();
            world.write(&world.gradients, 0, &values);
            let region = world.gradients.part(0, len as u64 * 4);
            let scaled = world.guard.scale(&world.gpu, &region, len as u32).unwrap();
            world.record(Step::default(), &[scaled]);
            let expected: Vec<_> = values[..len]
                .iter()
                .map(|x| x * 2f32.powi(log2 as i32))
                .collect();
            assert_eq!(world.read(&region), expected);
            let unscaled = world
                .guard
                .unscale(&world.gpu, &region, len as u32)
                .unwrap();
            world.record(Step::default(), &[unscaled]);
            assert_eq!(world.read(&region), values[..len]);
        }
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn the_gradients_of_parts_add_up_from_the_first_on() {
        let world = World::new();
        for len in [LEN, 7] {
            let region = |values: usize| world.gpu.memory().region(values as u64 * 4).unwrap();
            let (part, sum) = (region(len), region(len + 1));
            let dispatch = accumulate(&world.gpu, &part, &sum, len as u32).unwrap();
            // What an earlier batch has left is forgotten, and what is behind stays.
            world.write(&sum, 0, &vec![f32::NAN; len]);
            world.write(&sum, len as u64 * 4, &[5.0]);
            let mut expected = vec![0.0; len];
            for (i, row) in [0, 3, 8].into_iter().enumerate() {
                let values: Vec<_> = (0..len).map(|j| (j % 100 + 7 * i) as f32).collect();
                world.write(&part, 0, &values);
                let step = Step {
                    row,
                    ..Step::default()
                };
                world.record(step, std::slice::from_ref(&dispatch));
                expected
                    .iter_mut()
                    .zip(values)
                    .for_each(|(sum, x)| *sum += x);
            }
            assert_eq!(world.read(&sum), [expected, vec![5.0]].concat());
        }
    }
}
