//! What values look like: addresses, durations, sizes, counts. Each parser answers with the end of
//! a sentence that begins `NAME is "value", but`.

use core::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    ops::RangeInclusive,
    time::Duration,
};

use flk_contract::{Form, limits::BODY_BYTES_MAX, limits::WINDOW};

use crate::telemetry::Format;

/// The address to listen on: `IP:PORT`, or an IP, to which `port` is added.
pub(super) fn listen(text: &str, port: u16) -> Result<SocketAddr, &'static str> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port));
    text.parse()
        .or_else(|_| with_port())
        .map_err(|_| "must be IP:PORT or an IP, as 127.0.0.1:8080, 0.0.0.0 or [::]:8080; names are not looked up")
}

/// A port.
pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "must be a port: a number from 0 to 65535")
}

/// A whole number in a range.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {} to {}", range.start(), range.end())),
    }
}

/// Records a second; 0 is no limit.
pub(super) fn rate(text: &str) -> Result<u32, String> {
    const MOST: usize = 1_000_000_000;
    let number = count(0..=MOST)(text).map_err(|must| format!("{must}; 0 is no limit"))?;
    u32::try_from(number).map_err(|_| "must be smaller".to_owned())
}

/// How long something may take: with a unit, in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| match humantime::parse_duration(text) {
        Ok(span) if range.contains(&span) => Ok(span),
        _ => {
            let [from, to] = [range.start(), range.end()].map(|span| humantime::format_duration(*span));
            Err(format!("must be a duration with its unit, as 500ms, 30s or 2m, from {from} to {to}"))
        }
    }
}

/// How long records are kept.
pub(super) fn retention(text: &str) -> Result<Duration, &'static str> {
    const MOST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);
    let span = humantime::parse_duration(text).map_err(|_| "must be a duration with its unit, as 16d or 400h")?;
    if span < WINDOW {
        return Err("must be at least 14d: a settled result stands that long, and its record has to");
    }
    if span > MOST {
        return Err("must be at most 36500d");
    }
    Ok(span)
}

/// Bytes of bodies in flight.
pub(super) fn body_bytes(text: &str) -> Result<usize, &'static str> {
    const MUST: &str = "must be a size from 1MiB (the largest record) to 1TiB, as 64MiB or 67108864";
    const MOST: usize = 1 << 40;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kib" => 10,
        "mib" => 20,
        "gib" => 30,
        "tib" => 40,
        _ => return Err(MUST),
    };
    let number: usize = number.parse().map_err(|_| MUST)?;
    let bytes = number.checked_mul(1 << shift).ok_or(MUST)?;
    if (BODY_BYTES_MAX..=MOST).contains(&bytes) { Ok(bytes) } else { Err(MUST) }
}

/// The data directory.
pub(super) fn directory(text: &str) -> Result<std::path::PathBuf, &'static str> {
    // Also what a file or a template leaves behind when something went wrong.
    if text.trim().is_empty() { Err("must be the path of a directory") } else { Ok(text.into()) }
}

/// How the service's own log looks.
pub(super) fn log_format(text: &str) -> Result<Format, &'static str> {
    match text {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        _ => Err("must be json or text"),
    }
}

/// Where settled results are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    /// Out of the log's own index.
    Embedded,
    Redis,
    Postgres,
}

/// Where settled results are read back.
pub(super) fn backend(text: &str) -> Result<Backend, &'static str> {
    match text {
        "embedded" | "memory" => Ok(Backend::Embedded),
        "redis" => Ok(Backend::Redis),
        "postgres" => Ok(Backend::Postgres),
        _ => Err("must be embedded (or memory, another name for it), redis or postgres"),
    }
}

/// Partitions of a topic.
pub(super) fn partitions(text: &str) -> Result<NonZeroU32, &'static str> {
    const MOST: u32 = 100_000;
    let number = text.parse().ok().filter(|number: &NonZeroU32| number.get() <= MOST);
    number.ok_or("must be a whole number from 1 to 100000")
}

/// Copies of a record.
pub(super) fn copies(text: &str) -> Result<NonZeroU16, &'static str> {
    const MOST: u16 = 100;
    let number = text.parse().ok().filter(|number: &NonZeroU16| number.get() <= MOST);
    number.ok_or("must be a whole number from 1 to 100")
}

/// The number of a partition.
pub(super) fn partition(text: &str) -> Result<i32, &'static str> {
    text.parse().ok().filter(|number| *number >= 0).ok_or("must be the number of a partition, counted from 0")
}

/// How long results can be read back.
pub(super) fn window(text: &str) -> Result<Duration, String> {
    duration(Duration::from_secs(60)..=WINDOW)(text)
}

/// The name of a member of a group: Kafka writes it into its files and lines.
pub(super) fn instance(text: &str) -> Result<String, &'static str> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text {
        "." | ".." => Err("must be a name, which . and .. are not"),
        text if text.len() <= 249 && text.chars().all(word) => Ok(text.to_owned()),
        _ => Err("must be up to 249 of A-Z a-z 0-9 . _ -"),
    }
}

/// The least that a signature has to cover.
pub(super) fn scope(text: &str) -> Result<Form, &'static str> {
    match text {
        "payload" => Ok(Form::Payload),
        "content" => Ok(Form::Content),
        _ => Err("must be payload or content"),
    }
}

/// Which algorithms are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Algorithms {
    pub(super) hmac: bool,
    pub(super) ed25519: bool,
}

/// `None` for `none`.
pub(super) fn algorithms(text: &str) -> Result<Option<Algorithms>, &'static str> {
    if text.trim() == "none" {
        return Ok(None);
    }
    let mut chosen = Algorithms { hmac: false, ed25519: false };
    for word in text.split(',').map(str::trim) {
        match word {
            "hmac" => chosen.hmac = true,
            "ed25519" => chosen.ed25519 = true,
            "none" => return Err("must not name none beside others: either signatures are asked for or not"),
            _ => return Err("must be hmac, ed25519, both as hmac,ed25519, or none"),
        }
    }
    Ok(Some(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_the_port_to_port() {
        let parsed = |text| listen(text, 81).map(|addr| addr.to_string());
        for (text, expected) in [
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("127.0.0.1", "127.0.0.1:81"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("::1", "[::1]:81"),
            ("[::]", "[::]:81"),
            ("[::]:9", "[::]:9"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in ["", "localhost:80", ":80", "1.2.3.4:", "1.2.3.4:99999", "1.2.3", "http://1.2.3.4"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_a_range() {
        let second = Duration::from_secs(1);
        let parse = duration(second..=second * 60);
        assert_eq!(parse("2s"), Ok(second * 2));
        assert_eq!(parse("1m"), Ok(second * 60));
        for bad in ["2", "", "-1s", "61s", "999ms", "1s 1", "9999999999999999999y"] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("from 1s to 1m"), "{error}");
        }
    }

    #[test]
    fn retention_is_never_shorter_than_a_result_stands() {
        assert_eq!(retention("14d"), Ok(WINDOW));
        assert_eq!(retention("16d"), Ok(WINDOW + Duration::from_secs(2 * 86_400)));
        assert!(retention("13d 23h 59m 59s").unwrap_err().contains("at least 14d"));
        for bad in ["16", "forever", "101y"] {
            assert!(retention(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in
            [("1048576", 1 << 20), ("1MiB", 1 << 20), ("64 mib", 64 << 20), ("2GiB", 2 << 30), ("1024kib", 1 << 20)]
        {
            assert_eq!(body_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "1048575", "64MB", "MiB", "-1MiB", "1.5GiB", "2TiB", "99999999999999999999MiB", "16777216TiB"] {
            assert!(body_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_and_rates_are_whole_and_bounded() {
        assert_eq!(count(1..=10)("10"), Ok(10));
        for bad in ["0", "11", "1.5", "", "ten"] {
            assert_eq!(count(1..=10)(bad), Err("must be a whole number from 1 to 10".into()), "{bad}");
        }
        assert_eq!((rate("0"), rate("1000")), (Ok(0), Ok(1000)));
        assert!(rate("-1").is_err() && rate("5000000000").is_err());
        assert_eq!((port("0"), port("65535")), (Ok(0), Ok(65535)));
        assert!(port("65536").is_err());
    }

    #[test]
    fn algorithms_are_named_and_none_stands_alone() {
        let chosen = |hmac, ed25519| Ok(Some(Algorithms { hmac, ed25519 }));
        assert_eq!(algorithms("hmac"), chosen(true, false));
        assert_eq!(algorithms("ed25519"), chosen(false, true));
        assert_eq!(algorithms("hmac, ed25519"), chosen(true, true));
        assert_eq!(algorithms("none"), Ok(None));
        for bad in ["", "hmac,", "HMAC", "rsa", "none,hmac", "hmac,none", "both"] {
            assert!(algorithms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_backend_has_a_name() {
        for (text, backend_of) in [
            ("embedded", Backend::Embedded),
            ("memory", Backend::Embedded),
            ("redis", Backend::Redis),
            ("postgres", Backend::Postgres),
        ] {
            assert_eq!(backend(text), Ok(backend_of));
        }
        assert!(backend("sqlite").is_err());
    }

    #[test]
    fn what_kafka_has_is_counted_from_one_and_numbered_from_zero() {
        assert_eq!((partitions("48").map(NonZeroU32::get), copies("3").map(NonZeroU16::get)), (Ok(48), Ok(3)));
        assert_eq!(partition("0"), Ok(0));
        assert!(partitions("0").is_err() && partitions("100001").is_err() && copies("101").is_err());
        assert!(partition("-1").is_err() && partition("2147483648").is_err());
        assert_eq!(instance("sink-0.eu_1"), Ok("sink-0.eu_1".to_owned()));
        assert!(
            [".", "..", "a b", "a/b"].iter().all(|name| instance(name).is_err()) && instance(&"x".repeat(250)).is_err()
        );
        assert!(window("14d").is_ok() && window("15d").is_err() && window("59s").is_err());
    }
}
