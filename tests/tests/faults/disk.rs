//! A disk that is full, and one that fails: 503s that say whether the record is durable, never a
//! false 200, and recovery without a restart.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use flk_tests::{DEADLINE, Pcs, Request, Response, Rng, Service, Setup, log, mount::Tmpfs, rng, shim::Shim, until};
use serde_json::Value;

/// What was told, by id.
#[derive(Default)]
struct Told {
    settled: HashMap<String, Value>,
    /// `durable: false`: it is certain that the record is not in the log.
    absent: Vec<Pcs>,
    /// `durable: "unknown"`.
    open: Vec<Pcs>,
}

impl Told {
    /// Writes an answer down; whether it was a 503.
    #[track_caller]
    fn take(&mut self, pcs: Pcs, answer: &Response) -> bool {
        if answer.status == 200 {
            self.settled.insert(pcs.id().to_owned(), answer.field("origin"));
            return false;
        }
        assert_eq!(answer.status, 503, "{answer}");
        assert_eq!(answer.field("wal"), Value::Null, "no position where it is not certain: {answer}");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&seconds) || seconds == 60, "{answer}");
        match answer.field("durable") {
            Value::Bool(false) => self.absent.push(pcs),
            durable => {
                assert_eq!(durable, "unknown", "{answer}");
                self.open.push(pcs);
            }
        }
        true
    }

    /// Everything that was told is so.
    #[track_caller]
    fn check(&self, service: &Service) {
        assert!(!self.settled.is_empty());
        let mut client = service.client();
        for (id, origin) in &self.settled {
            let read = client.call(&Request::get(&format!("/v1/pcs/{id}"))).expect(200);
            assert_eq!(read.field("origin"), *origin, "{id}");
        }
        let records = log::records(service.data());
        let offsets: Vec<i64> = records.iter().map(|record| record.origin.position.offset).collect();
        assert!(
            offsets.iter().zip(1..).all(|(offset, expected)| *offset == expected),
            "offsets are given without holes"
        );
        let bodies: std::collections::HashSet<&[u8]> = records.iter().map(|record| &*record.record.body).collect();
        for pcs in &self.absent {
            assert!(!bodies.contains(&*pcs.body()), "{}: told durable: false, and in the log", pcs.id());
        }
    }

    /// Whoever was told 503 sends again, and is told what is so.
    fn retried(&mut self, service: &Service) {
        let mut client = service.client();
        for pcs in std::mem::take(&mut self.absent) {
            let answer = client.call(&Request::submit(&pcs)).expect(200);
            assert_eq!(answer.field("duplicate"), false, "it was told durable: false: {answer}");
            self.take(pcs, &answer);
        }
        for pcs in std::mem::take(&mut self.open) {
            let answer = client.call(&Request::submit(&pcs)).expect(200);
            assert_eq!(answer.field("conflict"), false, "{answer}");
            self.take(pcs, &answer);
        }
    }
}

#[test]
fn a_full_disk_is_503_and_never_a_false_200_and_space_alone_mends_it() {
    let disk = Tmpfs::mount("32m");
    let ballast = disk.path().join("ballast");
    // As much again as the log will have: moving its own write-ahead file takes that.
    fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let mut service = Setup::hmac().dir(&disk.path().join("data")).start();
    let large = || Pcs::unique().with("pad", "x".repeat(60_000)).signed(flk_tests::record::USUAL);
    let mut told = Told::default();
    let mut client = service.client();
    let mut refused = 0;
    // Small ones too: they fit where a large one does not.
    for n in 0..2000 {
        let pcs = if n % 3 == 0 { Pcs::fresh() } else { large() };
        let answer = client.call(&Request::submit(&pcs));
        refused += u32::from(told.take(pcs, &answer));
        if refused == 12 {
            break;
        }
    }
    assert_eq!(refused, 12, "the disk is full at some time");
    assert!(told.settled.len() > 20, "and not at once");
    assert_eq!(service.get("/health").expect(200).text(), "OK");
    let ready = service.get("/readyz").expect(503).json();
    assert_eq!(ready["checks"]["log"]["ok"], false, "{ready}");
    assert!(service.metrics().value("flk_wal_errors") >= 1.0);
    // What was told before can still be read.
    told.check(&service);

    fs::remove_file(&ballast).unwrap();
    // By itself: a load balancer sends nothing to who says that it is not ready.
    until("it is ready again, without a restart and without a record", DEADLINE, || {
        service.get("/readyz").status == 200
    });
    let pcs = Pcs::fresh();
    let answer = service.submit(&pcs);
    assert!(!told.take(pcs, &answer), "{answer}");
    told.retried(&service);
    told.check(&service);
    service.kill9_and_restart();
    told.check(&service);
}

#[test]
fn a_service_started_on_a_full_disk_says_so_or_serves_what_it_has() {
    let disk = Tmpfs::mount("12m");
    let mut service = Setup::hmac().dir(&disk.path().join("data")).start();
    let pcs = Pcs::fresh();
    let mut told = Told::default();
    told.take(pcs.clone(), &service.submit(&pcs));
    service.kill9();
    let ballast = disk.path().join("ballast");
    // As much as fits.
    assert!(fs::write(&ballast, vec![1; 13 << 20]).is_err());
    service.launch("127.0.0.1:0");
    let ended = flk_tests::until_some("it starts, or says why not", DEADLINE, || match service.ended() {
        Some(_) => Some(true),
        None => service.lines().iter().any(|line| line["message"] == "listening").then_some(false),
    });
    if ended {
        service.refusal().with(&["can not be written"]);
    } else {
        service.listening();
        let late = Pcs::fresh();
        let answer = service.submit(&late);
        told.take(late, &answer);
        service.kill9();
    }
    fs::remove_file(&ballast).unwrap();
    service.start();
    told.check(&service);
    told.retried(&service);
}

#[test]
fn a_failing_fsync_is_never_told_as_a_success_and_mends_without_a_restart() {
    let disk = Shim::compile("fsync");
    let mut service = Setup::hmac().preload(disk.library()).env("FLK_SHIM", disk.control()).start();
    let mut told = Told::default();
    let mut client = service.client();
    let mut submit = |told: &mut Told| {
        let pcs = Pcs::fresh();
        let answer = client.call(&Request::submit(&pcs));
        told.take(pcs, &answer)
    };
    (0..5).for_each(|_| assert!(!submit(&mut told)));
    disk.say("fail");
    (0..6).for_each(|_| assert!(submit(&mut told), "told as durable while no fsync succeeds"));
    // Nor asynchronously: 202 is for what is durable.
    for prefer in ["respond-async", "respond-async, wait=5"] {
        let answer = service.call(&Request::submit(Pcs::fresh()).prefer(prefer)).expect(503);
        assert_ne!(answer.field("durable"), true, "{answer}");
    }
    let _ = service.get("/readyz").expect(503);
    assert!(service.metrics().value("flk_wal_errors") >= 8.0);
    assert_eq!(service.get("/health").expect(200).text(), "OK");
    disk.rest();
    until("it is ready again, without a restart and without a record", DEADLINE, || {
        service.get("/readyz").status == 200
    });
    assert!(!submit(&mut told));
    told.check(&service);
    told.retried(&service);
    service.kill9_and_restart();
    told.check(&service);
}

#[test]
fn a_disk_that_fails_now_and_then_under_load_loses_nothing_that_was_told() {
    let seed = rng::seed();
    println!("FLK_SEED={seed}");
    let mut rng = Rng::new(seed);
    let disk = Shim::compile("fsync");
    let mut service = Setup::hmac().preload(disk.library()).env("FLK_SHIM", disk.control()).start();
    let told = Mutex::new(Told::default());
    let stop = AtomicBool::new(false);
    let settled = || told.lock().unwrap().settled.len();
    let refused = || {
        let told = told.lock().unwrap();
        told.absent.len() + told.open.len()
    };
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = service.client();
                while !stop.load(Ordering::Relaxed) {
                    let pcs = Pcs::fresh();
                    let answer = client.call(&Request::submit(&pcs));
                    told.lock().unwrap().take(pcs, &answer);
                }
            });
        }
        for _ in 0..8 {
            let good = settled() + 1 + rng.below(100) as usize;
            until("records are taken", DEADLINE, || settled() >= good);
            let bad = refused() + 1 + rng.below(40) as usize;
            disk.say("fail");
            until("records are refused", DEADLINE, || refused() >= bad);
            disk.rest();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let mut told = told.into_inner().unwrap();
    service.kill9_and_restart();
    told.check(&service);
    told.retried(&service);
    told.check(&service);
}
