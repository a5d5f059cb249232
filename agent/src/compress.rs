//! `r`, the compressibility: the size of the raw data under zlib at level 6 over their own size,
//! at most 1, rounded to nine decimals; 1 for no data.
//!
//! The size must be the one that *stock* zlib gives for all the data in a single call. Other
//! implementations (zlib-ng, miniz) choose other matches, which is why this crate asks for the
//! bundled stock sources and never links a system's library. And although zlib takes its input in
//! portions, *which* portions can show in the output: it slides its window when it runs short of
//! input. So the data are handed over at exactly the points at which a single call would slide it.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::repr::round9;

const LEVEL: u32 = 6;
/// What zlib's window holds before it slides for the first time, and what each slide makes room for.
const FIRST_BYTES: usize = 64 * 1024;
const SLIDE_BYTES: usize = 32 * 1024;

/// zlib failed. Its input cannot be wrong, so this is memory that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("zlib could not compress the data: {0}; expected a quarter of a mebibyte of memory to be free")]
pub struct CompressError(String);

/// Takes bytes in any portions, and gives their `r`. Holds at most 64 KiB of them.
pub struct Compressibility {
    zlib: Compress,
    portion: Vec<u8>,
    portion_bytes: usize,
    scratch: Box<[u8]>,
}

impl Default for Compressibility {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressibility {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self {
            zlib: Compress::new(Compression::new(LEVEL), true),
            portion: Vec::with_capacity(FIRST_BYTES),
            portion_bytes: FIRST_BYTES,
            scratch: vec![0; SLIDE_BYTES].into_boxed_slice(),
        }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), CompressError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.portion_bytes - self.portion.len()));
            self.portion.extend_from_slice(now);
            bytes = later;
            if self.portion.len() == self.portion_bytes {
                self.hand_over(FlushCompress::None)?;
                self.portion.clear();
                self.portion_bytes = SLIDE_BYTES;
            }
        }
        Ok(())
    }

    /// `r` of all the bytes.
    pub fn finish(mut self) -> Result<f64, CompressError> {
        self.hand_over(FlushCompress::Finish)?;
        let (raw, packed) = (self.zlib.total_in(), self.zlib.total_out());
        if raw == 0 {
            return Ok(1.0);
        }
        Ok(round9((packed as f64 / raw as f64).min(1.0)))
    }

    fn hand_over(&mut self, flush: FlushCompress) -> Result<(), CompressError> {
        let end = self.zlib.total_in() + self.portion.len() as u64;
        loop {
            let left = (end - self.zlib.total_in()) as usize;
            if left == 0 && matches!(flush, FlushCompress::None) {
                return Ok(());
            }
            let input = &self.portion[self.portion.len() - left..];
            let before = (self.zlib.total_in(), self.zlib.total_out());
            let status =
                self.zlib.compress(input, &mut self.scratch, flush).map_err(|e| CompressError(e.to_string()))?;
            match status {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if before != (self.zlib.total_in(), self.zlib.total_out()) => {}
                // There is room for output each time, so a step that does nothing would never end.
                Status::Ok | Status::BufError => return Err(CompressError("it made no progress".to_owned())),
            }
        }
    }
}
