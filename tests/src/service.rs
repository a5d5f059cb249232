//! The service as child processes of the real binary: one, or one of each role. Started, asked, stopped
//! and killed as a whole; what is done to one process alone is done to its [`Process`].

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicUsize, Ordering},
};

use flk_contract::{Digest, Tenant, partition};
use rustix::process::Pid;
use serde_json::Value;

use crate::{
    Client, DEADLINE, Process, Refused, Request, Response, Setup, Shape, Stand, metrics::Metrics, shape::Role,
    stand::PARTITIONS, until, until_some,
};

/// A service. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    // Before their directories, which go with the set-up.
    processes: Vec<Process>,
    setup: Setup,
    stand: Option<Stand>,
}

impl Service {
    pub(crate) fn new(setup: Setup, stand: Option<Stand>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let dir = std::env::var_os("FLK_TEST_LOGS").map_or_else(|| setup.temporary().join("logs"), PathBuf::from);
        fs::create_dir_all(&dir).unwrap();
        let suite =
            std::env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
        let suite = suite.unwrap_or_default();
        let suite = suite.rsplit_once('-').map_or(suite.as_str(), |(name, _)| name);
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("main").replace("::", "-");
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let logs = dir.join(format!("{suite}-{test}-{n}"));
        let alone = setup.members().len() == 1;
        let named = |(n, role): (usize, &Role)| {
            let name = if alone { role.command().to_owned() } else { format!("{}-{n}", role.command()) };
            Process::new(&name, &logs)
        };
        let processes = setup.members().iter().enumerate().map(named).collect();
        Self { processes, setup, stand }
    }

    /// The process that answers requests.
    fn front(&self) -> &Process {
        &self.processes[0]
    }

    /// Its `n`th process of a role.
    ///
    /// # Panics
    /// Where it has not so many.
    pub fn process(&mut self, role: Role, n: usize) -> &mut Process {
        let index = self.index(role, n);
        &mut self.processes[index]
    }

    fn index(&self, role: Role, n: usize) -> usize {
        let mut of_role = self.setup.members().iter().enumerate().filter(|(_, of)| **of == role);
        of_role.nth(n).unwrap_or_else(|| panic!("there is no {role:?} {n}")).0
    }

    /// All of its processes.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Starts its `n`th process of a role, on the directory that it had, and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn start_one(&mut self, role: Role, n: usize) {
        self.launch_one(role, n);
        let process = self.process(role, n);
        process.listening();
        process.ready();
    }

    /// Starts its `n`th process of a role, and does not wait for anything.
    ///
    /// # Panics
    /// Where it can not be started.
    pub fn launch_one(&mut self, role: Role, n: usize) {
        let index = self.index(role, n);
        let command = self.setup.command(index, "127.0.0.1:0", self.stand.as_ref());
        self.processes[index].launch(command);
    }

    /// The directory of its `n`th process of a role.
    pub fn directory(&self, role: Role, n: usize) -> PathBuf {
        self.setup.directory(self.index(role, n))
    }

    /// Where it stands; `None` for the embedded shape.
    pub fn stand(&self) -> Option<&Stand> {
        self.stand.as_ref()
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn addr(&self) -> SocketAddr {
        self.front().addr()
    }

    /// How it was set up; what is changed here holds from the next start on.
    pub fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }

    pub(crate) fn setup_ref(&self) -> &Setup {
        &self.setup
    }

    /// Its data directory.
    ///
    /// # Panics
    /// Where the log is somewhere else.
    pub fn data(&self) -> &Path {
        assert_eq!(self.shape(), Shape::Embedded, "only the embedded log is in a directory: run this suite embedded");
        &self.setup.dir
    }

    /// The process that answers requests.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pid(&self) -> Pid {
        self.front().pid()
    }

    /// Everything that its processes have said since their last start.
    ///
    /// # Panics
    /// Where that can not be read.
    pub fn said(&self) -> String {
        self.processes.iter().map(Process::said).collect()
    }

    /// Their log lines since their last start that are complete.
    pub fn lines(&self) -> Vec<Value> {
        self.processes.iter().flat_map(Process::lines).collect()
    }

    /// Starts the processes, and does not wait for anything.
    ///
    /// # Panics
    /// Where one can not be started.
    pub fn launch(&mut self, listen: &str) {
        for (n, process) in self.processes.iter_mut().enumerate() {
            // Who asks finds the first one there.
            let listen = if n == 0 { listen } else { "127.0.0.1:0" };
            process.launch(self.setup.command(n, listen, self.stand.as_ref()));
        }
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn start(&mut self) {
        self.launch("127.0.0.1:0");
        self.listening();
        self.ready();
    }

    /// Waits until it says where it listens.
    ///
    /// # Panics
    /// Where it ends instead.
    pub fn listening(&mut self) {
        self.processes.iter_mut().for_each(Process::listening);
    }

    /// Waits until it is ready: each process says so, and what is not settled is known not to be.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn ready(&mut self) {
        self.processes.iter_mut().for_each(Process::ready);
        if self.stand.is_some() {
            self.read_side_is_complete();
        }
    }

    /// Waits until each partition's part of the read side is complete, as whoever asks for an id sees it.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn read_side_is_complete(&self) {
        let addr = self.addr();
        for id in one_of_each_partition() {
            until("the read side is complete", DEADLINE, || {
                let asked = Client::new(addr).send(&Request::get(&format!("/v1/pcs/{id}")));
                asked.is_ok_and(|answer| answer.status == 404)
            });
        }
    }

    /// The exit status of the process that answers requests, once it has ended by itself.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.processes[0].ended()
    }

    /// Waits until the process that answers requests has ended, and ends the others in order.
    /// The status is the first that is no success.
    ///
    /// # Panics
    /// Where one does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut statuses = vec![self.processes[0].wait()];
        for process in &mut self.processes[1..] {
            if process.runs() {
                statuses.push(process.terminate());
            }
        }
        *statuses.iter().find(|status| !status.success()).unwrap_or(&statuses[0])
    }

    /// How it refused to start: the first process that did.
    ///
    /// # Panics
    /// Where it did not refuse.
    #[track_caller]
    pub fn refusal(&mut self) -> Refused {
        let refused = until_some("the service refuses to start", DEADLINE, || {
            let ended = self.processes.iter_mut().find_map(|process| {
                let status = process.ended()?;
                Some((process, status))
            });
            if let Some((process, status)) = ended {
                process.gone();
                return Some(Refused { code: status.code(), said: process.said() });
            }
            let started = self.processes.iter().all(|process| process.listens_at().is_some());
            assert!(!started, "the service started:\n{}", self.said());
            None
        });
        for process in &mut self.processes {
            if process.runs() {
                process.kill9();
            }
        }
        refused
    }

    /// SIGKILL to all of it, as a machine that fails would.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill9(&mut self) {
        self.processes.iter_mut().filter(|process| process.runs()).for_each(Process::kill9);
    }

    /// SIGTERM to the process that answers requests; does not wait.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn sigterm(&self) {
        self.front().sigterm();
    }

    /// SIGTERM, and waits until it has ended.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.sigterm();
        self.wait()
    }

    /// Kills it and starts it again on the same directory.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn kill9_and_restart(&mut self) {
        self.kill9();
        self.start();
    }

    /// A connection of its own.
    pub fn client(&self) -> Client {
        Client::new(self.addr())
    }

    /// One request on a connection of its own.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn call(&self, request: &Request) -> Response {
        self.client().call(request)
    }

    /// A GET.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.call(&Request::get(path))
    }

    /// A submission.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn submit(&self, body: impl Into<Vec<u8>>) -> Response {
        self.call(&Request::submit(body))
    }

    /// What is settled for an id, of the tenant `default`.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn result(&self, pcs_id: &str) -> Response {
        self.get(&format!("/v1/pcs/{pcs_id}"))
    }

    /// What became of the record at a place that was told.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn record(&self, wal: &Value) -> Response {
        self.get(&format!("/v1/records/{}/{}", wal["partition"], wal["offset"]))
    }

    /// What became of the record at a place.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn record_at(&self, partition: i32, offset: i64) -> Response {
        self.get(&format!("/v1/records/{partition}/{offset}"))
    }

    /// What it counts: the sums over its processes that run.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::together(self.processes.iter().filter(|process| process.runs()).map(Process::metrics))
    }
}

/// Ids that nobody settles, one in each partition.
fn one_of_each_partition() -> Vec<String> {
    let (tenant, partitions) = (Tenant::default_tenant(), NonZeroU32::new(PARTITIONS).expect("there are some"));
    let id_in = |wanted: u32| {
        // Derived ids by their looks: what cannot be one is known not to be settled without asking.
        let mut ids = (0..).map(|n: u32| Digest::of(&n.to_be_bytes()).to_string());
        ids.find(|id| partition(&tenant, id, partitions) == wanted).expect("there are enough")
    };
    (0..PARTITIONS).map(id_in).collect()
}
