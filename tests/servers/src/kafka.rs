//! Kafka in KRaft mode: one broker, or three of which each is a controller too.
//!
//! Every broker has a listener without authentication ([`Kafka::bootstrap`]) that serves the other brokers and
//! the test itself; where there is an authorizer, who comes that way may do everything. Beside it there are the
//! listeners that were asked for: behind a proxy, SASL_SSL, and TLS with client certificates.

mod broker;
mod options;
mod properties;
mod tools;
mod wire;

use std::{fs, path::Path, sync::Arc};

pub use options::{AutoCreate, Cluster, KafkaOptions, Listeners, Permission, Secure, User};
pub use tools::Tool;
pub use wire::{Metadata, Node, Partition};

use crate::{
    Authority, Error, Proxy, Result, Stop,
    home::Home,
    install,
    kafka::{broker::Broker, properties::Plan, tools::Java},
    tls::Identity,
    wait::{Look, SOON, until},
};

/// A cluster of its own; dropped, its processes end and its data is removed.
#[derive(Debug)]
pub struct Kafka {
    // The processes come before the directory that they write to.
    brokers: Vec<Broker>,
    authority: Option<Authority>,
    java: Java,
    home: Arc<Home>,
}

impl Kafka {
    /// Starts a cluster and waits until every broker knows every other.
    ///
    /// # Errors
    /// Where Kafka or Java is not installed ([`Error::Missing`] says how to), or it does not become ready.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        options.check()?;
        let home = Arc::new(Home::new("kafka")?);
        let java = Java::find(&home)?;
        let (authority, server) = match &options.secure {
            Some(_) => {
                let authority = Authority::new(&home.join("tls"))?;
                let server = authority.server("broker")?;
                (Some(authority), Some(server))
            }
            None => (None, None),
        };
        let plan = Plan::new(options, &home, authority.as_ref().map(Authority::ca), server.as_ref())?;
        let brokers = plan.brokers(&home, &java)?;
        let kafka = Self { brokers, authority, java, home };
        kafka.format(options)?;
        for broker in &kafka.brokers {
            broker.process.spawn()?;
        }
        for id in 0..kafka.brokers.len() {
            kafka.ready(id)?;
        }
        Ok(kafka)
    }

    /// Gives every broker its empty log directory, all at once: each takes a second of Java.
    fn format(&self, options: &KafkaOptions) -> Result<()> {
        let users = options.secure.iter().flat_map(|secure| &secure.users);
        let scram: Vec<String> = users.flat_map(User::scram).collect();
        let formats: Vec<_> = self
            .brokers
            .iter()
            .map(|broker| {
                let mut args = vec!["format", "-t", properties::CLUSTER_ID, "-c"];
                let config = broker.properties.to_string_lossy();
                args.push(&config);
                args.extend(scram.iter().flat_map(|user| ["--add-scram", user]));
                self.java.spawn("kafka.tools.StorageTool", &args)
            })
            .collect::<Result<_>>()?;
        formats.into_iter().try_for_each(|format| format.finish(b"").map(drop))
    }

    /// Waits until a broker, and every other that serves, knows it and its way to the controllers.
    fn ready(&self, id: usize) -> Result<()> {
        let broker = self.broker(id)?;
        let others: Vec<&Broker> = self.brokers.iter().filter(|other| other.process.serves()).collect();
        broker.process.ready("is a member of its cluster", || {
            for other in &others {
                match wire::metadata(other.addr(), None) {
                    Ok(metadata) if metadata.brokers.iter().any(|node| node.id == broker.id) => {}
                    Ok(metadata) => return Look::Not(format!("{} knows {:?}", other.addr(), metadata.brokers)),
                    Err(error) => return Look::Not(error.to_string()),
                }
            }
            Look::Found(())
        })
    }

    fn broker(&self, id: usize) -> Result<&Broker> {
        self.brokers.get(id).ok_or_else(|| Error::Use {
            what: format!("broker {id}"),
            instead: "brokers are counted from 0: Cluster::One has one, Cluster::Three has three",
        })
    }

    /// How many brokers there are, running or not.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// `bootstrap.servers` of the listener without authentication.
    pub fn bootstrap(&self) -> String {
        join(self.brokers.iter().map(|broker| broker.addr().to_string()))
    }

    /// `bootstrap.servers` through the proxies: each broker advertises its proxy there, so clients stay behind it.
    ///
    /// # Errors
    /// Where [`KafkaOptions::listeners`] did not ask for it.
    pub fn proxied_bootstrap(&self) -> Result<String> {
        let proxies: Vec<_> = (0..self.brokers.len()).map(|id| self.proxy(id)).collect::<Result<_>>()?;
        Ok(join(proxies.into_iter().map(|proxy| proxy.addr().to_string())))
    }

    /// The proxy in front of a broker.
    ///
    /// # Errors
    /// Where [`KafkaOptions::listeners`] did not ask for it.
    pub fn proxy(&self, id: usize) -> Result<&Proxy> {
        self.broker(id)?.proxy.as_ref().ok_or_else(|| Error::Use {
            what: "a proxy in front of a broker".into(),
            instead: "ask for it at the start: KafkaOptions { listeners: Listeners::Proxied, .. }",
        })
    }

    /// `bootstrap.servers` of the SASL_SSL listener: SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN, for each
    /// [`Secure::users`].
    ///
    /// # Errors
    /// Where there is no [`KafkaOptions::secure`].
    pub fn sasl_bootstrap(&self) -> Result<String> {
        self.secure_bootstrap(|broker| broker.sasl)
    }

    /// `bootstrap.servers` of the TLS listener that asks for a client's certificate; its common name is the user.
    ///
    /// # Errors
    /// Where there is no [`KafkaOptions::secure`].
    pub fn mtls_bootstrap(&self) -> Result<String> {
        self.secure_bootstrap(|broker| broker.mtls)
    }

    fn secure_bootstrap(&self, of: impl Fn(&Broker) -> Option<u16>) -> Result<String> {
        let ports: Vec<_> = self.brokers.iter().filter_map(of).map(|port| format!("127.0.0.1:{port}")).collect();
        if ports.is_empty() { Err(not_secure()) } else { Ok(ports.join(",")) }
    }

    /// The authority that clients trust, as a PEM file.
    ///
    /// # Errors
    /// Where there is no [`KafkaOptions::secure`].
    pub fn ca(&self) -> Result<&Path> {
        self.authority.as_ref().map(Authority::ca).ok_or_else(not_secure)
    }

    /// A client's certificate with this common name.
    ///
    /// # Errors
    /// Where there is no [`KafkaOptions::secure`], or the files can not be written.
    pub fn client(&self, name: &str) -> Result<Identity> {
        self.authority.as_ref().ok_or_else(not_secure)?.client(name)
    }

    /// Stops a broker. Asked to ([`Stop::Term`]), it hands its partitions over first.
    ///
    /// # Errors
    /// Where it does not run, or does not end.
    pub fn stop_broker(&self, id: usize, how: Stop) -> Result<()> {
        self.broker(id)?.process.stop(how)
    }

    /// Starts a broker that was stopped, with its data and at its address, and waits until it is ready.
    ///
    /// # Errors
    /// Where it runs, or does not become ready.
    pub fn start_broker(&self, id: usize) -> Result<()> {
        self.spawn_broker(id)?;
        self.ready(id)
    }

    /// Starts a broker without waiting: with several stopped none becomes ready before most of them run.
    ///
    /// # Errors
    /// Where it runs, or can not be started.
    pub fn spawn_broker(&self, id: usize) -> Result<()> {
        self.broker(id)?.process.spawn()
    }

    /// Waits until a broker that was spawned is ready.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn await_broker(&self, id: usize) -> Result<()> {
        self.ready(id)
    }

    /// Stops a broker from doing anything (SIGSTOP); its connections stay open.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self, id: usize) -> Result<()> {
        self.broker(id)?.process.pause()
    }

    /// Lets a paused broker go on.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self, id: usize) -> Result<()> {
        self.broker(id)?.process.resume()
    }

    /// The number of a broker's process, where it runs.
    ///
    /// # Errors
    /// Where there is no such broker.
    pub fn pid(&self, id: usize) -> Result<Option<u32>> {
        Ok(self.broker(id)?.process.pid())
    }

    /// The file with a broker's log.
    ///
    /// # Errors
    /// Where there is no such broker.
    pub fn log(&self, id: usize) -> Result<&Path> {
        Ok(self.broker(id)?.process.log())
    }

    /// What the first broker that answers knows of the cluster and of a topic.
    ///
    /// # Errors
    /// Where none answers.
    pub fn metadata(&self, topic: Option<&str>) -> Result<Metadata> {
        let mut last = None;
        for broker in self.brokers.iter().filter(|broker| broker.process.serves()) {
            match wire::metadata(broker.addr(), topic) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Use {
            what: "metadata of a cluster".into(),
            instead: "none of its brokers runs: start one",
        }))
    }

    /// Waits until a topic is there and each partition has a leader and all of its replicas in sync.
    ///
    /// # Errors
    /// Where that does not become so.
    pub fn in_sync(&self, topic: &str) -> Result<Vec<Partition>> {
        until(&format!("{topic}: every replica is in sync"), SOON, || {
            Ok(match self.metadata(Some(topic)) {
                Ok(found) if !found.partitions.is_empty() && found.partitions.iter().all(Partition::is_whole) => {
                    Look::Found(found.partitions)
                }
                Ok(found) => Look::Not(format!("{:?}", found.partitions)),
                Err(error) => Look::Not(error.to_string()),
            })
        })
    }

    /// Runs one of Kafka's own command-line classes over the listener without authentication, and gives what it
    /// prints: `kafka.tool(Tool::Topics, &["--create", "--topic", "t"])`. Each takes a second or two of Java.
    ///
    /// # Errors
    /// Where it ends with another code than 0, or not in time.
    pub fn tool(&self, tool: Tool, args: &[&str]) -> Result<String> {
        self.tool_with(tool, args, b"")
    }

    /// The same, with something on its standard input.
    ///
    /// # Errors
    /// As [`Kafka::tool`].
    pub fn tool_with(&self, tool: Tool, args: &[&str], input: &[u8]) -> Result<String> {
        let bootstrap = self.bootstrap();
        let mut all = vec!["--bootstrap-server", &bootstrap];
        all.extend(args);
        self.java.run(tool.class(), &all, input)
    }

    /// Runs any class of Kafka's jars with exactly these arguments.
    ///
    /// # Errors
    /// As [`Kafka::tool`].
    pub fn command(&self, class: &str, args: &[&str]) -> Result<String> {
        self.java.run(class, args, b"")
    }

    /// A file in the cluster's directory, for settings of clients; gone with the cluster.
    ///
    /// # Errors
    /// Where it can not be written.
    pub fn file(&self, name: &str, content: &str) -> Result<std::path::PathBuf> {
        let path = self.home.join(name);
        fs::write(&path, content).map_err(Error::io(|| format!("file {}", path.display())))?;
        Ok(path)
    }
}

/// Waits until a cluster of somebody else answers.
pub(crate) fn answers(bootstrap: &str) -> Result<()> {
    until(&format!("Kafka at {bootstrap} answers"), SOON, || {
        let first = bootstrap.split(',').next().unwrap_or_default();
        Ok(wire::metadata(first, None).map(drop).into())
    })
}

fn join(addrs: impl Iterator<Item = String>) -> String {
    addrs.collect::<Vec<_>>().join(",")
}

fn not_secure() -> Error {
    Error::Use {
        what: "a listener with authentication".into(),
        instead: "ask for it at the start: KafkaOptions { secure: Some(..), .. }",
    }
}

/// The file of settings of what brokers log.
pub(crate) fn broker_logging() -> String {
    install::own("kafka/log4j2.properties").display().to_string()
}
