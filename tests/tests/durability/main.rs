//! The real binary under 32 concurrent clients, killed with SIGKILL at random moments, started
//! again, and its recorded history checked: nothing told is lost, no id has two results, results
//! are the same before and after, offsets never repeat. In between its index is deleted, damaged,
//! put back to an older state, and exchanged for another log's.
//!
//! `FLK_ROUNDS` sets the rounds (32), `FLK_SEED` what happens in them: the first line says both.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

mod clients;
mod history;
mod index;

use std::{
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use flk_tests::{DEADLINE, Rng, Service, Setup, rng, shim::Shim, until};

use clients::Load;
use history::History;
use index::Mishap;

const ROUNDS: u64 = 32;

fn rounds() -> u64 {
    let Ok(text) = std::env::var("FLK_ROUNDS") else { return ROUNDS };
    text.trim().parse().unwrap_or_else(|_| panic!("FLK_ROUNDS is a number of rounds; {text:?} is none"))
}

/// Load until a random number of answers, then SIGKILL.
fn load_and_kill(service: &mut Service, history: &mut History, round: u64, rng: &mut Rng) {
    let answers = 20 + rng.below(1200);
    let mut load = Load::new(service.addr(), round, history);
    std::thread::scope(|scope| {
        for client in 0..clients::CLIENTS {
            let (load, rng) = (&load, rng.fork());
            scope.spawn(move || load.run(client, rng));
        }
        until("the clients are answered", DEADLINE, || {
            load.answers.load(Ordering::Relaxed) >= answers || load.failed()
        });
        load.stop.store(true, Ordering::Relaxed);
        service.kill9();
    });
    load.finish();
}

/// Some starts are killed too: while the log is checked, while the index is caught up or built.
fn start_with_crashes(service: &mut Service, rng: &mut Rng) {
    while rng.below(3) == 0 {
        service.launch("127.0.0.1:0");
        let moment = Duration::from_micros(rng.below(40_000));
        let begun = Instant::now();
        until("a random moment of the start", DEADLINE, || begun.elapsed() >= moment);
        service.kill9();
    }
    service.start();
}

/// Every stored result, judged again from its own record, says the same.
fn replay_is_clean(service: &mut Service) {
    let mut command = flk_tests::setup::command(&["replay", "--verify", "--data-dir"]);
    command.arg(service.data());
    command.envs(service.setup().environment());
    let replayed = command.output().unwrap();
    let said = [replayed.stdout, replayed.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(replayed.status.success(), "replay --verify: {}\n{}", replayed.status, said.concat());
}

#[test]
fn what_was_told_survives_sigkill_at_any_moment() {
    let (rounds, seed) = (rounds(), rng::seed());
    println!("FLK_ROUNDS={rounds} FLK_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut history = History::default();
    let mut mishaps = index::Shelf::default();
    let mut service = Setup::hmac().start();
    let mut by_kind = [0_u64; Mishap::ALL.len()];
    for round in 0..rounds {
        load_and_kill(&mut service, &mut history, round, &mut rng);
        history.check_log(service.data());
        // Every kind once in the first eight rounds, also where there are no more.
        let mishap = (round % 2 == 1).then(|| Mishap::ALL[(round / 2) as usize % Mishap::ALL.len()]);
        if let Some(mishap) = mishap {
            mishaps.befall(mishap, service.data(), &history, &mut rng);
            by_kind[mishap as usize] += 1;
        }
        mishaps.keep(service.data(), round);
        if round % 4 == 3 {
            replay_is_clean(&mut service);
        }
        start_with_crashes(&mut service, &mut rng);
        history.check_results(&service, &mut rng);
        println!("round {round}: {mishap:?}; {}", history.summary());
    }
    assert!(service.terminate().success());
    history.forget_what_was_checked();
    history.check_log(service.data());
    replay_is_clean(&mut service);
    service.start();
    history.check_all_results(&service);
    history.has_seen_everything(rounds);
    assert!(rounds < 8 || by_kind.iter().all(|count| *count > 0), "{by_kind:?}");
}

/// Cuts off what a loss of power would take: everything of SQLite's write-ahead file beyond the size
/// that it had at its last fsync, and the whole index, which is never synced.
fn lose_power(data: &Path, synced: &Path) -> u64 {
    let wal = data.join("log.db-wal");
    let told = fs::read_to_string(synced).unwrap_or_default();
    let of_wal = |line: &str| line.split_once(' ').filter(|(_, path)| Path::new(path) == wal)?.0.parse::<u64>().ok();
    fs::remove_dir_all(data.join("index")).unwrap();
    let Some(size) = told.lines().rev().find_map(of_wal) else { return 0 };
    let file = fs::File::options().write(true).open(&wal).unwrap();
    let lost = file.metadata().unwrap().len().saturating_sub(size);
    file.set_len(file.metadata().unwrap().len() - lost).unwrap();
    lost
}

#[test]
fn what_was_told_survives_a_loss_of_power() {
    let seed = rng::seed();
    println!("FLK_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut history = History::default();
    let disk = Shim::compile("fsync");
    let setup = Setup::hmac().preload(disk.library());
    let synced = setup.data().with_file_name("synced");
    let mut service = setup.env("FLK_SYNCED", &synced).start();
    let mut lost = 0;
    for round in 0..6 {
        load_and_kill(&mut service, &mut history, round, &mut rng);
        lost += lose_power(service.data(), &synced);
        let _ = fs::remove_file(&synced);
        history.check_log(service.data());
        service.start();
        history.check_results(&service, &mut rng);
        println!("round {round}: {lost} bytes lost; {}", history.summary());
    }
    history.check_all_results(&service);
}
