//! `flk pcs submit` and `flk health` against a small stub: retries, what is counted, the exit code.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use crate::run::{Directory, Ran, flk};
use serde_json::{Value, json};

/// What the stub answers: status, `Retry-After`, body.
type Answer = (u16, Option<&'static str>, Value);

struct Request {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
    at: Instant,
}

/// Answers the given answers in their order, and the last one from then on.
struct Stub {
    address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let all = seen.clone();
        // Lives as long as the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                let (all, answers) = (all.clone(), answers.clone());
                thread::spawn(move || serve(stream, &all, &answers));
            }
        });
        Self { address, seen }
    }

    fn bodies(&self) -> Vec<String> {
        let text = |request: &Request| String::from_utf8_lossy(&request.body).into_owned();
        self.seen.lock().unwrap().iter().map(text).collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, answers: &Mutex<VecDeque<Answer>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let length =
            head.iter().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let line = head.remove(0);
        seen.lock().unwrap().push(Request { line, headers: head, body, at: Instant::now() });
        let (status, retry_after, answer) = {
            let mut answers = answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
        };
        let retry_after = retry_after.map(|value| format!("Retry-After: {value}\r\n")).unwrap_or_default();
        let answer = answer.to_string();
        write!(&stream, "HTTP/1.1 {status} Stub\r\n{retry_after}Content-Length: {}\r\n\r\n{answer}", answer.len())
            .ok()?;
    }
}

fn judged(status: u16, code: &str, accepted: bool) -> Answer {
    let body = json!({
        "pcs_id": "x", "status": status, "code": code, "accepted": accepted, "escalated": status == 202,
        "duplicate": false, "conflict": false, "reason": "because",
    });
    (status, None, body)
}

fn with(mut answer: Answer, names: &[&str]) -> Answer {
    names.iter().for_each(|name| answer.2[name] = true.into());
    answer
}

fn submit(stub: &Stub, args: &[&str], stdin: &str) -> Ran {
    let args = ["pcs", "submit", "--endpoint", &stub.address, "--in-flight", "1"].into_iter().chain(args.to_owned());
    flk(args).stdin(stdin).ran()
}

/// The lines of answers, and the summary.
fn lines(ran: &Ran) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].clone();
    (lines, summary)
}

#[test]
fn all_accepted_is_exit_code_0_and_bytes_are_sent_as_they_are() {
    let stub = Stub::new([judged(200, "ok", true)]);
    let directory = Directory::new();
    let pretty = "{\n  \"a\": 1.50e+0,\r\n  \"b\": \"\u{e4}\"\n}\n";
    let (whole, many) = (directory.file("a.json", pretty), directory.file("b.ndjson", "{\"n\": 1 }\n\n{\"n\":2}"));
    let ran = submit(&stub, &["--tenant", "t1", whole.to_str().unwrap(), many.to_str().unwrap()], "");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(stub.bodies(), [pretty, "{\"n\": 1 }", "{\"n\":2}"]);
    assert!(ran.stdout.contains("accepted") && ran.stdout.contains("3 documents"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    let seen = stub.seen.lock().unwrap();
    assert!(seen.iter().all(|request| request.line == "post /v1/pcs/submit http/1.1"));
    assert!(seen[0].headers.contains(&"x-tenant-id: t1".to_owned()), "{:?}", seen[0].headers);
    assert!(seen[0].headers.contains(&"content-type: application/json".to_owned()), "{:?}", seen[0].headers);
}

#[test]
fn answers_are_counted_by_what_they_mean() {
    let problem = |status, code| (status, None, json!({"type": "t", "code": code, "detail": "do this"}));
    let stub = Stub::new([
        judged(200, "ok", true),
        judged(202, "degraded", true),
        with(judged(200, "ok", true), &["duplicate"]),
        with(judged(200, "ok", true), &["duplicate", "conflict"]),
        judged(202, "schema_mismatch", false),
        problem(400, "malformed"),
        problem(401, "bad_signature"),
        (200, None, json!("a proxy's page")),
        (202, None, json!({"state": "pending"})),
        problem(500, "internal"),
    ]);
    let input: String = (0..10).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let ran = submit(&stub, &["--json", "-"], &input);
    assert_eq!(ran.code, 1);
    let (answers, summary) = lines(&ran);
    let outcomes: Vec<&str> = answers.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..5], ["accepted", "accepted", "accepted", "conflict", "refused"]);
    assert_eq!(outcomes[5..], ["refused", "refused", "failed", "failed", "failed"]);
    let lines: Vec<u64> = answers.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=10).collect::<Vec<_>>());
    assert_eq!((&answers[5]["source"], &answers[5]["detail"]), (&"standard input".into(), &"do this".into()));
    assert_eq!(answers[0]["answer"]["pcs_id"], "x");
    for (name, count) in [
        ("documents", 10),
        ("accepted", 3),
        ("escalated", 2),
        ("duplicate", 1),
        ("conflict", 1),
        ("refused", 3),
        ("failed", 3),
        ("retries", 0),
    ] {
        assert_eq!(summary[name], count, "{name}: {summary}");
    }
    let ok = summary["by"].as_array().unwrap().iter().find(|by| by["code"] == "ok").unwrap();
    assert_eq!((&ok["status"], &ok["count"]), (&200.into(), &3.into()));
}

#[test]
fn a_person_sees_the_table_and_the_first_that_were_not_accepted() {
    let stub = Stub::new([(400, None, json!({"code": "malformed", "detail": "say \u{1b}[31m what"}))]);
    let input = "not json\n".repeat(25);
    let ran = submit(&stub, &["-"], &input);
    assert_eq!(ran.code, 1);
    assert_eq!(stub.bodies(), ["not json"; 25]);
    assert_eq!(ran.stderr.lines().count(), 21, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("standard input:1 400 malformed: say \\u{1b}[31m what\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("and 5 more"), "{}", ran.stderr);
    assert!(ran.stdout.contains("400 Bad Request  malformed         25"), "{}", ran.stdout);
}

#[test]
fn retry_after_is_obeyed_and_the_record_is_accepted_in_the_end() {
    let busy = |status| (status, Some("1"), json!({"code": "overloaded", "detail": "later"}));
    let stub = Stub::new([busy(429), busy(503), judged(200, "ok", true)]);
    let ran = submit(&stub, &["--json", "-"], "{\"n\":1}\n");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let (answers, summary) = lines(&ran);
    assert_eq!((&answers[0]["attempts"], &summary["retries"]), (&3.into(), &2.into()));
    assert_eq!(stub.bodies(), ["{\"n\":1}"; 3]);
    let seen = stub.seen.lock().unwrap();
    for pair in seen.windows(2) {
        let waited = pair[1].at - pair[0].at;
        assert!(waited.as_millis() >= 1000, "{waited:?}");
    }
}

#[test]
fn retry_after_holds_everybody_back() {
    let stub = Stub::new([(429, Some("1"), json!({})), judged(200, "ok", true)]);
    let input = "{}\n".repeat(3);
    let ran = submit(&stub, &["--json", "-"], &input);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let seen = stub.seen.lock().unwrap();
    assert!(seen[1..].iter().all(|request| (request.at - seen[0].at).as_millis() >= 1000));
}

#[test]
fn retries_are_bounded_and_the_rest_is_not_sent() {
    let stub = Stub::new([(503, Some("0"), json!({"code": "log_unavailable", "detail": "the log is away"}))]);
    let input = "{}\n".repeat(50);
    let ran = submit(&stub, &["--retries", "2", "--json", "-"], &input);
    assert_eq!(ran.code, 1);
    let (answers, summary) = lines(&ran);
    assert_eq!(stub.bodies().len(), 3);
    assert_eq!((answers.len(), &answers[0]["outcome"]), (1, &"failed".into()));
    assert!(answers[0]["detail"].as_str().unwrap().starts_with("the log is away"), "{}", answers[0]);
    assert!(summary["stopped"].as_str().unwrap().contains("sent again"), "{summary}");
    let counts = ["documents", "failed", "unsent"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!((counts, &summary["unread"]), ([50, 1, 49], &false.into()), "{summary}");
    let words = submit(&stub, &["--retries", "0", "-"], &input).stdout;
    assert!(words.lines().any(|line| line.starts_with("not sent") && line.contains("49")), "{words}");
    // A wait longer than anybody is ready for is not begun.
    let stub = Stub::new([(503, Some("3600"), json!({}))]);
    let ran = submit(&stub, &["--json", "-"], "{}");
    assert_eq!((ran.code, stub.bodies().len()), (1, 1));
    assert!(lines(&ran).0[0]["detail"].as_str().unwrap().contains("3600 s"), "{}", ran.stdout);
}

#[test]
fn a_service_that_is_not_there_or_does_not_answer_is_said_in_time() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = ["pcs", "submit", "--endpoint", &format!("http://{free}"), "--retries", "1", "-"];
    let ran = flk(args).stdin("{}\n").ran();
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no answer from"), "{}", ran.stderr);
    assert!(ran.stdout.contains("stopped"), "{}", ran.stdout);
    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let args = ["pcs", "submit", "--endpoint", &url, "--retries", "0", "--timeout", "200ms", "-"];
    let ran = flk(args).stdin("{}\n").ran();
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("timeout"), "{}", ran.stderr);
    let sentence = flk(["health", "--timeout", "200ms", &url]).ran().sentence(1);
    assert!(sentence.contains("no answer"), "{sentence}");
}

#[test]
fn a_document_larger_than_a_record_may_be_is_said_plainly_and_the_others_are_sent() {
    let stub = Stub::new([judged(200, "ok", true)]);
    let ran = submit(&stub, &["-"], &format!("{{}}\n\"{}\"\n[]\n", "x".repeat(1024 * 1024)));
    assert_eq!(ran.code, 1);
    assert_eq!(stub.bodies(), ["{}", "[]"]);
    assert_eq!(
        ran.stderr,
        "standard input:2: not sent: it has 1048578 bytes, and a record has at most 1048576 (1 MiB)\n"
    );
}

#[test]
fn what_was_not_sent_is_no_failure_of_the_service() {
    let stub = Stub::new([judged(200, "ok", true)]);
    let ran = submit(&stub, &["--json", "-"], &format!("{{}}\n\"{}\"\n", "x".repeat(1024 * 1024)));
    assert_eq!(ran.code, 1);
    let (answers, summary) = lines(&ran);
    assert_eq!((&answers[1]["outcome"], &answers[1]["attempts"]), (&"unsent".into(), &0.into()));
    let counts = ["documents", "accepted", "refused", "failed", "unsent"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 0, 0, 1], "{summary}");
    assert_eq!(summary["by"].as_array().unwrap().len(), 1, "only answers have a status: {summary}");
}

#[test]
fn an_input_that_does_not_end_is_counted_as_far_as_it_came_and_that_is_said() {
    let stub = Stub::new([(503, Some("3600"), json!({}))]);
    let args = ["pcs", "submit", "--endpoint", &stub.address, "--in-flight", "1", "--json", "-"];
    let ran = flk(args).open_stdin("{}\n".repeat(5)).ran();
    assert_eq!(ran.code, 1);
    let summary = lines(&ran).1;
    assert_eq!((&summary["unsent"], &summary["unread"]), (&4.into(), &true.into()), "{summary}");
}

#[test]
fn several_are_in_flight_and_each_is_answered_once() {
    let stub = Stub::new([judged(200, "ok", true)]);
    let input: String = (0..500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let args = ["pcs", "submit", "--in-flight", "16", "--json", "-"];
    let ran = flk(args).env("ENDPOINT", format!("{}/other/path", stub.address)).stdin(input.clone()).ran();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut sent = stub.bodies();
    let mut expected: Vec<&str> = input.lines().collect();
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected);
    assert_eq!(lines(&ran).0.len(), 500);
    assert!(stub.seen.lock().unwrap().iter().all(|request| request.line.starts_with("post /other/path ")));
}

#[test]
fn nothing_to_send_or_nowhere_to_send_it_is_one_sentence() {
    let stub = Stub::new([judged(200, "ok", true)]);
    assert!(submit(&stub, &["-"], "\n").sentence(2).contains("nothing to send"));
    assert!(submit(&stub, &["/nowhere.json"], "").sentence(2).contains("/nowhere.json can not be read"));
    assert!(stub.bodies().is_empty());
    let sentence = flk(["pcs", "submit", "--endpoint", "localhost:80", "-"]).ran().sentence(2);
    assert!(sentence.contains("ENDPOINT"), "{sentence}");
}

#[test]
fn health_is_the_status_and_nothing_else() {
    let stub = Stub::new([(200, None, json!("OK")), (503, None, json!("x")), (302, None, json!(""))]);
    let said = flk(["health", &stub.address]).ran().ok();
    assert!(said.starts_with(&format!("{}/health: 200 OK (", stub.address)), "{said}");
    let sentence = flk(["health", &format!("{}/readyz?scope=local", stub.address)]).ran().sentence(1);
    assert!(sentence.contains("503 Service Unavailable"), "{sentence}");
    assert_eq!(stub.seen.lock().unwrap()[1].line, "get /readyz?scope=local http/1.1");
    assert_eq!(flk(["health", &stub.address]).ran().code, 1);
    assert!(flk(["health", "nonsense"]).ran().sentence(1).contains("is not a URL"));
}
