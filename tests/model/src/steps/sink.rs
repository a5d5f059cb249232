//! A sink: how it takes a partition over, the fold, and the order of its effects.

use flk_contract::Outcome;

use super::{read_side, tell, topics::orphan};
use crate::{
    few::Few,
    rules::Rule,
    state::{Flight, Held, Index, NONE, Phase, Sink, Slot, State},
    world::{Fault, World},
};

/// Whether it makes a difference that a sink is assigned and does not know the committed offset yet. With the
/// rules on it does not: such a sink does nothing, and has read nothing that could grow old.
fn waits(world: &World) -> bool {
    !world.has(Rule::CommittedFirst) || !world.has(Rule::WatermarkAfter)
}

pub(super) fn assign(world: &World, state: &State, which: usize) -> Option<State> {
    let due = state.sinks[which].phase == Phase::Down && waits(world);
    due.then(|| with(state, which, |sink| sink.phase = Phase::Assigned))
}

fn with(state: &State, which: usize, change: impl FnOnce(&mut Sink)) -> State {
    let mut next = *state;
    change(&mut next.sinks[which]);
    next
}

/// Whether an index can be caught up by reading on from its end.
fn usable(world: &World, state: &State, index: &Index) -> bool {
    index.there && (index.next >= state.start || !world.has(Rule::DropIfCut))
}

/// One record into an index. Says what it was, and which result it is about.
fn remember(world: &World, state: &State, index: &mut Index, offset: u8) -> (Outcome, Held) {
    let record = state.verified[usize::from(offset)].record;
    let held = &mut index.held[state.id(record)];
    let outcome = world.settle(state, offset, *held);
    if outcome == Outcome::Settles {
        *held = Held { record, offset };
    }
    let about = if outcome == Outcome::TooOld { Held::default() } else { *held };
    index.next = index.next.max(offset + 1);
    (outcome, about)
}

pub(super) fn ask(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if sink.phase != if waits(world) { Phase::Assigned } else { Phase::Down } {
        return None;
    }
    let committed = if state.committed == NONE { state.start } else { state.committed.max(state.start) };
    if !usable(world, state, &sink.index) {
        let read = world.has(Rule::WatermarkAfter) || sink.watermark != NONE;
        return read.then(|| {
            with(state, which, |sink| {
                sink.phase = Phase::Restoring;
                sink.base = committed;
                sink.index = Index::default();
            })
        });
    }
    let mut index = sink.index;
    if world.has(Rule::CatchUp) {
        for offset in index.next.max(state.start)..committed {
            remember(world, state, &mut index, offset);
        }
    }
    let ahead = index.next;
    index.next = index.next.max(committed);
    let rewinds = world.has(Rule::CommittedFirst);
    Some(with(state, which, |sink| {
        sink.phase = Phase::Running;
        sink.index = index;
        sink.done = if rewinds { committed } else { committed.max(ahead) };
    }))
}

pub(super) fn early(world: &World, state: &State, which: usize) -> Option<State> {
    let mut index = state.sinks[which].index;
    if world.has(Rule::CommittedFirst)
        || state.sinks[which].phase != Phase::Assigned
        || !usable(world, state, &index)
        || index.next >= state.end()
    {
        return None;
    }
    let offset = index.next;
    remember(world, state, &mut index, offset);
    Some(with(state, which, |sink| sink.index = index))
}

pub(super) fn watermark(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    let due = match sink.phase {
        Phase::Assigned => !world.has(Rule::WatermarkAfter) && !usable(world, state, &sink.index),
        Phase::Restoring => true,
        Phase::Down | Phase::Running => false,
    };
    let to = state.results.len() as u8;
    (due && sink.watermark == NONE).then(|| with(state, which, |sink| sink.watermark = to))
}

pub(super) fn load(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if sink.phase != Phase::Restoring || sink.watermark == NONE {
        return None;
    }
    let mut index = Index { there: true, ..Index::default() };
    if world.has(Rule::FromResults) {
        for landed in &state.results[..usize::from(sink.watermark)] {
            let held = &mut index.held[state.id(landed.held.record)];
            if held.record == NONE || !world.has(Rule::Greatest) || landed.held.offset > held.offset {
                *held = landed.held;
            }
        }
    } else {
        for offset in state.start..sink.base {
            remember(world, state, &mut index, offset);
        }
    }
    index.next = sink.base;
    Some(with(state, which, |sink| {
        sink.phase = Phase::Running;
        sink.index = index;
        sink.done = sink.base;
        (sink.base, sink.watermark) = (NONE, NONE);
    }))
}

pub(super) fn gap(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if sink.phase != Phase::Running || sink.position() >= state.start {
        return None;
    }
    let mut next = *state;
    let sink = &mut next.sinks[which];
    *sink = Sink::over(sink.index, sink.durable);
    if !world.has(Rule::DropIfCut) {
        (sink.phase, sink.done) = (Phase::Running, state.start);
        sink.index.next = sink.index.next.max(state.start);
    }
    orphan(&mut next, which);
    Some(next)
}

pub(super) fn fold(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    let offset = sink.position();
    if sink.phase != Phase::Running
        || sink.slots.len() == world.scenario.ahead
        || offset >= state.end()
        || offset < state.start
    {
        return None;
    }
    let mut next = *state;
    let (outcome, about) = remember(world, state, &mut next.sinks[which].index, offset);
    let mut slot = Slot { answer: about, produce: false, acked: true };
    match outcome {
        Outcome::Settles => slot.produce = true,
        Outcome::Replay => slot.produce = world.has(Rule::OwnOrigin),
        Outcome::Duplicate | Outcome::Conflict if about.offset > offset && world.has(Rule::BehindOnly) => {
            slot.answer = Held::default();
        }
        Outcome::Duplicate | Outcome::Conflict | Outcome::TooOld => {}
    }
    if slot.produce {
        slot.acked = !send(world, &mut next, which, offset, about)?;
    }
    next.sinks[which].slots.push(slot);
    if !world.has(Rule::AckBeforeTold) {
        tell(world, &mut next, slot.answer.record);
    }
    if !world.has(Rule::AckBeforeRead) {
        read_side::publish(world, &mut next, which, offset, slot.answer);
    }
    Some(next)
}

/// Sends a result. `Some(false)`: it is not to be sent; `None`: there is no room for it now.
fn send(world: &World, state: &mut State, which: usize, at: u8, held: Held) -> Option<bool> {
    let ending = world.has(Rule::Ending) && world.ending(state.instant(held.record), state.now);
    let aside = ending && world.has(Rule::Aside);
    if ending && !aside {
        return Some(false);
    }
    if state.flights.len() >= world.scenario.flights {
        return None;
    }
    state.flights.push(Flight { held, instant: state.now, aside, sink: which as u8, at });
    Some(true)
}

pub(super) fn resend(world: &World, state: &State, which: usize, slot: usize) -> Option<State> {
    let sink = &state.sinks[which];
    let at = sink.done.wrapping_add(slot as u8);
    let Slot { answer, acked, .. } = *sink.slots.get(slot)?;
    let under_way = state.flights.iter().any(|flight| usize::from(flight.sink) == which && flight.at == at);
    if acked || under_way {
        return None;
    }
    let mut next = *state;
    next.sinks[which].slots[slot].acked = !send(world, &mut next, which, at, answer)?;
    Some(next)
}

pub(super) fn publish(world: &World, state: &State, which: usize) -> Option<State> {
    let slot = *state.sinks[which].slots.first()?;
    if !slot.acked {
        return None;
    }
    let mut next = *state;
    let offset = next.sinks[which].done;
    next.sinks[which].slots.remove(0);
    next.sinks[which].done += 1;
    if world.has(Rule::ReadBeforeTold) {
        read_side::publish(world, &mut next, which, offset, slot.answer);
    } else {
        let resume = &mut next.sinks[which].resume;
        *resume = offset.min(*resume);
    }
    tell(world, &mut next, slot.answer.record);
    Some(next)
}

pub(super) fn commit(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if sink.phase != Phase::Running {
        return None;
    }
    let to = if world.has(Rule::AckBeforeCommit) { sink.done } else { sink.position() };
    (state.committed == NONE || to > state.committed).then(|| State {
        committed: to,
        reached: state.reached.max(to),
        ..*state
    })
}

pub(super) fn persist(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    let matters = world.may(state, Fault::PowerLoss) && sink.phase != Phase::Down && sink.durable != sink.index;
    matters.then(|| with(state, which, |sink| sink.durable = sink.index))
}

pub(super) fn crash(world: &World, state: &State, which: usize, fault: Fault) -> Option<State> {
    let sink = &state.sinks[which];
    let alive = sink.phase != Phase::Down || (fault == Fault::LoseIndex && sink.index.there);
    if !alive || !world.may(state, fault) {
        return None;
    }
    let mut next = *state;
    next.faults -= 1;
    let (index, durable) = match fault {
        Fault::PowerLoss => (sink.durable, sink.durable),
        Fault::LoseIndex => (Index::default(), Index::default()),
        _ => (sink.index, sink.durable),
    };
    next.sinks[which] = Sink::over(index, durable);
    orphan(&mut next, which);
    Some(next)
}

pub(super) fn torn(world: &World, state: &State, which: usize) -> Option<State> {
    let sink = &state.sinks[which];
    if world.has(Rule::OneWrite) || sink.phase != Phase::Running || sink.index.next != sink.position() {
        return None;
    }
    let before = sink.index.held;
    let mut next = crash(world, &fold(world, state, which)?, which, Fault::Crash)?;
    next.sinks[which].index.held = before;
    // What the write would have been followed by did not happen.
    next.flights = Few::default();
    for flight in state.flights.iter() {
        next.flights.push(*flight);
    }
    orphan(&mut next, which);
    Some(next)
}
