//! The labels: every value that one can have, so that its series starts at 0.

/// What became of an accepted or refused record (label `state` of `flk_outcomes_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It settled its id.
    Settled,
    /// Its id stood with the same content.
    Duplicate,
    /// Its id stood with another content.
    Conflict,
    /// Its verdict refused it, or it came too late.
    Refused,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Settled, Self::Duplicate, Self::Conflict, Self::Refused];

    /// The label.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
        }
    }
}

/// An operation on the id index or the read side (label `op` of `dedup_operation_duration_seconds`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Asking what stands for one id.
    Lookup,
    /// Deciding what one record is to its id, with the lookup.
    Settle,
    /// Writing a batch's new ids.
    Apply,
    /// Bringing a batch to the read side.
    Publish,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Lookup, Self::Settle, Self::Apply, Self::Publish];

    /// The label.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Settle => "settle",
            Self::Apply => "apply",
            Self::Publish => "publish",
        }
    }
}

/// Which limit turned somebody away (label `reason` of `flk_shed_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shed {
    /// Records a second (`TOKEN_RATE`).
    Rate,
    /// Requests in flight.
    Requests,
    /// Bytes in flight, or a second.
    Bytes,
    /// Verdicts that come too late for whoever waits.
    Verdicts,
    /// Open connections.
    Connections,
    /// The queue before the log's writer.
    Queue,
}

impl Shed {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Rate, Self::Requests, Self::Bytes, Self::Verdicts, Self::Connections, Self::Queue];

    /// The label.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::Verdicts => "verdicts",
            Self::Connections => "connections",
            Self::Queue => "queue",
        }
    }
}
