//! HTTP/1.1 over a bare socket: what is sent is chosen to the byte, and what comes back (or does
//! not) is told apart to the byte. A client library would retry, fold and hide.

use std::{
    fmt,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Any method and path.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: None }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A submission of a body.
    pub fn submit(body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", "/v1/pcs/submit").body(body)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With `Prefer`.
    #[must_use]
    pub fn prefer(self, value: &str) -> Self {
        self.header("Prefer", value)
    }

    /// With HTTP Basic credentials.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        self.header("Authorization", &value)
    }

    /// With a body, and its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The bytes that are sent.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: flk.test\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// An answer, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// A field of the JSON body; null where it is not there.
    pub fn field(&self, name: &str) -> Value {
        self.json().get(name).cloned().unwrap_or_default()
    }

    /// `code` of a result or a problem.
    pub fn code(&self) -> String {
        self.field("code").as_str().unwrap_or_default().to_owned()
    }

    /// The same answer, checked for its status.
    ///
    /// # Panics
    /// Where the status is another.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Status and code.
    ///
    /// # Panics
    /// Where the body is no JSON.
    pub fn verdict(&self) -> (u16, String) {
        (self.status, self.code())
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HTTP {}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.text())
    }
}

/// No complete answer came.
#[derive(Debug, Clone)]
pub struct Cut {
    /// How that was seen.
    pub why: String,
    /// When the whole request had been handed to the system, if it was.
    pub sent: Option<Instant>,
    /// Bytes of an answer that came all the same.
    pub answered: usize,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = if self.sent.is_some() { "sent whole" } else { "not sent whole" };
        write!(f, "{} ({sent}, {} bytes of an answer)", self.why, self.answered)
    }
}

/// One connection, kept from request to request.
#[derive(Debug)]
pub struct Client {
    to: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    /// A client that connects at its first request.
    pub fn new(to: SocketAddr) -> Self {
        Self { to, stream: None, buffer: Vec::new() }
    }

    /// Whom it asks.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// A client that is connected.
    ///
    /// # Panics
    /// Where it can not.
    pub fn connected(to: SocketAddr) -> Self {
        let mut client = Self::new(to);
        client.connect().unwrap();
        client
    }

    fn connect(&mut self) -> std::io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_timeout(&self.to, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
            self.buffer.clear();
        }
        Ok(self.stream.as_mut().expect("just connected"))
    }

    /// Sends a request and reads its answer, on the kept connection if there is one.
    ///
    /// # Errors
    /// [`Cut`], where no complete answer came; the connection is given up then.
    pub fn send(&mut self, request: &Request) -> Result<Response, Cut> {
        self.write(&request.bytes())?;
        self.answer()
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// Where no complete answer came.
    #[track_caller]
    pub fn call(&mut self, request: &Request) -> Response {
        self.send(request).unwrap_or_else(|cut| panic!("{} {}: {cut}", request.method, request.path))
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// [`Cut`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        let written = self.connect().and_then(|stream| stream.write_all(bytes));
        written.map_err(|error| self.cut(format!("writing: {error}"), None))
    }

    /// Says that nothing more will be written.
    pub fn end_of_writing(&mut self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// [`Cut`].
    pub fn answer(&mut self) -> Result<Response, Cut> {
        let sent = Some(Instant::now());
        loop {
            match parse(&self.buffer) {
                Ok(Some((response, length))) => {
                    self.buffer.drain(..length);
                    if response.status == 100 {
                        continue;
                    }
                    if response.header("connection") == Some("close") {
                        self.stream = None;
                    }
                    return Ok(response);
                }
                Ok(None) => {}
                Err(why) => return Err(self.cut(why, sent)),
            }
            let mut part = [0; 16 * 1024];
            let read = match &mut self.stream {
                Some(stream) => stream.read(&mut part),
                None => Err(ErrorKind::NotConnected.into()),
            };
            match read {
                Ok(0) => return Err(self.cut("the connection was closed".into(), sent)),
                Ok(n) => self.buffer.extend_from_slice(&part[..n]),
                Err(error) => return Err(self.cut(format!("reading: {error}"), sent)),
            }
        }
    }

    fn cut(&mut self, why: String, sent: Option<Instant>) -> Cut {
        self.stream = None;
        Cut { why, sent, answered: std::mem::take(&mut self.buffer).len() }
    }
}

/// A whole answer and its length in bytes; `None` while there is more to come.
fn parse(bytes: &[u8]) -> Result<Option<(Response, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the head is not UTF-8".to_owned())?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("not an answer: {first:?}"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("not a header: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    let start = end + 4;
    let length = match response.header("content-length") {
        Some(length) => length.parse().map_err(|_| "not a length".to_owned())?,
        None if status == 100 => 0,
        None => return Err("an answer without Content-Length".to_owned()),
    };
    let Some(body) = bytes.get(start..start + length) else { return Ok(None) };
    response.body = body.to_vec();
    Ok(Some((response, start + length)))
}
