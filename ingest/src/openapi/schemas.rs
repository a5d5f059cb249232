//! What goes over the wire: results as the contract's types say, and what has no type of its own.

use flk_contract::{
    limits::{N_J_MAX, NAME_BYTES_MAX, PCS_ID_BYTES_MAX, SCALES_MAX, WORD_BYTES_MAX},
    wire::{Answer, Placed, RecordBody, ResultBody, State},
};
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type, schema::AdditionalProperties},
};

use crate::refusal::Kind;

type Named = (String, RefOr<Schema>);

/// Every schema, by name.
pub(super) fn all() -> Vec<Named> {
    let own = |name: &str, schema: ObjectBuilder| (name.to_owned(), schema.into());
    vec![
        typed::<ResultBody>(),
        typed::<Answer>(),
        typed::<RecordBody>(),
        typed::<State>(),
        typed::<Placed>(),
        own("Pending", pending()),
        own("Pcs", pcs()),
        own("Problem", problem()),
        own("Readiness", readiness()),
        own("Check", check()),
    ]
}

/// A type's schema. Of results no field is ever left out: what was not reached is null.
fn typed<T: ToSchema>() -> Named {
    let mut schema = T::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required = object.properties.keys().cloned().collect();
    }
    (T::name().into_owned(), schema)
}

type Field = (&'static str, RefOr<Schema>);

fn object(about: &str, required: Vec<Field>, optional: Vec<Field>) -> ObjectBuilder {
    let names: Vec<_> = required.iter().map(|(name, _)| *name).collect();
    let object = ObjectBuilder::new().description(Some(about));
    let object =
        required.into_iter().chain(optional).fold(object, |object, (name, schema)| object.property(name, schema));
    names.into_iter().fold(object, ObjectBuilder::required)
}

fn of(schema_type: Type, about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type).description(Some(about))
}

fn string(about: &str) -> ObjectBuilder {
    of(Type::String, about)
}

fn text(about: &str, at_least: usize, at_most: usize) -> RefOr<Schema> {
    string(about).min_length(Some(at_least)).max_length(Some(at_most)).into()
}

fn number(about: &str) -> RefOr<Schema> {
    of(Type::Number, about).into()
}

fn boolean(about: &str) -> RefOr<Schema> {
    of(Type::Boolean, about).into()
}

fn placed() -> RefOr<Schema> {
    Ref::from_schema_name("Placed").into()
}

fn problem() -> ObjectBuilder {
    let codes = Kind::ALL.iter().map(|kind| kind.row().code);
    let durable = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Boolean))
        .item(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["unknown"])))
        .description(Some("Whether the record is in the log."));
    object(
        "Why a request is not answered with a result (RFC 9457).",
        vec![
            ("type", string("`urn:flk:problem:` and the code.").into()),
            ("title", string("The code for people.").into()),
            ("status", of(Type::Integer, "The HTTP status.").into()),
            ("code", string("The machine-readable reason; stable.").enum_values(Some(codes)).into()),
            ("detail", string("What to change.").into()),
        ],
        vec![("durable", durable.into()), ("wal", placed())],
    )
}

fn pending() -> ObjectBuilder {
    let state = string("Not judged yet.").enum_values(Some([State::Pending.as_str()]));
    object("A record that is durable.", vec![("state", state.into()), ("wal", placed())], Vec::new())
}

fn readiness() -> ObjectBuilder {
    let checks = ObjectBuilder::new()
        .description(Some("Every dependency, by name."))
        .additional_properties(Some(AdditionalProperties::RefOr(Ref::from_schema_name("Check").into())));
    let status = string("`failing` while something that is needed fails.").enum_values(Some(["ok", "failing"]));
    object("What the service depends on.", vec![("status", status.into()), ("checks", checks.into())], Vec::new())
}

fn check() -> ObjectBuilder {
    object(
        "One dependency.",
        vec![
            ("ok", boolean("It is as it should be.")),
            ("needed", boolean("Without it no request can be answered.")),
            ("shared", boolean("The whole fleet depends on the same thing.")),
            ("detail", string("For people: what is wrong and what to do.").into()),
        ],
        Vec::new(),
    )
}

/// Contract section 1: what is judged.
fn pcs() -> ObjectBuilder {
    let whole = |about, least: i64| of(Type::Integer, about).minimum(Some(least));
    let scales = ArrayBuilder::new()
        .description(Some("Above 0."))
        .items(ObjectBuilder::new().schema_type(Type::Integer))
        .min_items(Some(1))
        .max_items(Some(SCALES_MAX));
    let n_j = ObjectBuilder::new()
        .description(Some("Scale, as a string, to its count: above 0, below 2^53."))
        .max_properties(Some(N_J_MAX))
        .additional_properties(Some(AdditionalProperties::RefOr(whole("The count.", 1).into())));
    let ft = ObjectBuilder::new().property("degraded", boolean("The agent worked degraded."));
    let sig = string("Standard padded base64 of an HMAC-SHA256 or Ed25519 signature (section 2 of the contract).");
    object(
        "A Proof-of-Computation Summary, version 0.1.",
        vec![
            ("pcs_id", text("Lower-case hex SHA-256 of `merkle_root|epoch|shard_id`.", 0, PCS_ID_BYTES_MAX)),
            ("schema", text("`fractal-lba-kakeya`", 1, WORD_BYTES_MAX)),
            ("version", text("`0.1`", 1, WORD_BYTES_MAX)),
            ("shard_id", text("The shard.", 1, NAME_BYTES_MAX)),
            ("epoch", whole("The epoch, at most 2^63-1.", 0).into()),
            ("scales", scales.into()),
            ("N_j", n_j.into()),
            ("coh_star", number("Directional coherence.")),
            ("D_hat", number("Fractal dimension, by Theil-Sen over log2 of scales and N_j.")),
            ("r", number("Compressibility.")),
            ("budget", number("The budget that follows from D_hat, coh_star and r.")),
            ("regime", text("`sticky`, `mixed` or `non_sticky`.", 0, WORD_BYTES_MAX)),
            ("merkle_root", text("Root over the data, hex by convention.", 1, NAME_BYTES_MAX)),
        ],
        vec![("sig", sig.into()), ("ft", ft.into())],
    )
    .examples([example_record()])
}

/// The first case of `tests/vectors/verdicts.json`, signed with `testsecret`.
fn example_record() -> Value {
    json!({
        "pcs_id": "cdcee85dd3c183b05bf32dba0a9421015f7990fde22d2e2958b0757b76622379",
        "schema": "fractal-lba-kakeya",
        "version": "0.1",
        "shard_id": "a",
        "epoch": 1,
        "scales": [2, 4, 8, 16],
        "N_j": {"2": 5, "4": 11, "8": 24, "16": 50},
        "coh_star": 0.42,
        "D_hat": 1.125530882,
        "r": 0.5,
        "regime": "mixed",
        "budget": 0.334,
        "merkle_root": "773232abe9343f0e102f8248423fc6ceec7d0ac3f4f0144ab3bd88a0611be529",
        "sig": "DswBv/JxcuBlBqEdK2l4S4pvkNY7UKMPGfNrYzd22Gw=",
        "ft": {"degraded": false}
    })
}

/// A place of an embedded log.
pub(super) fn example_wal() -> Value {
    json!({
        "log": "5f1d1c52-0b57-4c39-9f0a-6a3f1f5c8f10",
        "topic": "pcs.raw",
        "partition": 0,
        "offset": 7,
        "appended_at": "2026-01-01T00:00:00.000Z"
    })
}

#[cfg(test)]
mod tests {
    use flk_contract::{Code, Form, Key, Keyring, LogTime, Signing, Tenant, judge, keys::Window};

    use super::*;

    #[test]
    fn the_example_record_is_accepted() {
        let key = Key::hmac(None, Tenant::default_tenant(), b"testsecret", Window::default()).unwrap();
        let signing = Signing::Required { hmac: true, ed25519: false, scope: Form::Payload };
        let body = serde_json::to_vec(&example_record()).unwrap();
        let verdict = judge(&body, LogTime::default(), None, signing, &Keyring::new(vec![key]).unwrap());
        assert_eq!(verdict.code, Code::Ok, "{}", verdict.reason);
    }

    #[test]
    fn every_field_that_a_record_needs_is_required_in_its_schema() {
        let schema = serde_json::to_value(pcs().build()).unwrap();
        for name in schema["required"].as_array().unwrap() {
            let mut record = example_record();
            record.as_object_mut().unwrap().remove(name.as_str().unwrap());
            let body = serde_json::to_vec(&record).unwrap();
            let verdict = judge(&body, LogTime::default(), None, Signing::Off, &Keyring::default());
            assert_eq!(verdict.code, Code::Malformed, "{name}");
        }
    }
}
