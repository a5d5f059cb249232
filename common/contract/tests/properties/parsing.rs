//! Which bodies are records: against serde_json's own reading, and whatever the spelling.

use std::collections::{HashMap, HashSet};

use flk_contract::{Record, canonical, limits::DEPTH_MAX, signature::Signed};
use proptest::{collection::vec, prelude::*};
use serde::{
    Deserialize,
    de::{Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    cases,
    draft::{Draft, Json, Pen, anything, json},
};

/// A JSON value as serde_json reads it, of which is kept how deep it goes; a key that stands twice
/// is an error.
struct Tree {
    depth: usize,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree { depth: 0 })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree { depth: 0 })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree { depth: 0 })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree { depth: 0 })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree { depth: 0 })
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree { depth: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Tree, A::Error> {
        let mut depth = 0;
        while let Some(Tree { depth: inner }) = values.next_element()? {
            depth = depth.max(inner);
        }
        Ok(Tree { depth: depth + 1 })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let (mut depth, mut keys) = (0, HashSet::new());
        while let Some((key, Tree { depth: inner })) = entries.next_entry::<String, Tree>()? {
            depth = depth.max(inner);
            if !keys.insert(key) {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(Tree { depth: depth + 1 })
    }
}

/// What may stand as JSON by serde_json's reading and the rules of contract section 1.
fn is_strict_json(body: &[u8]) -> bool {
    serde_json::from_slice::<Tree>(body).is_ok_and(|tree| tree.depth <= DEPTH_MAX)
}

/// Every known key with a value that serves, and a gap for something else. Whatever is put there,
/// a known key in it stands twice.
fn around(gap: &[u8], first: bool) -> Vec<u8> {
    let known = br#""pcs_id":"","schema":"s","version":"v","shard_id":"s","epoch":0,"scales":[2],"N_j":{},"coh_star":0,
        "D_hat":0,"r":0,"budget":0,"regime":"","merkle_root":"m","sig":"","ft":{}"#;
    let parts: [&[u8]; 3] = if first { [b"\"gap\":", gap, b","] } else { [b",\"gap\":", gap, b""] };
    let gap = parts.concat();
    let parts: [&[u8]; 4] = if first { [b"{", &gap, known, b"}"] } else { [b"{", known, &gap, b"}"] };
    parts.concat()
}

/// JSON's own words and near misses, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: [&str; 52] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"a\"",
        "\"\\u0061\"",
        "\"\"",
        "\"ft\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\x\"",
        "\"\u{7f}\"",
        "\"\n\"",
        "\"",
        "\\",
        "0",
        "-0",
        "-",
        "01",
        "1",
        "1.",
        ".5",
        "1.5",
        "1e5",
        "1e400",
        "-1e400",
        "1e308",
        "1e-400",
        "+1",
        "NaN",
        "Infinity",
        "null",
        "true",
        "false",
        "nul",
        "True",
        " ",
        "\n",
        "\u{a0}",
        "\u{feff}",
        "//",
        "\u{0}",
    ];
    let words = vec(prop::sample::select(&WORDS[..]), 0..12).prop_map(|words| words.concat().into_bytes());
    let list = vec(words.clone(), 0..3).prop_map(|parts| [b"[", parts.join(&b","[..]).as_slice(), b"]"].concat());
    let entry = words.clone().prop_map(|value| [b"{\"k\":", value.as_slice(), b"}"].concat());
    prop_oneof![words, list, entry]
}

/// Bodies that were right once.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (anything(), Pen::any(), damage()).prop_map(|(draft, pen, damage)| hurt(draft.body(None, pen).into_bytes(), damage))
}

/// Where, how and with what bytes are changed.
pub(crate) fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 0..4)
}

pub(crate) fn hurt(mut body: Vec<u8>, damage: Vec<(prop::sample::Index, u8, u8)>) -> Vec<u8> {
    for (at, how, byte) in damage {
        if body.is_empty() {
            break;
        }
        let at = at.index(body.len());
        match how {
            0 => body[at] = byte,
            1 => body.insert(at, b"\"{}[]:,\\0-e.9tn \xff"[usize::from(byte) % 17]),
            2 => drop(body.remove(at)),
            _ => body.truncate(at),
        }
    }
    body
}

fn read(body: &str) -> Record<'_> {
    Record::parse(body.as_bytes()).unwrap_or_else(|refused| panic!("{refused}: {body}"))
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn any_value_is_read_as_serde_json_reads_it_but_strictly(json in json(), pen in Pen::any(), first in any::<bool>()) {
        let mut pen = pen;
        let body = around(pen.json(&json).as_bytes(), first);
        prop_assert_eq!(Record::parse(&body).is_ok(), is_strict_json(&body), "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn any_words_are_read_as_serde_json_reads_them_but_strictly(soup in soup(), first in any::<bool>()) {
        let body = around(&soup, first);
        prop_assert_eq!(Record::parse(&body).is_ok(), is_strict_json(&body), "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn any_bytes_in_a_field_are_read_as_serde_json_reads_them(gap in vec(any::<u8>(), 0..8), first in any::<bool>()) {
        for gap in [gap.clone(), [b"\"", gap.as_slice(), b"\""].concat()] {
            let body = around(&gap, first);
            prop_assert_eq!(Record::parse(&body).is_ok(), is_strict_json(&body), "{}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn nesting_is_bounded_at_sixty_four(depth in 55..75_usize, lists in any::<u128>(), first in any::<bool>(), ft in any::<bool>()) {
        let list = |level: usize| lists >> level & 1 == 1;
        let open = (0..depth).map(|level| if list(level) { "[" } else { "{\"k\":" });
        let close = (0..depth).rev().map(|level| if list(level) { "]" } else { "}" });
        let deep = format!("{}0{}", open.collect::<String>(), close.collect::<String>());
        let body = if ft {
            String::from_utf8(around(b"0", first)).unwrap().replace("\"ft\":{}", &format!("\"ft\":{{\"x\":{deep}}}")).into_bytes()
        } else {
            around(deep.as_bytes(), first)
        };
        prop_assert!(serde_json::from_slice::<Tree>(&body).is_ok());
        prop_assert_eq!(Record::parse(&body).is_ok(), depth + usize::from(ft) < DEPTH_MAX);
    }

    #[test]
    fn ft_is_any_object_whose_degraded_is_a_boolean(ft in json(), pen in Pen::any()) {
        let mut pen = pen;
        let body = around(b"0", true);
        let body = String::from_utf8(body).unwrap().replace("\"ft\":{}", &format!("\"ft\":{}", pen.json(&ft)));
        let fits = match &ft {
            Json::Object(entries) => {
                entries.iter().all(|(key, value)| key != "degraded" || matches!(value, Json::Bool(_)))
            }
            _ => false,
        };
        prop_assert_eq!(Record::parse(body.as_bytes()).is_ok(), fits && is_strict_json(body.as_bytes()), "{}", body);
    }

    #[test]
    fn no_field_stands_twice(draft in anything(), pen in Pen::any(), field in any::<prop::sample::Index>()) {
        let mut pen = pen;
        let body = draft.body(Some("c2ln"), pen.clone());
        let fields: Vec<String> = serde_json::from_str::<Map<String, Value>>(&body).unwrap().keys().cloned().collect();
        let field = &fields[field.index(fields.len())];
        let fields: HashMap<String, &RawValue> = serde_json::from_str(&body).unwrap();
        let again = format!("{},{}:{}}}", body.trim_end().strip_suffix('}').unwrap(), pen.text(field), fields[field]);
        prop_assert!(Record::parse(body.as_bytes()).is_ok());
        prop_assert!(Record::parse(again.as_bytes()).is_err(), "{}", again);
    }

    #[test]
    fn what_is_damaged_is_taken_only_where_it_is_strict_json(body in damaged()) {
        prop_assert!(Record::parse(&body).is_err() || is_strict_json(&body));
    }

    #[test]
    fn a_record_says_the_same_however_it_is_written(draft in anything(), pens in [Pen::any(), Pen::any()]) {
        let [one, other] = pens.map(|pen| draft.body(Some("c2ln"), pen));
        let (one, other) = (read(&one), read(&other));
        prop_assert_eq!(&one, &other);
        for (text, field) in [
            (&draft.pcs_id, &one.pcs_id), (&draft.schema, &one.schema), (&draft.version, &one.version),
            (&draft.shard_id, &one.shard_id), (&draft.regime, &one.regime), (&draft.merkle_root, &one.merkle_root),
        ] {
            prop_assert_eq!(text, field);
        }
        let claims = [one.coh_star, one.d_hat, one.r, one.budget].map(|claim| claim.units());
        prop_assert_eq!(claims, [draft.coh_star, draft.d_hat, draft.r, draft.budget].map(i128::from));
        prop_assert_eq!((one.epoch, one.degraded), (draft.epoch, draft.degraded.unwrap_or(false)));
        prop_assert_eq!(&one.scales, &draft.scales);
        let counts: Vec<_> = draft.n_j.iter().map(|(key, count)| (key.as_str().into(), *count)).collect();
        prop_assert_eq!(&one.n_j, &counts);
    }

    #[test]
    fn canonical_bytes_are_those_of_an_independent_writer(draft in anything(), pen in Pen::any()) {
        let body = draft.body(None, pen);
        let record = read(&body);
        let signed = Signed::of(&record);
        prop_assert_eq!(canonical::payload(&record), draft.payload());
        prop_assert_eq!(canonical::content(&record), draft.content());
        prop_assert_eq!(&signed.payload, &draft.payload());
        prop_assert_eq!(signed.payload_sha256, flk_contract::Digest::of(draft.payload().as_bytes()));
        prop_assert_eq!(signed.content_sha256, flk_contract::Digest::of(draft.content().as_bytes()));
    }

    #[test]
    fn canonical_bytes_survive_being_read_again(draft in anything(), pen in Pen::any()) {
        let body = draft.body(None, pen);
        let record = read(&body);
        let (payload, content) = (canonical::payload(&record), canonical::content(&record));
        // Content says `degraded` where a body says ft.degraded; else it is a record as it stands.
        let again = content.replacen(",\"degraded\":", ",\"ft\":{\"degraded\":", 1).replacen(",\"epoch\":", "},\"epoch\":", 1);
        prop_assert_eq!(canonical::content(&read(&again)), content);
        let rest = "\"schema\":\"s\",\"version\":\"v\",\"regime\":\"\",\"scales\":[1],\"N_j\":{}}";
        let again = payload.strip_suffix('}').unwrap().to_owned() + "," + rest;
        prop_assert_eq!(canonical::payload(&read(&again)), payload);
    }

    #[test]
    fn other_content_has_other_bytes(one in anything(), other in anything()) {
        let judged = |draft: &Draft| Draft { extras: Vec::new(), degraded: Some(draft.degraded == Some(true)), ..draft.clone() };
        let bytes = |draft: &Draft| canonical::content(&read(&draft.body(None, Pen::PLAIN)));
        prop_assert_eq!(judged(&one) == judged(&other), bytes(&one) == bytes(&other));
    }
}
