//! What all calls share: methods, paths, request ids, what is kept beside a record.

use flk_ingest::Route;

use crate::{
    Service,
    client::{Call, Socket, get},
    memory::Memory,
    records::{good, id},
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn example(route: Route) -> Option<String> {
    let path = route.path()?;
    Some(path.replace("{pcs_id}", "x").replace("{partition}", "0").replace("{offset}", "1"))
}

#[tokio::test]
async fn another_method_is_405_and_the_right_ones_are_named() {
    let service = Service::start(Memory::new()).await;
    for route in Route::ALL {
        let Some(path) = example(route) else { continue };
        let allowed: &[&str] = if route == Route::Submit { &["POST"] } else { &["GET", "HEAD"] };
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let reply = Call::method(method, path.clone()).to(&service).await;
            if allowed.contains(&method) {
                assert_ne!(reply.status, 405, "{method} {path}");
                continue;
            }
            assert_eq!(
                (reply.status, reply.header("allow")),
                (405, Some(allowed.join(", ").as_str())),
                "{method} {path}"
            );
            if method != "HEAD" {
                reply.problem(405, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let service = Service::start(Memory::new()).await;
    let record = good("a");
    Call::post(record.clone()).to(&service).await;
    let settled = format!("/v1/pcs/{}", id(&record));
    let found = ["/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/v1/records/0/1", &settled];
    let missing = ["/v1/pcs/nothing", "/v1/records/0/2", "/nothing"];
    for (path, status) in found.map(|path| (path, 200)).into_iter().chain(missing.map(|path| (path, 404))) {
        let whole = Call::get(path).to(&service).await;
        let head = Call::method("HEAD", path).to(&service).await;
        assert_eq!((whole.status, head.status, head.body.len()), (status, status, 0), "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
        let lengths = [&whole, &head].map(|reply| reply.header("content-length").unwrap().parse::<usize>().unwrap());
        assert_eq!(lengths[0], whole.body.len(), "{path}");
        // Metrics grow with every request.
        assert!(lengths[1] == lengths[0] || path == "/metrics" && lengths[1] > 0, "{path}: {lengths:?}");
    }
    // Nothing of a body is on the wire: what comes next is the next answer.
    let mut socket = Socket::open(service.address).await;
    socket.send(get(&settled).replace("GET", "HEAD")).await;
    socket.send(get("/livez")).await;
    let head = socket.head().await;
    assert_eq!((head.status, socket.reply().await.text().as_str()), (200, "OK"));
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_and_counts_as_other() {
    let service = Service::start(Memory::new()).await;
    let paths =
        ["/", "/v1", "/v1/pcs", "/v1/pcs/", "/v1/pcs/a/b", "/v1/pcs/submit/", "/v1/records/0", "/HEALTH", "/health/"];
    for path in paths {
        Call::get(path).to(&service).await.problem(404, "not_found");
        Call::method("DELETE", path).to(&service).await.problem(404, "not_found");
    }
    let series = "http_requests_total{code=\"404\",route=\"other\"}";
    assert_eq!(service.metric(series), 2.0 * paths.len() as f64);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_keeps_the_clients() {
    let service = Service::start(Memory::new()).await;
    for route in Route::ALL {
        let path = example(route).unwrap_or("/nothing".into());
        let own = Call::get(path.clone()).header("x-request-id", "Job-7_x.1").to(&service).await;
        assert_eq!(own.header("x-request-id"), Some("Job-7_x.1"), "{path}");
        for none in ["", "a b", &"x".repeat(65)] {
            let made = Call::get(path.clone()).header("x-request-id", none).to(&service).await;
            assert!(made.header("x-request-id").is_some_and(|id| id.len() == 32), "{path}: {made:?}");
        }
    }
}

#[tokio::test]
async fn what_is_said_beside_a_record_is_kept_with_it() {
    let service = Service::start(Memory::new()).await;
    let call = Call::post(good("a"))
        .header("x-request-id", "r1")
        .header("traceparent", TRACE)
        .header("x-tenant-id", "default");
    assert_eq!(call.to(&service).await.status, 200);
    let made = Call::post(good("b")).header("traceparent", "nonsense").to(&service).await;
    let [said, unsaid] = &service.memory.taken()[..] else { panic!("two records") };
    assert_eq!(
        (said.request_id.as_deref(), said.traceparent.as_deref(), said.tenant.as_deref()),
        (Some("r1"), Some(TRACE), Some("default"))
    );
    assert_eq!(
        (unsaid.request_id.as_deref(), &unsaid.traceparent, &unsaid.tenant),
        (made.header("x-request-id"), &None, &None)
    );
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let service = Service::start(Memory::new()).await;
    let mut socket = Socket::open(service.address).await;
    for _ in 0..3 {
        socket.send(get("/health")).await;
        assert_eq!(socket.reply().await.text(), "OK");
    }
    socket.send([get("/livez"), get("/v1/pcs/x"), get("/livez")].concat()).await;
    for status in [200, 404, 200] {
        assert_eq!(socket.reply().await.status, status);
    }
}
