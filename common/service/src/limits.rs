//! What the operating system lets this process have: open files, one a connection.
//!
//! The soft limit is often 1024, which a service with thousands of connections meets at night, as
//! failing accepts and failing writes of the log alike. So it is raised at start, as far as is
//! needed and the hard limit allows; where that is not enough, somebody is told which setting and
//! which limit to change.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::definitions;

/// Files that are open besides connections: the log, the index's segments, sockets of clients'
/// metrics scrapes, libraries. Generous: a limit costs nothing until it is used.
pub const OTHER_FILES: u64 = 1024;

/// The setting that most of the need comes from.
pub const SETTING: &str = definitions::MAX_CONNECTIONS.name;

/// The limit of open files, as it was found and as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// What was asked for.
    pub needed: u64,
    /// The soft limit that was found; `None` is no limit.
    pub had: Option<u64>,
    /// The soft limit now.
    pub now: Option<u64>,
    /// The hard limit, which only an administrator raises.
    pub hard: Option<u64>,
}

/// The limit of open files is too low for what is set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{SETTING}={connections} needs {needed} open files, and the limit of this process is {limit} (ulimit -Hn; \
     LimitNOFILE= of systemd, --ulimit nofile= of docker){refused}; raise it, or set {SETTING} to at most {fits}"
)]
pub struct TooFewFiles {
    /// The connections that were asked for.
    pub connections: usize,
    /// The files that these and the rest need.
    pub needed: u64,
    /// The limit that holds. It has been raised as far as possible.
    pub limit: u64,
    /// The connections that fit: with so many, the service can go on.
    pub fits: usize,
    /// What the system said, if it would not even allow the hard limit.
    refused: String,
}

/// Raises the soft limit of open files, so that `connections` and [`OTHER_FILES`] fit.
///
/// # Errors
/// [`TooFewFiles`] where the hard limit is too low; the soft limit is then as high as it can be.
/// The caller chooses: stop and say so, or say so and go on with [`TooFewFiles::fits`] connections.
pub fn raise_open_files(connections: usize) -> Result<OpenFiles, TooFewFiles> {
    let found = getrlimit(Resource::Nofile);
    let needed = needed(connections);
    let mut now = found.current;
    let mut refused = String::new();
    if let Some(wanted) = to_set(found.current, found.maximum, needed) {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: found.maximum }) {
            Ok(()) => now = Some(wanted),
            Err(error) => refused = format!(", and it could not be raised: {error}"),
        }
    }
    check(connections, now, refused)?;
    Ok(OpenFiles { needed, had: found.current, now, hard: found.maximum })
}

fn needed(connections: usize) -> u64 {
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES)
}

/// The soft limit to set; `None` where there is nothing to gain.
fn to_set(soft: Option<u64>, hard: Option<u64>, needed: u64) -> Option<u64> {
    let soft = soft?;
    let wanted = hard.map_or(needed, |hard| hard.min(needed));
    (wanted > soft).then_some(wanted)
}

fn check(connections: usize, limit: Option<u64>, refused: String) -> Result<(), TooFewFiles> {
    let needed = needed(connections);
    match limit {
        Some(limit) if limit < needed => {
            // Of very few files, half are for connections: a service with one is better than none.
            let fits = limit.saturating_sub(OTHER_FILES).max(limit / 2).max(1);
            let fits = usize::try_from(fits).unwrap_or(usize::MAX).min(connections);
            Err(TooFewFiles { connections, needed, limit, fits, refused })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_as_far_as_needed_and_never_beyond_the_hard_one() {
        for (soft, hard, needed, expected) in [
            (Some(1024), Some(4096), 2000, Some(2000)),
            (Some(1024), Some(4096), 9000, Some(4096)),
            (Some(1024), None, 9000, Some(9000)),
            (Some(4096), Some(4096), 9000, None),
            (Some(4096), Some(8192), 2000, None),
            (None, None, 9000, None),
        ] {
            assert_eq!(to_set(soft, hard, needed), expected, "{soft:?} {hard:?} {needed}");
        }
    }

    #[test]
    fn where_the_hard_limit_is_too_low_the_setting_and_the_limit_are_named() {
        let error = check(10_000, Some(4096), String::new()).unwrap_err();
        assert_eq!((error.limit, error.needed, error.fits), (4096, 11_024, 3072));
        let text = error.to_string();
        for part in ["FLK_MAX_CONNECTIONS=10000", "4096", "11024", "at most 3072", "ulimit -Hn"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(check(100, Some(64), String::new()).unwrap_err().fits, 32);
        assert_eq!(check(10_000, Some(11_024), String::new()), Ok(()));
        assert_eq!(check(10_000, None, String::new()), Ok(()));
    }

    #[test]
    fn this_process_gets_a_few_more_and_what_it_had_is_reported() {
        let before = getrlimit(Resource::Nofile);
        let report = raise_open_files(1).unwrap();
        assert_eq!((report.had, report.hard), (before.current, before.maximum));
        assert!(report.now.is_none_or(|now| now >= report.needed), "{report:?}");
        let again = raise_open_files(1).unwrap();
        assert_eq!(again.had, report.now);
        let error = raise_open_files(usize::MAX).err();
        assert!(before.maximum.is_none() || error.is_some(), "{error:?}");
    }
}
