//! Every setting of the service: its names, its default, what it is and why somebody would change
//! it. The one source of the command line, its help, the reference table and `flk config`.
//!
//! What a value means, and which go together, is not here.

pub use super::definition::{Definition, Fallback, Group, Kind};

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
         disk that survives the machine or container: it holds every record. One service owns it. With Kafka as the log \
         it holds no more than FLK_INDEX_DIR.";
    RETENTION = "FLK_RETENTION" Open("retention"), "DURATION", Storage, Value("16d"),
        "How long records are kept, at least 14d",
        "Longer for audits and replays; the disk grows with it. Below 14 days a settled id could be settled again. With \
         Kafka as the log, the topics say it.";
    INDEX_DIR = "FLK_INDEX_DIR" Open("index-dir"), "DIR", Storage, Words("sink in WAL_DIR"),
        "Directory of the sink's index of settled ids, with Kafka as the log",
        "A local disk, about 250 bytes an id for 14 days. It is derived: what is lost with it is loaded from \
         pcs.results, which takes its time, so let it survive a restart. Each sink has one of its own.";

    BROKERS = "KAFKA_BROKERS" Open("kafka"), "HOST:PORT,...", Kafka, Unset,
        "Brokers to begin with: Kafka is the log; without it, flk serve has a log of its own",
        "Two or three of them, so that a start does not hang on one.";
    SECURITY_PROTOCOL = "KAFKA_SECURITY_PROTOCOL" Open("kafka-security-protocol"), "NAME", Kafka, Value("PLAINTEXT"),
        "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        "Anything but PLAINTEXT wherever others share the network.";
    SASL_MECHANISM = "KAFKA_SASL_MECHANISM" Open("kafka-sasl-mechanism"), "NAME", Kafka, Value("SCRAM-SHA-512"),
        "How to log in, with a SASL protocol: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN",
        "What the brokers offer; PLAIN with SASL_SSL alone, since it sends the password.";
    SASL_USERNAME = "KAFKA_SASL_USERNAME" Open("kafka-sasl-username"), "NAME", Kafka, Unset,
        "User to log in as",
        "One for each role, with the rights that docs/topics.md lists.";
    SASL_PASSWORD = "KAFKA_SASL_PASSWORD" Secret, "PASSWORD", Kafka, Unset,
        "Password of KAFKA_SASL_USERNAME",
        "Goes with it: both or none.";
    KAFKA_CA = "KAFKA_SSL_CA" Open("kafka-ssl-ca"), "FILE", Kafka, Words("whom the system trusts"),
        "Certificate of the authority that signed the brokers' certificates: a path, or PEM text",
        "Where the brokers' authority is one of your own.";
    KAFKA_CERT = "KAFKA_SSL_CERT" Open("kafka-ssl-cert"), "FILE", Kafka, Unset,
        "The client's own certificate, for brokers that ask for one: a path, or PEM text",
        "Goes with KAFKA_SSL_KEY.";
    KAFKA_KEY = "KAFKA_SSL_KEY" Secret, "FILE", Kafka, Unset,
        "Key of KAFKA_SSL_CERT, without a pass phrase: a path, or PEM text",
        "Goes with KAFKA_SSL_CERT: both or none.";
    TOPIC_PREFIX = "KAFKA_TOPIC_PREFIX" Open("topic-prefix"), "TEXT", Kafka, Unset,
        "What the names of topics and consumer groups begin with",
        "For several installations in one cluster. It never changes: another prefix is another log.";
    INSTANCE = "FLK_INSTANCE_ID" Open("instance-id"), "NAME", Kafka, Unset,
        "Name of this instance in its consumer group: the same after a restart, and no other's",
        "With it, a restart within half a minute keeps its partitions, and so its index. The name of a pod of a \
         StatefulSet, or a host's. Two with one name throw each other out.";
    REPLIES_PARTITION = "FLK_REPLIES_PARTITION" Open("replies-partition"), "N", Kafka, Words("any"),
        "Which partition of pcs.replies the answers to this instance of ingest come by, counted from 0",
        "One for each instance: those that share one read each other's answers too.";

    PARTITIONS = "KAFKA_PARTITIONS" Open("partitions"), "N", Topics, Value("48"),
        "Partitions of pcs.verified and pcs.results: the most sinks that can share the work",
        "Before the first record, and never again: which partition an id is in depends on it. Every role refuses \
         another count.";
    RAW_PARTITIONS = "KAFKA_RAW_PARTITIONS" Open("raw-partitions"), "N", Topics, Value("48"),
        "Partitions of pcs.raw and pcs.refused: the most verifiers that can share the work",
        "Fewer for small installations. It has to be what the topics have.";
    REPLIES_PARTITIONS = "KAFKA_REPLIES_PARTITIONS" Open("replies-partitions"), "N", Topics, Value("12"),
        "Partitions of pcs.replies",
        "As many as there are instances of ingest, or more.";
    REPLICATION = "KAFKA_REPLICATION" Open("replication"), "N", Topics, Value("3"),
        "How many brokers keep each record",
        "1 where there is one broker, for trying things: a record is then lost with its disk.";
    MIN_INSYNC = "KAFKA_MIN_INSYNC" Open("min-insync"), "N", Topics, Words("2, or 1 where KAFKA_REPLICATION is 1"),
        "How many of them must have a record before it counts as durable",
        "One less than KAFKA_REPLICATION, so that one broker may be away.";

    BACKEND = "DEDUP_BACKEND" Open("dedup-backend"), "NAME", ReadSide, Words("embedded; redis with KAFKA_BROKERS"),
        "Where settled results are read back: embedded (memory is another name for it); with Kafka redis or postgres",
        "The embedded index is on disk, and nothing is lost at a restart. With Kafka postgres is for people who want \
         SQL.";
    REDIS_ADDR = "REDIS_ADDR" Open("redis"), "ADDR", ReadSide, Unset,
        "Redis: HOST:PORT, or a URL, redis://USER:PASSWORD@HOST:PORT/DB, rediss:// for TLS",
        "Needed with redis. Any server of a cluster will do. Better keep the password out of it: REDIS_PASSWORD.";
    REDIS_USERNAME = "REDIS_USERNAME" Open("redis-username"), "NAME", ReadSide, Unset,
        "User (ACL) to log in to Redis as",
        "With the rights that docs/read-side.md lists. Without it, the password is the one of the user default.";
    REDIS_PASSWORD = "REDIS_PASSWORD" Secret, "PASSWORD", ReadSide, Unset,
        "Password for Redis, as it is",
        "Instead of one in REDIS_ADDR.";
    REDIS_CA = "REDIS_TLS_CA" Open("redis-tls-ca"), "FILE", ReadSide, Words("the public authorities"),
        "Certificate of the authority that signed Redis' certificate: a path, or PEM text",
        "Where the authority is one of your own; with rediss://.";
    REDIS_CERT = "REDIS_TLS_CERT" Open("redis-tls-cert"), "FILE", ReadSide, Unset,
        "The client's own certificate, for a Redis that asks for one: a path, or PEM text",
        "Goes with REDIS_TLS_KEY.";
    REDIS_KEY = "REDIS_TLS_KEY" Secret, "FILE", ReadSide, Unset,
        "Key of REDIS_TLS_CERT, without a pass phrase: a path, or PEM text",
        "Goes with REDIS_TLS_CERT: both or none.";
    REDIS_PREFIX = "REDIS_PREFIX" Open("redis-prefix"), "TEXT", ReadSide, Words("flk, or flk: and KAFKA_TOPIC_PREFIX"),
        "What all keys in Redis begin with, up to 32 characters",
        "For several installations in one Redis; each needs its own.";
    POSTGRES_CONN = "POSTGRES_CONN" Secret, "CONNECTION", ReadSide, Unset,
        "Postgres: postgres://USER:PASSWORD@HOST:PORT/DATABASE, or host=HOST user=USER and so on",
        "Needed with postgres. TLS is in it: sslmode=require, sslrootcert, sslcert and sslkey.";
    HOT_WINDOW = "FLK_HOT_WINDOW" Open("hot-window"), "DURATION", ReadSide, Value("14d"),
        "How long results can be read back, with Kafka: from 1m to 14d, the same for ingest and sinks",
        "Shorter saves memory of Redis, about 300 bytes an id. Retries are answered all the same for 14 days; a GET \
         after it is a 404.";

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
        "Longer takes higher peaks on a slow disk, and makes each wait longer. Not with Kafka as the log.";

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
            "REDIS_ADDR",
            "POSTGRES_CONN",
            "METRICS_USER",
            "METRICS_PASS",
        ] {
            assert!(ALL.iter().any(|setting| setting.name == name), "{name}");
        }
    }
}
