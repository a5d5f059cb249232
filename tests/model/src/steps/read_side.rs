//! The read side: one script a write, a marker, a replica that lags.

use super::missed;
use crate::{
    rules::Rule,
    state::{Held, NONE, Phase, State, Store},
    world::{Fault, World},
};

/// The script of a sink that has done with everything before `done`, for the verified offsets [from, to),
/// `value` being the one result among them. Answers where the marker is, if it is behind.
fn script(world: &World, state: &mut State, done: u8, (from, to): (u8, u8), value: Held) -> Option<u8> {
    let standing = value.record != NONE && world.stands(state.instant(value.record), state.now);
    let id = if standing { state.id(value.record) } else { 0 };
    notice(state, from);
    let store = &mut state.primary;
    let mut marker = store.marker.unwrap_or_default();
    let behind = marker.next < from && world.has(Rule::Conditional);
    if world.has(Rule::Goal) {
        marker.goal = marker.goal.max(to);
    }
    if behind {
        marker.ready &= !world.has(Rule::BehindIsNotReady);
    } else {
        if standing && (value.offset >= marker.next || !world.has(Rule::Conditional)) {
            store.values[id] = value.record;
        }
        marker.next = marker.next.max(to);
        // Without a goal, whoever has caught up with itself says so.
        let all = if world.has(Rule::Goal) { marker.next >= marker.goal } else { marker.ready || to >= done };
        marker.ready = all || !world.has(Rule::Conditional);
    }
    store.marker = Some(marker);
    behind.then_some(marker.next)
}

/// A script from an offset on says what is missing before it: a loss of that is noticed.
fn notice(state: &mut State, from: u8) {
    for offset in 0..from.min(state.end()) {
        state.unnoticed &= !(1 << state.verified[usize::from(offset)].record);
    }
}

/// A sink sends a script, and remembers where it has to go on from.
fn send(world: &World, state: &mut State, which: usize, from: u8, to: u8, value: Held) {
    let done = state.sinks[which].done;
    if let Some(next) = script(world, state, done, (from, to), value) {
        state.sinks[which].resume = if world.has(Rule::FromMarker) { next } else { done };
    }
}

/// One offset that is done with goes to the read side, if that is there.
pub(super) fn publish(world: &World, state: &mut State, which: usize, offset: u8, answer: Held) {
    if !world.scenario.read_side {
        return;
    }
    let value = if answer.offset == offset { answer } else { Held::default() };
    if state.up {
        send(world, state, which, offset, offset + 1, value);
    } else if value.record != NONE {
        state.unnoticed |= 1 << value.record;
    }
}

pub(super) fn idle(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if !world.has(Rule::Idle) || !state.up || sink.phase != Phase::Running || sink.resume != NONE {
        return None;
    }
    let mut next = *state;
    send(world, &mut next, which, sink.done, sink.done, Held::default());
    (next != *state).then_some(next)
}

pub(super) fn resume(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if !state.up || sink.phase != Phase::Running || sink.resume == NONE {
        return None;
    }
    let limit = if world.has(Rule::WithinAcked) { sink.done } else { sink.index.next };
    let (from, to) = (sink.resume, limit.min(sink.resume + 1).max(sink.resume));
    let at_from = sink.index.held.iter().find(|held| held.offset == from && to > from);
    let mut next = *state;
    next.sinks[which].resume = if to >= limit { NONE } else { to };
    send(world, &mut next, which, from, to, at_from.copied().unwrap_or_default());
    Some(next)
}

pub(super) fn replicate(world: &World, state: &State) -> Option<State> {
    let matters = world.may(state, Fault::FailOver) || !world.has(Rule::Primary);
    (matters && state.up && state.replica != state.primary).then_some(State { replica: state.primary, ..*state })
}

pub(super) fn lose(world: &World, state: &State, fault: Fault) -> Option<State> {
    if !state.up || !world.may(state, fault) {
        return None;
    }
    let left = if fault == Fault::FailOver { state.replica } else { Store::default() };
    (left != state.primary).then(|| State {
        faults: state.faults - 1,
        primary: left,
        replica: left,
        unnoticed: state.told,
        ..*state
    })
}

pub(super) fn down(world: &World, state: &State) -> Option<State> {
    (state.up && world.may(state, Fault::Outage)).then(|| State { up: false, faults: state.faults - 1, ..*state })
}

pub(super) fn up(state: &State) -> Option<State> {
    (!state.up).then_some(State { up: true, ..*state })
}

pub(super) fn evict(world: &World, state: &State, id: usize) -> Option<State> {
    if world.has(Rule::NothingEvicted) || state.primary.values[id] == NONE {
        return None;
    }
    let mut next = *state;
    next.primary.values[id] = NONE;
    Some(next)
}

pub(super) fn peek(world: &World, state: &State) -> Option<State> {
    if world.has(Rule::Together) || !state.up || state.peeked != 0 {
        return None;
    }
    let peeked = missed(world, state, &state.primary) & !state.unnoticed;
    (peeked != 0).then_some(State { peeked, ..*state })
}

/// The marker of a store, as a reader takes it.
pub(crate) fn says_all(world: &World, store: &Store) -> bool {
    !world.has(Rule::MissIfReady) || store.marker.is_some_and(|marker| marker.ready)
}
