//! A record as a model, and every way to write one down: what a property is about is chosen by the
//! model, how it stands in the body by a [`Pen`].

use std::collections::BTreeMap;

use flk_contract::pcs_id;
use proptest::{collection::vec, option, prelude::*};
use sha2::{Digest as _, Sha256};

use crate::oracle;

/// A well-formed record. Claims are in units of 1e-9, below 1e15 units.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) pcs_id: String,
    pub(crate) schema: String,
    pub(crate) version: String,
    pub(crate) shard_id: String,
    pub(crate) epoch: i64,
    pub(crate) scales: Vec<i128>,
    pub(crate) n_j: BTreeMap<String, i128>,
    pub(crate) coh_star: i64,
    pub(crate) d_hat: i64,
    pub(crate) r: i64,
    pub(crate) budget: i64,
    pub(crate) regime: String,
    pub(crate) merkle_root: String,
    pub(crate) degraded: Option<bool>,
    /// What nobody judges.
    pub(crate) extras: Vec<(String, Json)>,
}

/// A JSON value; an object may say a key twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(&'static str),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// The same with keys that all differ.
    fn without_duplicates(self) -> Self {
        match self {
            Self::List(values) => Self::List(values.into_iter().map(Self::without_duplicates).collect()),
            Self::Object(entries) => Self::Object(unique(entries)),
            other => other,
        }
    }
}

fn unique(entries: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let numbered = entries.into_iter().enumerate();
    numbered.map(|(n, (key, value))| (format!("x{n}{key}"), value.without_duplicates())).collect()
}

impl Draft {
    /// Writes the record down; `pen` chooses spelling, order and white space.
    pub(crate) fn body(&self, sig: Option<&str>, mut pen: Pen) -> String {
        let pen = &mut pen;
        let mut fields: Vec<(&str, String)> = vec![
            ("pcs_id", pen.text(&self.pcs_id)),
            ("schema", pen.text(&self.schema)),
            ("version", pen.text(&self.version)),
            ("shard_id", pen.text(&self.shard_id)),
            ("epoch", self.epoch.to_string()),
            ("scales", pen.list(self.scales.iter().map(i128::to_string).collect())),
            ("coh_star", pen.claim(self.coh_star)),
            ("D_hat", pen.claim(self.d_hat)),
            ("r", pen.claim(self.r)),
            ("budget", pen.claim(self.budget)),
            ("regime", pen.text(&self.regime)),
            ("merkle_root", pen.text(&self.merkle_root)),
        ];
        let mut counts: Vec<_> = self.n_j.iter().map(|(scale, count)| (scale.as_str(), count.to_string())).collect();
        pen.shuffle(&mut counts);
        fields.push(("N_j", pen.object(&counts)));
        match self.degraded {
            Some(degraded) => fields.push(("ft", pen.object(&[("degraded", degraded.to_string())]))),
            None if pen.pick(2) == 1 => fields.push(("ft", pen.object(&[("outbox_seq", "1".to_owned())]))),
            None => {}
        }
        if let Some(sig) = sig {
            fields.push(("sig", pen.text(sig)));
        }
        for (name, value) in &self.extras {
            fields.push((name, pen.json(value)));
        }
        pen.shuffle(&mut fields);
        format!("{}{}{}", pen.space(), pen.object(&fields), pen.space())
    }

    /// The content as an independent writer makes it: its keys sorted by a map, its strings by
    /// serde_json, its numbers by the standard library.
    pub(crate) fn content(&self) -> String {
        let integers = |numbers: &[i128]| numbers.iter().map(i128::to_string).collect::<Vec<_>>().join(",");
        let n_j = self.n_j.iter().map(|(scale, count)| format!("{}:{count}", ascii(scale)));
        let mut fields = self.signed_fields();
        fields.extend([
            ("schema", ascii(&self.schema)),
            ("version", ascii(&self.version)),
            ("regime", ascii(&self.regime)),
            ("degraded", self.degraded.unwrap_or(false).to_string()),
            ("scales", format!("[{}]", integers(&self.scales))),
            ("N_j", format!("{{{}}}", n_j.collect::<Vec<_>>().join(","))),
        ]);
        join(&fields)
    }

    /// The payload, likewise.
    pub(crate) fn payload(&self) -> String {
        join(&self.signed_fields())
    }

    fn signed_fields(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("pcs_id", ascii(&self.pcs_id)),
            ("merkle_root", ascii(&self.merkle_root)),
            ("epoch", self.epoch.to_string()),
            ("shard_id", ascii(&self.shard_id)),
            ("D_hat", oracle::repr(&oracle::decimal(self.d_hat))),
            ("coh_star", oracle::repr(&oracle::decimal(self.coh_star))),
            ("r", oracle::repr(&oracle::decimal(self.r))),
            ("budget", oracle::repr(&oracle::decimal(self.budget))),
        ])
    }
}

fn join(fields: &BTreeMap<&str, String>) -> String {
    let entries: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", entries.join(","))
}

fn ascii(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    let escape = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    json.chars().map(escape).collect()
}

/// Chooses how things are written. Seed 0 writes plainly, so that a failing case shrinks to that.
#[derive(Debug, Clone)]
pub(crate) struct Pen(u64);

impl Pen {
    pub(crate) const PLAIN: Self = Self(0);

    pub(crate) fn any() -> impl Strategy<Value = Self> {
        any::<u64>().prop_map(Self)
    }

    fn pick(&mut self, choices: usize) -> usize {
        // xorshift: never 0 again unless it starts so.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % choices
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            let other = n - self.pick(n + 1);
            items.swap(n, other);
        }
    }

    fn space(&mut self) -> &'static str {
        ["", "", "", "", " ", "\n", "\t\r "][self.pick(7)]
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for c in text.chars() {
            let short = match c {
                '"' => Some("\\\""),
                '\\' => Some("\\\\"),
                '\u{8}' => Some("\\b"),
                '\u{c}' => Some("\\f"),
                '\n' => Some("\\n"),
                '\r' => Some("\\r"),
                '\t' => Some("\\t"),
                _ => None,
            };
            match (self.pick(8), short) {
                (0..6, Some(short)) => out.push_str(short),
                (0..6, None) if c >= ' ' => out.push(c),
                (6, None) if c == '/' => out.push_str("\\/"),
                (7, _) => out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}"))),
                _ => out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
            }
        }
        out + "\""
    }

    /// A token that rounds to so many units of 1e-9.
    fn claim(&mut self, units: i64) -> String {
        let sign = if units < 0 { "-" } else { "" };
        let (whole, part) = (units.unsigned_abs() / 1_000_000_000, units.unsigned_abs() % 1_000_000_000);
        let digits = units.unsigned_abs().to_string();
        match self.pick(7) {
            1 if part == 0 => format!("{sign}{whole}"),
            2 => format!("{sign}{digits}e-9"),
            3 if units != 0 => format!("{sign}{digits}000E-012"),
            4 => format!("{sign}0.{digits}e{}", digits.len() as i64 - 9),
            // With a tenth decimal that is rounded off, as long as the text is surely the shortest.
            5 if whole < 10_000 => format!("{sign}{whole}.{part:09}4"),
            6 => format!("{sign}{whole}.{part:09}e+00"),
            _ => format!("{sign}{whole}.{part:09}"),
        }
    }

    fn list(&mut self, values: Vec<String>) -> String {
        let values: Vec<_> = values.iter().map(|value| format!("{}{value}{}", self.space(), self.space())).collect();
        format!("[{}{}]", values.join(","), self.space())
    }

    fn object(&mut self, entries: &[(&str, String)]) -> String {
        let mut out = String::from("{");
        for (n, (key, value)) in entries.iter().enumerate() {
            let key = self.text(key);
            let comma = if n > 0 { "," } else { "" };
            out += &format!("{comma}{}{key}{}:{}{value}{}", self.space(), self.space(), self.space(), self.space());
        }
        out + self.space() + "}"
    }

    pub(crate) fn json(&mut self, json: &Json) -> String {
        match json {
            Json::Null => "null".to_owned(),
            Json::Bool(value) => value.to_string(),
            Json::Number(token) => (*token).to_owned(),
            Json::Text(text) => self.text(text),
            Json::List(values) => {
                let values = values.iter().map(|value| self.json(value)).collect();
                self.list(values)
            }
            Json::Object(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), self.json(value))).collect();
                self.object(&entries)
            }
        }
    }
}

pub(crate) fn text(length: core::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    let plain = vec((b' '..=b'~').prop_map(char::from), length.clone());
    let wild = vec(prop_oneof![any::<char>(), (0..0x100_u32).prop_map(|n| char::from(n as u8))], length);
    prop_oneof![plain, wild].prop_map(String::from_iter)
}

/// Any JSON value; keys are few, so that some stand twice.
pub(crate) fn json() -> impl Strategy<Value = Json> {
    const NUMBERS: [&str; 12] = [
        "0",
        "-0",
        "-0.0",
        "1",
        "1.5e-3",
        "1e308",
        "5e-324",
        "18446744073709551615",
        "-9223372036854775808",
        "1E+2",
        "123456789012345678901234567890",
        "1e-400",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        prop::sample::select(&NUMBERS[..]).prop_map(Json::Number),
        text(0..=8).prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "ü", "pcs_id", "degraded", ""]).prop_map(str::to_owned);
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Json::List), vec((key, inner), 0..4).prop_map(Json::Object)]
    })
}

prop_compose! {
    /// Any well-formed record at all: nothing in it needs to make sense.
    pub(crate) fn anything()(
        strings in (text(0..=32), text(1..=8), text(1..=8), text(1..=64), text(0..=8), text(1..=64)),
        epoch in prop_oneof![0..10_i64, 0..=i64::MAX],
        scales in vec(integer(), 1..=64),
        n_j in prop::collection::btree_map(prop_oneof![text(0..=4), integer().prop_map(|n| n.to_string())], integer(), 0..16),
        claims in [claim(), claim(), claim(), claim()],
        degraded in option::of(any::<bool>()),
        extras in vec((text(0..=6), json()), 0..4),
    ) -> Draft {
        let (pcs_id, schema, version, shard_id, regime, merkle_root) = strings;
        let [coh_star, d_hat, r, budget] = claims;
        Draft {
            pcs_id, schema, version, shard_id, epoch, scales, n_j, coh_star, d_hat, r, budget, regime, merkle_root,
            degraded, extras: unique(extras),
        }
    }
}

fn integer() -> impl Strategy<Value = i128> {
    let whole = i128::from(i64::MIN)..=i128::from(u64::MAX);
    prop_oneof![1..100_i128, whole, Just(0), Just(i128::from(i64::MIN)), Just(i128::from(u64::MAX))]
}

fn claim() -> impl Strategy<Value = i64> {
    const LIMIT: i64 = 1_000_000_000_000_000;
    prop_oneof![0..2_000_000_000_i64, -100..100_i64, -LIMIT + 1..LIMIT]
}

prop_compose! {
    /// An honest record that every check accepts; its numbers are as the oracle makes them.
    pub(crate) fn honest()(
        (shard_id, merkle_root) in (text(1..=16), text(1..=64)),
        epoch in 0..=i64::MAX,
        points in prop::collection::btree_map(1..1_000_000_i128, prop_oneof![1..10_000_i128, 1..1_i128 << 53], 2..12),
        (coh_star, r) in (0..=1_050_000_000_i64, 0..=1_000_000_000_i64),
        version in prop::sample::select(vec!["0.1", "0.2.7"]),
        extras in vec((text(0..=6), json()), 0..3),
        backwards in any::<bool>(),
    ) -> Draft {
        let mut scales: Vec<i128> = points.keys().copied().collect();
        if backwards {
            scales.reverse();
        }
        let d_hat = oracle::units(&oracle::d_hat(&scales, &points));
        Draft {
            pcs_id: derived(&merkle_root, epoch, &shard_id),
            schema: "fractal-lba-kakeya".to_owned(),
            version: version.to_owned(),
            shard_id, epoch, scales,
            n_j: points.iter().map(|(scale, count)| (scale.to_string(), *count)).collect(),
            coh_star, d_hat, r,
            budget: oracle::units(&oracle::budget(d_hat, coh_star, r)),
            regime: oracle::regime(d_hat, coh_star).to_owned(),
            merkle_root,
            degraded: None,
            extras: unique(extras),
        }
    }
}

/// The id, hashed in one go over the parts as one text.
pub(crate) fn derived(merkle_root: &str, epoch: i64, shard_id: &str) -> String {
    let id = hex::encode(Sha256::digest(format!("{merkle_root}|{epoch}|{shard_id}")));
    assert_eq!(id, pcs_id(merkle_root, epoch, shard_id));
    id
}
