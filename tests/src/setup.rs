//! How the binary is started: its environment, its flags, its directory.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use tempfile::TempDir;

use crate::{KEY, Service, Shape, Stand, shape::Role};

/// The binary under test.
///
/// # Panics
/// Where `FLK_BIN` names none.
pub fn flk() -> PathBuf {
    let path = std::env::var_os("FLK_BIN").map(PathBuf::from).filter(|path| path.is_file());
    path.unwrap_or_else(|| panic!("FLK_BIN names the flk binary to test: run `make e2e`, which builds it and says so"))
}

/// A command of the binary, in an empty environment.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(flk());
    command.env_clear().args(args).stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end.
///
/// # Panics
/// Where it can not be started.
pub fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    command(args).envs(env.iter().copied()).output().unwrap()
}

/// What is said by flags, and not by the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flags {
    All,
    Directory,
    None,
}

/// How the service is started.
#[derive(Debug, Clone)]
pub struct Setup {
    shape: Shape,
    members: Vec<Role>,
    stand: Option<Stand>,
    pub(crate) dir: PathBuf,
    env: BTreeMap<String, OsString>,
    args: Vec<String>,
    flags: Flags,
    soft_files: Option<u64>,
    temporary: Arc<TempDir>,
}

impl Setup {
    /// In the shape of this run and a new data directory; the environment says nothing but the form of
    /// the log lines, and in the shapes over Kafka where the servers are.
    ///
    /// # Panics
    /// Where there is no temporary directory.
    pub fn bare() -> Self {
        let temporary = TempDir::new().unwrap();
        let env = BTreeMap::from([("LOG_FORMAT".to_owned(), "json".into())]);
        let dir = temporary.path().join("data");
        let shape = Shape::of_this_run();
        Self {
            shape,
            members: shape.roles().to_vec(),
            stand: None,
            dir,
            env,
            args: Vec::new(),
            flags: Flags::All,
            soft_files: None,
            temporary: Arc::new(temporary),
        }
    }

    /// With HMAC and [`KEY`], and without a limit of the rate.
    pub fn hmac() -> Self {
        Self::bare().env("PCS_SIGN_ALG", "hmac").env("PCS_HMAC_KEY", KEY).env("TOKEN_RATE", "0")
    }

    /// With Ed25519 and this public key.
    pub fn ed25519(public_b64: &str) -> Self {
        Self::bare().env("PCS_SIGN_ALG", "ed25519").env("PCS_ED25519_PUB_B64", public_b64).env("TOKEN_RATE", "0")
    }

    /// With signing off.
    pub fn unsigned() -> Self {
        Self::bare().env("PCS_SIGN_ALG", "none").env("TOKEN_RATE", "0")
    }

    /// As processes of these roles over Kafka, whatever the shape of the run is. The first one answers
    /// requests.
    #[must_use]
    pub fn roles(mut self, members: &[Role]) -> Self {
        let together = members == [Role::Serve];
        self.shape = if together { Shape::Kafka } else { Shape::Roles };
        self.members = members.to_vec();
        self
    }

    /// With these servers and topics, instead of topics of its own on the shared Kafka.
    #[must_use]
    pub fn on(mut self, stand: &Stand) -> Self {
        self.stand = Some(stand.clone());
        self
    }

    /// In which shape it will run.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Without an environment variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// With a shared library in front of the system's ([`crate::shim`]).
    #[must_use]
    pub fn preload(self, library: &Path) -> Self {
        self.env("LD_PRELOAD", library)
    }

    /// With an argument behind `serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Without the flags that say where to listen and where the data directory is: the environment
    /// does.
    #[must_use]
    pub fn without_flags(mut self) -> Self {
        self.flags = Flags::None;
        self
    }

    /// Without the flag that says where to listen.
    #[must_use]
    pub fn without_listen_flag(mut self) -> Self {
        self.flags = Flags::Directory;
        self
    }

    /// In this data directory.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = dir.to_owned();
        self
    }

    /// With this soft limit of open files, as a login shell would give it.
    #[must_use]
    pub fn soft_files(mut self, files: u64) -> Self {
        self.soft_files = Some(files);
        self
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.dir
    }

    /// A file in the setup's own temporary directory, beside the data directory.
    ///
    /// # Panics
    /// Where it can not be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.temporary.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The environment, for commands that need the same keys.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Starts the service and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn start(self) -> Service {
        let mut service = self.prepare();
        service.start();
        service
    }

    /// A service that has not been started; where it needs topics, they are there.
    ///
    /// # Panics
    /// Where they can not be made.
    pub fn prepare(self) -> Service {
        let stand = match (self.shape, &self.stand) {
            (Shape::Embedded, _) => None,
            (_, Some(stand)) => Some(stand.clone()),
            (_, None) => Some(Stand::shared()),
        };
        Service::new(self, stand)
    }

    /// Starts a service that must refuse to start.
    ///
    /// # Panics
    /// Where it starts.
    #[track_caller]
    pub fn refused(self) -> Refused {
        // What is wrong is said before anybody is asked anything.
        let nowhere = (self.shape != Shape::Embedded).then(Stand::nowhere);
        let mut service = Service::new(self, nowhere);
        service.launch("127.0.0.1:0");
        service.refusal()
    }

    /// A directory that lives as long as this and its clones.
    pub(crate) fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// The roles of its processes.
    pub(crate) fn members(&self) -> &[Role] {
        &self.members
    }

    /// The command of its `n`th process.
    pub(crate) fn command(&self, n: usize, listen: &str, stand: Option<&Stand>) -> Command {
        let mut command = match self.soft_files {
            // exec: the process that is started is the service.
            Some(files) => {
                let mut shell = Command::new("/bin/sh");
                shell.env_clear().arg("-c").arg(format!("ulimit -Sn {files} && exec \"$0\" \"$@\"")).arg(flk());
                shell
            }
            None => Command::new(flk()),
        };
        let role = self.members[n];
        command.env_clear().stdin(Stdio::null());
        if let Some(stand) = stand {
            // First: what a test sets holds.
            command.envs(stand.environment()).env("FLK_INSTANCE_ID", format!("{}-{n}", role.command()));
        }
        command.envs(&self.env).arg(role.command());
        if let (Role::Serve, Some(stand)) = (role, stand) {
            command.args(["--kafka", stand.brokers(), "--redis", stand.redis_url()]);
        }
        if self.flags == Flags::All {
            command.args(["--listen", listen]);
        }
        if self.flags != Flags::None && role.has_directory() {
            command.arg("--data-dir").arg(self.directory(n));
        }
        command.args(&self.args);
        command
    }

    /// The data directory of its `n`th process: one alone has it for itself.
    pub(crate) fn directory(&self, n: usize) -> PathBuf {
        match self.shape {
            Shape::Embedded | Shape::Kafka => self.dir.clone(),
            Shape::Roles => self.dir.join(n.to_string()),
        }
    }
}

/// How a service that does not start says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The exit code.
    pub code: Option<i32>,
    /// Everything on standard error.
    pub said: String,
}

impl Refused {
    /// Checks that it ended with code 2 and one sentence that has all these words.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn with(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{}", self.said);
        // Log lines may come before it; the sentence is what a person reads last.
        let sentence = self.said.lines().last().unwrap_or_default();
        assert!(sentence.starts_with("flk: "), "{}", self.said);
        assert!(!self.said.contains("panicked"), "{}", self.said);
        for word in words {
            assert!(sentence.contains(word), "{word:?} is not in: {sentence}");
        }
    }
}
