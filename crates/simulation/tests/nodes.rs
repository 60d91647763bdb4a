//! A thousand stories of three nodes on the model of the ledger.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use simulation::books::Model;
use simulation::world::{Story, World};

const SEEDS: u64 = 1_000;
const STEPS: usize = 400;

#[test]
fn whatever_befalls_three_nodes_every_nano_dollar_is_accounted_for() {
    let mut all = Story::default();
    for seed in seeds() {
        let mut world = World::new(Model::default(), seed);
        if let Err(broken) = world.run(STEPS) {
            panic!(
                "seed {seed} (TOLLWAY_SIMULATION_SEED={seed} repeats it): {broken}\n{:?}",
                world.story
            );
        }
        all += world.story;
    }
    eprintln!("{all:?}");
    let happened = [
        all.settled,
        all.repeated,
        all.crashes,
        all.recovered,
        all.fences,
        all.late,
        all.jumps,
    ];
    assert!(
        std::env::var(ONE_SEED).is_ok() || happened.iter().all(|count| *count > 100),
        "{all:?}"
    );
}

const ONE_SEED: &str = "TOLLWAY_SIMULATION_SEED";

/// All of them, or the one to repeat.
fn seeds() -> Vec<u64> {
    match std::env::var(ONE_SEED) {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).collect(),
    }
}
