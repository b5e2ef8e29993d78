//! A small HTTP/1.1 server on threads: it reads whole requests, and writes whatever bytes it is told.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flate2::read::{GzDecoder, ZlibDecoder};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(100);

/// Listens on a port of its own until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<dyn Fn(&Received) -> Answer + Send + Sync>,
    tls: Option<Arc<ServerConfig>>,
    /// Whether it answers as soon as it knows the head of a request.
    hasty: bool,
    connections: AtomicUsize,
    stopping: AtomicBool,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// As it was sent: a path, an absolute address to a proxy, a host and a port to `CONNECT`.
    pub(crate) target: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// As it was sent.
    pub(crate) body: Vec<u8>,
}

/// Bytes to answer with, and what happens then.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    then: Then,
}

/// What a connection does after an answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Ends.
    Close,
    /// Goes on with a byte now and then, for as long as somebody reads.
    Drip,
    /// Goes on writing for as long as somebody reads.
    Flood,
    /// Stays, and says nothing more.
    Hang,
    /// Takes the next request.
    Keep,
}

impl Server {
    /// On any free port.
    pub(crate) fn start(handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), None, false, handler)
    }

    /// All at choice.
    pub(crate) fn listen(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        hasty: bool,
        handler: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stopping) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { handler: Box::new(handler), tls, hasty, connections, stopping });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        drop(TcpStream::connect(self.address));
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

impl Received {
    /// The body with its compression undone.
    pub(crate) fn plain(&self) -> Vec<u8> {
        let body = self.body.as_slice();
        let mut plain = Vec::new();
        let rest = match self.headers.get("content-encoding").map(String::as_str) {
            None => return body.to_vec(),
            Some("deflate") => {
                let mut decoder = ZlibDecoder::new(body);
                decoder.read_to_end(&mut plain).unwrap();
                decoder.into_inner()
            }
            Some("gzip") => {
                let mut decoder = GzDecoder::new(body);
                decoder.read_to_end(&mut plain).unwrap();
                decoder.into_inner()
            }
            Some("zstd") => return zstd::decode_all(body).unwrap(),
            Some(other) => panic!("unknown Content-Encoding: {other}"),
        };
        assert!(rest.is_empty(), "{} bytes behind the compressed body", rest.len());
        plain
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.plain()).unwrap()
    }
}

impl Answer {
    /// A status with an empty JSON object.
    pub(crate) fn status(status: u16) -> Self {
        Self::with(status, &[], b"{}")
    }

    /// A status, more headers and a body.
    pub(crate) fn with(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Any\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        Self { bytes: [head.as_bytes(), body].concat(), then: Then::Keep }
    }

    /// Any bytes; then the connection ends.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then: Then::Close }
    }

    /// Nothing, and the connection ends.
    pub(crate) fn close() -> Self {
        Self::raw([])
    }

    /// Nothing, and the connection stays.
    pub(crate) const fn hang() -> Self {
        Self { bytes: Vec::new(), then: Then::Hang }
    }

    /// A body without an end.
    pub(crate) fn flood(status: u16) -> Self {
        let head = format!("HTTP/1.1 {status} Any\r\nTransfer-Encoding: chunked\r\n\r\n");
        Self { bytes: head.into_bytes(), then: Then::Flood }
    }

    /// So much at once, and then a byte now and then: of a body that never ends, or of a head.
    pub(crate) fn drip(bytes: &str) -> Self {
        Self { bytes: bytes.into(), then: Then::Drip }
    }

    /// So much at once, and nothing more; the connection stays.
    pub(crate) fn stuck(bytes: &str) -> Self {
        Self { bytes: bytes.into(), then: Then::Hang }
    }

    /// The same, and the connection ends without a word.
    pub(crate) fn and_close(self) -> Self {
        Self { then: Then::Close, ..self }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(socket) = stream.try_clone() else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        let served = thread::spawn(move || {
            let socket = stream.try_clone();
            // A client that goes away in the middle is nobody's mistake.
            let _ = match &shared.tls {
                None => serve(stream, &shared),
                Some(tls) => ServerConnection::new(Arc::clone(tls))
                    .map_err(io::Error::other)
                    .and_then(|tls| serve(StreamOwned::new(tls, stream), &shared)),
            };
            let _ = socket.map(|socket| end(&socket));
        });
        connections.push((socket, served));
    }
    for (socket, _) in &connections {
        let _ = socket.shutdown(Shutdown::Both);
    }
    for (_, served) in connections {
        let _ = served.join();
    }
}

fn serve(mut stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut buffer, shared.hasty)? {
        let Answer { bytes, then } = (shared.handler)(&received);
        stream.write_all(&bytes)?;
        stream.flush()?;
        match then {
            Then::Close => break,
            Then::Drip => loop {
                stream.write_all(b"x")?;
                stream.flush()?;
                thread::sleep(DRIP);
            },
            Then::Flood => loop {
                write!(stream, "1000\r\n{}\r\n", "x".repeat(0x1000))?;
            },
            Then::Hang => return io::copy(&mut stream, &mut io::sink()).map(drop),
            Then::Keep if shared.hasty => break,
            Then::Keep => {}
        }
    }
    Ok(())
}

/// Says that nothing more is to come, and reads what still does: a reset could overtake the answer.
fn end(mut socket: &TcpStream) {
    let _ = socket.shutdown(Shutdown::Write);
    let _ = io::copy(&mut socket, &mut io::sink());
    let _ = socket.shutdown(Shutdown::Both);
}

/// The next request; `None` when the connection ends before it.
fn read_request(stream: &mut impl Read, buffer: &mut Vec<u8>, hasty: bool) -> io::Result<Option<Received>> {
    loop {
        if let Some((mut received, head)) = parse_head(buffer)? {
            buffer.drain(..head);
            if !hasty {
                received.body = read_body(stream, buffer, &received.headers)?;
            }
            return Ok(Some(received));
        }
        if !more(stream, buffer)? {
            return Ok(None);
        }
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Received, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer).map_err(io::Error::other)? else { return Ok(None) };
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (method, target) = (text(request.method), text(request.path));
    let headers = request.headers.iter();
    let headers = headers
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    Ok(Some((Received { method, target, headers, body: Vec::new() }, head)))
}

fn read_body(stream: &mut impl Read, buffer: &mut Vec<u8>, headers: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    if headers.contains_key("transfer-encoding") {
        return read_chunks(stream, buffer);
    }
    let len = headers.get("content-length").map_or(Ok(0), |len| len.parse()).map_err(io::Error::other)?;
    take(stream, buffer, len)
}

fn read_chunks(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let status = httparse::parse_chunk_size(buffer).map_err(|_| io::ErrorKind::InvalidData)?;
        let httparse::Status::Complete((head, len)) = status else {
            if more(stream, buffer)? {
                continue;
            }
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        buffer.drain(..head);
        let len = usize::try_from(len).map_err(io::Error::other)?;
        body.extend(take(stream, buffer, len)?);
        take(stream, buffer, "\r\n".len())?;
        if len == 0 {
            return Ok(body);
        }
    }
}

/// So many bytes from the front.
fn take(stream: &mut impl Read, buffer: &mut Vec<u8>, len: usize) -> io::Result<Vec<u8>> {
    while buffer.len() < len {
        if !more(stream, buffer)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let rest = buffer.split_off(len);
    Ok(std::mem::replace(buffer, rest))
}

/// Reads on; `false` at the end.
fn more(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 16 * 1024];
    let read = stream.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..read]);
    Ok(read > 0)
}
