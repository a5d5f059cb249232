//! What the design asks for, as switches. With all of them on, the search finds nothing; each one that is
//! turned off is found out by an invariant. A rule that could be turned off unnoticed would be a rule that
//! this model does not examine.

/// Declares the switches with the sentence that each stands for.
macro_rules! rules {
    ($($kind:ident { $($name:ident = $says:literal,)* })*) => {
        /// One rule of the design, or one assumption about the world around it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule { $($(#[doc = $says] $name,)*)* }

        impl Rule {
            /// All of them, in the order of `docs/model.md`.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// Where the rule comes from.
            pub const fn kind(self) -> Kind {
                match self { $($(Self::$name => Kind::$kind,)*)* }
            }

            /// The rule in a sentence.
            pub const fn says(self) -> &'static str {
                match self { $($(Self::$name => $says,)*)* }
            }
        }
    };
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sink's memory.
    Index,
    /// What a record is to its id, and what is done about it.
    Fold,
    /// In which order things become visible.
    Effects,
    /// How the topics are kept.
    Topics,
    /// The script, the marker and the readers.
    ReadSide,
    /// Not a rule: what has to be true of the world.
    World,
}

rules! {
    Index {
        OneWrite = "entries and the offset up to which they are complete move in one atomic write",
        CatchUp = "an index that ends before the committed offset is caught up silently before anything takes effect",
        CommittedFirst = "nothing is folded beyond the index's end before the committed offset is known",
        DropIfCut = "an index that ends before the first offset still kept is dropped and restored",
        FromResults = "a lost index is restored from pcs.results, never from a pcs.verified whose head has expired",
        WatermarkAfter = "the high watermark of pcs.results is read after the committed offset",
        Greatest = "restored is, for each id, the result with the greatest verified offset",
    }
    Fold {
        TooOld = "a record appended to pcs.verified 14 days or more after its origin's log time settles nothing",
        OwnOrigin = "its own origin met again: the stored result is produced again",
        Ending = "a result that has expired, or will within an hour, is not produced under its id again",
    }
    Effects {
        AckBeforeTold = "a result is told when it is acknowledged in pcs.results",
        AckBeforeRead = "a result is written to the read side when it is acknowledged in pcs.results",
        AckBeforeCommit = "only the contiguous acknowledged prefix is committed",
        ReadBeforeTold = "the read side is written before the replies go out",
        BehindOnly = "a duplicate is not answered with a result that lies further on",
    }
    Topics {
        ResultsOutlive = "pcs.results is kept for 32 days, not for the 16 of pcs.verified",
        LastStays = "compaction keeps the last result of an id",
        CompactsLater = "compaction leaves alone what came in while somebody restores (min.compaction.lag.ms)",
        Aside = "a result that has expired or will within an hour is produced under a key of its own",
    }
    ReadSide {
        Conditional = "the script sets values and marker only from where the marker is: no plain SET",
        BehindIsNotReady = "a marker that is behind, or missing, is set to not ready",
        FromMarker = "the sink goes on from the marker out of its index",
        WithinAcked = "never beyond what is acknowledged",
        Idle = "an idle partition sends an empty script every few seconds",
        Goal = "the marker is ready when it has reached the end of every script that ever came",
        Together = "readers fetch value and marker together",
        Primary = "readers ask the primary",
        MissIfReady = "a miss is a 404 only if the marker says ready",
    }
    World {
        InTime = "from the log to a first settlement it takes less than 14 days less an hour",
        Lands = "a produce lands within an hour of its sending, or never",
        NothingEvicted = "the read side drops no value before its time",
    }
}

/// Which rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules(u64);

impl Rules {
    /// All of them.
    pub const fn all() -> Self {
        Self(u64::MAX)
    }

    /// These, without `rule`.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self(self.0 & !(1 << rule as u64))
    }

    /// Whether `rule` holds.
    pub const fn has(self, rule: Rule) -> bool {
        self.0 >> (rule as u64) & 1 == 1
    }
}
