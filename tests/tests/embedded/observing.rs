//! What only a log on a disk of its own counts, and what only it depends on.

use flk_tests::{DEADLINE, Pcs, Setup, until};

#[test]
fn what_the_disk_does_and_holds_is_counted() {
    let service = Setup::hmac().start();
    assert_eq!(service.metrics().value(r#"flk_shed_total{reason="queue"}"#), 0.0);
    let _ = service.submit(Pcs::fresh()).expect(200);
    assert!(service.metrics().value("flk_log_fsync_seconds_count") > 0.0);
    for gauge in ["flk_disk_used_bytes", "flk_disk_free_bytes"] {
        until(gauge, DEADLINE, || service.metrics().value(gauge) > 0.0);
    }
}

#[test]
fn it_depends_on_its_log_and_its_index() {
    let service = Setup::hmac().start();
    for path in ["/readyz", "/readyz?scope=local"] {
        let ready = service.get(path).expect(200).json();
        for check in ["log", "index"] {
            assert_eq!(ready["checks"][check]["ok"], true, "{check}: {ready}");
        }
    }
}
