//! What can happen next. A step is offered or it is not; which of those on offer is taken, the search tries all.

mod read_side;
mod sink;
mod topics;

pub(crate) use read_side::says_all;

use core::fmt;

use crate::{
    rules::Rule,
    state::{Index, NONE, RECORDS, State, Store, members},
    world::{Fault, World},
};

/// One thing that happens. Sinks and produces are named by their place in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Time goes on to the next instant.
    Advance,
    /// A record that came into pcs.raw at an instant is verified.
    Append {
        /// When it came into pcs.raw.
        instant: u8,
        /// Its id.
        id: u8,
    },
    /// A record is verified once more: a verifier that was a zombie, or a replay on purpose.
    Again(u8),
    /// Retention removes the first record of pcs.verified.
    Cut,
    /// Retention removes the first result of pcs.results.
    Forget,
    /// pcs.results is compacted.
    Compact,
    /// The group's offsets are gone.
    Reset,
    /// A produce lands; `heard`: its acknowledgement comes.
    Land {
        /// Which produce.
        flight: usize,
        /// Whether the sink, if it still waits, hears of it.
        heard: bool,
    },
    /// A produce is lost, and the sink is told so.
    Lose(usize),
    /// A sink is assigned the partition; whoever had it may go on.
    Assign(usize),
    /// It hears of the committed offset.
    Ask(usize),
    /// It folds before that (only with [`Rule::CommittedFirst`] off).
    Early(usize),
    /// It reads the high watermark of pcs.results.
    Watermark(usize),
    /// It loads pcs.results up to there.
    Load(usize),
    /// It finds that the log begins behind its position.
    Gap(usize),
    /// It folds one record and sends what is to be sent.
    Fold(usize),
    /// It sends again what was lost.
    Resend(usize, usize),
    /// What is acknowledged goes to the read side and is replied.
    Publish(usize),
    /// It commits.
    Commit(usize),
    /// It sends an empty script.
    Idle(usize),
    /// It brings the read side a value further, out of its index.
    Resume(usize),
    /// What the index was written reaches its disk.
    Persist(usize),
    /// A sink is killed.
    Crash(usize),
    /// A sink is killed between two writes that should be one (only with [`Rule::OneWrite`] off).
    Torn(usize),
    /// Its machine loses power.
    PowerLoss(usize),
    /// Its index is gone.
    LoseIndex(usize),
    /// The read side's replica has all that the primary has.
    Replicate,
    /// The replica becomes the primary.
    FailOver,
    /// The read side is emptied.
    Flush,
    /// The read side is out of reach.
    Down,
    /// It is back.
    Up,
    /// It drops a value (only with [`Rule::NothingEvicted`] off).
    Evict(usize),
    /// A reader fetches values and not yet the marker (only with [`Rule::Together`] off).
    Peek,
}

/// Calls `each` with every step that is on offer and the state that it leads to.
pub fn each(world: &World, state: &State, mut each: impl FnMut(Step, State)) {
    let mut offer = |step| {
        if let Some(next) = take(world, state, step) {
            each(step, next);
        }
    };
    offer(Step::Advance);
    for instant in 0..=state.now {
        (0..world.scenario.ids).for_each(|id| offer(Step::Append { instant, id }));
    }
    (0..state.records.len() as u8).for_each(|record| offer(Step::Again(record)));
    [Step::Cut, Step::Forget, Step::Compact, Step::Reset].into_iter().for_each(&mut offer);
    for flight in 0..state.flights.len() {
        offer(Step::Land { flight, heard: true });
        offer(Step::Land { flight, heard: false });
        offer(Step::Lose(flight));
    }
    for sink in 0..world.scenario.sinks {
        let steps = [
            Step::Assign(sink),
            Step::Ask(sink),
            Step::Early(sink),
            Step::Watermark(sink),
            Step::Load(sink),
            Step::Gap(sink),
            Step::Fold(sink),
            Step::Resend(sink, 0),
            Step::Resend(sink, 1),
            Step::Publish(sink),
            Step::Commit(sink),
            Step::Idle(sink),
            Step::Resume(sink),
            Step::Persist(sink),
            Step::Crash(sink),
            Step::Torn(sink),
            Step::PowerLoss(sink),
            Step::LoseIndex(sink),
        ];
        steps.into_iter().for_each(&mut offer);
    }
    if world.scenario.read_side {
        [Step::Replicate, Step::FailOver, Step::Flush, Step::Down, Step::Up, Step::Peek]
            .into_iter()
            .for_each(&mut offer);
        (0..usize::from(world.scenario.ids)).for_each(|id| offer(Step::Evict(id)));
    }
}

/// The state that a step leads to, if it is on offer.
pub fn take(world: &World, state: &State, step: Step) -> Option<State> {
    let mut next = match step {
        Step::Advance => topics::advance(world, state),
        Step::Append { instant, id } => topics::append(world, state, instant, id),
        Step::Again(record) => topics::again(world, state, record),
        Step::Cut => topics::cut(world, state),
        Step::Forget => topics::forget(world, state),
        Step::Compact => topics::compact(world, state),
        Step::Reset => topics::reset(world, state),
        Step::Land { flight, heard } => topics::land(world, state, flight, heard),
        Step::Lose(flight) => topics::lose(world, state, flight),
        Step::Assign(which) => sink::assign(world, state, which),
        Step::Ask(which) => sink::ask(world, state, which),
        Step::Early(which) => sink::early(world, state, which),
        Step::Watermark(which) => sink::watermark(world, state, which),
        Step::Load(which) => sink::load(world, state, which),
        Step::Gap(which) => sink::gap(world, state, which),
        Step::Fold(which) => sink::fold(world, state, which),
        Step::Resend(which, slot) => sink::resend(world, state, which, slot),
        Step::Publish(which) => sink::publish(world, state, which),
        Step::Commit(which) => sink::commit(world, state, which),
        Step::Persist(which) => sink::persist(world, state, which),
        Step::Crash(which) => sink::crash(world, state, which, Fault::Crash),
        Step::Torn(which) => sink::torn(world, state, which),
        Step::PowerLoss(which) => sink::crash(world, state, which, Fault::PowerLoss),
        Step::LoseIndex(which) => sink::crash(world, state, which, Fault::LoseIndex),
        Step::Idle(which) => read_side::idle(world, state, which),
        Step::Resume(which) => read_side::resume(world, state, which),
        Step::Replicate => read_side::replicate(world, state),
        Step::FailOver => read_side::lose(world, state, Fault::FailOver),
        Step::Flush => read_side::lose(world, state, Fault::Flush),
        Step::Down => read_side::down(world, state),
        Step::Up => read_side::up(state),
        Step::Evict(id) => read_side::evict(world, state, id),
        Step::Peek => read_side::peek(world, state),
    }?;
    settle_down(world, &mut next);
    Some(next)
}

/// What follows from any step at once: what stands on the read side is read, and what can not matter any
/// more is forgotten, so that states that behave alike are one.
fn settle_down(world: &World, state: &mut State) {
    if state.up {
        let values = state.primary.values;
        values.into_iter().for_each(|record| tell(world, state, record));
        if !world.has(Rule::Primary) {
            let values = state.replica.values;
            values.into_iter().for_each(|record| tell(world, state, record));
        }
    }
    if !world.may(state, Fault::PowerLoss) {
        state.sinks.iter_mut().for_each(|sink| sink.durable = Index::default());
    }
    if world.has(Rule::InTime) && usize::from(state.now) + 1 == world.scenario.instants.len() {
        state.reached = 0;
    }
    if world.has(Rule::Primary) && !world.may(state, Fault::FailOver) {
        state.replica = Store::default();
    }
}

/// Somebody is told the result of a record. What is told after its window tells nobody anything: whoever asked
/// has long gone, and a reader is told 404.
fn tell(world: &World, state: &mut State, record: u8) {
    if record != NONE && world.stands(state.instant(record), state.now) {
        state.told |= 1 << record;
    }
}

/// The records that stand.
pub(crate) fn standing(world: &World, state: &State, set: u8) -> u8 {
    members(set)
        .filter(|record| world.stands(state.instant(*record), state.now))
        .fold(0, |standing, record| standing | 1 << record)
}

/// The told records whose result a reader of `store` does not find.
pub(crate) fn missed(world: &World, state: &State, store: &Store) -> u8 {
    members(standing(world, state, state.told))
        .filter(|record| store.values[state.id(*record)] == NONE)
        .fold(0, |missed, record| missed | 1 << record)
}

/// A record's name in traces.
pub(crate) fn name(record: u8) -> char {
    if usize::from(record) < RECORDS { char::from(b'a' + record) } else { '-' }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Advance => write!(f, "time goes on"),
            Self::Append { instant, id } => {
                write!(f, "a record of id {id}, in pcs.raw since instant {instant}, is verified")
            }
            Self::Again(record) => write!(f, "record {} is verified again", name(record)),
            Self::Cut => write!(f, "retention removes the head of pcs.verified"),
            Self::Forget => write!(f, "retention removes the head of pcs.results"),
            Self::Compact => write!(f, "pcs.results is compacted"),
            Self::Reset => write!(f, "the group's offsets are gone"),
            Self::Land { flight, heard: true } => write!(f, "produce {flight} lands"),
            Self::Land { flight, heard: false } => write!(f, "produce {flight} lands, and its acknowledgement is lost"),
            Self::Lose(flight) => write!(f, "produce {flight} is lost"),
            Self::Assign(sink) => write!(f, "sink {sink} is assigned the partition"),
            Self::Ask(sink) => write!(f, "sink {sink} hears of the committed offset"),
            Self::Early(sink) => write!(f, "sink {sink} folds on before it knows the committed offset"),
            Self::Watermark(sink) => write!(f, "sink {sink} reads the high watermark of pcs.results"),
            Self::Load(sink) => write!(f, "sink {sink} restores its index"),
            Self::Gap(sink) => write!(f, "sink {sink} finds its position cut off"),
            Self::Fold(sink) => write!(f, "sink {sink} folds"),
            Self::Resend(sink, _) => write!(f, "sink {sink} sends again what was lost"),
            Self::Publish(sink) => write!(f, "sink {sink} writes the read side and replies"),
            Self::Commit(sink) => write!(f, "sink {sink} commits"),
            Self::Idle(sink) => write!(f, "sink {sink} sends an empty script"),
            Self::Resume(sink) => write!(f, "sink {sink} brings the read side on, out of its index"),
            Self::Persist(sink) => write!(f, "the index of sink {sink} reaches its disk"),
            Self::Crash(sink) => write!(f, "sink {sink} is killed"),
            Self::Torn(sink) => write!(f, "sink {sink} is killed between writing the offset and the entry"),
            Self::PowerLoss(sink) => write!(f, "sink {sink} loses power"),
            Self::LoseIndex(sink) => write!(f, "sink {sink} loses its index"),
            Self::Replicate => write!(f, "the replica catches up"),
            Self::FailOver => write!(f, "the read side fails over to its replica"),
            Self::Flush => write!(f, "the read side is flushed"),
            Self::Down => write!(f, "the read side is out of reach"),
            Self::Up => write!(f, "the read side is back"),
            Self::Evict(id) => write!(f, "the read side evicts the value of id {id}"),
            Self::Peek => write!(f, "a reader fetches values, and not yet the marker"),
        }
    }
}
