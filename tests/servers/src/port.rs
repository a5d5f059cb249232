//! A port of the loopback address that stays ours while its server is stopped.
//!
//! A server that is stopped and started again must come back at the same address, and a client of any process
//! may take a port of the ephemeral range meanwhile. So ports are chosen below that range, and a lock on a file
//! keeps other processes that use this crate away from them; the kernel drops it however a process ends.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File},
    hash::BuildHasher,
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
};

use crate::{Error, Result};

/// Below Linux's ephemeral range (32768 and up), above what servers usually have.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A port, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// A port that nobody listens on.
    pub(crate) fn choose() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("flk-test-ports-{}", rustix::process::getuid().as_raw()));
        fs::create_dir_all(&dir).map_err(Error::io(|| format!("directory {}", dir.display())))?;
        let width = u64::from(RANGE.end - RANGE.start);
        let first = RandomState::new().hash_one(std::process::id()) % width;
        for step in 0..width {
            let Ok(number) = u16::try_from(u64::from(RANGE.start) + (first + step) % width) else { continue };
            let path = dir.join(number.to_string());
            let lock = File::create(&path).map_err(Error::io(|| format!("lock file {}", path.display())))?;
            if lock.try_lock().is_err() {
                continue;
            }
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                hang_up(&listener).map_err(Error::io(|| format!("port {number}")))?;
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::Use {
            what: format!("a free port in {RANGE:?}"),
            instead: "there is none: end what listens on them",
        })
    }

    /// Its number.
    pub(crate) const fn number(&self) -> u16 {
        self.number
    }

    /// Where it is.
    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// Ends listening, now; who waits in `accept` is woken.
///
/// To close it is not enough: a child that another thread is starting has a copy of every file until it becomes
/// its program, and the port goes on to be listened on for as long. (Linux ends any socket in this way; that its
/// function is one of the type for connections is only how the library sorts them.)
pub(crate) fn hang_up(listener: &TcpListener) -> io::Result<()> {
    TcpStream::from(OwnedFd::from(listener.try_clone()?)).shutdown(Shutdown::Both)
}
