//! A TCP proxy that puts faults between a client and a server.
//!
//! Its address is known before it has a target, so a server can be told to advertise it. Bytes are never made up,
//! reordered or changed: a stalled direction holds what it has read and goes on with it, unless the connection is
//! cut meanwhile.

mod pump;
#[cfg(test)]
mod tests;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use crate::{
    Error, Result,
    port::{Port, hang_up},
    proxy::pump::Links,
};

/// Which way bytes go that are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What clients send: the server sees nothing of it.
    ToServer,
    /// What the server answers: it was done, and nobody is told. With [`Proxy::cut`] behind it, an answer is lost.
    ToClient,
    /// Both.
    Both,
}

/// A proxy on a loopback port of its own; dropped, it closes everything.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    links: Arc<Links>,
    acceptor: Mutex<Option<Acceptor>>,
}

/// What takes connections.
#[derive(Debug)]
struct Acceptor {
    listener: TcpListener,
    thread: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `target`.
    ///
    /// # Errors
    /// Where there is no free port.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let proxy = Self::unaimed()?;
        proxy.aim(target);
        Ok(proxy)
    }

    /// A proxy without a target: until [`Proxy::aim`], connections are taken and closed.
    ///
    /// # Errors
    /// Where there is no free port.
    pub fn unaimed() -> Result<Self> {
        let proxy = Self { port: Port::choose()?, links: Arc::new(Links::default()), acceptor: Mutex::new(None) };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Where new connections go from now on; those that are open stay where they are.
    pub fn aim(&self, target: SocketAddr) {
        self.links.aim(target);
    }

    /// Closes every open connection; new ones are taken.
    pub fn cut(&self) {
        self.links.cut();
    }

    /// Refuses new connections as a port does that nobody listens on, until [`Proxy::accept`]; open ones stay.
    ///
    /// # Errors
    /// Where the port can not be given up.
    pub fn refuse(&self) -> Result<()> {
        let mut acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Acceptor { listener, thread }) = acceptor.take() {
            self.links.set_listening(false);
            if let Err(source) = hang_up(&listener) {
                *acceptor = Some(Acceptor { listener, thread });
                return Err(Error::Io { what: format!("the proxy's port {}", self.port.number()), source });
            }
            // A thread that panicked has ended as well.
            let _ = thread.join();
        }
        Ok(())
    }

    /// Takes new connections again.
    ///
    /// # Errors
    /// Where the port can not be listened on, or no thread be started.
    pub fn accept(&self) -> Result<()> {
        let mut acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        if acceptor.is_some() {
            return Ok(());
        }
        let failed = |source| Error::Io { what: format!("a proxy at {}", self.addr()), source };
        let listener = TcpListener::bind(self.addr()).map_err(failed)?;
        let taken = listener.try_clone().map_err(failed)?;
        self.links.set_listening(true);
        let links = Arc::clone(&self.links);
        let thread = thread::Builder::new()
            .name(format!("proxy {}", self.port.number()))
            .spawn(move || links.serve(&taken))
            .map_err(failed)?;
        *acceptor = Some(Acceptor { listener, thread });
        Ok(())
    }

    /// Holds back what goes this way, on open connections and on new ones, until [`Proxy::resume`].
    pub fn stall(&self, direction: Direction) {
        self.links.stall(direction);
    }

    /// Lets everything that is held back go on.
    pub fn resume(&self) {
        self.links.resume();
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.links.count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Where that fails, its thread ends with the process.
        let _ = self.refuse();
        self.links.cut();
    }
}
