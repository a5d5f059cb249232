//! Readiness: what a role depends on, whether each is as it should be, and the document that says
//! so (`/readyz`, contract section 6). Pure: nothing here asks a dependency or knows HTTP.
//!
//! Liveness is not here, because it depends on nothing: a process that can answer is alive.

use core::fmt::Display;
use std::collections::BTreeMap;

use serde::Serialize;

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is depended on: a short word, the same in metrics and documents.
    #[serde(skip)]
    pub name: &'static str,
    /// It is as it should be.
    pub ok: bool,
    /// Without it no request can be answered: while it fails, the role is not ready.
    pub needed: bool,
    /// The whole fleet depends on the same thing, so that a load balancer that takes instances
    /// out because of it would take out all of them.
    pub shared: bool,
    /// For people: what is wrong and what to do; empty where there is nothing to say.
    pub detail: String,
}

impl Check {
    /// A dependency that is as it should be; needed, and this instance's own.
    pub fn ok(name: &'static str) -> Self {
        Self { name, ok: true, needed: true, shared: false, detail: String::new() }
    }

    /// A dependency that fails, and why; needed, and this instance's own.
    pub fn failing(name: &'static str, detail: impl Display) -> Self {
        Self { ok: false, detail: detail.to_string(), ..Self::ok(name) }
    }

    /// Requests can be answered without it.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { needed: false, ..self }
    }

    /// Every instance depends on the same thing.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// With something to say to people, whether it fails or not.
    #[must_use]
    pub fn saying(self, detail: impl Display) -> Self {
        Self { detail: detail.to_string(), ..self }
    }
}

/// Which dependencies count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// Those of this instance alone (`?scope=local`), for load balancers.
    Local,
}

/// The word of a readiness document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing that is needed fails.
    Ok,
    /// Something that is needed fails.
    Failing,
}

/// The document of `/readyz`: `{"status": "ok|failing", "checks": {name: {...}}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The sum of the checks.
    pub status: Status,
    /// Every dependency in scope, by name.
    pub checks: BTreeMap<&'static str, Check>,
}

impl Readiness {
    /// Sums checks up. Two checks of one name count as one that fails if either does.
    pub fn of(checks: impl IntoIterator<Item = Check>, scope: Scope) -> Self {
        let mut by_name: BTreeMap<&'static str, Check> = BTreeMap::new();
        for check in checks {
            if scope == Scope::Local && check.shared {
                continue;
            }
            let known = by_name.entry(check.name).or_insert_with(|| check.clone());
            if known.ok && !check.ok {
                *known = check;
            }
        }
        let failing = by_name.values().any(|check| check.needed && !check.ok);
        Self { status: if failing { Status::Failing } else { Status::Ok }, checks: by_name }
    }

    /// Whether requests can be answered.
    pub fn is_ready(&self) -> bool {
        self.status == Status::Ok
    }

    /// The HTTP status: 200, or 503 while something that is needed fails.
    pub fn http_status(&self) -> u16 {
        if self.is_ready() { 200 } else { 503 }
    }

    /// The names of what fails and is needed, for one line of a log.
    pub fn failing(&self) -> impl Iterator<Item = &'static str> {
        self.checks.values().filter(|check| check.needed && !check.ok).map(|check| check.name)
    }

    /// The document.
    pub fn to_json(&self) -> String {
        // Strings and booleans always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_a_status_and_an_entry_a_dependency() {
        let checks = vec![Check::ok("log"), Check::failing("index", "being restored")];
        let readiness = Readiness::of(checks, Scope::All);
        let document: serde_json::Value = serde_json::from_str(&readiness.to_json()).unwrap();
        assert_eq!(
            document,
            serde_json::json!({"status": "failing", "checks": {
                "index": {"ok": false, "needed": true, "shared": false, "detail": "being restored"},
                "log": {"ok": true, "needed": true, "shared": false, "detail": ""},
            }})
        );
        assert_eq!((readiness.http_status(), readiness.failing().collect::<Vec<_>>()), (503, vec!["index"]));
    }

    #[test]
    fn what_is_not_needed_is_told_but_does_not_count() {
        let readiness = Readiness::of(vec![Check::ok("log"), Check::failing("cache", "away").optional()], Scope::All);
        assert_eq!((readiness.http_status(), readiness.status), (200, Status::Ok));
        assert!(readiness.to_json().contains("away"));
    }

    #[test]
    fn the_local_scope_leaves_out_what_everybody_shares() {
        let checks = vec![Check::ok("disk"), Check::failing("kafka", "out of reach").shared()];
        assert!(!Readiness::of(checks.clone(), Scope::All).is_ready());
        let local = Readiness::of(checks, Scope::Local);
        assert!(local.is_ready());
        assert_eq!(local.checks.keys().collect::<Vec<_>>(), [&"disk"]);
    }

    #[test]
    fn a_failure_is_not_hidden_by_a_check_of_the_same_name() {
        let failing = || Check::failing("log", "x");
        for checks in [[Check::ok("log"), failing()], [failing(), Check::ok("log")]] {
            assert!(!Readiness::of(checks, Scope::All).is_ready());
        }
    }
}
