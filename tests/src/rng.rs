//! Random numbers from a seed that is printed, so that a run can be made again.

/// SplitMix64: small, and good enough to choose what to do next.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// One of some things, if there are any.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len() as u64) as usize) }
    }

    /// A generator of its own, for a thread.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}

/// The seed of this run: `FLK_SEED`, or one that differs each time.
///
/// # Panics
/// Where `FLK_SEED` is no number.
pub fn seed() -> u64 {
    match std::env::var("FLK_SEED") {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("FLK_SEED is a number; {text:?} is none")),
        // The hasher of the standard library is keyed from the system's randomness.
        Err(_) => {
            use std::hash::{BuildHasher as _, RandomState};
            RandomState::new().hash_one("seed") >> 16
        }
    }
}
