//! Java: the broker's process and Kafka's own command-line classes.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use crate::{
    Error, Result,
    home::{Home, LastSignal},
    install,
    wait::{Look, START, until},
};

/// A quick start counts for more than speed at length: no second compiler, one collector thread, and the class
/// data archive that the JDK brings.
const QUICK: [&str; 4] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData"];

/// Kafka's command-line classes that take `--bootstrap-server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `kafka-topics`.
    Topics,
    /// `kafka-configs`: of topics, brokers and users.
    Configs,
    /// `kafka-acls`.
    Acls,
    /// `kafka-consumer-groups`.
    Groups,
    /// `kafka-leader-election`.
    Elections,
    /// `kafka-reassign-partitions`.
    Reassign,
    /// `kafka-delete-records`.
    DeleteRecords,
    /// `kafka-get-offsets`.
    Offsets,
    /// `kafka-console-producer`.
    Producer,
    /// `kafka-console-consumer`.
    Consumer,
}

impl Tool {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Topics => "org.apache.kafka.tools.TopicCommand",
            Self::Configs => "kafka.admin.ConfigCommand",
            Self::Acls => "org.apache.kafka.tools.AclCommand",
            Self::Groups => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            Self::Elections => "org.apache.kafka.tools.LeaderElectionCommand",
            Self::Reassign => "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            Self::DeleteRecords => "org.apache.kafka.tools.DeleteRecordsCommand",
            Self::Offsets => "org.apache.kafka.tools.GetOffsetShell",
            Self::Producer => "org.apache.kafka.tools.ConsoleProducer",
            Self::Consumer => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        }
    }
}

/// Java and Kafka's jars.
#[derive(Debug, Clone)]
pub(super) struct Java {
    java: PathBuf,
    libs: PathBuf,
    home: Arc<Home>,
}

impl Java {
    /// Finds both; what is run ends with `home`.
    pub(super) fn find(home: &Arc<Home>) -> Result<Self> {
        Ok(Self { java: install::java()?, libs: install::kafka_libs()?, home: Arc::clone(home) })
    }

    fn base(&self, logging: &str, heap: &str) -> Command {
        let mut command = Command::new(&self.java);
        command
            .args(QUICK)
            .arg(heap)
            .arg(format!("-Dlog4j2.configurationFile={logging}"))
            .arg("-cp")
            .arg(self.libs.join("*"))
            // It would be read by every JVM, and say so on standard error.
            .env_remove("JAVA_TOOL_OPTIONS");
        command
    }

    /// The process of a broker.
    pub(super) fn broker(&self, properties: &Path) -> Command {
        let mut command = self.base(&super::broker_logging(), "-Xmx256m");
        command.arg("kafka.Kafka").arg(properties);
        command
    }

    /// Runs a class to its end.
    pub(super) fn run(&self, class: &str, args: &[&str], input: &[u8]) -> Result<String> {
        self.spawn(class, args)?.finish(input)
    }

    /// Starts a class.
    pub(super) fn spawn(&self, class: &str, args: &[&str]) -> Result<Job> {
        let logging = install::own("kafka/log4j2-tools.properties");
        let mut command = self.base(&logging.display().to_string(), "-Xmx128m");
        command.arg(class).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(Error::io(|| format!("{} can not be started", self.java.display())))?;
        let job = Job { name: class.to_owned(), child, home: Arc::clone(&self.home) };
        self.home.watch(job.child.id(), LastSignal::Kill)?;
        Ok(job)
    }
}

/// A class that runs.
pub(super) struct Job {
    name: String,
    child: Child,
    home: Arc<Home>,
}

impl Job {
    /// Gives it its input and waits for its end; its standard output, where it ends with code 0.
    pub(super) fn finish(mut self, input: &[u8]) -> Result<String> {
        let (out, err) = (drain(self.child.stdout.take()), drain(self.child.stderr.take()));
        if let Some(mut stdin) = self.child.stdin.take() {
            // One that has ended by now says why below.
            let _ = stdin.write_all(input);
        }
        let status = until(&format!("{} ends", self.name), START, || {
            let status = self.child.try_wait().map_err(Error::io(|| format!("waiting for {}", self.name)))?;
            Ok(status.map_or_else(|| Look::Not("it still runs".into()), Look::Found))
        })?;
        let text = |thread: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned()
        };
        let (out, err) = (text(out), text(err));
        if status.success() {
            Ok(out)
        } else {
            Err(Error::Command { command: self.name.clone(), status, said: format!("{out}{err}") })
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // One that has ended is what is wanted; one that has not is waited for no longer.
        let _ = self.child.kill();
        let _ = self.home.forget(self.child.id());
        let _ = self.child.wait();
    }
}

/// Reads to the end on a thread of its own: a pipe that nobody reads stops the program behind it.
fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came until it broke is what there is to show.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
