//! Time, and the topics: what comes in, what lands, what goes.

use crate::{
    few::Few,
    rules::Rule,
    state::{Flight, Landed, NONE, Record, State, Verified},
    world::{Fault, HOUR, World},
};

pub(super) fn advance(world: &World, state: &State) -> Option<State> {
    let now = state.now + 1;
    if usize::from(now) == world.scenario.instants.len() {
        return None;
    }
    if world.has(Rule::InTime) && (state.reached..state.end()).any(|offset| would_be_late(world, state, offset, now)) {
        return None;
    }
    let mut next = *state;
    next.now = now;
    next.peeked = 0;
    if world.has(Rule::Lands) {
        next.flights.retain(|_, flight| world.between(flight.instant, now) <= HOUR);
    }
    // The read side's own expiry (EXAT).
    for store in [&mut next.primary, &mut next.replica] {
        for value in &mut store.values {
            if *value != NONE && !world.stands(state.instant(*value), now) {
                *value = NONE;
            }
        }
    }
    while next.start < next.end() && world.must_cut(next.verified[usize::from(next.start)].instant, now) {
        next.start += 1;
    }
    (next.start <= next.reached || world.has(Rule::InTime)).then_some(next)
}

/// Whether a record that nobody has committed yet would then be nearer its end than an hour.
fn would_be_late(world: &World, state: &State, offset: u8, now: u8) -> bool {
    let entry = state.verified[usize::from(offset)];
    let raw = state.instant(entry.record);
    world.stands(raw, entry.instant) && world.ending(raw, now)
}

pub(super) fn append(world: &World, state: &State, instant: u8, id: u8) -> Option<State> {
    let scenario = &world.scenario;
    let known = state.records.iter().map(|record| record.id + 1).max().unwrap_or(0);
    if state.records.len() == scenario.records
        || state.verified.len() == scenario.offsets
        || id > known
        || world.must_cut(instant, state.now)
        || (world.has(Rule::InTime) && world.stands(instant, state.now) && world.ending(instant, state.now))
    {
        return None;
    }
    let mut next = *state;
    next.verified.push(Verified { record: state.records.len() as u8, instant: state.now });
    next.records.push(Record { instant, id });
    Some(next)
}

pub(super) fn again(world: &World, state: &State, record: u8) -> Option<State> {
    if state.verified.len() == world.scenario.offsets || world.must_cut(state.instant(record), state.now) {
        return None;
    }
    let mut next = *state;
    next.verified.push(Verified { record, instant: state.now });
    Some(next)
}

pub(super) fn cut(world: &World, state: &State) -> Option<State> {
    let head = state.verified.get(usize::from(state.start))?;
    let read = state.start < state.reached || world.has(Rule::InTime);
    (read && world.may_cut(head.instant, state.now)).then(|| State { start: state.start + 1, ..*state })
}

pub(super) fn reset(world: &World, state: &State) -> Option<State> {
    let there = state.committed != NONE && world.may(state, Fault::ResetOffsets);
    there.then(|| State { committed: NONE, faults: state.faults - 1, ..*state })
}

/// Whether somebody has read the high watermark and not yet loaded.
fn restoring(state: &State) -> bool {
    state.sinks.iter().any(|sink| sink.watermark != NONE)
}

pub(super) fn land(world: &World, state: &State, flight: usize, heard: bool) -> Option<State> {
    let Flight { held, aside, sink, at, .. } = *state.flights.get(flight)?;
    if !heard && (sink == NONE || !world.may(state, Fault::LoseAck)) {
        return None;
    }
    let mut next = *state;
    let landed = Landed { held, instant: state.now, aside };
    // A later copy of the same says all that the earlier did, unless somebody reads up to between them.
    if !restoring(state) {
        next.results.retain(|_, earlier| earlier.held != held || earlier.aside != aside);
    }
    if next.results.is_full() {
        return None;
    }
    next.results.push(landed);
    next.landed |= 1 << held.record;
    next.flights.remove(flight);
    if !heard {
        next.faults -= 1;
    } else if let Some(sink) = next.sinks.get_mut(usize::from(sink)) {
        sink.slots[usize::from(at - sink.done)].acked = true;
    }
    Some(next)
}

pub(super) fn lose(world: &World, state: &State, flight: usize) -> Option<State> {
    if state.flights.get(flight)?.sink == NONE || !world.may(state, Fault::LoseProduce) {
        return None;
    }
    let mut next = *state;
    next.faults -= 1;
    next.flights.remove(flight);
    Some(next)
}

pub(super) fn forget(world: &World, state: &State) -> Option<State> {
    let head = state.results.first()?;
    world.may_forget(head.instant, state.now).then(|| keep(state, |at, _| at > 0))
}

pub(super) fn compact(world: &World, state: &State) -> Option<State> {
    if !world.scenario.compacts || (world.has(Rule::CompactsLater) && restoring(state)) {
        return None;
    }
    let id = |landed: &Landed| state.id(landed.held.record);
    let same = |one: &Landed, other: &Landed| {
        id(one) == id(other) && one.aside == other.aside && (!one.aside || one.held == other.held)
    };
    let superseded = |at: usize, landed: &Landed| {
        if world.has(Rule::LastStays) {
            state.results[at + 1..].iter().any(|later| same(landed, later))
        } else {
            state.results[..at].iter().any(|earlier| same(landed, earlier))
        }
    };
    let next = keep(state, |at, landed| !superseded(at, landed));
    (next.results.len() < state.results.len()).then_some(next)
}

/// pcs.results with those that `which` says; a watermark that was read stays between the same two.
fn keep(state: &State, which: impl Fn(usize, &Landed) -> bool) -> State {
    let mut next = *state;
    next.results.retain(|at, landed| which(at, landed));
    for sink in next.sinks.iter_mut().filter(|sink| sink.watermark != NONE) {
        let before = state.results.iter().enumerate().take(usize::from(sink.watermark));
        sink.watermark = before.filter(|(at, landed)| which(*at, landed)).count() as u8;
    }
    next
}

/// Nobody waits any more for what `sink` has sent.
pub(super) fn orphan(state: &mut State, sink: usize) {
    let mut flights = Few::default();
    for flight in state.flights.iter() {
        let mine = usize::from(flight.sink) == sink;
        flights.push(if mine { Flight { sink: NONE, at: NONE, ..*flight } } else { *flight });
    }
    state.flights = flights;
}
