//! OpenAPI 3.1 of all this, made from the code: paths, methods and refusals from the tables that
//! requests are answered by ([`Route`], [`Kind`]), results from the types that are serialised.
//!
//! Served at `/openapi.json`, and kept under `schemas/openapi.json`, where a test compares it.

mod parameters;
mod schemas;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, ContentBuilder, HeaderBuilder, HttpMethod, InfoBuilder, LicenseBuilder,
    ObjectBuilder, OneOfBuilder, OpenApi, OpenApiBuilder, Paths, PathsBuilder, Ref, RefOr, ResponseBuilder, Responses,
    Schema, Tag, Type,
    example::ExampleBuilder,
    header::Header,
    path::{Operation, OperationBuilder, PathItem},
    request_body::{RequestBody, RequestBodyBuilder},
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use crate::{
    answer, operate,
    refusal::{Connection, Durable, Kind, PROBLEM_JSON, Retry, TYPE_PREFIX},
    route::Route,
};

const METRICS_BASIC: &str = "metricsBasic";

/// The document as it is served and committed.
pub fn json() -> String {
    // A document of strings and numbers always serialises.
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("flk")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Takes Proof-of-Computation Summaries in, makes them durable, judges them, and says what became of them.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    OpenApiBuilder::new().info(info).paths(paths()).components(Some(components())).tags(Some(tags())).build()
}

fn tags() -> Vec<Tag> {
    [("records", "Submitting records and reading what became of them"), ("operations", "Watching the service")]
        .map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())
        .into()
}

fn components() -> Components {
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("Asked for when the service has a metrics user (METRICS_USER)."))
        .build();
    schemas::all()
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| components.schema(name, schema))
        .security_scheme(METRICS_BASIC, SecurityScheme::Http(scheme))
        .build()
}

fn paths() -> Paths {
    Route::ALL
        .into_iter()
        .filter_map(|route| Some((route.path()?, operation(route)?)))
        .fold(PathsBuilder::new(), |paths, (path, (method, operation))| {
            paths.path(path, PathItem::new(method, operation))
        })
        .build()
}

/// What a route is for; `None` for paths that are none.
fn operation(route: Route) -> Option<(HttpMethod, Operation)> {
    let (method, id, summary) = match route {
        Route::Submit => (HttpMethod::Post, "submitRecord", "Submit a record"),
        Route::Result => (HttpMethod::Get, "getResult", "The settled result of an id"),
        Route::Record => (HttpMethod::Get, "getRecord", "What became of one record of the log"),
        Route::Health => (HttpMethod::Get, "health", "The process is up"),
        Route::Livez => (HttpMethod::Get, "livez", "The process is up"),
        Route::Readyz => (HttpMethod::Get, "readyz", "What the service depends on, an entry a dependency"),
        Route::Metrics => (HttpMethod::Get, "metrics", "Metrics, in the Prometheus text format"),
        Route::OpenApi => (HttpMethod::Get, "openapi", "This document"),
        Route::Other => return None,
    };
    let tag = if matches!(route, Route::Submit | Route::Result | Route::Record) { "records" } else { "operations" };
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .summary(Some(summary))
        .description(description(route))
        .parameters(Some(parameters::of(route)))
        .request_body((route == Route::Submit).then(record))
        .responses(responses(route));
    let operation = match route {
        Route::Metrics => operation.security(SecurityRequirement::new(METRICS_BASIC, [] as [&str; 0])),
        _ => operation,
    };
    Some((method, operation.build()))
}

fn description(route: Route) -> Option<&'static str> {
    match route {
        Route::Submit => Some(
            "The bytes of the body become durable before anything else is said. One JSON object of at most 1 MiB; \
             the content type is not looked at. Retrying is always safe: an id settles once.",
        ),
        Route::Result => Some("Standing results only: fourteen days from origin.appended_at, by the server's clock."),
        Route::Readyz => Some("503 while something that is needed fails."),
        Route::Record | Route::Health | Route::Livez | Route::Metrics | Route::OpenApi | Route::Other => None,
    }
}

fn record() -> RequestBody {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Pcs"))).build();
    RequestBodyBuilder::new()
        .description(Some("A Proof-of-Computation Summary; more fields may be there and are kept."))
        .required(Some(utoipa::openapi::Required::True))
        .content(answer::JSON, content)
        .build()
}

/// Every status of a route: its answers, and the refusals of the table.
fn responses(route: Route) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Kind>> = route.answers().iter().map(|status| (*status, Vec::new())).collect();
    for kind in route.refusals() {
        by_status.entry(kind.row().status).or_default().push(*kind);
    }
    by_status.into_iter().fold(Responses::new(), |mut responses, (status, kinds)| {
        let response = if kinds.is_empty() { answered(route, status) } else { refused(route, &kinds) };
        let response = response.header("X-Request-Id", header("Names the request in the service's log.", Type::String));
        responses.responses.insert(status.to_string(), RefOr::T(response.build()));
        responses
    })
}

fn named(name: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(name)))
}

fn answered(route: Route, status: u16) -> ResponseBuilder {
    let new = |description: &str| ResponseBuilder::new().description(description);
    let text = |description: &str, media_type: &str| {
        new(description).content(media_type, Content::new(Some(ObjectBuilder::new().schema_type(Type::String).build())))
    };
    let applied = || header("The preferences that were honoured (RFC 7240).", Type::String);
    match route {
        Route::Submit if status == 200 => new("Accepted; `code` is `ok`. Also for a duplicate of such a record.")
            .content(answer::JSON, named("Answer"))
            .header("Preference-Applied", applied()),
        Route::Submit => {
            let either = OneOfBuilder::new()
                .item(Ref::from_schema_name("Answer"))
                .item(Ref::from_schema_name("Pending"))
                .build();
            new("Judged and escalated: `code` says why, `accepted` whether it settles. Or, with \
                 `Prefer: respond-async`, durable and not yet judged.")
            .content(answer::JSON, Content::new(Some(Schema::OneOf(either))))
            .header("Preference-Applied", applied())
            .header("Location", header("Where to ask what became of a pending record.", Type::String))
        }
        Route::Result => new("The settled result.").content(answer::JSON, named("ResultBody")),
        Route::Record => new("What became of it.").content(answer::JSON, named("RecordBody")),
        Route::Health | Route::Livez => text("`OK`", operate::TEXT),
        Route::Readyz if status == 200 => new("Ready.").content(answer::JSON, named("Readiness")),
        Route::Readyz => new("Not ready.").content(answer::JSON, named("Readiness")),
        Route::Metrics => text("Everything that is counted and measured.", flk_service::metrics::CONTENT_TYPE),
        Route::OpenApi => new("OpenAPI 3.1.")
            .content(answer::JSON, Content::new(Some(ObjectBuilder::new().schema_type(Type::Object).build()))),
        Route::Other => new(""),
    }
}

/// One status that stands for one or more kinds of refusal.
fn refused(route: Route, kinds: &[Kind]) -> ResponseBuilder {
    let lines: Vec<String> =
        kinds.iter().map(|kind| kind.row()).map(|row| format!("`{}`: {}", row.code, row.detail)).collect();
    let examples = kinds.iter().map(|kind| {
        let row = kind.row();
        (row.code, ExampleBuilder::new().summary(row.title).value(Some(example(*kind))).build())
    });
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples).build();
    let response = ResponseBuilder::new().description(lines.join("\n\n")).content(PROBLEM_JSON, content);
    let any = |holds: fn(Kind) -> bool| kinds.iter().copied().any(holds);
    let response = if any(|kind| matches!(kind.row().retry, Retry::After(_) | Retry::Settling(_))) {
        response.header("Retry-After", header("Seconds after which to come back.", Type::Integer))
    } else {
        response
    };
    let response = if any(|kind| kind.row().challenge.is_some()) {
        response.header("WWW-Authenticate", header("How to authenticate.", Type::String))
    } else {
        response
    };
    let response = if any(|kind| kind.row().connection == Connection::Closes) {
        response.header("Connection", header("`close` where the body was not read to its end.", Type::String))
    } else {
        response
    };
    if any(|kind| kind == Kind::MethodNotAllowed) {
        let mut allow = header("The methods that the path takes.", Type::String);
        allow.example = Some(route.allow().into());
        response.header("Allow", allow)
    } else {
        response
    }
}

fn header(description: &str, of: Type) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(of).build()))
        .build()
}

fn example(kind: Kind) -> Value {
    let row = kind.row();
    let mut problem = json!({
        "type": format!("{TYPE_PREFIX}{}", row.code),
        "title": row.title,
        "status": row.status,
        "code": row.code,
        "detail": row.detail,
    });
    if let Some(fields) = problem.as_object_mut() {
        if row.durable != Durable::Unsaid {
            fields.insert("durable".into(), json!(row.durable));
        }
        if row.durable == Durable::Yes || matches!(kind, Kind::Malformed | Kind::BadSignature) {
            fields.insert("wal".into(), schemas::example_wal());
        }
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_this_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/openapi.json");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, json()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == json(), "schemas/openapi.json is out of date: run the tests with UPDATE_SCHEMAS=1");
    }

    #[test]
    fn every_path_is_documented_and_nothing_else_is() {
        let document = document();
        let documented: Vec<_> = document.paths.paths.keys().map(String::as_str).collect();
        let mut paths: Vec<_> = Route::ALL.into_iter().filter_map(Route::path).collect();
        paths.sort_unstable();
        assert_eq!(documented, paths);
        assert_eq!(serde_json::to_value(&document).unwrap()["openapi"], "3.1.0");
    }

    #[test]
    fn every_code_is_documented_where_it_occurs() {
        let document: Value = serde_json::from_str(&json()).unwrap();
        let enumerated = document.pointer("/components/schemas/Problem/properties/code/enum").unwrap();
        for kind in Kind::ALL {
            assert!(enumerated.as_array().unwrap().contains(&json!(kind.row().code)), "{kind:?}");
        }
        for route in Route::ALL {
            let Some(path) = route.path() else { continue };
            let operation = document["paths"][path].as_object().unwrap().values().next().unwrap();
            for kind in route.refusals() {
                let row = kind.row();
                let response = &operation["responses"][row.status.to_string()];
                assert!(response["description"].as_str().unwrap().contains(row.code), "{route:?} {kind:?}");
                let example = &response["content"][PROBLEM_JSON]["examples"][row.code]["value"];
                assert_eq!(example["code"], row.code, "{route:?} {kind:?}");
            }
            let documented: Vec<u16> =
                operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
            assert_eq!(documented, route.statuses(), "{route:?}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(&json()).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
