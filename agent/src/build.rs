//! From rows to an unsigned PCS.
//!
//! One pass over the rows feeds the grids, the root and the compressor, and keeps the points; the
//! coherence then goes over the points once a direction. So memory is proportional to the number of
//! rows: 32 bytes a row (the point and its projection) and about 50 bytes for each distinct cell of
//! each scale. The raw text is never held as a whole.

use std::collections::BTreeSet;

use flk_contract::limits::{NAME_BYTES_MAX, SCALES_MAX};
use flk_contract::signals::{self, NoDHat, Regime};
use flk_contract::{Malformed, Nano, Record, SCHEMA, VERSION};

use crate::cells::{CellError, Cells};
use crate::coherence::coherence;
use crate::compress::{CompressError, Compressibility};
use crate::merkle::Merkle;
use crate::pcs::{Ft, Pcs};
use crate::source::{Source, SourceError};

/// The largest scale: 2^53, beyond which a double skips integers.
pub const SCALE_MAX: u64 = 1 << 53;
/// The most directions.
pub const DIRECTIONS_MAX: u32 = 1_000_000;
/// The most bins.
pub const BINS_MAX: u32 = 1_000_000;

/// What a PCS is to be made with. Two agents that are to give the same PCS need the same options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOptions {
    /// Which stream of data: 1 to 256 bytes.
    pub shard_id: String,
    /// Which part of the stream, from 0.
    pub epoch: i64,
    /// When it is sent, RFC 3339; taken as it is, since nothing in here reads a clock.
    pub sent_at: String,
    /// Cells per unit: 1 to 64 different ones, 1 to 2^53; two at least for a slope. Default 2, 4,
    /// 8, 16. Choose them so that the data span several cells at the smallest, and so that not
    /// every point has a cell of its own at the largest.
    pub scales: Vec<u64>,
    /// What the random directions are made of. Default 7. The seed is public: another one gives
    /// other directions, and a `coh_star` that differs slightly.
    pub seed: u32,
    /// How many directions are tried, up to a million. Default 100. More of them find a better
    /// direction; time grows with them.
    pub directions: u32,
    /// How many bins a projection is cut into, up to a million. Default 20.
    pub bins: u32,
    /// How many bytes of raw data make a leaf of the Merkle tree, at least 1. Default 65536.
    pub chunk_bytes: usize,
}

impl BuildOptions {
    /// The defaults, for this part of this stream.
    pub fn new(shard_id: impl Into<String>, epoch: i64, sent_at: impl Into<String>) -> Self {
        Self {
            shard_id: shard_id.into(),
            epoch,
            sent_at: sent_at.into(),
            scales: vec![2, 4, 8, 16],
            seed: 7,
            directions: 100,
            bins: 20,
            chunk_bytes: 65_536,
        }
    }

    fn check(&self) -> Result<(), BuildError> {
        let refuse = |option, expected, found: String| Err(BuildError::Option { option, expected, found });
        if !(1..=NAME_BYTES_MAX).contains(&self.shard_id.len()) {
            return refuse("shard_id", "1 to 256 bytes", format!("{} bytes", self.shard_id.len()));
        }
        if self.epoch < 0 {
            return refuse("epoch", "an integer from 0 to 2^63-1", self.epoch.to_string());
        }
        if !(1..=SCALES_MAX).contains(&self.scales.len()) {
            return refuse("scales", "1 to 64 scales", format!("{} scales", self.scales.len()));
        }
        if let Some(scale) = self.scales.iter().find(|scale| !(1..=SCALE_MAX).contains(*scale)) {
            return refuse("scales", "integers from 1 to 2^53", scale.to_string());
        }
        let mut seen = BTreeSet::new();
        if let Some(scale) = self.scales.iter().find(|scale| !seen.insert(**scale)) {
            return refuse("scales", "each scale once", format!("{scale} twice"));
        }
        if !(1..=DIRECTIONS_MAX).contains(&self.directions) {
            return refuse("directions", "1 to 1000000", self.directions.to_string());
        }
        if !(1..=BINS_MAX).contains(&self.bins) {
            return refuse("bins", "1 to 1000000", self.bins.to_string());
        }
        if self.chunk_bytes == 0 {
            return refuse("chunk_bytes", "at least 1", self.chunk_bytes.to_string());
        }
        Ok(())
    }
}

/// Why there is no PCS.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An option is out of its range.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its range.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The data could not be read as rows.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A point lies in no cell.
    #[error("row {row} (without header and empty lines): {error}")]
    Cell {
        /// The row, from 1, without the header and empty lines.
        row: usize,
        /// The coordinate and the scale.
        error: CellError,
    },
    /// There is a header and nothing else.
    #[error("the data have no rows; a PCS needs at least one, since no cells have no slope")]
    NoRows,
    /// The slope can not be computed.
    #[error("D_hat can not be computed: {0}; choose other scales, for example 2, 4, 8, 16")]
    NoDHat(#[from] NoDHat),
    /// zlib failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// What was made is no well-formed record. The checks above are there so that this is never seen.
    #[error("the PCS that was made is not well-formed: {0}; please report this")]
    Malformed(#[from] Malformed),
    /// What was made can not be written as JSON, or not as a number. Never seen, as above.
    #[error("the PCS that was made can not be written: {0}; please report this")]
    Write(String),
}

impl From<serde_json::Error> for BuildError {
    fn from(error: serde_json::Error) -> Self {
        Self::Write(error.to_string())
    }
}

/// Reads all rows and makes their PCS, unsigned: `attempt` and `ft.outbox_seq` are 1, nothing is
/// degraded.
///
/// # Errors
/// [`BuildError`]: an option out of range, data that are not understood, no rows, no slope.
pub fn build(mut source: impl Source, options: &BuildOptions) -> Result<Pcs, BuildError> {
    options.check()?;
    let mut cells = Cells::new(&options.scales);
    let mut merkle = Merkle::new(options.chunk_bytes);
    let mut size = Compressibility::new();
    let mut points = Vec::new();
    let mut raw = String::new();
    loop {
        raw.clear();
        if !points.is_empty() {
            raw.push('\n');
        }
        let Some(point) = source.next_row(&mut raw)? else { break };
        points.push(point);
        cells.add(&point).map_err(|error| BuildError::Cell { row: points.len(), error })?;
        merkle.update(raw.as_bytes());
        size.update(raw.as_bytes())?;
    }
    if points.is_empty() {
        return Err(BuildError::NoRows);
    }
    let coherence = coherence(&points, options.seed, options.directions, options.bins);
    let merkle_root = merkle.finish();
    let mut pcs = Pcs {
        pcs_id: flk_contract::pcs_id(&merkle_root, options.epoch, &options.shard_id),
        schema: SCHEMA.to_owned(),
        version: VERSION.to_owned(),
        shard_id: options.shard_id.clone(),
        epoch: options.epoch,
        attempt: 1,
        sent_at: options.sent_at.clone(),
        seed: options.seed,
        scales: options.scales.clone(),
        n_j: cells.counts(),
        coh_star: nano(coherence.coh_star)?,
        v_star: coherence.v_star,
        d_hat: Nano::default(),
        r: nano(size.finish()?)?,
        regime: Regime::Mixed,
        budget: Nano::default(),
        merkle_root,
        sig: String::new(),
        ft: Ft { outbox_seq: 1, degraded: false, fallbacks: Vec::new(), clock_skew_ms: 0 },
    };
    // The slope is computed from the record as a service will read it, by the service's function.
    let body = serde_json::to_vec(&pcs)?;
    pcs.d_hat = signals::d_hat(&Record::parse(&body)?)?;
    pcs.regime = signals::regime(pcs.d_hat, pcs.coh_star);
    pcs.budget = signals::budget(pcs.d_hat, pcs.coh_star, pcs.r);
    Ok(pcs)
}

fn nano(x: f64) -> Result<Nano, BuildError> {
    Nano::from_f64(x).ok_or_else(|| BuildError::Write(format!("{x} is not below 1e15")))
}
