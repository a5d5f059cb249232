//! All that there is at one moment: the topics of one partition, the sinks, the read side, and what people
//! have been told.
//!
//! Small and flat, because millions are held. Records, offsets and instants are numbers; [`NONE`] is none.

use crate::{few::Few, world::World};

/// No record, no offset.
pub const NONE: u8 = u8::MAX;
/// Most ids of a scenario.
pub const IDS: usize = 2;
/// Most sinks of a scenario.
pub const SINKS: usize = 3;
/// Most records of a scenario; sets of records are bits of a byte.
pub const RECORDS: usize = 6;
/// Most offsets of a scenario; sets of offsets are bits of a byte.
pub const OFFSETS: usize = 8;
/// Most results that pcs.results holds at a time.
pub const RESULTS: usize = 6;
/// Most produces under way.
pub const FLIGHTS: usize = 3;
/// Most offsets folded and not done with.
pub const AHEAD: usize = 2;

/// A record of pcs.raw. It is its own result, if it wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// When it came into pcs.raw.
    pub instant: u8,
    /// Its id.
    pub id: u8,
}

/// One offset of pcs.verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Which record.
    pub record: u8,
    /// When it came into pcs.verified.
    pub instant: u8,
}

/// A settled result: the record that won, and where in pcs.verified it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The record.
    pub record: u8,
    /// The verified offset that results carry.
    pub offset: u8,
}

impl Default for Held {
    fn default() -> Self {
        Self { record: NONE, offset: NONE }
    }
}

/// One entry of pcs.results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Landed {
    /// What it says.
    pub held: Held,
    /// When it landed.
    pub instant: u8,
    /// Under a key of its own rather than that of the id.
    pub aside: bool,
}

/// A produce under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// What it says.
    pub held: Held,
    /// When it was sent.
    pub instant: u8,
    /// Under a key of its own.
    pub aside: bool,
    /// Who waits for the acknowledgement; [`NONE`] when that one is gone.
    pub sink: u8,
    /// For which offset.
    pub at: u8,
}

impl Default for Flight {
    fn default() -> Self {
        Self { held: Held::default(), instant: 0, aside: false, sink: NONE, at: NONE }
    }
}

/// A sink's memory: entries, and the offset up to which they are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Index {
    /// Whether there is one.
    pub there: bool,
    /// The first offset that it does not know of.
    pub next: u8,
    /// By id, the last that was settled.
    pub held: [Held; IDS],
}

/// How far a sink has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not running.
    #[default]
    Down,
    /// Assigned; it does not know the committed offset.
    Assigned,
    /// It knows the committed offset, and has no index.
    Restoring,
    /// It works.
    Running,
}

/// An offset that was folded and not done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// The result that its reply tells.
    pub answer: Held,
    /// Whether that has to be produced first.
    pub produce: bool,
    /// Whether it has been acknowledged, or needs nothing.
    pub acked: bool,
}

/// One sink. What it does next is up to the search: one that does nothing for long is a zombie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sink {
    /// How far it has come.
    pub phase: Phase,
    /// Its index, as the process would read it.
    pub index: Index,
    /// Its index, as a loss of power would leave it.
    pub durable: Index,
    /// Restoring: the committed offset as it was answered.
    pub base: u8,
    /// Restoring: how many entries pcs.results had at the high watermark that was read; [`NONE`] before.
    pub watermark: u8,
    /// Running: everything before was done with: acknowledged, on the read side, replied to.
    pub done: u8,
    /// From `done` on: what was folded.
    pub slots: Few<Slot, AHEAD>,
    /// Where the read side's marker was found behind.
    pub resume: u8,
}

impl Sink {
    /// A process that has just begun, with what is on its disk.
    pub fn over(index: Index, durable: Index) -> Self {
        let (slots, phase) = (Few::default(), Phase::Down);
        Self { phase, index, durable, base: NONE, watermark: NONE, done: NONE, slots, resume: NONE }
    }

    /// The next offset that it folds with effects.
    pub fn position(&self) -> u8 {
        self.done + self.slots.len() as u8
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::over(Index::default(), Index::default())
    }
}

/// The marker of the partition on the read side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marker {
    /// Up to where the values are complete.
    pub next: u8,
    /// Whether a miss says something.
    pub ready: bool,
    /// The greatest offset that a script came to.
    pub goal: u8,
}

/// What one server of the read side holds for the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    /// By id, the record whose result it is.
    pub values: [u8; IDS],
    /// The marker, if there is one.
    pub marker: Option<Marker>,
}

impl Default for Store {
    fn default() -> Self {
        Self { values: [NONE; IDS], marker: None }
    }
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The instant.
    pub now: u8,
    /// Faults that may still strike.
    pub faults: u8,
    /// pcs.raw, as far as it was verified.
    pub records: Few<Record, RECORDS>,
    /// pcs.verified, with what retention has removed.
    pub verified: Few<Verified, OFFSETS>,
    /// The first offset of it that is still kept.
    pub start: u8,
    /// pcs.results, in the order of landing.
    pub results: Few<Landed, RESULTS>,
    /// Produces under way.
    pub flights: Few<Flight, FLIGHTS>,
    /// The group's committed offset.
    pub committed: u8,
    /// The sinks.
    pub sinks: [Sink; SINKS],
    /// The read side's primary.
    pub primary: Store,
    /// Its replica: what the primary was at some time.
    pub replica: Store,
    /// Whether it can be reached.
    pub up: bool,

    /// History: the greatest offset that was ever committed.
    pub reached: u8,
    /// History: records whose results somebody was told while they stood.
    pub told: u8,
    /// History: records whose results were in pcs.results once.
    pub landed: u8,
    /// History: told records that the read side has lost since, which nobody has noticed yet.
    pub unnoticed: u8,
    /// A reader who fetches the value before the marker: what was told, and missed, when it did.
    pub peeked: u8,
}

impl State {
    /// Where everything begins: empty topics, sinks with empty indexes that are down.
    pub fn initial(world: &World) -> Self {
        let index = Index { there: true, ..Index::default() };
        Self {
            now: 0,
            faults: world.scenario.faults,
            records: Few::default(),
            verified: Few::default(),
            start: 0,
            results: Few::default(),
            flights: Few::default(),
            committed: NONE,
            sinks: [Sink::over(index, index); SINKS],
            primary: Store::default(),
            replica: Store::default(),
            up: world.scenario.read_side,
            reached: 0,
            told: 0,
            landed: 0,
            unnoticed: 0,
            peeked: 0,
        }
    }

    /// The first offset that pcs.verified does not have.
    pub fn end(&self) -> u8 {
        self.verified.len() as u8
    }

    /// When the record came into pcs.raw.
    pub fn instant(&self, record: u8) -> u8 {
        self.records[usize::from(record)].instant
    }

    /// The id of a record.
    pub fn id(&self, record: u8) -> usize {
        usize::from(self.records[usize::from(record)].id)
    }
}

/// The records of a set.
pub fn members(set: u8) -> impl Iterator<Item = u8> {
    (0..RECORDS as u8).filter(move |record| set >> record & 1 == 1)
}
