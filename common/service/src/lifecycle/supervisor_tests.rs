//! Claims about stopping, with tasks that behave and tasks that do not.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::*;

/// What happened, in order.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<&'static str>>>);

impl Story {
    fn tell(&self, event: &'static str) {
        self.0.lock().unwrap().push(event);
    }

    fn told(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

const SOON: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(60);
const PATIENT: Deadlines = Deadlines { drain_delay: Duration::ZERO, drain: LONG, commit: LONG };

fn fine() -> Result<(), &'static str> {
    Ok(())
}

/// A server and a writer that stop as they are asked to.
fn orderly(supervisor: &mut Supervisor, story: &Story) {
    let (lifecycle, told) = (supervisor.lifecycle.clone(), story.clone());
    supervisor.spawn("server", Until::Drained, async move {
        lifecycle.draining().cancelled().await;
        told.tell("drained");
        fine()
    });
    let (lifecycle, told) = (supervisor.lifecycle.clone(), story.clone());
    supervisor.spawn("writer", Until::Committed, async move {
        lifecycle.committing().cancelled().await;
        told.tell("committed");
        fine()
    });
}

async fn run(supervisor: Supervisor, signals: mpsc::Receiver<&'static str>) -> Exit {
    tokio::time::timeout(LONG / 2, supervisor.run(signals)).await.expect("it stops long before the deadlines")
}

#[tokio::test]
async fn a_signal_stops_everything_in_order() {
    let (lifecycle, story) = (Lifecycle::new(), Story::default());
    let mut supervisor = Supervisor::new(lifecycle.clone(), PATIENT);
    orderly(&mut supervisor, &story);
    let (send, signals) = mpsc::channel(1);
    send.send("SIGTERM").await.unwrap();
    assert_eq!(run(supervisor, signals).await, Exit::Success);
    assert_eq!(story.told(), ["drained", "committed"]);
    assert_eq!(lifecycle.phase(), Phase::Done);
}

#[tokio::test]
async fn readiness_goes_off_a_delay_before_requests_are_refused() {
    let lifecycle = Lifecycle::new();
    let mut supervisor = Supervisor::new(lifecycle.clone(), Deadlines { drain_delay: SOON, ..PATIENT });
    let seen = lifecycle.clone();
    let (send, phases) = tokio::sync::oneshot::channel();
    supervisor.spawn("server", Until::Drained, async move {
        seen.not_ready().cancelled().await;
        let early = (seen.check().ok, seen.phase());
        seen.draining().cancelled().await;
        send.send(early).map_err(|_| "nobody listens")
    });
    let asked = Instant::now();
    lifecycle.stop();
    let (_keep, signals) = mpsc::channel(1);
    assert_eq!(run(supervisor, signals).await, Exit::Success);
    assert_eq!(phases.await.unwrap(), (false, Phase::NotReady));
    assert!(asked.elapsed() >= SOON);
}

#[tokio::test]
async fn a_task_that_ends_early_or_fails_or_panics_stops_the_process_with_a_failure() {
    for how in ["early", "error", "panic"] {
        let story = Story::default();
        let mut supervisor = Supervisor::new(Lifecycle::new(), PATIENT);
        orderly(&mut supervisor, &story);
        supervisor.spawn("broken", Until::Committed, async move {
            match how {
                "early" => Ok(()),
                "error" => Err("the disk is gone"),
                _ => panic!("a bug"),
            }
        });
        let (_keep, signals) = mpsc::channel(1);
        assert_eq!(run(supervisor, signals).await, Exit::Failure, "{how}");
        assert_eq!(story.told(), ["drained", "committed"], "{how}");
    }
}

#[tokio::test]
async fn a_task_with_an_end_of_its_own_may_have_it_but_not_fail() {
    for (result, exit) in [(Ok(()), Exit::Success), (Err("no"), Exit::Failure)] {
        let (lifecycle, story) = (Lifecycle::new(), Story::default());
        let mut supervisor = Supervisor::new(lifecycle.clone(), PATIENT);
        orderly(&mut supervisor, &story);
        let (ended, told) = (lifecycle.clone(), story.clone());
        supervisor.spawn("restore", Until::ItsOwnEnd, async move {
            told.tell("restored");
            result
        });
        supervisor.spawn("asks", Until::ItsOwnEnd, async move {
            ended.stop();
            fine()
        });
        let (_keep, signals) = mpsc::channel(1);
        assert_eq!(run(supervisor, signals).await, exit);
        assert_eq!(story.told(), ["restored", "drained", "committed"]);
    }
}

#[tokio::test]
async fn requests_that_outlast_the_deadline_are_given_up_and_what_was_accepted_is_still_committed() {
    let (lifecycle, story) = (Lifecycle::new(), Story::default());
    let mut supervisor = Supervisor::new(lifecycle.clone(), Deadlines { drain: SOON, ..PATIENT });
    orderly(&mut supervisor, &story);
    let (stuck, told) = (lifecycle.clone(), story.clone());
    supervisor.spawn("slow clients", Until::Drained, async move {
        stuck.forced().cancelled().await;
        assert!(!stuck.committing().is_cancelled());
        told.tell("gave up");
        fine()
    });
    lifecycle.stop();
    let (_keep, signals) = mpsc::channel(1);
    assert_eq!(run(supervisor, signals).await, Exit::Failure);
    assert_eq!(story.told(), ["drained", "gave up", "committed"]);
}

#[tokio::test]
async fn a_task_that_listens_to_nobody_keeps_neither_the_next_phase_nor_the_process() {
    for until in [Until::Drained, Until::Committed] {
        let (lifecycle, story) = (Lifecycle::new(), Story::default());
        // One deadline is short, the other longer than the test waits.
        let deadlines = match until {
            Until::Drained => Deadlines { drain: SOON, ..PATIENT },
            _ => Deadlines { commit: SOON, ..PATIENT },
        };
        let mut supervisor = Supervisor::new(lifecycle.clone(), deadlines);
        orderly(&mut supervisor, &story);
        supervisor.spawn("deaf", until, core::future::pending::<Result<(), &str>>());
        lifecycle.stop();
        let (_keep, signals) = mpsc::channel(1);
        assert_eq!(run(supervisor, signals).await, Exit::Failure, "{until:?}");
        assert_eq!(story.told(), ["drained", "committed"], "{until:?}");
    }
}

#[tokio::test]
async fn a_second_signal_leaves_at_once_from_any_phase() {
    for until in [Until::Drained, Until::Committed] {
        let lifecycle = Lifecycle::new();
        let mut supervisor = Supervisor::new(lifecycle.clone(), PATIENT);
        supervisor.spawn("deaf", until, core::future::pending::<Result<(), &str>>());
        let (send, signals) = mpsc::channel(2);
        send.send("SIGTERM").await.unwrap();
        let phase = if until == Until::Drained { Phase::Draining } else { Phase::Committing };
        let second = async {
            lifecycle.phases().wait_for(|now| *now == phase).await.unwrap();
            send.send("SIGINT").await.unwrap();
        };
        assert_eq!(tokio::join!(run(supervisor, signals), second).0, Exit::AtOnce, "{until:?}");
    }
}

#[tokio::test]
async fn the_first_signal_to_a_process_that_already_stops_cuts_nothing_short() {
    let (lifecycle, story) = (Lifecycle::new(), Story::default());
    let mut supervisor = Supervisor::new(lifecycle.clone(), PATIENT);
    orderly(&mut supervisor, &story);
    let (send, signals) = mpsc::channel(1);
    let last = lifecycle.clone();
    supervisor.spawn("signals itself", Until::Drained, async move {
        last.draining().cancelled().await;
        send.send("SIGTERM").await.map_err(|_| "nobody listens")
    });
    lifecycle.stop();
    assert_eq!(run(supervisor, signals).await, Exit::Success);
    assert_eq!(story.told(), ["drained", "committed"]);
}
