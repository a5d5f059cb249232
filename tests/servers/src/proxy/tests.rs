//! Each fault as a client sees it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::{Direction, Proxy};

/// How long nothing must come for it to count as held back.
const QUIET: Duration = Duration::from_millis(100);

/// A server that sends back what it gets, with its own letter before it.
fn echo(letter: u8) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(n) = stream.read(&mut buffer) {
                    if n == 0 || stream.write_all(&[&[letter], &buffer[..n]].concat()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    addr
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn send(mut stream: &TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

fn expect(mut stream: &TcpStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    stream.read_exact(&mut came).unwrap();
    assert_eq!(came, bytes);
}

fn expect_nothing(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let came = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(matches!(came, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{came:?}");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
}

fn expect_end(mut stream: &TcpStream) {
    let came = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(matches!(came, Ok(0) | Err(ErrorKind::ConnectionReset)), "{came:?}");
}

#[test]
fn bytes_pass_both_ways() {
    let proxy = Proxy::start(echo(b'a')).unwrap();
    let client = connect(&proxy);
    send(&client, b"one");
    expect(&client, b"aone");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_cut_closes_open_connections_and_takes_new_ones() {
    let proxy = Proxy::start(echo(b'a')).unwrap();
    let before = connect(&proxy);
    send(&before, b"one");
    expect(&before, b"aone");
    proxy.cut();
    expect_end(&before);
    let after = connect(&proxy);
    send(&after, b"two");
    expect(&after, b"atwo");
}

#[test]
fn refusing_leaves_open_connections_alone_and_ends_with_accept() {
    let proxy = Proxy::start(echo(b'a')).unwrap();
    let open = connect(&proxy);
    send(&open, b"one");
    expect(&open, b"aone");
    proxy.refuse().unwrap();
    proxy.refuse().unwrap();
    assert_eq!(TcpStream::connect(proxy.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    send(&open, b"two");
    expect(&open, b"atwo");
    proxy.accept().unwrap();
    proxy.accept().unwrap();
    let new = connect(&proxy);
    send(&new, b"three");
    expect(&new, b"athree");
}

#[test]
fn a_stalled_answer_is_late_but_whole() {
    let proxy = Proxy::start(echo(b'a')).unwrap();
    let client = connect(&proxy);
    proxy.stall(Direction::ToClient);
    send(&client, b"one");
    expect_nothing(&client);
    proxy.resume();
    expect(&client, b"aone");
}

#[test]
fn a_stalled_request_does_not_reach_the_server_and_answers_still_come() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).unwrap();
    let client = connect(&proxy);
    let (at_server, _) = server.accept().unwrap();
    proxy.stall(Direction::ToServer);
    send(&client, b"one");
    expect_nothing(&at_server);
    send(&at_server, b"hello");
    expect(&client, b"hello");
    proxy.resume();
    expect(&at_server, b"one");
}

#[test]
fn an_answer_that_is_stalled_and_then_cut_is_lost_while_the_request_arrived() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).unwrap();
    let client = connect(&proxy);
    let (at_server, _) = server.accept().unwrap();
    proxy.stall(Direction::ToClient);
    send(&client, b"do it");
    expect(&at_server, b"do it");
    send(&at_server, b"done");
    proxy.cut();
    proxy.resume();
    expect_end(&client);
}

#[test]
fn the_end_of_one_way_leaves_the_other_open() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).unwrap();
    let client = connect(&proxy);
    let (at_server, _) = server.accept().unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&at_server);
    send(&at_server, b"late");
    expect(&client, b"late");
}

#[test]
fn a_new_target_is_for_new_connections() {
    let proxy = Proxy::unaimed().unwrap();
    expect_end(&connect(&proxy));
    proxy.aim(echo(b'a'));
    let first = connect(&proxy);
    send(&first, b"1");
    expect(&first, b"a1");
    proxy.aim(echo(b'b'));
    let second = connect(&proxy);
    send(&second, b"2");
    expect(&second, b"b2");
    send(&first, b"3");
    expect(&first, b"a3");
}

#[test]
fn a_dropped_proxy_closes_what_is_open() {
    let proxy = Proxy::start(echo(b'a')).unwrap();
    let client = connect(&proxy);
    send(&client, b"one");
    expect(&client, b"aone");
    let addr = proxy.addr();
    drop(proxy);
    expect_end(&client);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
