//! A directory that can not be used: one sentence, exit code 2, and nothing touched.

use std::{fs, net::TcpListener};

use flk_tests::{Pcs, Service, Setup, mount::Tmpfs, record::USUAL};

/// A data directory in which a service has run, with something to recognise.
fn used() -> Service {
    let mut service = Setup::hmac().start();
    for _ in 0..30 {
        let _ = service.submit(Pcs::unique().with("mark", "0123456789abcdef".repeat(60)).signed(USUAL)).expect(200);
    }
    assert!(service.terminate().success());
    service
}

#[test]
fn a_second_process_on_the_directory_is_told_who_has_it() {
    let service = Setup::hmac().start();
    let pid = service.pid().as_raw_nonzero().to_string();
    let dir = service.data().to_owned();
    Setup::hmac().dir(&dir).refused().with(&[dir.to_str().unwrap(), "in use", &pid]);
    assert_eq!(service.submit(Pcs::fresh()).expect(200).code(), "ok", "the first goes on");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let setup = Setup::hmac();
    let dir = setup.data().to_owned();
    setup
        .without_flags()
        .arg("--listen")
        .arg(&addr)
        .arg("--data-dir")
        .arg(dir.to_str().unwrap())
        .refused()
        .with(&[&addr]);
}

#[test]
fn a_directory_that_can_not_be_written_is_named() {
    // Permission bits do not bind root; a read-only file system binds everybody.
    let disk = Tmpfs::mount("8m");
    let data = disk.path().join("data");
    let mut service = Setup::hmac().dir(&data).start();
    let _ = service.submit(Pcs::fresh()).expect(200);
    assert!(service.terminate().success());
    disk.read_only();
    Setup::hmac().dir(&data).refused().with(&[data.to_str().unwrap()]);
    let absent = disk.path().join("absent");
    Setup::hmac().dir(&absent).refused().with(&[absent.to_str().unwrap()]);
    let file = Setup::hmac();
    let file_as_dir = file.file("file", "not a directory");
    file.dir(&file_as_dir).refused().with(&[file_as_dir.to_str().unwrap()]);
}

#[test]
fn a_damaged_log_is_refused_and_left_as_it_is() {
    let mut service = used();
    let path = service.data().join("log.db");
    let good = fs::read(&path).unwrap();
    let marks: Vec<usize> =
        (0..good.len() - 16).filter(|at| &good[*at..*at + 16] == b"0123456789abcdef").step_by(61).collect();
    assert!(marks.len() > 10, "the bodies are in the file");
    // Pages at the front may hold what a page that was split has left behind.
    let marks = &marks[marks.len() / 2..];
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let zeroed = {
        // The size of a page: a big-endian number at byte 16.
        let size = usize::from(u16::from_be_bytes([good[16], good[17]]));
        let page = marks[0] / size * size;
        let mut bytes = good.clone();
        bytes[page..page + size].fill(0);
        bytes
    };
    for (what, bytes) in [
        ("a bit of a body", flipped(marks[0])),
        ("a bit of the last body", flipped(marks[marks.len() - 1])),
        ("a page of zeros", zeroed),
        ("half of the file", good[..good.len() / 2].to_vec()),
        ("another file", b"something else, and quite long enough to be looked at by anybody. ".repeat(40)),
    ] {
        fs::write(&path, &bytes).unwrap();
        println!("{what}");
        service.launch("127.0.0.1:0");
        let refused = service.refusal();
        refused.with(&[path.to_str().unwrap()]);
        assert!(fs::read(&path).unwrap() == bytes, "{what}: the file was changed");
    }
    fs::write(&path, &good).unwrap();
    service.start();
    assert_eq!(flk_tests::log::records(service.data()).len(), 30, "the file as it was is as good as before");
}

#[test]
fn a_log_of_another_format_is_refused_by_its_number() {
    let mut service = used();
    let path = service.data().join("log.db");
    let mut bytes = fs::read(&path).unwrap();
    // user_version of an SQLite file: a big-endian number at byte 60.
    bytes[60..64].copy_from_slice(&77_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    service.launch("127.0.0.1:0");
    service.refusal().with(&[path.to_str().unwrap(), "77"]);
}
