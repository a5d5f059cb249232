//! A state as 64 bits: what the search remembers of where it has been.
//!
//! Sinks that differ in name alone, and produces that differ in order alone, give the same bits: of states
//! that are each other's mirror image one is examined. Two states that are not may give the same bits too,
//! and the second is then not examined: with ten million states, three times in a million searches.

use crate::state::{FLIGHTS, Held, Index, NONE, SINKS, Sink, State, Store};

/// Multiplied and folded: each bit that goes in reaches all that come out.
struct Mix(u64);

impl Mix {
    fn add(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * u128::from(0x9E37_79B9_7F4A_7C15_u64 ^ word.rotate_left(32));
        self.0 = (wide as u64) ^ ((wide >> 64) as u64) ^ word.rotate_left(17).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            self.add(word);
        }
    }
}

const SINK_BYTES: usize = 28;
const FLIGHT_BYTES: usize = 6;

/// Bytes of a known number, written one after another.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn put(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn held(&mut self, held: Held) {
        self.put(held.record);
        self.put(held.offset);
    }

    fn index(&mut self, index: &Index) {
        self.put(u8::from(index.there));
        self.put(index.next);
        index.held.iter().for_each(|held| self.held(*held));
    }

    fn store(&mut self, store: &Store) {
        store.values.iter().for_each(|value| self.put(*value));
        let (next, goal, ready) =
            store.marker.map_or((NONE, NONE, false), |marker| (marker.next, marker.goal, marker.ready));
        self.put(next);
        self.put(goal);
        self.put(u8::from(ready));
    }
}

fn sink(sink: &Sink) -> [u8; SINK_BYTES] {
    let mut writer = Writer::new();
    writer.put(sink.phase as u8);
    writer.put(sink.base);
    writer.put(sink.watermark);
    writer.put(sink.done);
    writer.put(sink.resume);
    writer.index(&sink.index);
    writer.index(&sink.durable);
    writer.put(sink.slots.len() as u8);
    for slot in sink.slots.iter() {
        writer.held(slot.answer);
        writer.put(u8::from(slot.acked));
    }
    writer.bytes
}

/// The state's fingerprint.
pub fn of(state: &State) -> u64 {
    let mut sinks: [([u8; SINK_BYTES], usize); SINKS] =
        core::array::from_fn(|which| (sink(&state.sinks[which]), which));
    sinks.sort_unstable();
    let mut named = [NONE; SINKS];
    for (place, (_, which)) in (0..).zip(sinks.iter()) {
        named[*which] = place;
    }
    let mut flights = [[NONE; FLIGHT_BYTES]; FLIGHTS];
    for (bytes, flight) in flights.iter_mut().zip(state.flights.iter()) {
        let sink = named.get(usize::from(flight.sink)).copied().unwrap_or(NONE);
        *bytes = [
            flight.held.record,
            flight.held.offset,
            flight.instant,
            u8::from(flight.aside),
            sink,
            if sink == NONE { NONE } else { flight.at },
        ];
    }
    flights.sort_unstable();

    let mut rest = Writer::<96>::new();
    let history = [state.reached, state.told, state.landed, state.unnoticed, state.peeked];
    [state.now, state.faults, state.start, state.committed].iter().chain(&history).for_each(|byte| rest.put(*byte));
    rest.put(u8::from(state.up));
    rest.store(&state.primary);
    rest.store(&state.replica);
    rest.put(state.records.len() as u8);
    state.records.iter().for_each(|record| rest.put(record.instant << 1 | record.id));
    rest.put(state.verified.len() as u8);
    for entry in state.verified.iter() {
        rest.put(entry.record << 4 | entry.instant);
    }
    rest.put(state.results.len() as u8);
    for landed in state.results.iter() {
        rest.held(landed.held);
        rest.put(landed.instant << 1 | u8::from(landed.aside));
    }

    let mut mix = Mix(0);
    mix.bytes(&rest.bytes[..rest.len]);
    flights.iter().for_each(|bytes| mix.bytes(bytes));
    sinks.iter().for_each(|(bytes, _)| mix.bytes(bytes));
    mix.add(rest.len as u64);
    mix.0
}
