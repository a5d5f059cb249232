//! What a server says about itself.

use crate::read_side::Warning;

/// Without keys being dropped a miss is a miss.
const KEEPS: &str = "noeviction";

/// The lines of INFO that matter here. What a server does not say is taken to be as it is at first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// Whether it is asked rightly; in a cluster any server says where a partition's primary is.
    pub(super) primary: bool,
    policy: String,
    used: u64,
    limit: u64,
    evicted: u64,
}

impl Info {
    pub(super) fn read(text: &str) -> Self {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
        };
        let number = |name: &str| field(name).parse().unwrap_or_default();
        let policy = field("maxmemory_policy");
        Self {
            primary: field("role") == "master" || field("cluster_enabled") == "1",
            policy: if policy.is_empty() { KEEPS } else { policy }.to_owned(),
            used: number("used_memory"),
            limit: number("maxmemory"),
            evicted: number("evicted_keys"),
        }
    }

    /// Whether keys may be gone that have not expired.
    pub(super) fn drops(&self) -> bool {
        self.evicted > 0 || (self.limit > 0 && self.policy != KEEPS)
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.policy != KEEPS {
            warnings.push(Warning::Evicts(self.policy.clone()));
        }
        if self.evicted > 0 {
            warnings.push(Warning::Evicted(self.evicted));
        }
        // The rest takes hours at the least to be used up, where the window was chosen by the rate.
        if self.limit > 0 && self.used > self.limit / 10 * 9 {
            warnings.push(Warning::NearlyFull { used: self.used, limit: self.limit });
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_drop_keys_or_has_dropped_some_is_not_believed() {
        let info = |text: &str| Info::read(&text.replace('\n', "\r\n"));
        let plain = info("role:master\nmaxmemory:0\nmaxmemory_policy:noeviction\nevicted_keys:0\nused_memory:9\n");
        assert!(plain.primary && !plain.drops() && plain.warnings().is_empty());
        let idle = info("role:master\nmaxmemory:0\nmaxmemory_policy:allkeys-lru\n");
        assert!(!idle.drops());
        assert_eq!(idle.warnings(), [Warning::Evicts("allkeys-lru".into())]);
        let evicts = info("role:master\nmaxmemory:1000\nused_memory:950\nmaxmemory_policy:volatile-ttl\n");
        assert!(evicts.drops());
        let full = Warning::NearlyFull { used: 950, limit: 1000 };
        assert_eq!(evicts.warnings(), [Warning::Evicts("volatile-ttl".into()), full]);
        let did = info("role:slave\nmaxmemory:1000\nmaxmemory_policy:noeviction\nevicted_keys:7\n");
        assert!(did.drops() && !did.primary);
        assert_eq!(did.warnings(), [Warning::Evicted(7)]);
        assert!(info("role:slave\ncluster_enabled:1\n").primary);
        let nothing = info("");
        assert!(!nothing.primary && !nothing.drops() && nothing.warnings().is_empty());
    }
}
