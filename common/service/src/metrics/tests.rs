//! Claims about what is there before the first event, and what events move.

use super::*;

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn every_fixed_name_is_there_with_0_before_the_first_event() {
    let metrics = Metrics::new();
    metrics.http_route("/v1/pcs/submit", &[200, 503]);
    let text = metrics.render();
    for name in names::FIXED {
        let of_it = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| [" ", "{", "_bucket{", "_sum", "_count"].iter().any(|next| rest.starts_with(next)))
        };
        let lines: Vec<_> = text.lines().filter(of_it).collect();
        assert!(!lines.is_empty(), "{name} is missing in\n{text}");
        assert!(lines.iter().all(|line| line.ends_with(" 0")), "{lines:?}");
    }
    let mut series = vec![
        r#"http_requests_total{code="200",route="/v1/pcs/submit"}"#.to_owned(),
        r#"http_requests_total{code="503",route="/v1/pcs/submit"}"#.to_owned(),
        r#"http_request_duration_seconds_count{route="/v1/pcs/submit"}"#.to_owned(),
        r#"flk_tenant_records_total{tenant="default"}"#.to_owned(),
        r#"flk_tenant_records_total{tenant="other"}"#.to_owned(),
        "flk_conflicts_total".to_owned(),
    ];
    series.extend(Code::ALL.map(|code| format!("flk_verdicts_total{{code=\"{code}\"}}")));
    series.extend(State::ALL.map(|state| format!("flk_outcomes_total{{state=\"{}\"}}", state.as_label())));
    series.extend(Shed::ALL.map(|reason| format!("flk_shed_total{{reason=\"{}\"}}", reason.as_label())));
    series.extend(Op::ALL.map(|op| format!("dedup_operation_duration_seconds_count{{op=\"{}\"}}", op.as_label())));
    for series in series {
        assert_eq!(value(&text, &series), Some(0.0), "{series} in\n{text}");
    }
}

#[test]
fn the_process_and_what_runs_are_told() {
    let text = Metrics::new().render();
    let build = format!(r#"flk_build_info{{contract="0.1",version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&text, &build), Some(1.0), "{text}");
    assert!(value(&text, "process_resident_memory_bytes").unwrap() > 0.0, "{text}");
    assert!(value(&text, "process_open_fds").unwrap() > 0.0, "{text}");
}

#[test]
fn events_move_their_series_and_no_other() {
    let metrics = Metrics::new();
    metrics.http_route("/v1/pcs/submit", &[200]);
    metrics.http_answered("/v1/pcs/submit", 200, Duration::from_millis(3));
    metrics.verdict(Code::Degraded);
    metrics.outcome(State::Settled);
    metrics.shed(Shed::Queue);
    metrics.dedup_op(Op::Apply, Duration::from_micros(30));
    metrics.dedup_op(Op::Lookup, Duration::from_micros(3));
    metrics.dedup_op(Op::Lookup, Duration::from_micros(30));
    metrics.set_ready("log", true);
    metrics.set_ready("disk", false);
    metrics.watch_dropped_lines(|| 7);
    metrics.render();
    let text = metrics.render();
    for (series, expected) in [
        (r#"http_requests_total{code="200",route="/v1/pcs/submit"}"#, 1.0),
        (r#"http_request_duration_seconds_bucket{route="/v1/pcs/submit",le="0.0025"}"#, 0.0),
        (r#"http_request_duration_seconds_bucket{route="/v1/pcs/submit",le="0.005"}"#, 1.0),
        (r#"flk_verdicts_total{code="degraded"}"#, 1.0),
        (r#"flk_verdicts_total{code="ok"}"#, 0.0),
        (r#"flk_outcomes_total{state="settled"}"#, 1.0),
        (r#"flk_shed_total{reason="queue"}"#, 1.0),
        (r#"dedup_operation_duration_seconds_count{op="apply"}"#, 1.0),
        (r#"dedup_operation_duration_seconds_count{op="lookup"}"#, 2.0),
        (r#"dedup_operation_duration_seconds_bucket{op="lookup",le="0.000005"}"#, 1.0),
        (r#"dedup_operation_duration_seconds_count{op="settle"}"#, 0.0),
        (r#"flk_ready{check="log"}"#, 1.0),
        (r#"flk_ready{check="disk"}"#, 0.0),
        (names::LOG_LINES_DROPPED, 7.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
}

#[test]
fn tenants_beyond_the_bound_share_one_series() {
    let metrics = Metrics::new();
    for n in 0..100 {
        for _ in 0..2 {
            metrics.count_tenant(&Tenant::new(&format!("t{n}")).unwrap());
        }
    }
    metrics.count_tenant(&Tenant::default_tenant());
    let text = metrics.render();
    let series = text.lines().filter(|line| line.starts_with("flk_tenant_records_total{")).count();
    assert_eq!(series, TENANTS_BY_NAME + 1, "{text}");
    assert_eq!(value(&text, r#"flk_tenant_records_total{tenant="t0"}"#), Some(2.0));
    assert_eq!(value(&text, r#"flk_tenant_records_total{tenant="default"}"#), Some(1.0));
    assert_eq!(value(&text, r#"flk_tenant_records_total{tenant="other"}"#), Some(138.0));
}
