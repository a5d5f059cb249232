//! The image, as far as there is one without an engine: what its build packs is unpacked here, looked through, and run
//! with nothing else around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

use flk_tests::{DEADLINE, KEY, flk, root, until_some};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::file::text;

/// The user that it runs as.
const USER: &str = "65532";

fn done(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Packs the tree, as the Dockerfile does.
fn pack(archive: &Path) {
    done(Command::new(root().join("deploy/image/root")).arg(flk()).arg(archive));
}

/// One line of the archive's list.
struct Entry {
    mode: String,
    owner: String,
    link: Option<String>,
}

/// What is in it, by path.
fn entries(archive: &Path) -> BTreeMap<String, Entry> {
    let list = done(Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(archive));
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (mode, owner) = (fields.next().unwrap().to_owned(), fields.next().unwrap().to_owned());
        let (_size, _date, _time) = (fields.next(), fields.next(), fields.next());
        let path = fields.next().unwrap().trim_start_matches('.').to_owned();
        let link = fields.next().map(|_| fields.next().unwrap().to_owned());
        (path, Entry { mode, owner, link })
    };
    list.lines().map(entry).collect()
}

#[test]
fn the_image_has_the_program_and_what_it_needs_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let archive = directory.path().join("image.tar");
    pack(&archive);
    let entries = entries(&archive);

    let mut libraries = BTreeSet::new();
    let mut others = BTreeSet::new();
    for (path, Entry { mode, owner, link }) in &entries {
        assert_eq!(owner, if path == "/var/lib/flk/" { "65532/65532" } else { "0/0" }, "{path}");
        assert!(!mode.contains(['s', 'S']), "{path} changes its user: {mode}");
        let written_by_others = mode.as_bytes()[5] == b'w' || mode.as_bytes()[8] == b'w';
        assert!(!written_by_others || link.is_some() || path == "/tmp/", "{path}: {mode}");
        match (&mode[..1], path.rsplit_once('/').unwrap()) {
            ("d", _) => {}
            ("l", _) => assert_eq!(link.as_deref(), Some("/etc/ssl/certs/ca-certificates.crt"), "{path}"),
            ("-", (_, name)) if name.contains(".so") => {
                assert!(path.starts_with("/lib"), "{path}");
                libraries.insert(name.split(['.', '-']).next().unwrap());
            }
            ("-", _) => {
                assert_eq!(mode.contains('x'), path == "/usr/local/bin/flk", "{path}: {mode}");
                others.insert(path.as_str());
            }
            _ => panic!("{path} is neither file nor directory nor link: {mode}"),
        }
    }
    // libssl, libcrypto: Kafka's client. ld: what loads the others.
    let linked = ["ld", "libc", "libcrypto", "libgcc_s", "libm", "libssl"];
    assert_eq!(libraries, BTreeSet::from(linked), "another library: say here what it is for (or build with kafka)");
    // Beside those, what says which packages the libraries are of, and under which licences.
    others.retain(|path| !path.starts_with("/var/lib/dpkg/status.d/") && !path.starts_with("/usr/share/doc/"));
    others.remove("/etc/os-release");
    let files =
        ["/etc/group", "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt", "/usr/local/bin/flk"];
    assert_eq!(others, BTreeSet::from(files));
    assert!(entries.contains_key("/usr/share/doc/flk/copyright"));
    assert_eq!(&entries["/var/lib/flk/"].mode, "drwx------");
    assert_eq!(&entries["/tmp/"].mode, "drwxrwxrwt");

    // The same files make the same image.
    let again = directory.path().join("again.tar");
    pack(&again);
    assert!(fs::read(&archive).unwrap() == fs::read(&again).unwrap());
}

/// The tree, unpacked: the program sees nothing else.
struct Tree(TempDir);

impl Tree {
    fn unpack() -> Self {
        let directory = TempDir::new().unwrap();
        let archive = directory.path().join("image.tar");
        pack(&archive);
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        done(Command::new("tar").arg("-xpf").arg(&archive).arg("--no-same-owner").arg("-C").arg(&tree));
        Self(directory)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        // Debian keeps it where a user's shell does not look.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg(self.0.path().join("tree")).arg("/usr/local/bin/flk").args(args);
        command
    }
}

/// Every file outside of the data directory, and when it was changed.
fn fixed(tree: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() && !entry.path().ends_with("var/lib/flk") {
                directories.push(entry.path());
            }
            if !entry.path().ends_with("var/lib/flk") {
                found.insert(entry.path(), metadata.modified().unwrap());
            }
        }
    }
    found
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_runs_with_nothing_but_the_image_around_it() {
    let tree = Tree::unpack();
    let before = fixed(&tree.0.path().join("tree"));
    assert_eq!(done(&mut tree.command(&["--version"])), format!("flk {}\n", env!("CARGO_PKG_VERSION")));

    let said = tree.0.path().join("said");
    let mut serve = tree.command(&["serve", "--listen", "127.0.0.1:0"]);
    serve.env("WAL_DIR", "/var/lib/flk").env("PCS_HMAC_KEY", KEY).stdin(Stdio::null()).stdout(Stdio::null());
    let mut running = Running(serve.stderr(File::create(&said).unwrap()).spawn().unwrap());
    let address = until_some("it listens", DEADLINE, || {
        let text = fs::read_to_string(&said).unwrap();
        assert!(running.0.try_wait().unwrap().is_none(), "{text}");
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "listening").map(|line| line["addr"].as_str().unwrap().to_owned())
    });
    let url = format!("http://{address}/readyz");
    until_some("it is ready, and says so to the program itself", DEADLINE, || {
        tree.command(&["health", &url])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
            .then_some(())
    });
    assert!(tree.0.path().join("tree/var/lib/flk/log.db").is_file());
    kill_process(Pid::from_child(&running.0), Signal::TERM).unwrap();
    assert!(running.0.wait().unwrap().success(), "{}", fs::read_to_string(&said).unwrap());
    // So the root file system may be read-only.
    assert!(before.len() > 30);
    assert_eq!(fixed(&tree.0.path().join("tree")), before, "it wrote outside of its data directory");
}

/// The Dockerfile's instructions, each with its continued lines.
fn instructions() -> Vec<(String, String)> {
    let file = text("Dockerfile");
    let mut joined: Vec<String> = Vec::new();
    let mut continued = false;
    for line in file.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let part = line.trim_end_matches('\\').trim();
        match joined.last_mut().filter(|_| continued) {
            Some(instruction) => *instruction += &format!(" {part}"),
            None => joined.push(part.to_owned()),
        }
        continued = line.ends_with('\\');
    }
    let split = |line: &String| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned())).unwrap();
    joined.iter().map(split).collect()
}

#[test]
fn the_dockerfile_makes_a_small_image_that_runs_as_nobody_in_particular() {
    let instructions = instructions();
    let all = |wanted: &str| -> Vec<&str> {
        instructions.iter().filter(|(name, _)| name == wanted).map(|(_, rest)| rest.as_str()).collect()
    };
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).unwrap();
    assert_eq!(all("FROM"), [format!("rust:{channel}-bookworm AS build").as_str(), "scratch"]);
    assert!(all("ENV").contains(&format!("RUSTUP_TOOLCHAIN={channel}").as_str()), "else another is fetched");
    assert_eq!(all("USER"), [format!("{USER}:{USER}")]);
    assert_eq!(all("COPY"), [". .", "--from=build /image/ /"]);
    assert_eq!(all("ADD"), [""; 0]);
    let build = all("RUN").into_iter().find(|run| run.contains("cargo build")).unwrap();
    assert!(["--locked", "--release", "--features kafka", "deploy/image/root"].iter().all(|word| build.contains(word)));
    assert!(all("ENV").contains(&"WAL_DIR=/var/lib/flk"));

    // There is no shell that could take a command apart.
    let health = all("HEALTHCHECK")[0].split_once("CMD ").unwrap().1;
    for exec in [all("ENTRYPOINT")[0], all("CMD")[0], health] {
        let words: Vec<String> = serde_json::from_str(exec).unwrap_or_else(|error| panic!("{exec}: {error}"));
        assert!(words.len() == 1 || words[0] == "/usr/local/bin/flk", "{exec}");
    }
    assert_eq!(all("ENTRYPOINT"), [r#"["/usr/local/bin/flk"]"#]);

    let labels = all("LABEL").join(" ");
    for label in ["title", "description", "licenses", "version", "revision"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=")), "{label}");
    }
    assert!(labels.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "the version of the label");
}

#[test]
fn the_builder_gets_what_it_builds_from_and_nothing_else() {
    let ignore = text(".dockerignore");
    let mut rules = ignore.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(rules.next(), Some("*"), "what is not named stays here");
    let allowed: BTreeSet<&str> = rules.filter_map(|line| line.strip_prefix('!')).collect();
    let manifest = text("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").unwrap();
    let members: Vec<&str> = members.split_once(']').unwrap().0.split('"').skip(1).step_by(2).collect();
    assert!(members.len() > 5, "{members:?}");
    let mut needed: BTreeSet<&str> = members.iter().map(|member| member.split('/').next().unwrap()).collect();
    needed.extend(["Cargo.toml", "Cargo.lock", "LICENSE", "deploy"]);
    assert_eq!(allowed, needed);
}
