//! Walks at random through worlds that are too large to be seen as a whole: far instead of wide.

use core::mem::discriminant;

use crate::{
    finish::Calm,
    invariants::violations,
    rules::Rules,
    state::State,
    steps::{Step, each},
    trace,
    world::{Scenario, World},
};

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// Walks of a number of steps each. At the end of each, faults stop, and the rest must finish.
#[derive(Debug, Clone)]
pub struct Walks {
    /// The bounds of the world.
    pub scenario: Scenario,
    /// The rules that hold.
    pub rules: Rules,
    /// The first walk's seed; the next has the next.
    pub seed: u64,
    /// How many walks.
    pub walks: u64,
    /// How many steps each has at the most.
    pub steps: usize,
}

impl Walks {
    /// Takes them all. Says how many steps that were.
    ///
    /// # Errors
    /// The story of the first walk that violates an invariant, with its seed.
    pub fn run(&self) -> Result<u64, String> {
        let world = World::new(&self.scenario, self.rules);
        let calm = Calm::after(&world);
        (self.seed..self.seed + self.walks).try_fold(0, |steps, seed| {
            let walked = self.walk(&world, &calm, seed).map_err(|story| format!("seed {seed}: {story}"))?;
            Ok(steps + walked)
        })
    }

    fn walk(&self, world: &World, calm: &Calm, seed: u64) -> Result<u64, String> {
        let mut dice = Dice(seed);
        let mut state = State::initial(world);
        let mut taken: Vec<Step> = Vec::new();
        let story = |taken: &[Step], rest: &[Step]| trace::told(world, State::initial(world), taken, rest);
        let mut offers: Vec<(Step, State)> = Vec::new();
        while taken.len() < self.steps {
            offers.clear();
            each(world, &state, |step, next| offers.push((step, next)));
            // First what kind of step, so that the many ways to append do not drown the rest.
            let mut kinds: Vec<_> = offers.iter().map(|(step, _)| discriminant(step)).collect();
            kinds.dedup();
            let Some(kind) = kinds.get(dice.below(kinds.len())) else { break };
            offers.retain(|(step, _)| discriminant(step) == *kind);
            let (step, next) = offers[dice.below(offers.len())];
            taken.push(step);
            state = next;
            if let Some(violation) = violations(world, &state).next() {
                return Err(format!("{violation}\n{}", story(&taken, &[])));
            }
        }
        calm.check(&state).map_err(|(violation, rest)| format!("{violation}\n{}", story(&taken, &rest)))?;
        Ok(taken.len() as u64)
    }
}
