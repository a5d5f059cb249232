//! What must be true of every state.

use core::fmt;

use crate::{
    rules::Rule,
    state::{NONE, State, Store, members},
    steps::{missed, name, says_all, standing},
    world::World,
};

/// What was found not to be so. Records are named by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Somebody was told two results of one id within one window.
    ToldTwo(u8, u8),
    /// pcs.results held two results of one id within one window.
    HoldsTwo(u8, u8),
    /// The last result of an id in pcs.results is not the one that won last.
    WrongLast(u8, u8),
    /// A result that stands was told and is not in pcs.results.
    ToldNotHeld(u8),
    /// A result that stands was told, and a reader hears 404, though nothing was lost unnoticed.
    NotFound(u8),
    /// Faults have stopped, and what should be there does not come. Names the sink that went on.
    NeverEnds(usize, Rest),
}

/// What does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The sink does not come to the end.
    Position,
    /// The committed offset does not.
    Commit,
    /// The result of a record that won its id is not in pcs.results.
    Result(u8),
    /// The read side does not get ready.
    Ready,
    /// The read side does not have what stands.
    Value(u8),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ToldTwo(one, other) => {
                write!(f, "people were told {} and {}, two results of one id in one window", name(one), name(other))
            }
            Self::HoldsTwo(one, other) => {
                write!(f, "pcs.results had {} and {}, two results of one id in one window", name(one), name(other))
            }
            Self::WrongLast(last, won) => {
                write!(f, "pcs.results ends with {}, and {} won after it", name(last), name(won))
            }
            Self::ToldNotHeld(told) => write!(f, "{} was told and is not in pcs.results", name(told)),
            Self::NotFound(told) => write!(f, "{} was told, and GET says 404", name(told)),
            Self::NeverEnds(sink, rest) => {
                write!(f, "faults have stopped, sink {sink} has gone on as far as it can, and ")?;
                match rest {
                    Rest::Position => write!(f, "it has not come to the end of pcs.verified"),
                    Rest::Commit => write!(f, "it has not committed everything"),
                    Rest::Result(won) => write!(f, "the result of {} is not in pcs.results", name(won)),
                    Rest::Ready => write!(f, "the read side is not ready"),
                    Rest::Value(won) => write!(f, "the read side does not have the result of {}", name(won)),
                }
            }
        }
    }
}

/// An invariant, by the kind of what violates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// Nobody is told two results of an id in its window.
    OneStory,
    /// pcs.results never holds two, and ends with the right one.
    Results,
    /// Told implies in pcs.results.
    Told,
    /// 404 after told only while a loss is unnoticed.
    Answers,
    /// From every state the rest finishes once faults stop.
    Finishes,
}

impl Invariant {
    /// All of them.
    pub const ALL: &[Self] = &[Self::OneStory, Self::Results, Self::Told, Self::Answers, Self::Finishes];
}

impl Violation {
    /// Which invariant it violates.
    pub const fn of(self) -> Invariant {
        match self {
            Self::ToldTwo(..) => Invariant::OneStory,
            Self::HoldsTwo(..) | Self::WrongLast(..) => Invariant::Results,
            Self::ToldNotHeld(_) => Invariant::Told,
            Self::NotFound(_) => Invariant::Answers,
            Self::NeverEnds(..) => Invariant::Finishes,
        }
    }
}

/// The invariants of single states that `state` violates, in the order of their gravity.
pub fn violations(world: &World, state: &State) -> impl Iterator<Item = Violation> {
    let told = two(world, state, state.told).map(|(one, other)| Violation::ToldTwo(one, other));
    let held = two(world, state, state.landed).map(|(one, other)| Violation::HoldsTwo(one, other));
    [told, held, wrong_last(state), told_not_held(world, state), not_found(world, state)].into_iter().flatten()
}

fn two(world: &World, state: &State, set: u8) -> Option<(u8, u8)> {
    let record = |which: u8| state.records[usize::from(which)];
    members(set).find_map(|one| {
        let later = members(set).filter(|other| *other > one);
        later.into_iter().find(|other| world.clash(record(one), record(*other))).map(|other| (one, other))
    })
}

fn wrong_last(state: &State) -> Option<Violation> {
    let ours = || state.results.iter().filter(|landed| !landed.aside);
    ours().enumerate().find_map(|(at, won)| {
        let id = state.id(won.held.record);
        let last = ours().skip(at).filter(|landed| state.id(landed.held.record) == id).last()?;
        (last.held.offset < won.held.offset).then_some(Violation::WrongLast(last.held.record, won.held.record))
    })
}

fn told_not_held(world: &World, state: &State) -> Option<Violation> {
    let held = state.results.iter().fold(0, |held, landed| held | 1 << landed.held.record);
    // What does not stand any more may be gone; nobody may ever be told what never was there.
    let missing = (standing(world, state, state.told) & !held) | (state.told & !state.landed);
    members(missing).next().map(Violation::ToldNotHeld)
}

fn not_found(world: &World, state: &State) -> Option<Violation> {
    if !state.up {
        return None;
    }
    let by = |store: &Store| {
        let missed = missed(world, state, store) & !state.unnoticed;
        members(missed).next().filter(|_| says_all(world, store))
    };
    let replica = || by(&state.replica).filter(|_| !world.has(Rule::Primary));
    // One that fetched a miss before, and now fetches the marker.
    let peeked = || {
        let told = standing(world, state, state.peeked);
        members(told).next().filter(|_| says_all(world, &state.primary))
    };
    by(&state.primary).or_else(replica).or_else(peeked).map(Violation::NotFound)
}

/// What is missing when a sink has gone on, without faults, as far as it can.
pub(crate) fn rest(world: &World, state: &State, sink: usize) -> Option<Rest> {
    if state.sinks[sink].done != state.end() {
        return Some(Rest::Position);
    }
    if state.committed != state.end() {
        return Some(Rest::Commit);
    }
    let mut winners = [NONE; crate::state::IDS];
    world.winners(state, |held| winners[state.id(held.record)] = held.record);
    let mut found = None;
    for (id, won) in winners.into_iter().enumerate().filter(|(_, won)| *won != NONE) {
        let stands = world.stands(state.instant(won), state.now);
        if stands && !state.results.iter().any(|landed| landed.held.record == won) {
            found = found.or(Some(Rest::Result(won)));
        }
        if world.scenario.read_side && stands && state.primary.values[id] != won {
            found = found.or(Some(Rest::Value(won)));
        }
    }
    let ready = !world.scenario.read_side || state.primary.marker.is_some_and(|marker| marker.ready);
    found.or((!ready).then_some(Rest::Ready))
}
