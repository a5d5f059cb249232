//! Two clients: an ordinary one, and a bare socket for what no ordinary client does.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use ureq::http::{HeaderMap, Request, Response};

use crate::{Service, within};

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A problem of this status and code, in the form that all have.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{problem}");
        assert_eq!(problem["type"], format!("urn:flk:problem:{code}"));
        assert_eq!(problem["status"], status);
        for text in ["title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text} in {problem}");
        }
        problem
    }
}

/// A call by an ordinary client.
pub(crate) struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn post(body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST", path: "/v1/pcs/submit".into(), headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::method("GET", path)
    }

    pub(crate) fn method(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) async fn to(self, service: &Service) -> Reply {
        let mut request =
            Request::builder().method(self.method).uri(format!("http://{}{}", service.address, self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = self.body;
        let (method, has_body) = (self.method, !body.is_empty());
        let sent = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .allow_non_standard_methods(true)
                .build()
                .into();
            let answer = if method == "POST" || has_body {
                agent.run(request.body(body).unwrap())
            } else {
                agent.run(request.body(()).unwrap())
            };
            read(answer.unwrap())
        });
        within("an answer", sent).await.unwrap()
    }
}

fn read(answer: Response<ureq::Body>) -> Reply {
    let (parts, mut body) = answer.into_parts();
    Reply { status: parts.status.as_u16(), headers: parts.headers, body: body.read_to_vec().unwrap() }
}

/// A bare connection.
pub(crate) struct Socket(pub(crate) TcpStream);

impl Socket {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(within("a connection", TcpStream::connect(address)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("sending", self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The next answer.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        reply.body.resize(length, 0);
        within("the body of an answer", self.0.read_exact(&mut reply.body)).await.unwrap();
        reply
    }

    /// The next answer up to its body.
    pub(crate) async fn head(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within("the head of an answer", self.0.read_u8()).await;
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(ureq::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        Reply { status, headers, body: Vec::new() }
    }

    /// Whatever still comes until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset says the same as an end: the server is done.
        let _ = within("the end of a connection", self.0.read_to_end(&mut rest)).await;
        rest
    }
}

/// A submission as bytes.
pub(crate) fn post(body: &[u8], headers: &str) -> Vec<u8> {
    let mut bytes =
        format!("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ncontent-length: {}\r\n{headers}\r\n", body.len())
            .into_bytes();
    bytes.extend(body);
    bytes
}

/// A GET as bytes.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: flk\r\n\r\n")
}
