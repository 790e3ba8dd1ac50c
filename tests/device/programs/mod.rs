//! Random programs: operations of every kind on tensors of every kind, through every way in, with
//! mistakes among them, and what each tensor holds in the end.
//!
//! A program records into two encoders of an application's, pass by pass, and submits them now and then;
//! in between it calls methods of tensors, makes tensors, drops them and reads them. The host keeps the
//! bytes of every buffer. Each operation is also run alone, on tensors of its own that have the same bits, and
//! that result is compared with f64, within the documented bound ([`Op::check`]). The program must then leave
//! the same bits in every byte of every buffer, so nothing is written next to a range, or where nobody asked
//! for it.
//!
//! [`rules::mistakes`] knows which mistakes a call makes. The call must return the error of one of them, and
//! leave no trace.

mod rules;
mod strategies;
mod world;

use std::hash::{BuildHasher, RandomState};

use crate::common::ops::Op;
use crate::common::reference;
use half::f16;
use proptest::test_runner::{Config, RngAlgorithm, TestRng};
use rules::{KINDS, Tally};
use strategies::{Cut, Program, Step, program};
use world::World;

/// Runs it, and compares everything.
fn run(program: &Program, tally: &Tally) {
    let mut world = World::new(program, tally.clone());
    let gpu = world.gpu;
    let encoder = || gpu.device().create_command_encoder(&Default::default());
    let mut open = [(); 2].map(|()| (encoder(), Vec::new()));
    let mut finished = Vec::new();
    let mut current = 0;
    let mut steps = program.steps.iter();
    let end = Cut::Submit { reversed: false };
    let mut ended = false;
    while !ended {
        let (encoder_now, recorded) = &mut open[current];
        let mut pass = gpu.pass(encoder_now);
        let cut = loop {
            match steps.next() {
                None => {
                    ended = true;
                    break end;
                }
                Some(Step::Cut(cut)) => break *cut,
                Some(step) if step.half() => recorded.extend(world.step::<f16>(&mut pass, step)),
                Some(step) => recorded.extend(world.step::<f32>(&mut pass, step)),
            }
        };
        drop(pass);
        let mut finish = |i: usize| {
            let (encoder, recorded) = std::mem::replace(&mut open[i], (encoder(), Vec::new()));
            finished.push((encoder.finish(), recorded));
        };
        match cut {
            Cut::Pass => {}
            Cut::Switch => current = 1 - current,
            Cut::Finish => finish(current),
            Cut::Submit { reversed } => {
                finish(0);
                finish(1);
                let (mut commands, mut recorded): (Vec<_>, Vec<_>) = finished.drain(..).unzip();
                if reversed {
                    recorded.reverse();
                    for commands in commands.drain(..).rev() {
                        gpu.queue().submit([commands]);
                    }
                } else {
                    gpu.queue().submit(commands);
                }
                for recorded in recorded.into_iter().flatten() {
                    world.run(recorded);
                }
            }
        }
    }
    world.compare();
}

/// Runs `count` programs, and asserts that together they did everything there is.
fn programs_do_what_their_steps_do_alone(rng: TestRng, count: u32) {
    let tally = Tally::default();
    let config = Config {
        cases: count,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    reference::for_all_of(config, rng, program(), |program| run(&program, &tally));
    let counts = tally.0.take();
    for (what, count) in &counts {
        println!("{count:8} {what}");
    }
    let refused = KINDS.map(|kind| format!("refused: {kind}"));
    let recorded = Op::<f32>::ALL.iter().flat_map(|op| {
        let name = op.name;
        [false, true].map(|in_place| format!("recorded: {name}, in place: {in_place}, f16: false"))
    });
    for what in refused.into_iter().chain(recorded) {
        assert!(counts.contains_key(&what), "none {what}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_program_does_what_its_steps_do_alone() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    programs_do_what_their_steps_do_alone(rng, 300);
}

/// Different ones in every run. Set `SELFNORM_SEED` to the number that a run printed to repeat it.
#[test]
#[ignore = "10,000 programs: minutes"]
fn ten_thousand_programs_do_what_their_steps_do_alone() {
    let seed = match std::env::var("SELFNORM_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => RandomState::new().hash_one(0),
    };
    println!("SELFNORM_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    programs_do_what_their_steps_do_alone(rng, 10_000);
}
