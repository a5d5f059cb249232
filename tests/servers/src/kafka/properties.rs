//! The brokers' settings.

use std::{fmt::Write, fs, path::Path, sync::Arc};

use super::{
    broker::Broker,
    options::{AutoCreate, KafkaOptions, Listeners, Permission},
    tools::Java,
};
use crate::{
    Error, Proxy, Result,
    home::{Home, LastSignal},
    port::Port,
    process::Process,
    tls::Identity,
};

/// Any will do: clusters never meet.
pub(super) const CLUSTER_ID: &str = "Zmxr-test-cluster-AAAA";

/// What a small and quick cluster needs otherwise than by default.
///
/// The cleaner takes 128 MiB of heap at its start, and threads wait by the dozen, for a broker with one client. A
/// member whose heartbeats end is given up after three seconds (nine by default), a group does not wait for more
/// members, and sessions may be as short as a test likes.
const QUICK: &str = "\
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=100
group.consumer.min.session.timeout.ms=500
group.consumer.min.heartbeat.interval.ms=100
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
log.segment.delete.delay.ms=1000
log.index.size.max.bytes=1048576
";

/// The ports of a broker.
struct Ports {
    plain: Port,
    controller: Port,
    proxied: Option<(Port, Proxy)>,
    secure: Option<(Port, Port)>,
}

/// What all brokers are told.
pub(super) struct Plan<'a> {
    options: &'a KafkaOptions,
    tls: Option<(String, String)>,
    ports: Vec<Ports>,
}

impl<'a> Plan<'a> {
    /// Chooses the ports; writes the server's key and certificate where Java looks for them.
    pub(super) fn new(
        options: &'a KafkaOptions,
        home: &Home,
        ca: Option<&Path>,
        server: Option<&Identity>,
    ) -> Result<Self> {
        let tls = match (ca, server) {
            (Some(ca), Some(server)) => {
                // One file with both: that is how a PEM key store is given by its place.
                let read =
                    |path: &Path| fs::read_to_string(path).map_err(Error::io(|| format!("file {}", path.display())));
                let store = home.join("tls/broker-store.pem");
                let both = read(&server.key)? + &read(&server.cert)?;
                fs::write(&store, both).map_err(Error::io(|| format!("file {}", store.display())))?;
                Some((ca.display().to_string(), store.display().to_string()))
            }
            _ => None,
        };
        let ports = (0..options.cluster.brokers())
            .map(|_| {
                Ok(Ports {
                    plain: Port::choose()?,
                    controller: Port::choose()?,
                    proxied: match options.listeners {
                        Listeners::Direct => None,
                        Listeners::Proxied => Some((Port::choose()?, Proxy::unaimed()?)),
                    },
                    secure: match options.secure {
                        None => None,
                        Some(_) => Some((Port::choose()?, Port::choose()?)),
                    },
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { options, tls, ports })
    }

    /// Writes each broker's settings and makes its process, not started yet.
    pub(super) fn brokers(self, home: &Arc<Home>, java: &Java) -> Result<Vec<Broker>> {
        let texts: Vec<String> = (0..self.ports.len()).map(|id| self.properties(id, home)).collect();
        self.ports
            .into_iter()
            .zip(texts)
            .enumerate()
            .map(|(id, (ports, text))| {
                let name = format!("broker-{id}");
                let properties = home.join(&format!("{name}.properties"));
                fs::write(&properties, text).map_err(Error::io(|| format!("file {}", properties.display())))?;
                let (java, config) = (java.clone(), properties.clone());
                let process = Process::new(home, &name, LastSignal::Kill, move || java.broker(&config));
                let mut more = vec![ports.controller];
                let proxy = ports.proxied.map(|(port, proxy)| {
                    proxy.aim(port.addr());
                    more.push(port);
                    proxy
                });
                let secure = ports.secure.as_ref().map(|(sasl, mtls)| (sasl.number(), mtls.number()));
                more.extend(ports.secure.into_iter().flat_map(|(sasl, mtls)| [sasl, mtls]));
                Ok(Broker {
                    process,
                    id: i32::try_from(id).unwrap_or_default(),
                    properties,
                    plain: ports.plain,
                    proxy,
                    sasl: secure.map(|(sasl, _)| sasl),
                    mtls: secure.map(|(_, mtls)| mtls),
                    _more: more,
                })
            })
            .collect()
    }

    fn properties(&self, id: usize, home: &Home) -> String {
        let mut text = String::from(QUICK);
        let mut set = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}={value}");
        };
        let voters = self.ports.iter().enumerate();
        let voters: Vec<_> = voters.map(|(id, ports)| format!("{id}@{}", ports.controller.addr())).collect();
        let copies = self.ports.len().to_string();
        let majority = (self.ports.len() / 2 + 1).to_string();
        set("process.roles", "broker,controller");
        set("node.id", &id.to_string());
        set("controller.quorum.voters", &voters.join(","));
        set("controller.listener.names", "CONTROLLER");
        set("inter.broker.listener.name", "PLAIN");
        set("log.dirs", &home.join(&format!("data-{id}")).display().to_string());
        set("auto.create.topics.enable", if self.options.topics == AutoCreate::Allowed { "true" } else { "false" });
        for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
            set(&format!("{topic}.replication.factor"), &copies);
        }
        for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
            set(&format!("{topic}.min.isr"), &majority);
        }
        self.listeners(id, &mut set);
        self.security(&mut set);
        for (name, value) in &self.options.settings {
            set(name, value);
        }
        text
    }

    fn listeners(&self, id: usize, set: &mut impl FnMut(&str, &str)) {
        let Some(ports) = self.ports.get(id) else { return };
        // (name, protocol, where it listens, what it advertises)
        let mut all = vec![
            ("CONTROLLER", "PLAINTEXT", ports.controller.addr(), None),
            ("PLAIN", "PLAINTEXT", ports.plain.addr(), Some(ports.plain.addr())),
        ];
        if let Some((port, proxy)) = &ports.proxied {
            all.push(("PROXIED", "PLAINTEXT", port.addr(), Some(proxy.addr())));
        }
        if let Some((sasl, mtls)) = &ports.secure {
            all.push(("SASL", "SASL_SSL", sasl.addr(), Some(sasl.addr())));
            all.push(("MTLS", "SSL", mtls.addr(), Some(mtls.addr())));
        }
        let list = |each: Vec<String>| each.join(",");
        set("listeners", &list(all.iter().map(|(name, _, at, _)| format!("{name}://{at}")).collect()));
        let advertised = all.iter().filter_map(|(name, _, _, at)| at.map(|at| format!("{name}://{at}")));
        set("advertised.listeners", &list(advertised.collect()));
        let protocols = all.iter().map(|(name, protocol, _, _)| format!("{name}:{protocol}"));
        set("listener.security.protocol.map", &list(protocols.collect()));
    }

    fn security(&self, set: &mut impl FnMut(&str, &str)) {
        let (Some(secure), Some((ca, store))) = (&self.options.secure, &self.tls) else { return };
        set("ssl.truststore.type", "PEM");
        set("ssl.truststore.location", ca);
        set("ssl.keystore.type", "PEM");
        set("ssl.keystore.location", store);
        set("listener.name.mtls.ssl.client.auth", "required");
        // The user of a certificate is its common name, without the rest of the subject.
        set("ssl.principal.mapping.rules", "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT");
        set("listener.name.sasl.sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN");
        let login = "org.apache.kafka.common.security";
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            let module = format!("{login}.scram.ScramLoginModule required;");
            set(&format!("listener.name.sasl.{mechanism}.sasl.jaas.config"), &module);
        }
        let users: String =
            secure.users.iter().map(|user| format!(" user_{}=\"{}\"", user.name, user.password)).collect();
        let module = format!("{login}.plain.PlainLoginModule required{users};");
        set("listener.name.sasl.plain.sasl.jaas.config", &module);
        if secure.permission == Permission::ByAcl {
            set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
            set("super.users", "User:ANONYMOUS;User:admin");
        }
    }
}
