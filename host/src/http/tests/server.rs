//! A server on the loopback that answers byte for byte as told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What a connection is answered with.
#[derive(Clone)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    hangs: bool,
    location: Option<Arc<dyn Fn(SocketAddr) -> String + Send + Sync>>,
}

impl Reply {
    /// These bytes, then the end of the connection.
    pub(super) fn raw(bytes: &str) -> Self {
        Self {
            bytes: bytes.as_bytes().to_vec(),
            hangs: false,
            location: None,
        }
    }

    /// These bytes, then nothing, with the connection open.
    pub(super) fn hang(bytes: &str) -> Self {
        Self {
            hangs: true,
            ..Self::raw(bytes)
        }
    }

    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::raw(&format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    pub(super) fn redirect(status: u16, location: &str) -> Self {
        Self::raw(&format!(
            "HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        ))
    }

    /// A 308 to what is made of the server's own address.
    pub(super) fn redirect_to_own(
        location: impl Fn(SocketAddr) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            location: Some(Arc::new(location)),
            ..Self::raw("")
        }
    }
}

/// Runs until it is dropped; one request for each connection.
pub(super) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Answers with what `answer` makes of a request's text.
    pub(super) async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(answer, None).await
    }

    /// Speaks TLS with a certificate of its own, which comes back as PEM.
    pub(super) async fn start_tls(
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> (Self, String) {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Self::start_with(answer, Some(acceptor)).await;
        (server, certified.cert.pem())
    }

    async fn start_with(
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (answer, seen) = (Arc::new(answer), requests.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen, tls) = (answer.clone(), seen.clone(), tls.clone());
                tokio::spawn(async move {
                    let answer = |head: &str| {
                        seen.lock().unwrap().push(head.to_owned());
                        answer(head)
                    };
                    match tls {
                        None => converse(stream, address, answer).await,
                        // A client that trusts us not goes away in the handshake.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => converse(stream, address, answer).await,
                            Err(_) => Some(()),
                        },
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            requests,
            accepting,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The requests so far, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// `None` when the client did not send a whole request or went away.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    answer: impl Fn(&str) -> Reply,
) -> Option<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let reply = answer(&String::from_utf8_lossy(&request));
    let bytes = match &reply.location {
        Some(location) => Reply::redirect(308, &location(address)).bytes,
        None => reply.bytes,
    };
    stream.write_all(&bytes).await.ok()?;
    stream.flush().await.ok()?;
    if reply.hangs {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await.ok()
}

fn is_whole(request: &[u8]) -> bool {
    // A TLS hello is answered in clear text, as a plain server does.
    if request.first() == Some(&0x16) {
        return true;
    }
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    body.len() >= length
}
