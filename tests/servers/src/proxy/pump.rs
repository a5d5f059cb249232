//! The proxy's connections: two threads each, and one state that all of them look at.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::Direction;

/// Both ends of a connection.
type Link = Arc<[TcpStream; 2]>;

#[derive(Debug, Default)]
struct State {
    target: Option<SocketAddr>,
    listening: bool,
    stalled_to_server: bool,
    stalled_to_client: bool,
    cuts: u64,
    next: u64,
    open: BTreeMap<u64, Link>,
}

impl State {
    fn stalled(&self, way: Way) -> bool {
        match way {
            Way::ToServer => self.stalled_to_server,
            Way::ToClient => self.stalled_to_client,
        }
    }
}

/// The way of one thread.
#[derive(Debug, Clone, Copy)]
enum Way {
    ToServer,
    ToClient,
}

/// All connections of a proxy.
#[derive(Debug, Default)]
pub(super) struct Links {
    state: Mutex<State>,
    changed: Condvar,
}

impl Links {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn aim(&self, target: SocketAddr) {
        self.state().target = Some(target);
    }

    pub(super) fn set_listening(&self, listening: bool) {
        self.state().listening = listening;
    }

    pub(super) fn count(&self) -> usize {
        self.state().open.len()
    }

    pub(super) fn stall(&self, direction: Direction) {
        let mut state = self.state();
        state.stalled_to_server |= direction != Direction::ToClient;
        state.stalled_to_client |= direction != Direction::ToServer;
    }

    pub(super) fn resume(&self) {
        let mut state = self.state();
        state.stalled_to_server = false;
        state.stalled_to_client = false;
        self.changed.notify_all();
    }

    pub(super) fn cut(&self) {
        let open = {
            let mut state = self.state();
            // A connection that is being made is cut too.
            state.cuts += 1;
            std::mem::take(&mut state.open)
        };
        for ends in open.values() {
            close(ends);
        }
        self.changed.notify_all();
    }

    /// Takes connections until it is told not to.
    pub(super) fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let cuts = {
                let state = self.state();
                if !state.listening {
                    return;
                }
                state.cuts
            };
            // One that is gone before it is taken, or that there are no files for: the next may do better.
            let Ok(client) = client else { continue };
            let links = Arc::clone(self);
            // Without a thread the connection closes, as of a server that has none left.
            let _ = thread::Builder::new().name("proxy link".into()).spawn(move || links.link(client, cuts));
        }
    }

    /// One connection, from its start to its end; this thread carries what the client sends.
    fn link(self: &Arc<Self>, client: TcpStream, cuts: u64) {
        let target = self.state().target;
        // No target, or none that answers: the client's connection closes.
        let Some(Ok(server)) = target.map(TcpStream::connect) else { return };
        // Small messages must not wait for each other here: that would be a delay that nobody asked for.
        let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
        let ends: Link = Arc::new([client, server]);
        let id = {
            let mut state = self.state();
            if state.cuts != cuts {
                return;
            }
            state.next += 1;
            let id = state.next;
            state.open.insert(id, Arc::clone(&ends));
            id
        };
        let (links, back) = (Arc::clone(self), Arc::clone(&ends));
        let answers =
            thread::Builder::new().name("proxy answers".into()).spawn(move || links.pump(id, &back, Way::ToClient));
        if let Ok(answers) = answers {
            self.pump(id, &ends, Way::ToServer);
            let _ = answers.join();
        }
        self.state().open.remove(&id);
        close(&ends);
    }

    /// Carries bytes one way until their end, and then says so to the other side.
    fn pump(&self, id: u64, ends: &Link, way: Way) {
        let [client, server] = &**ends;
        let (mut from, mut to) = match way {
            Way::ToServer => (client, server),
            Way::ToClient => (server, client),
        };
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer);
            // The end of a stream is held back as its bytes are.
            if !self.may_go_on(id, way) {
                return;
            }
            match read.map(|n| buffer.get(..n).unwrap_or_default()) {
                // The other way may still have something to say.
                Ok([]) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(bytes) if to.write_all(bytes).is_ok() => {}
                Ok(_) | Err(_) => return close(ends),
            }
        }
    }

    /// Waits while this way is stalled; false where the connection has been cut.
    fn may_go_on(&self, id: u64, way: Way) -> bool {
        let state = self.state();
        let state = self
            .changed
            .wait_while(state, |state| state.stalled(way) && state.open.contains_key(&id))
            .unwrap_or_else(PoisonError::into_inner);
        state.open.contains_key(&id)
    }
}

fn close(ends: &Link) {
    for end in ends.iter() {
        // One that is closed already is what was wanted.
        let _ = end.shutdown(Shutdown::Both);
    }
}
