//! As much of Redis' protocol (RESP2) as it takes to give a command, on a connection of its own.

use std::{
    fmt::Display,
    io::{self, BufRead, BufReader, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::{Error, Result};

/// For one command on an idle server.
const PATIENCE: Duration = Duration::from_secs(5);

/// No answer that a test asks for is longer.
const LONGEST: usize = 64 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status, such as `OK`.
    Simple(String),
    /// An error, such as `NOAUTH Authentication required.`
    Error(String),
    /// A number.
    Integer(i64),
    /// A value; `None` where there is none.
    Bulk(Option<Vec<u8>>),
    /// Several; `None` where there is no such list.
    Array(Option<Vec<Self>>),
}

impl Reply {
    /// Its text, whatever it is; nothing where there is no value.
    pub fn text(&self) -> String {
        match self {
            Self::Simple(text) | Self::Error(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Bulk(value) => String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned(),
            Self::Array(items) => items.iter().flatten().map(Self::text).collect::<Vec<_>>().join("\n"),
        }
    }

    pub(super) fn ok(&self, command: &str) -> Result<()> {
        match self {
            Self::Simple(_) => Ok(()),
            other => Err(Error::Answer { from: format!("Redis to {command}"), expected: "OK", came: other.text() }),
        }
    }
}

/// Connects, logs in where there is somebody to log in as, and gives one command.
pub(super) fn call(addr: impl ToSocketAddrs + Display, login: Option<(&str, &str)>, args: &[&str]) -> Result<Reply> {
    let failed = |source| Error::Io { what: format!("Redis at {addr}"), source };
    let mut stream = connect(&addr).map_err(failed)?;
    if let Some((user, password)) = login {
        ask(&mut stream, &["AUTH", user, password]).map_err(failed)?.ok("AUTH")?;
    }
    ask(&mut stream, args).map_err(failed)
}

fn connect(addr: &impl ToSocketAddrs) -> io::Result<BufReader<TcpStream>> {
    let addr = addr.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn ask(stream: &mut BufReader<TcpStream>, args: &[&str]) -> io::Result<Reply> {
    let mut request = format!("*{}\r\n", args.len());
    for arg in args {
        request += &format!("${}\r\n{arg}\r\n", arg.len());
    }
    stream.get_mut().write_all(request.as_bytes())?;
    read(stream)
}

fn read(from: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, format!("not an answer of Redis: {line:?}"));
    let text = line.strip_suffix("\r\n").ok_or_else(strange)?;
    let (kind, text) = text.split_at_checked(1).ok_or_else(strange)?;
    let number = || text.parse::<i64>().map_err(|_| strange());
    let length = || Ok::<_, io::Error>(usize::try_from(number()?).ok());
    match kind {
        "+" => Ok(Reply::Simple(text.to_owned())),
        "-" => Ok(Reply::Error(text.to_owned())),
        ":" => Ok(Reply::Integer(number()?)),
        "$" => {
            // -1 is no value.
            let Some(length) = length()? else { return Ok(Reply::Bulk(None)) };
            if length > LONGEST {
                return Err(strange());
            }
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Reply::Bulk(Some(bytes)))
        }
        "*" => {
            let Some(length) = length()? else { return Ok(Reply::Array(None)) };
            (0..length).map(|_| read(from)).collect::<io::Result<_>>().map(|items| Reply::Array(Some(items)))
        }
        _ => Err(strange()),
    }
}
