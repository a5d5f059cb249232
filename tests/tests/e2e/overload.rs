//! What is over a limit is turned away before it costs anything, and told when to come back.

use flk_tests::{Client, DEADLINE, Pcs, Request, Response, Setup, answers::is_away, until, until_some};

#[test]
fn over_the_rate_a_submission_is_429_and_told_to_come_back_in_ten_seconds() {
    let service = Setup::hmac().env("TOKEN_RATE", "1").start();
    let mut client = service.client();
    let answers: Vec<Response> = (0..5).map(|_| client.call(&Request::submit(Pcs::fresh()))).collect();
    // A burst of twice the rate, and what a second brings back.
    assert!(answers[..2].iter().all(|answer| answer.status == 200), "{}", answers[1]);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty());
    for answer in &refused {
        assert_eq!((answer.header("retry-after"), answer.code().as_str()), (Some("10"), "rate_limited"), "{answer}");
        assert_eq!(answer.field("durable"), false);
    }
    // Reading is not what is limited.
    (0..20).for_each(|_| drop(client.call(&Request::get("/v1/pcs/x")).expect(404)));
    assert_eq!(service.metrics().value(r#"flk_shed_total{reason="rate"}"#), refused.len() as f64);
    assert_eq!(service.stored_all().len(), 5 - refused.len(), "what is shed is not in the log");
}

#[test]
fn a_rate_of_0_is_no_limit() {
    let service = Setup::hmac().env("TOKEN_RATE", "0").start();
    let mut client = service.client();
    (0..300).for_each(|_| drop(client.call(&Request::submit("{")).expect(400)));
    assert_eq!(service.metrics().value(r#"flk_shed_total{reason="rate"}"#), 0.0);
}

#[test]
fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let service = Setup::hmac().env("FLK_MAX_CONNECTIONS", "8").start();
    // Whoever asked whether it is ready may still hold a place.
    let mut held = until_some("eight are connected", DEADLINE, || {
        let mut held: Vec<_> = (0..8).map(|_| Client::connected(service.addr())).collect();
        let let_in =
            |client: &mut Client| client.send(&Request::get("/health")).is_ok_and(|answer| answer.status == 200);
        held.iter_mut().all(let_in).then_some(held)
    });
    let mut extra = service.client();
    let answer = extra.send(&Request::submit(Pcs::fresh())).unwrap();
    is_away(&answer, "overloaded_connections", false);
    assert_eq!(answer.header("connection"), Some("close"));
    let _ = held[0].call(&Request::submit(Pcs::fresh())).expect(200);
    drop(held.pop());
    until("the place is free again", DEADLINE, || {
        service.client().send(&Request::get("/health")).is_ok_and(|answer| answer.status == 200)
    });
}
