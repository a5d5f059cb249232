//! Every setting of the service: its names, its default, what it is and why somebody would change
//! it. The one source of the command line, its help, the reference table and `flk config`.
//!
//! What a value means, and which go together, is not here.

/// Under which heading a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Where requests come in, and how long they may take.
    Listening,
    /// Where records are kept, and for how long.
    Storage,
    /// Which signatures hold.
    Signing,
    /// How much is taken on.
    Admission,
    /// Who may read the metrics.
    Metrics,
    /// The service's own log.
    Logging,
}

impl Group {
    /// Every group, in the order of the help.
    pub const ALL: [Self; 6] =
        [Self::Listening, Self::Storage, Self::Signing, Self::Admission, Self::Metrics, Self::Logging];

    /// The heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Listening => "Listening",
            Self::Storage => "Storage",
            Self::Signing => "Signing and keys",
            Self::Admission => "Admission",
            Self::Metrics => "Metrics",
            Self::Logging => "Logging",
        }
    }
}

/// Whether a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It may, and it has a flag of this name.
    Open(&'static str),
    /// It is masked wherever it is shown, and has no flag: every user of a machine sees the
    /// command lines of all.
    Secret,
}

/// What holds where a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, as if it had been given.
    Value(&'static str),
    /// Something that depends on others, in these words.
    Words(&'static str),
    /// Nothing.
    Unset,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name in the environment; with `_FILE` appended, that of a file that holds it.
    pub name: &'static str,
    /// Whether it may be shown, and its flag.
    pub kind: Kind,
    /// What stands for the value in help.
    pub value: &'static str,
    /// Its heading.
    pub group: Group,
    /// What holds where it is not given.
    pub fallback: Fallback,
    /// What it is, in a line.
    pub what: &'static str,
    /// Why somebody would change it, and how it goes with others.
    pub why: &'static str,
}

impl Definition {
    /// Its flag, without the dashes.
    pub const fn flag(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Open(flag) => Some(flag),
            Kind::Secret => None,
        }
    }

    /// What holds where it is not given, for people.
    pub const fn fallback_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Value(text) | Fallback::Words(text) => text,
            Fallback::Unset => "",
        }
    }
}

macro_rules! settings {
    ($(
        $id:ident = $name:literal $kind:ident $(($flag:literal))?, $value:literal, $group:ident,
        $fallback:ident $(($default:literal))?, $what:literal, $why:literal;
    )*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $what)]
            pub const $id: Definition = Definition {
                name: $name,
                kind: Kind::$kind $(($flag))?,
                value: $value,
                group: Group::$group,
                fallback: Fallback::$fallback $(($default))?,
                what: $what,
                why: $why,
            };
        )*
        /// Every setting, in the order of the help.
        pub const ALL: &[Definition] = &[$($id),*];
    };
}

settings! {
    LISTEN = "FLK_LISTEN" Open("listen"), "ADDR", Listening, Words("0.0.0.0:PORT"),
        "Address to listen on: IP:PORT, or an IP alone, to which PORT is added",
        "A port in it wins over PORT. Use 127.0.0.1 where only this machine is to reach the service, [::] for IPv6 \
         too. Port 0 takes a free one, which the first lines of the log name.";
    PORT = "PORT" Open("port"), "PORT", Listening, Value("8080"),
        "Port to listen on, where FLK_LISTEN names none",
        "Platforms that assign ports set this.";
    HEADER_TIMEOUT = "FLK_HEADER_TIMEOUT" Open("header-timeout"), "DURATION", Listening, Value("30s"),
        "How long a client may take until the header of a request is complete, idle time included",
        "Shorter frees the connections of slow and idle clients sooner; it has to be longer than agents pause \
         between two requests on one connection.";
    BODY_TIMEOUT = "FLK_BODY_TIMEOUT" Open("body-timeout"), "DURATION", Listening, Value("30s"),
        "How long a client may take to send the body of a request",
        "Longer where agents send large records over slow lines.";
    DRAIN_DELAY = "FLK_DRAIN_DELAY" Open("drain-delay"), "DURATION", Listening, Value("0s"),
        "After SIGTERM: how long /readyz says no while requests are still taken",
        "Behind a load balancer set it to longer than that takes to notice (two or three of its probes), so that no \
         request meets a closed door.";
    DRAIN_DEADLINE = "FLK_DRAIN_DEADLINE" Open("drain-deadline"), "DURATION", Listening, Value("15s"),
        "After SIGTERM and that delay: how long requests in flight may take to be answered",
        "Delay and deadline and ten seconds for the log have to fit into the time that the orchestrator gives \
         (30 s by default in Kubernetes).";

    DATA_DIR = "WAL_DIR" Open("data-dir"), "DIR", Storage, Value("data"),
        "Directory of the log and its index",
        "The service makes it where it is missing; every other command needs one that a service has made. Put it on a \
         disk that survives the machine or container: it holds every record. One service owns it.";
    RETENTION = "FLK_RETENTION" Open("retention"), "DURATION", Storage, Value("16d"),
        "How long records are kept, at least 14d",
        "Longer for audits and replays; the disk grows with it. Below 14 days a settled id could be settled again.";
    BACKEND = "DEDUP_BACKEND" Open("dedup-backend"), "NAME", Storage, Value("embedded"),
        "Where settled results are looked up: embedded (memory is another name for it)",
        "The embedded index is on disk, and nothing is lost at a restart. redis and postgres belong to the \
         distributed shape, which this version does not have yet.";

    SIGN_ALG = "PCS_SIGN_ALG" Open("sign-alg"), "ALG", Signing, Value("hmac"),
        "Signatures that are taken: hmac, ed25519, both (hmac,ed25519), or none",
        "ed25519 where the service is not to hold a secret that could sign. With none, records are taken unsigned \
         from anybody: it has to be said, and is warned about at every start.";
    SIGN_SCOPE = "PCS_SIGN_SCOPE" Open("sign-scope"), "SCOPE", Signing, Value("payload"),
        "The least that a signature has to cover: payload or content",
        "content once all agents sign that way: then nobody on the way can change scales, N_j, regime or \
         ft.degraded, which the payload leaves out.";
    HMAC_KEY = "PCS_HMAC_KEY" Secret, "KEY", Signing, Unset,
        "HMAC key of the tenant default; its bytes as they are",
        "Needed with hmac, unless another of the HMAC settings or the keys file gives one.";
    HMAC_KEY_OLD = "PCS_HMAC_KEY_OLD" Secret, "KEY", Signing, Unset,
        "HMAC key that is being retired",
        "During a rotation, until no agent signs with it any longer.";
    HMAC_KEY_NEW = "PCS_HMAC_KEY_NEW" Secret, "KEY", Signing, Unset,
        "HMAC key that is being introduced",
        "During a rotation, before the first agent signs with it.";
    HMAC_KEYS = "PCS_HMAC_KEYS" Secret, "KEY,...", Signing, Unset,
        "More HMAC keys, as a comma list",
        "Where agents of one tenant have keys of their own. A key with a comma in it goes into another setting.";
    ED25519_PUB = "PCS_ED25519_PUB_B64" Open("ed25519-pub"), "KEY,...", Signing, Unset,
        "Ed25519 public keys of the tenant default: standard base64 of 32 bytes, as a comma list",
        "Needed with ed25519, unless the keys file gives one. Several during a rotation.";
    KEYS_FILE = "PCS_KEYS_FILE" Open("keys-file"), "FILE", Signing, Unset,
        "JSON file with the keys of several tenants, and when each is valid",
        "For more than one tenant, or for a rotation at a set time. Its format: {\"keys\": [{\"id\": \"k1\", \
         \"tenant\": \"a\", \"alg\": \"hmac\", \"key\" or \"key_file\": ..., \"not_before\": \
         \"2026-01-01T00:00:00Z\", \"not_after\": ...}]}; with \"alg\": \"ed25519\" a \"public_key\". id and the times \
         may be left out; a key_file is looked for beside the keys file.";

    TOKEN_RATE = "TOKEN_RATE" Open("token-rate"), "N", Admission, Value("1000"),
        "Records a second that are taken, in bursts of up to twice that; 0 is no limit",
        "To what the disk sustains; more than that is told 429 and to come back in 10 s.";
    MAX_CONNECTIONS = "FLK_MAX_CONNECTIONS" Open("max-connections"), "N", Admission, Value("16384"),
        "Connections open at a time",
        "Each takes a file descriptor: the limit of open files (ulimit -n) is raised at start as far as it may be.";
    MAX_REQUESTS = "FLK_MAX_REQUESTS" Open("max-requests"), "N", Admission, Value("4096"),
        "Submissions in flight at a time; further ones are told 503",
        "Fewer bounds how long each waits under overload; more takes higher peaks.";
    MAX_BYTES = "FLK_MAX_BYTES" Open("max-bytes"), "SIZE", Admission, Value("64MiB"),
        "Bytes of submitted bodies in flight at a time; at least 1MiB, which is the largest record",
        "The larger part of the memory that the service needs under load.";
    QUEUE_LENGTH = "FLK_QUEUE_LENGTH" Open("queue-length"), "N", Admission, Value("4096"),
        "Records that wait for the log's writer; where it is full, requests wait, and then are told 503",
        "Longer takes higher peaks on a slow disk, and makes each wait longer.";

    METRICS_USER = "METRICS_USER" Open("metrics-user"), "NAME", Metrics, Unset,
        "User that may read /metrics (Basic authentication); everybody may where it is not set",
        "Set it, with METRICS_PASS, wherever strangers can reach the port.";
    METRICS_PASS = "METRICS_PASS" Secret, "PASSWORD", Metrics, Unset,
        "Password of METRICS_USER",
        "Goes with METRICS_USER: both or none.";

    LOG_FORMAT = "LOG_FORMAT" Open("log-format"), "FORMAT", Logging, Words("text on a terminal, else json"),
        "How the service's own log looks, on standard error: json or text",
        "json is for collectors, text for people.";
    LOG_LEVEL = "LOG_LEVEL" Open("log-level"), "LEVEL", Logging, Value("info"),
        "What is logged: off, error, warn, info, debug or trace",
        "Also for a part: info,flk_ingest=debug. Bodies, signatures and keys are not logged at any level.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_said_in_full() {
        let names: HashSet<_> = ALL.iter().map(|setting| setting.name).collect();
        let flags: HashSet<_> = ALL.iter().filter_map(Definition::flag).collect();
        assert_eq!((names.len(), flags.len()), (ALL.len(), ALL.iter().filter(|s| s.kind != Kind::Secret).count()));
        for setting in ALL {
            assert!(!setting.what.ends_with('.') && setting.why.ends_with('.'), "{}", setting.name);
            assert!(!setting.what.contains("  ") && !setting.why.contains("  "), "{}", setting.name);
        }
    }

    #[test]
    fn no_name_of_a_file_is_a_setting_itself() {
        for setting in ALL {
            let file = format!("{}_FILE", setting.name);
            assert!(ALL.iter().all(|other| other.name != file), "{file}");
        }
    }

    #[test]
    fn settings_stand_in_the_order_of_their_groups() {
        let order = |group| Group::ALL.iter().position(|known| *known == group);
        assert!(ALL.is_sorted_by_key(|setting| order(setting.group)));
        let used: HashSet<_> = ALL.iter().map(|setting| setting.group).collect();
        assert_eq!(used.len(), Group::ALL.len());
    }

    #[test]
    fn the_names_that_operators_already_use_are_there() {
        for name in [
            "PORT",
            "TOKEN_RATE",
            "PCS_SIGN_ALG",
            "PCS_SIGN_SCOPE",
            "PCS_HMAC_KEY",
            "PCS_HMAC_KEY_OLD",
            "PCS_HMAC_KEY_NEW",
            "PCS_HMAC_KEYS",
            "PCS_ED25519_PUB_B64",
            "PCS_KEYS_FILE",
            "DEDUP_BACKEND",
            "WAL_DIR",
            "METRICS_USER",
            "METRICS_PASS",
        ] {
            assert!(ALL.iter().any(|setting| setting.name == name), "{name}");
        }
    }
}
