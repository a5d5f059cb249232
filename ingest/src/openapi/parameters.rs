//! What a request may say beside its body.

use flk_contract::limits::{PCS_ID_BYTES_MAX, TENANT_BYTES_MAX};
use serde_json::{Value, json};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use crate::{prefer::WAIT_MAX, route::Route};

/// The parameters of a route.
pub(super) fn of(route: Route) -> Vec<Parameter> {
    let mut parameters = match route {
        Route::Submit => vec![tenant(SUBMITTED), prefer(), traceparent()],
        Route::Result => vec![pcs_id(), tenant(ASKED_FOR)],
        Route::Record => vec![
            place("partition", Type::Integer, 0, "The partition; 0 in an embedded log."),
            place("offset", Type::Integer, 1, "The offset in the partition; the first of an embedded log is 1."),
        ],
        Route::Readyz => vec![scope()],
        Route::Health | Route::Livez | Route::Metrics | Route::OpenApi | Route::Other => Vec::new(),
    };
    let id = string().pattern(Some("^[A-Za-z0-9._-]{1,64}$"));
    let about = "Names the request in log lines and in the answer; one is made where there is none.";
    parameters.push(header("X-Request-Id", about, id, json!("job-7.31")));
    parameters
}

const SUBMITTED: &str = "With signing on: if sent, it must be the tenant of the key, else 401. With signing off: the \
                         tenant, `default` when absent; what can not be one is judged `malformed`, 400, since it is \
                         kept with the record. At most once.";
const ASKED_FOR: &str = "The tenant whose result is asked for; `default` when absent; `bad_tenant`, 400, for what can \
                         not be one. At most once.";

fn tenant(about: &str) -> Parameter {
    let name = string().pattern(Some(format!("^[A-Za-z0-9._-]{{1,{TENANT_BYTES_MAX}}}$")));
    header("X-Tenant-Id", about, name, json!("default"))
}

fn prefer() -> Parameter {
    let about = format!(
        "RFC 7240. `respond-async`: 202 as soon as the record is durable. `respond-async, wait=N`: the final answer if \
         it is there in N seconds, else that 202. `wait=N` alone: the final answer, else 503. N is at most {}.",
        WAIT_MAX.as_secs()
    );
    header("Prefer", &about, string(), json!("respond-async, wait=5"))
}

fn traceparent() -> Parameter {
    let value = string().pattern(Some("^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"));
    let example = json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    header("traceparent", "W3C trace context; kept with the record if it is one.", value, example)
}

fn pcs_id() -> Parameter {
    let id = string().max_length(Some(PCS_ID_BYTES_MAX));
    let example = json!("cdcee85dd3c183b05bf32dba0a9421015f7990fde22d2e2958b0757b76622379");
    parameter("pcs_id", ParameterIn::Path, "The id.", id, example)
}

fn place(name: &str, of: Type, first: i64, about: &str) -> Parameter {
    let number = ObjectBuilder::new().schema_type(of).minimum(Some(0));
    parameter(name, ParameterIn::Path, about, number, json!(first))
}

fn scope() -> Parameter {
    let word = string().enum_values(Some(["local"]));
    let about = "`local` leaves out what the whole fleet shares: for load balancers.";
    parameter("scope", ParameterIn::Query, about, word, json!("local"))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn header(name: &str, about: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    parameter(name, ParameterIn::Header, about, schema, example)
}

fn parameter(name: &str, place: ParameterIn, about: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    let schema: RefOr<Schema> = schema.into();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(schema))
        .example(Some(example))
        .build()
}
