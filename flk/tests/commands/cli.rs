//! The command line itself: help, completions, manual pages, exit codes, a reader that goes away.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use crate::run::{Directory, flk};
use clap::CommandFactory as _;

/// Every subcommand, as typed.
fn all(command: &clap::Command, typed: &[String]) -> Vec<Vec<String>> {
    let mut found = vec![typed.to_vec()];
    for sub in command.get_subcommands() {
        let typed: Vec<String> = typed.iter().cloned().chain([sub.get_name().to_owned()]).collect();
        found.extend(all(sub, &typed));
    }
    found
}

#[test]
fn every_command_has_help_and_every_option_says_what_it_is_for() {
    fn walk(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some() || arg.is_hide_set(), "{} {}", command.get_name(), arg.get_id());
        }
        command.get_subcommands().for_each(walk);
    }
    let command = flk::cli::Cli::command();
    walk(&command);
    for mut typed in all(&command, &[]) {
        typed.push("--help".to_owned());
        let help = flk(&typed).ran().ok();
        assert!(help.contains("Usage: flk"), "{typed:?}: {help}");
        assert!(!help.contains('\u{1b}'), "{typed:?}");
    }
}

#[test]
fn what_was_typed_wrong_is_exit_code_2() {
    for typed in [vec!["nonsense"], vec!["keygen"], vec!["keygen", "--alg", "rsa"], vec!["pcs"], vec![]] {
        let ran = flk(&typed).ran();
        assert_eq!(ran.code, 2, "{typed:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout, "", "{typed:?}");
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = flk(["completions", shell]).ran().ok();
        assert!(script.contains("keygen") && script.contains("submit"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let page = flk(["man"]).ran().ok();
    assert!(page.contains(".TH flk 1") && page.contains("keygen"), "{page}");
    let directory = Directory::new();
    let out = directory.path("man1");
    flk(["man", "--out", out.to_str().unwrap()]).ran().ok();
    let expected: Vec<String> = all(&flk::cli::Cli::command(), &["flk".to_owned()])
        .into_iter()
        .map(|typed| format!("{}.1", typed.join("-")))
        .collect();
    assert!(expected.contains(&"flk-pcs-build.1".to_owned()));
    for name in expected {
        let page = std::fs::read_to_string(out.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(page.contains("SYNOPSIS"), "{name}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_to_speak_of() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flk"))
        .args(["pcs", "sign", "--alg", "hmac", "-"])
        .env_clear()
        .env("PCS_HMAC_KEY", "testsecret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody will read it: the end that reads is closed before there is anything to write, and what
    // is written then is more than a pipe holds.
    drop(child.stdout.take());
    let record = include_str!("../../../tests/golden/line.json");
    let padding = format!("{{\"padding\":\"{}\",", "x".repeat(300_000));
    let record = record.replacen('{', &padding, 1);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), record.as_bytes()).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(141), ""));
}
