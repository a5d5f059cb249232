//! One broker: its process and its ports.

use std::{net::SocketAddr, path::PathBuf};

use crate::{Proxy, port::Port, process::Process};

/// A broker, running or not; its ports stay its own.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) process: Process,
    pub(super) id: i32,
    pub(super) properties: PathBuf,
    pub(super) plain: Port,
    pub(super) proxy: Option<Proxy>,
    pub(super) sasl: Option<u16>,
    pub(super) mtls: Option<u16>,
    pub(super) _more: Vec<Port>,
}

impl Broker {
    /// The listener without authentication.
    pub(super) fn addr(&self) -> SocketAddr {
        self.plain.addr()
    }
}
