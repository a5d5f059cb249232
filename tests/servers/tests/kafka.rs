//! One broker as tests use it: its data over restarts, its proxy, its secure listeners.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use flk_servers::{
    AutoCreate, Direction, Kafka, KafkaOptions, Listeners, Permission, Secure, Stop, Tool, User, shared,
};

const CREATE: [&str; 3] = ["--create", "--topic", "t"];

fn produce(kafka: &Kafka, lines: &str) {
    kafka.tool_with(Tool::Producer, &["--topic", "t"], lines.as_bytes()).unwrap();
}

fn consume(kafka: &Kafka, count: &str) -> String {
    let args = ["--topic", "t", "--from-beginning", "--max-messages", count, "--timeout-ms", "20000"];
    kafka.tool(Tool::Consumer, &args).unwrap()
}

#[test]
fn what_was_acknowledged_is_still_there_after_a_stop_and_after_a_kill() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let bootstrap = kafka.bootstrap();
    kafka.tool(Tool::Topics, &CREATE).unwrap();
    produce(&kafka, "one\n");
    kafka.stop_broker(0, Stop::Term).unwrap();
    kafka.metadata(None).unwrap_err();
    kafka.start_broker(0).unwrap();
    produce(&kafka, "two\n");
    kafka.stop_broker(0, Stop::Kill).unwrap();
    kafka.start_broker(0).unwrap();
    kafka.in_sync("t").unwrap();
    assert_eq!(consume(&kafka, "2"), "one\ntwo\n");
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert!(std::fs::read_to_string(kafka.log(0).unwrap()).unwrap().contains("Kafka Server started"));
}

#[test]
fn clients_of_the_proxy_stay_behind_it() {
    let options = KafkaOptions {
        listeners: Listeners::Proxied,
        topics: AutoCreate::Allowed,
        settings: vec![("num.partitions".into(), "3".into())],
        ..KafkaOptions::default()
    };
    let kafka = Kafka::start(&options).unwrap();
    let proxied = kafka.proxied_bootstrap().unwrap();
    let list = |more: &[&str]| {
        let args = [&["--bootstrap-server", &proxied, "--list"], more].concat();
        kafka.command("org.apache.kafka.tools.TopicCommand", &args)
    };
    let hasty = kafka.file("hasty.properties", "default.api.timeout.ms=1000\nrequest.timeout.ms=500\n").unwrap();
    let hasty = ["--command-config", hasty.to_str().unwrap()];

    produce(&kafka, "one\n");
    assert_eq!(kafka.in_sync("t").unwrap().len(), 3);
    assert_eq!(list(&[]).unwrap(), "t\n");
    kafka.proxy(0).unwrap().stall(Direction::ToClient);
    list(&hasty).unwrap_err();
    kafka.proxy(0).unwrap().resume();
    kafka.proxy(0).unwrap().refuse().unwrap();
    list(&hasty).unwrap_err();
    assert_eq!(kafka.metadata(Some("t")).unwrap().brokers.len(), 1);
    kafka.proxy(0).unwrap().accept().unwrap();
    assert_eq!(list(&[]).unwrap(), "t\n");
}

#[test]
fn paused_it_does_not_answer_and_then_goes_on() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    kafka.tool(Tool::Topics, &CREATE).unwrap();
    kafka.pause(0).unwrap();
    kafka.metadata(None).unwrap_err();
    kafka.resume(0).unwrap();
    kafka.in_sync("t").unwrap();
}

#[test]
fn users_log_in_every_way_and_may_do_what_acls_say() {
    let secure = Secure {
        users: vec![User::new("agent", "secret-1"), User::new("admin", "secret-2")],
        permission: Permission::ByAcl,
    };
    let kafka = Kafka::start(&KafkaOptions { secure: Some(secure), ..KafkaOptions::default() }).unwrap();
    kafka.tool(Tool::Topics, &CREATE).unwrap();
    kafka
        .tool(Tool::Acls, &["--add", "--allow-principal", "User:agent", "--operation", "Write", "--topic", "t"])
        .unwrap();

    let ca = kafka.ca().unwrap().display().to_string();
    let trust = format!("ssl.truststore.type=PEM\nssl.truststore.location={ca}\n");
    let sasl = |mechanism: &str, module: &str, user: &str, password: &str| {
        format!(
            "{trust}security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nsasl.jaas.config=\
             org.apache.kafka.common.security.{module} required username=\"{user}\" password=\"{password}\";\n"
        )
    };
    let (plain, scram) = ("plain.PlainLoginModule", "scram.ScramLoginModule");
    // Who may see the topic is told of it; to everybody else there is none.
    let sees = |bootstrap: &str, client: &str| {
        let config = kafka
            .file("client.properties", &format!("{client}request.timeout.ms=20000\ndefault.api.timeout.ms=20000\n"))
            .unwrap();
        let args = ["--bootstrap-server", bootstrap, "--command-config", config.to_str().unwrap(), "--list"];
        kafka.command("org.apache.kafka.tools.TopicCommand", &args)
    };
    let at = kafka.sasl_bootstrap().unwrap();
    assert_eq!(sees(&at, &sasl("SCRAM-SHA-512", scram, "agent", "secret-1")).unwrap(), "t\n");
    assert_eq!(sees(&at, &sasl("SCRAM-SHA-256", scram, "admin", "secret-2")).unwrap(), "t\n");
    assert_eq!(sees(&at, &sasl("PLAIN", plain, "agent", "secret-1")).unwrap(), "t\n");
    let wrong = sees(&at, &sasl("PLAIN", plain, "agent", "secret-2")).unwrap_err().to_string();
    assert!(wrong.contains("Authentication"), "{wrong}");

    let certified = |name: &str| {
        let identity = kafka.client(name).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        let store = format!("{name}-store.pem");
        let store = kafka.file(&store, &(read(&identity.key) + &read(&identity.cert))).unwrap();
        let store = store.display();
        format!("{trust}security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={store}\n")
    };
    let at = kafka.mtls_bootstrap().unwrap();
    assert_eq!(sees(&at, &certified("agent")).unwrap(), "t\n");
    assert_eq!(sees(&at, &certified("stranger")).unwrap().trim(), "");
    sees(&at, &format!("{trust}security.protocol=SSL\n")).unwrap_err();
}

#[test]
fn the_shared_one_is_started_once() {
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(|| shared::kafka().unwrap())).collect();
    let addresses: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(addresses[0], addresses[1]);
}

#[test]
fn what_was_not_asked_for_is_not_there() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    assert!(kafka.proxied_bootstrap().unwrap_err().to_string().contains("Listeners::Proxied"));
    assert!(kafka.sasl_bootstrap().unwrap_err().to_string().contains("secure"));
    assert!(kafka.stop_broker(1, Stop::Kill).unwrap_err().to_string().contains("counted from 0"));
    let refused = KafkaOptions {
        secure: Some(Secure { users: vec![User::new("a b", "c")], ..Secure::default() }),
        ..KafkaOptions::default()
    };
    assert!(Kafka::start(&refused).unwrap_err().to_string().contains("ASCII letters"));
    let error = kafka.tool(Tool::Topics, &["--delete", "--topic", "none"]).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}
