//! Breadth first over all states, so that what is found is found by a shortest way.
//!
//! Of where it has been the search keeps a fingerprint and the fingerprint of where it came from: sixteen
//! bytes a state. Whole states are kept for two levels only. The way to a violation is found again by
//! walking it from the beginning.

use core::fmt;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use crate::{
    fingerprint,
    finish::Calm,
    invariants::{Invariant, Violation, violations},
    rules::Rules,
    state::State,
    steps::{Step, each},
    trace,
    world::{Scenario, World},
};

/// Fingerprints are mixed already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type Seen = HashMap<u64, u64, BuildHasherDefault<AsItIs>>;

/// A search: a scenario, the rules, what is asked, and how far to go.
#[derive(Debug, Clone)]
pub struct Search {
    /// The bounds of the world.
    pub scenario: Scenario,
    /// The rules that hold.
    pub rules: Rules,
    /// The invariants that are asked.
    pub ask: &'static [Invariant],
    /// Of how many states one is asked whether the rest finishes from it.
    pub finish_one_in: u64,
    /// After how many states to give up.
    pub states: usize,
}

/// What a search has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Different states.
    pub states: usize,
    /// Steps taken, most of them to states that were known.
    pub steps: u64,
    /// How many steps the farthest state is away.
    pub depth: usize,
    /// From how many states it was tried whether the rest finishes.
    pub finished: usize,
}

/// What came of it.
pub enum Found {
    /// All states within the bounds were examined.
    Nothing(Counts),
    /// There are more states than were asked for; none of those examined violates anything.
    TooMany(Counts),
    /// An invariant does not hold.
    Violation {
        /// Which, and by whom.
        violation: Violation,
        /// A shortest way there, for people.
        trace: String,
        /// What was seen up to there.
        seen: Counts,
    },
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} steps, {} deep, finished from {}", self.states, self.steps, self.depth, self.finished)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(seen) => write!(f, "nothing found in all of {seen}"),
            Self::TooMany(seen) => write!(f, "nothing found, and not all was seen: {seen}"),
            Self::Violation { violation, trace, seen } => write!(f, "{violation}\n{trace}({seen})"),
        }
    }
}

impl Search {
    /// Looks at every state that can be reached.
    pub fn run(&self) -> Found {
        let world = World::new(&self.scenario, self.rules);
        let calm = Calm::after(&world);
        let initial = State::initial(&world);
        let first = fingerprint::of(&initial);
        let mut seen = Seen::default();
        seen.insert(first, first);
        let mut level = vec![(first, initial)];
        let mut counts = Counts { states: 1, steps: 0, depth: 0, finished: 0 };
        while !level.is_empty() {
            let mut next_level = Vec::new();
            let mut violation = None;
            for (from, state) in &level {
                each(&world, state, |_, next| {
                    counts.steps += 1;
                    let fingerprint = fingerprint::of(&next);
                    let Entry::Vacant(place) = seen.entry(fingerprint) else { return };
                    place.insert(*from);
                    if violation.is_none() {
                        violation = self.examine(&world, &calm, &next, fingerprint, &mut counts);
                    }
                    next_level.push((fingerprint, next));
                });
                if let Some((violation, at, steps)) = violation {
                    counts.states = seen.len();
                    let trace = trace::tell(&world, initial, &way(&seen, first, at), &steps);
                    return Found::Violation { violation, trace, seen: counts };
                }
                if seen.len() > self.states {
                    counts.states = seen.len();
                    return Found::TooMany(counts);
                }
            }
            counts.depth += usize::from(!next_level.is_empty());
            level = next_level;
        }
        counts.states = seen.len();
        Found::Nothing(counts)
    }

    fn examine(
        &self,
        world: &World,
        calm: &Calm,
        state: &State,
        fingerprint: u64,
        counts: &mut Counts,
    ) -> Option<(Violation, u64, Vec<Step>)> {
        let asked = |violation: &Violation| self.ask.contains(&violation.of());
        if let Some(violation) = violations(world, state).find(asked) {
            return Some((violation, fingerprint, Vec::new()));
        }
        // By bits that the table of fingerprints does not go by.
        if !self.ask.contains(&Invariant::Finishes) || !(fingerprint >> 20).is_multiple_of(self.finish_one_in) {
            return None;
        }
        counts.finished += 1;
        let (violation, steps) = calm.check(state).err()?;
        asked(&violation).then_some((violation, fingerprint, steps))
    }
}

/// The fingerprints from the first state to `at`.
fn way(seen: &Seen, first: u64, at: u64) -> Vec<u64> {
    let mut way = vec![at];
    let mut at = at;
    while at != first
        && let Some(from) = seen.get(&at)
    {
        at = *from;
        way.push(at);
    }
    way.reverse();
    way
}
