//! Contract section 8: metrics, and who may read them.

use flk_tests::{Pcs, Request, Setup, record::USUAL};

/// The names that operators use.
const FIXED: [&str; 6] =
    ["flk_ingest_total", "flk_dedup_hits", "flk_accepted", "flk_escalated", "flk_signature_err", "flk_wal_errors"];

const CODES: [&str; 14] = [
    "malformed",
    "bad_signature",
    "pcs_id_mismatch",
    "schema_mismatch",
    "d_hat_unavailable",
    "d_hat_out_of_tolerance",
    "coherence_out_of_bounds",
    "regime_mismatch",
    "budget_deviation",
    "degraded",
    "ok",
    "internal",
    "conflict",
    "too_old",
];

#[test]
fn every_counter_is_there_with_0_before_the_first_event() {
    let service = Setup::hmac().start();
    let text = service.get("/metrics").expect(200);
    assert!(text.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{text}");
    let metrics = service.metrics();
    for name in FIXED {
        assert_eq!(metrics.value(name), 0.0, "{name}");
    }
    let route = r#"route="/v1/pcs/submit""#;
    for code in [200, 202, 400, 401, 405, 413, 429, 500, 503] {
        assert_eq!(metrics.of("http_requests_total", &[&format!("code=\"{code}\""), route]).count(), 1, "{code}");
    }
    assert_eq!(metrics.sum("http_requests_total", &[route]), 0.0);
    assert_eq!(metrics.sum("http_request_duration_seconds_count", &[route]), 0.0);
    assert!(metrics.of("dedup_operation_duration_seconds_count", &["op="]).count() > 0);
    for code in CODES {
        assert_eq!(metrics.value(&format!("flk_verdicts_total{{code=\"{code}\"}}")), 0.0, "{code}");
    }
    for reason in ["rate", "requests", "bytes", "connections"] {
        assert_eq!(metrics.value(&format!("flk_shed_total{{reason=\"{reason}\"}}")), 0.0);
    }
    // One of each process.
    assert_eq!(metrics.sum("flk_build_info", &[]), service.processes().len() as f64);
}

#[test]
fn counters_move_with_what_happens() {
    let service = Setup::hmac().start();
    let good = Pcs::fresh();
    let _ = service.submit(&good).expect(200);
    let _ = service.submit(good.clone().retry()).expect(200);
    let _ = service.submit(good.clone().otherwise().signed(USUAL)).expect(200);
    let _ = service.submit(Pcs::unique().with("regime", "sticky").signed(USUAL)).expect(202);
    let _ = service.submit(Pcs::unique().with("D_hat", 1.9).signed(USUAL)).expect(202);
    let _ = service.submit(Pcs::unique()).expect(401);
    let _ = service.submit("{").expect(400);
    let _ = service.get("/v1/pcs/submit").expect(405);
    let _ = service.result(good.id()).expect(200);
    let expected = [
        ("flk_ingest_total", 7.0),
        ("flk_accepted", 1.0),
        ("flk_dedup_hits", 2.0),
        ("flk_escalated", 2.0),
        ("flk_signature_err", 1.0),
        ("flk_wal_errors", 0.0),
        ("flk_conflicts_total", 1.0),
        (r#"flk_verdicts_total{code="ok"}"#, 3.0),
        (r#"flk_verdicts_total{code="malformed"}"#, 1.0),
        (r#"flk_verdicts_total{code="bad_signature"}"#, 1.0),
        (r#"flk_outcomes_total{state="settled"}"#, 2.0),
        (r#"flk_outcomes_total{state="refused"}"#, 3.0),
        ("flk_log_append_seconds_count", 7.0),
        ("flk_requests_in_flight", 0.0),
        ("flk_bytes_in_flight", 0.0),
    ];
    // The log lets go of a body, and a role counts, a moment after the record is told.
    let differ = || {
        let metrics = service.metrics();
        expected.map(|(series, expected)| (series, expected, metrics.value(series))).into_iter().find(|of| of.1 != of.2)
    };
    flk_tests::until_or("every counter says what happened", flk_tests::DEADLINE, || differ().is_none(), differ);
    let metrics = service.metrics();
    let submit = r#"route="/v1/pcs/submit""#;
    for (code, expected) in [(200, 3.0), (202, 2.0), (400, 1.0), (401, 1.0), (405, 1.0)] {
        let code = format!("code=\"{code}\"");
        assert_eq!(metrics.sum("http_requests_total", &[submit, &code]), expected, "{code}");
    }
    assert_eq!(metrics.sum("http_request_duration_seconds_count", &[submit]), 8.0);
    assert_eq!(metrics.sum("http_requests_total", &[r#"route="/v1/pcs/{pcs_id}""#, r#"code="200""#]), 1.0);
    assert!(metrics.sum("dedup_operation_duration_seconds_count", &[]) > 0.0);
    assert!(metrics.value("process_resident_memory_bytes") > 0.0);
}

#[test]
fn with_a_user_set_metrics_are_for_who_knows_the_password() {
    let service = Setup::hmac().env("METRICS_USER", "prom").env("METRICS_PASS", "p:ss wörd").start();
    let metrics = || Request::get("/metrics");
    for request in [
        metrics(),
        metrics().basic("prom", "wrong"),
        metrics().basic("other", "p:ss wörd"),
        metrics().basic("", ""),
        metrics().header("Authorization", "Bearer p:ss"),
    ] {
        let answer = service.call(&request).expect(401);
        assert!(answer.header("www-authenticate").is_some_and(|asks| asks.starts_with("Basic ")), "{answer}");
        assert!(!answer.text().contains("flk_ingest_total"));
    }
    assert!(service.call(&metrics().basic("prom", "p:ss wörd")).expect(200).text().contains("flk_ingest_total 0"));
    // Nothing else is closed by it.
    let _ = service.get("/health").expect(200);
    let _ = service.submit(Pcs::fresh()).expect(200);
}

#[test]
fn what_clients_send_does_not_grow_the_number_of_series() {
    let service = Setup::unsigned().start();
    let mut client = service.client();
    let mut submit = |tenant: String| {
        let _ = client.call(&Request::submit(Pcs::unique()).header("X-Tenant-Id", &tenant)).expect(200);
    };
    (0..50).for_each(|n| submit(format!("tenant-{n}")));
    for n in 0..20 {
        let _ = service.get(&format!("/nowhere/{n}"));
        let _ = service.result(&format!("{n}"));
        let _ = service.call(&Request::new(&format!("METHOD{n}"), "/v1/pcs/submit"));
    }
    let before = service.metrics();
    (50..100).for_each(|n| submit(format!("tenant-{n}")));
    for n in 20..40 {
        let _ = service.get(&format!("/nowhere/{n}"));
        let _ = service.result(&format!("{n}"));
    }
    let after = service.metrics();
    // These come as the parts of the process do, a moment after it has started.
    let of_its_own = |name: &&str| ["flk_ready{", "flk_lag_seconds{"].iter().any(|own| name.starts_with(own));
    let more: Vec<_> = after
        .names()
        .difference(&before.names())
        .filter(|name| !of_its_own(name))
        .map(|name| name.to_string())
        .collect();
    assert_eq!(more, [""; 0]);
}
