//! The random numbers that the directions of the coherence are made of: numpy's
//! `RandomState(seed).randn()`, bit for bit, so that a seed names the same directions in every
//! language.
//!
//! That is MT19937 seeded by one 32-bit number, 53-bit doubles out of two draws, and the *legacy*
//! polar method, which makes two values at a time and keeps the second. It is not for secrets.

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// The Mersenne Twister, seeded as numpy seeds it from one integer.
struct Mt19937 {
    state: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    fn new(seed: u32) -> Self {
        let mut state = [0; WORDS];
        let mut word = seed;
        for (at, slot) in (1_u32..).zip(state.iter_mut()) {
            *slot = word;
            word = 1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(at);
        }
        Self { state, next: WORDS }
    }

    fn refill(&mut self) {
        for at in 0..WORDS {
            let mixed = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % WORDS] & 0x7fff_ffff);
            let twist = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + MIDDLE) % WORDS] ^ (mixed >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A double in [0, 1) with 53 random bits.
    fn double(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }
}

/// A stream of standard normal values: numpy's `RandomState(seed).randn()`, one after the other.
pub struct Gaussian {
    bits: Mt19937,
    kept: Option<f64>,
}

impl Gaussian {
    /// The stream of this seed.
    pub fn new(seed: u32) -> Self {
        Self { bits: Mt19937::new(seed), kept: None }
    }

    /// The next value.
    pub fn draw(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        loop {
            let x1 = 2.0 * self.bits.double() - 1.0;
            let x2 = 2.0 * self.bits.double() - 1.0;
            // Rust never contracts this into a fused multiply-add, which would be another number.
            let r2 = x1 * x1 + x2 * x2;
            if r2 < 1.0 && r2 != 0.0 {
                // `f64::ln` is the C library's `log`, which is what numpy calls. `libm::log` is
                // another implementation, and differs from it in the last bit now and then.
                let f = (-2.0 * r2.ln() / r2).sqrt();
                self.kept = Some(f * x1);
                return f * x2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twister_gives_the_published_ten_thousandth_word() {
        // The C++ standard names this value for the default seed.
        let mut bits = Mt19937::new(5489);
        let last = (0..10_000).map(|_| bits.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn two_streams_of_one_seed_are_the_same() {
        let (mut a, mut b) = (Gaussian::new(7), Gaussian::new(7));
        for _ in 0..1000 {
            assert_eq!(a.draw().to_bits(), b.draw().to_bits());
        }
    }
}
