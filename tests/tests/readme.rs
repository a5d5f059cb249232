//! What the README tells a newcomer to type works as it is written: its own commands, in order,
//! against the real program.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
};

use flk_tests::{flk, root};

/// `curl`, as far as the README uses it, so that the test needs none: fails unless the answer is 200.
const PRELUDE: &str = r#"
set -euo pipefail
curl() {
    local body= url=
    while (($#)); do
        case $1 in -sS) ;; -d) shift; body=${1#@} ;; *) url=$1 ;; esac
        shift
    done
    local rest=${url#http://}
    local host=${rest%%/*} path=/${rest#*/} status
    exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
    if [[ -n $body ]]; then
        printf 'POST %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: %s\r\n\r\n' "$path" "$(wc -c <"$body")" >&3
        cat "$body" >&3
    else
        printf 'GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n' "$path" >&3
    fi
    read -r _ status _ <&3
    cat <&3
    exec 3<&-
    [[ $status == 200 ]] || { echo "$url: $status" >&2; return 1; }
}
"#;

/// The shell commands between two headings, each with its continued lines.
fn commands(text: &str, from: &str, to: &str) -> Vec<String> {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("the README has no {from}"));
    let (part, _) = rest.split_once(to).unwrap_or_else(|| panic!("the README has no {to} after {from}"));
    let blocks = part.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let mut commands: Vec<String> = Vec::new();
    let mut continued = false;
    for line in blocks.flat_map(str::lines) {
        match commands.last_mut().filter(|_| continued) {
            Some(command) => *command += &format!("\n{line}"),
            None => commands.push(line.to_owned()),
        }
        continued = line.ends_with('\\');
    }
    commands
}

#[test]
fn the_commands_of_the_readme_work_as_they_are_written() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();

    let mut script = PRELUDE.to_owned();
    let (mut ran, mut served) = (0, false);
    for command in commands(&text, "\n## Your own data\n", "\n## Configuration\n") {
        // Where the binary is, the test has been told.
        if command.starts_with("make ") || command.starts_with("export PATH=") {
            continue;
        }
        ran += 1;
        if command.contains("flk serve") {
            served = true;
            script += &format!(
                "{command} 2>target/try/service.log &\nserver=$!; trap 'kill \"$server\"; wait \"$server\"' EXIT\n\
                 timeout 60 bash -c 'until flk health http://{address}/readyz >/dev/null 2>&1; do :; done'\n"
            );
        } else {
            script += &format!("{command}\n");
        }
    }
    assert!(served && ran > 10, "the README has no commands any more");
    let script = script.replace("127.0.0.1:8080", &address).replace("target/try", directory.path().to_str().unwrap());

    let flk = flk();
    let path = format!("{}:{}", flk.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let done = Command::new("bash")
        .args(["-x", "-c", &script])
        .current_dir(root())
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [&done.stdout, &done.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n");
    let log = fs::read_to_string(directory.path().join("service.log")).unwrap_or_default();
    assert!(done.status.success(), "{}\n{said}\n{log}", done.status);
    assert!(said.contains("\"duplicate\":true"), "sent twice, the second is a duplicate: {said}");
}
