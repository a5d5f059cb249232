//! The worlds that are searched. All of each is seen: whoever widens one looks at how many states it has.

use crate::{
    state::{AHEAD, FLIGHTS, IDS, OFFSETS, RECORDS, SINKS},
    world::{DAY, Fault, HOUR, Scenario},
};

/// One instant is all there is: what happens within a window.
const AT_ONCE: &[i64] = &[0];
/// The end of a window, to the half-hour.
const AROUND_THE_END: &[i64] = &[0, 14 * DAY - HOUR / 2, 14 * DAY, 14 * DAY + HOUR / 2];
/// A window that is open still, when what opened it is gone from pcs.verified.
const HEAD_CUT: &[i64] = &[0, 13 * DAY, 18 * DAY];
/// The end of a window, and the end of pcs.results for what opened it.
const FORGOTTEN: &[i64] = &[0, 13 * DAY, 15 * DAY, 33 * DAY];
/// Verifiers and sinks that are as late as they may be.
const LATE: &[i64] = &[0, 13 * DAY, 26 * DAY, 39 * DAY];

const ALL: &[Fault] =
    &[Fault::Crash, Fault::PowerLoss, Fault::LoseIndex, Fault::ResetOffsets, Fault::LoseAck, Fault::LoseProduce];
const LOST: &[Fault] = &[Fault::Crash, Fault::LoseIndex, Fault::ResetOffsets];
const READ_SIDE: &[Fault] = &[Fault::Crash, Fault::LoseIndex, Fault::FailOver, Fault::Flush, Fault::Outage];

/// Two sinks over one id within its window, and every fault there is.
pub const WITHIN: Scenario = Scenario {
    name: "within a window",
    sinks: 2,
    records: 2,
    offsets: 3,
    ids: 1,
    instants: AT_ONCE,
    ahead: 2,
    flights: 2,
    faults: 2,
    may: ALL,
    read_side: false,
    results_kept: 32,
    compacts: true,
};

/// Three sinks.
pub const THREE_SINKS: Scenario = Scenario { name: "three sinks", sinks: 3, offsets: 2, ahead: 1, may: LOST, ..WITHIN };

/// The end of a window, to the half-hour, with every fault.
pub const END: Scenario =
    Scenario { name: "around the end", instants: AROUND_THE_END, offsets: 2, faults: 1, ..WITHIN };

/// The same with one record more, and one sink that works at one record at a time.
pub const END_AGAIN: Scenario =
    Scenario { name: "around the end, again", records: 3, offsets: 3, ahead: 1, flights: 1, may: LOST, ..END };

/// A window whose opening is gone from pcs.verified.
pub const CUT: Scenario = Scenario { name: "a head cut off", instants: HEAD_CUT, faults: 1, may: LOST, ..WITHIN };

/// Beyond the retention of pcs.results.
pub const BEYOND: Scenario =
    Scenario { name: "beyond retention", instants: FORGOTTEN, faults: 1, may: LOST, ahead: 1, ..WITHIN };

/// Records and sinks that are late, with pcs.results kept for as long as that takes.
pub const LATE_KEPT: Scenario = Scenario {
    name: "late, and kept for 46 days",
    instants: LATE,
    records: 3,
    ahead: 1,
    flights: 1,
    faults: 1,
    may: LOST,
    results_kept: 46,
    ..WITHIN
};

/// The read side, with what can be done to it.
pub const READ: Scenario = Scenario {
    name: "read side",
    offsets: 2,
    faults: 3,
    ahead: 1,
    flights: 1,
    may: READ_SIDE,
    read_side: true,
    ..WITHIN
};

/// Two ids, so that there is something to hide behind something.
pub const READ_TWO: Scenario =
    Scenario { name: "read side, two ids", ids: 2, offsets: 3, ahead: 2, flights: 2, faults: 1, ..READ };

/// The read side over the end of a window.
pub const READ_END: Scenario =
    Scenario { name: "read side, around the end", instants: AROUND_THE_END, faults: 1, ..READ };

/// pcs.results in another order than that of the windows, and never compacted: see [`crate::rules::Rule::Greatest`].
pub const DISORDER: Scenario = Scenario {
    name: "results out of order",
    instants: &[0, 14 * DAY],
    records: 3,
    ahead: 1,
    faults: 1,
    may: LOST,
    compacts: false,
    ..WITHIN
};

/// All of it together, too large to be seen as a whole.
pub const EVERYTHING: Scenario = Scenario {
    name: "everything",
    sinks: SINKS,
    records: RECORDS,
    offsets: OFFSETS,
    ids: IDS as u8,
    instants: &[
        0,
        HOUR / 2,
        13 * DAY,
        14 * DAY - HOUR / 2,
        14 * DAY,
        14 * DAY + HOUR / 2,
        18 * DAY,
        27 * DAY,
        28 * DAY,
        33 * DAY,
        40 * DAY,
    ],
    ahead: AHEAD,
    flights: FLIGHTS,
    faults: 8,
    may: &[
        Fault::Crash,
        Fault::PowerLoss,
        Fault::LoseIndex,
        Fault::ResetOffsets,
        Fault::LoseAck,
        Fault::LoseProduce,
        Fault::FailOver,
        Fault::Flush,
        Fault::Outage,
    ],
    read_side: true,
    results_kept: 46,
    compacts: true,
};
