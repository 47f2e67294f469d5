//! Serves the viewer's page to browsers.
//!
//! Plain HTTP and HTTPS share one TCP port, the one of the stream's number: a TLS connection is known by its first byte. A
//! browser plays streams only on secure pages. `http://localhost` is one; from another machine it takes `https://`, with the
//! certificate that the stream has.
//!
//! | path | answer |
//! |---|---|
//! | `/-/viewer.js`, `/-/worker.js`, `/-/viewer.css` | the page's parts |
//! | `/-/admission/NAME?token=…` | whether a viewer would be let in (200, 403, 404, 503), the certificate's hash (`sha256`) and the seconds it is still valid (`expiresInS`): a browser does not say why a WebTransport session was refused |
//! | `/-/…` | 404 |
//! | anything else | the page |

use super::{
    PublishError,
    server::{Refusal, Server},
};
use crate::identity::{Identity, hex};
use bytes::Bytes;
use core::{convert::Infallible, time::Duration};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::TcpListener,
    sync::Arc,
    time::SystemTime,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// Connections at once; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a peer may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last, however slowly it reads.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Most that is buffered of a request.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// How long is waited when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The first byte of a TLS connection: a handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What the page may load: itself, and streams.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src data:; connect-src 'self' https:; \
                      base-uri 'none'; form-action 'none'";

/// A part of the page.
struct File {
    kind: &'static str,
    bytes: &'static [u8],
}

/// The page as `cargo xtask web` built it.
static INDEX: File = File { kind: "text/html; charset=utf-8", bytes: include_bytes!("../../web/dist/index.html") };
static SCRIPT: File = File { kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../web/dist/viewer.js") };
static WORKER: File = File { kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../web/dist/worker.js") };
static STYLE: File = File { kind: "text/css; charset=utf-8", bytes: include_bytes!("../../web/dist/viewer.css") };

/// Serves the page until its runtime ends.
pub(super) struct PageServer {
    listener: TcpListener,
    server: Arc<Server>,
    tls: TlsAcceptor,
    /// What a browser must know of the certificate, if no authority vouches for it.
    sha256: Option<String>,
    expires_at: SystemTime,
}

impl PageServer {
    pub(super) fn new(listener: TcpListener, server: Arc<Server>, identity: &Identity) -> Result<Self, PublishError> {
        listener.set_nonblocking(true).map_err(PublishError::Start)?;
        let tls = TlsAcceptor::from(Arc::new(identity.page_tls()?));
        let sha256 = identity.pinned_sha256().map(|sha256| hex(&sha256));
        Ok(Self { listener, server, tls, sha256, expires_at: identity.expires_at() })
    }

    pub(super) async fn run(self) {
        let Self { listener, server, tls, sha256, expires_at } = self;
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!(%error, "the viewer's page is not served"),
        };
        let answers = Arc::new(Answers { server, sha256, expires_at });
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection for the page was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, answers) = (tls.clone(), answers.clone());
            // A task for each: whatever a peer sends or does not read, it only harms itself.
            tokio::spawn(async move {
                if timeout(CONNECTION_TIMEOUT, connection(stream, tls, answers)).await.is_err() {
                    tracing::debug!("a connection for the page took too long");
                }
                drop(permit);
            });
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, answers: Arc<Answers>) {
    let mut first = [0];
    let Ok(Ok(1..)) = timeout(REQUEST_TIMEOUT, stream.peek(&mut first)).await else { return };
    if first[0] == TLS_HANDSHAKE {
        match timeout(REQUEST_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, answers).await,
            // Browsers end the first handshake with a certificate that they have to ask their user about.
            Ok(Err(error)) => tracing::debug!(%error, "a browser did not accept the certificate"),
            Err(_) => {}
        }
    } else {
        serve(stream, answers).await;
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answers: Arc<Answers>) {
    let service = service_fn(|request| {
        let answer = answers.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(MAX_REQUEST_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for the page broke off");
    }
}

/// What requests are answered with.
struct Answers {
    server: Arc<Server>,
    sha256: Option<String>,
    expires_at: SystemTime,
}

impl Answers {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD are answered here\n".into()),
        };
        let known = request.headers().get(header::IF_NONE_MATCH);
        let path = request.uri().path();
        let mut response = match path.strip_prefix("/-/") {
            None => file(&INDEX, known),
            Some("viewer.js") => file(&SCRIPT, known),
            Some("worker.js") => file(&WORKER, known),
            Some("viewer.css") => file(&STYLE, known),
            Some(rest) => match rest.strip_prefix("admission/") {
                Some(name) => self.admission(name, request.uri().query()),
                None => plain(StatusCode::NOT_FOUND, "text/plain", "there is nothing here\n".into()),
            },
        };
        if head {
            *response.body_mut() = Full::default();
        }
        response
    }

    /// How long the certificate is still valid, in seconds; 0 or less where it expired.
    fn expires_in_s(&self) -> i64 {
        match self.expires_at.duration_since(SystemTime::now()) {
            Ok(left) => left.as_secs() as i64,
            Err(over) => -(over.duration().as_secs() as i64),
        }
    }

    /// Whether a viewer would be let in: nothing that asking for the stream itself would not tell.
    fn admission(&self, name: &str, query: Option<&str>) -> Response<Full<Bytes>> {
        let status = match self.server.admission(&format!("{name}?{}", query.unwrap_or_default())) {
            Ok(()) => StatusCode::OK,
            Err(Refusal::Forbidden) => StatusCode::FORBIDDEN,
            Err(Refusal::NotFound) => StatusCode::NOT_FOUND,
            Err(Refusal::Full) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = match &self.sha256 {
            _ if status != StatusCode::OK => "{}".to_owned(),
            Some(sha256) => format!("{{\"sha256\":\"{sha256}\",\"expiresInS\":{}}}", self.expires_in_s()),
            None => format!("{{\"expiresInS\":{}}}", self.expires_in_s()),
        };
        let mut response = plain(status, "application/json", body.into());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn plain(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Links hold tokens.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A part of the page, or only word that what the browser has is still right.
fn file(file: &'static File, known: Option<&HeaderValue>) -> Response<Full<Bytes>> {
    let mut hasher = DefaultHasher::new();
    file.bytes.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let fresh = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let (status, body) =
        if fresh { (StatusCode::NOT_MODIFIED, Bytes::new()) } else { (StatusCode::OK, Bytes::from_static(file.bytes)) };
    let mut response = plain(status, file.kind, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
