//! The way to a violation, for people.

use core::fmt::Write as _;

use crate::{
    fingerprint,
    finish::room,
    state::{NONE, State},
    steps::{Step, each, name, take},
    world::{DAY, HOUR, World},
};

/// The steps from `state` along fingerprints, and then `rest` of them without faults, for people.
pub(crate) fn tell(world: &World, state: State, way: &[u64], rest: &[Step]) -> String {
    let (mut at, mut steps) = (state, Vec::new());
    for fingerprint in way.iter().skip(1) {
        let mut taken = None;
        each(world, &at, |step, next| {
            if taken.is_none() && fingerprint::of(&next) == *fingerprint {
                taken = Some((step, next));
            }
        });
        let Some((step, next)) = taken else { break };
        steps.push(step);
        at = next;
    }
    told(world, state, &steps, rest)
}

/// Steps from `state` on, and then `rest` of them without faults, for people.
pub(crate) fn told(world: &World, state: State, steps: &[Step], rest: &[Step]) -> String {
    let (mut state, mut text, mut number) = (state, String::new(), 0);
    let mut go = |world: &World, state: &mut State, text: &mut String, step: Step| {
        if let Some(next) = take(world, state, step) {
            number += 1;
            line(world, text, number, step, state, &next);
            *state = next;
        }
    };
    steps.iter().for_each(|step| go(world, &mut state, &mut text, *step));
    if !rest.is_empty() {
        text += "    faults stop\n";
        let calm = room(world);
        state.faults = 0;
        rest.iter().for_each(|step| go(&calm, &mut state, &mut text, *step));
    }
    text
}

fn line(world: &World, text: &mut String, number: usize, step: Step, from: &State, to: &State) {
    let mut more = Vec::new();
    if to.now != from.now {
        more.push(format!("it is {}", time(world, to.now)));
    }
    if to.verified.len() > from.verified.len()
        && let Some(entry) = to.verified.last()
    {
        let offset = to.verified.len() - 1;
        more.push(format!("{} of {} at offset {offset}", name(entry.record), time(world, to.instant(entry.record))));
    }
    for (which, (before, after)) in from.sinks.iter().zip(&to.sinks).enumerate() {
        if before.phase != after.phase {
            more.push(format!("sink {which} is {:?}", after.phase).to_lowercase());
        }
        if after.slots.len() > before.slots.len()
            && let Some(slot) = after.slots.last()
        {
            let offset = after.position() - 1;
            let does = if slot.produce && !slot.acked { "sent" } else { "no produce" };
            more.push(format!("offset {offset}: {} ({does})", name(slot.answer.record)));
        }
        if before.index != after.index {
            let held: Vec<String> = after
                .index
                .held
                .iter()
                .filter(|held| held.record != NONE)
                .map(|held| at(held.record, held.offset))
                .collect();
            more.push(if after.index.there {
                format!("index [{}] up to {}", held.join(" "), after.index.next)
            } else {
                "no index".to_owned()
            });
        }
    }
    if to.results != from.results {
        let results: Vec<String> = to.results.iter().map(|landed| at(landed.held.record, landed.held.offset)).collect();
        more.push(format!("pcs.results [{}]", results.join(" ")));
    }
    if to.committed != from.committed && to.committed != NONE {
        more.push(format!("committed {}", to.committed));
    }
    if to.primary != from.primary {
        let values: Vec<String> = to
            .primary
            .values
            .iter()
            .filter(|record| **record != NONE)
            .map(|record| name(*record).to_string())
            .collect();
        let marker = to.primary.marker.map_or("no marker".to_owned(), |marker| {
            format!("next {}{}", marker.next, if marker.ready { ", ready" } else { ", not ready" })
        });
        more.push(format!("read side [{}] {marker}", values.join(" ")));
    }
    let told: Vec<String> =
        crate::state::members(to.told & !from.told).map(|record| name(record).to_string()).collect();
    if !told.is_empty() {
        more.push(format!("told {}", told.join(" ")));
    }
    let more = if more.is_empty() { String::new() } else { format!(": {}", more.join("; ")) };
    let _ = writeln!(text, "{number:>3} {step}{more}");
}

fn at(record: u8, offset: u8) -> String {
    format!("{}@{offset}", name(record))
}

fn time(world: &World, instant: u8) -> String {
    let minutes = world.between(0, instant);
    let (days, rest) = (minutes / DAY, minutes % DAY);
    match (rest / HOUR, rest % HOUR) {
        (0, 0) => format!("day {days}"),
        (hours, minutes) => format!("day {days} {hours}:{minutes:02}"),
    }
}
