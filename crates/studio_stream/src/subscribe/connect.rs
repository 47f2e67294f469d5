//! Reaches the publisher.

use super::{
    SubscribeError, SubscriberConfig, ViewerEvent,
    inbox::Outbox,
    report::Reporter,
    selection::Selection,
    session::{self, Served},
};
use crate::{
    identity::hex,
    link::{Conditioned, LinkError, OFFERED_PROTOCOLS_HEADER, PROTOCOLS, WebTransportLink, offer, transport_config},
    publish::CLOSED_FULL,
    viewer_link::ViewerLink,
};
use core::time::Duration;
use parking_lot::Mutex;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use tokio::time::timeout;
use wtransport::{
    ClientConfig, Endpoint, VarInt,
    config::{DnsLookupFuture, DnsResolver},
    endpoint::{ConnectOptions, endpoint_side},
    error::{ConnectingError, ConnectionError},
    tls::{
        Sha256Digest, build_native_cert_store,
        client::{ServerHashVerification, build_default_tls_config},
        rustls::{
            self, DigitallySignedStruct, RootCertStore, SignatureScheme,
            client::{
                WebPkiServerVerifier,
                danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            },
            pki_types::{CertificateDer, ServerName, UnixTime},
        },
    },
};

/// How long leaving waits for the publisher to be told.
const LEAVE_WAIT: Duration = Duration::from_millis(200);

/// Connects to one link, again and again.
pub(super) struct Client {
    link: ViewerLink,
    config: SubscriberConfig,
    outbox: Arc<Outbox>,
    reporter: Reporter,
    selection: Arc<Selection>,
    endpoint: Option<Endpoint<endpoint_side::Client>>,
    sessions: u64,
}

impl Client {
    pub(super) fn new(
        link: ViewerLink,
        config: SubscriberConfig,
        outbox: Outbox,
        reporter: Reporter,
        selection: Arc<Selection>,
    ) -> Self {
        Self { link, config, outbox: Arc::new(outbox), reporter, selection, endpoint: None, sessions: 0 }
    }

    pub(super) fn config(&self) -> &SubscriberConfig {
        &self.config
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// One connection, from the first packet to its end.
    pub(super) async fn session(&mut self) -> SubscribeError {
        match self.try_session().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_session(&mut self) -> Result<core::convert::Infallible, SubscribeError> {
        let host = self.link.host();
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), self.link.port()))
            .await
            .map_err(|source| SubscribeError::Resolve { host: host.clone(), source })?
            .collect();
        let mut failure = SubscribeError::Resolve { host, source: io::Error::other("the name has no address") };
        // A name may stand for several addresses, not all of which the publisher listens on.
        for address in addresses {
            match self.call(address).await {
                Ok(link) => {
                    let error = self.served(link, address).await;
                    return Err(error);
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Opens a WebTransport session with the publisher at `address`.
    async fn call(&mut self, address: SocketAddr) -> Result<WebTransportLink, SubscribeError> {
        let (tls, verdict) = tls_config(&self.link)?;
        let any: SocketAddr =
            if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let mut settings =
            ClientConfig::builder().with_bind_address(any).with_custom_tls_and_transport(tls, transport_config()).build();
        settings.set_dns_resolver(Resolved(address));
        let endpoint = self.endpoint.insert(Endpoint::client(settings).map_err(SubscribeError::Start)?);
        // The answer's headers are not handed out by the library, so exactly one wire is offered and, if the session is
        // accepted, spoken.
        let request =
            ConnectOptions::builder(self.link.request_url()).add_header(OFFERED_PROTOCOLS_HEADER, offer(PROTOCOLS[0])).build();
        let unreachable = |reason: String| SubscribeError::Unreachable { address: address.to_string(), reason };
        let connected = timeout(self.config.connect_timeout, endpoint.connect(request)).await;
        if let Some(reason) = verdict.lock().take() {
            return Err(SubscribeError::Certificate(reason));
        }
        match connected {
            Ok(Ok(connection)) => Ok(WebTransportLink::new(connection, Some(PROTOCOLS[0]))),
            Ok(Err(ConnectingError::SessionRejected)) => Err(SubscribeError::Refused { name: self.link.name().to_owned() }),
            Ok(Err(ConnectingError::ConnectionError(ConnectionError::ApplicationClosed(close)))) => {
                Err(closed(LinkError::Closed {
                    code: u32::try_from(close.code().into_inner()).unwrap_or(u32::MAX),
                    reason: String::from_utf8_lossy(close.reason()).into_owned(),
                }))
            }
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no answer for {:?}", self.config.connect_timeout))),
        }
    }

    async fn served(&mut self, link: WebTransportLink, address: SocketAddr) -> SubscribeError {
        let quic = link.quic().clone();
        self.sessions += 1;
        let reconnects = self.sessions - 1;
        self.outbox.meter.count(|stats| (stats.connected, stats.reconnects) = (true, reconnects));
        let connected = |session| {
            self.outbox.meter.restart();
            self.outbox.meter.round_trip(quic.rtt());
            self.outbox.events.send(ViewerEvent::Connected { address, session });
        };
        let round_trip = || quic.rtt();
        let served = Served {
            name: self.link.name(),
            config: &self.config,
            outbox: &self.outbox,
            reporter: &self.reporter,
            selection: &self.selection,
            round_trip: &round_trip,
            connected: &connected,
        };
        let ended = if self.config.conditions.is_clear() {
            session::receive(link, served).await
        } else {
            match Conditioned::new(link, self.config.conditions) {
                Ok(link) => session::receive(link, served).await,
                Err(error) => error.into(),
            }
        };
        // What the transport says is nearer to the cause than what the protocol makes of it.
        match quic.close_reason() {
            Some(reason) if !ended.is_final() => closed(reason.into()),
            _ => ended,
        }
    }

    /// Closes what is open and tells the publisher.
    pub(super) async fn disconnected(&mut self) {
        self.outbox.meter.count(|stats| stats.connected = false);
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.close(VarInt::from_u32(0), b"the viewer left");
            let _ = timeout(LEAVE_WAIT, endpoint.wait_idle()).await;
        }
    }
}

fn closed(error: LinkError) -> SubscribeError {
    match error {
        LinkError::Closed { code: CLOSED_FULL, .. } => SubscribeError::Full,
        other => SubscribeError::Lost(other.to_string()),
    }
}

/// Answers every lookup with the address at hand.
#[derive(Debug)]
struct Resolved(SocketAddr);

impl DnsResolver for Resolved {
    fn resolve(&self, _host: &str) -> core::pin::Pin<Box<dyn DnsLookupFuture>> {
        let address = self.0;
        Box::pin(async move { Ok(Some(address)) })
    }
}

/// Why a certificate was not trusted, once that is known.
type Verdict = Arc<Mutex<Option<String>>>;

fn tls_config(link: &ViewerLink) -> Result<(rustls::ClientConfig, Verdict), SubscribeError> {
    let verdict = Verdict::default();
    let inner: Arc<dyn ServerCertVerifier> = match link.sha256() {
        Some(sha256) => Arc::new(ServerHashVerification::new([Sha256Digest::new(sha256)])),
        None => {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(build_native_cert_store()), provider).build();
            verifier.map_err(|error| SubscribeError::Certificate(format!("this machine trusts no authority: {error}")))?
        }
    };
    let verifier = Arc::new(Witness { inner, pinned: link.sha256(), verdict: verdict.clone() });
    Ok((build_default_tls_config(Arc::new(RootCertStore::empty()), Some(verifier)), verdict))
}

/// A verifier that remembers why it refused, which the transport's error does not tell in a form to go by.
#[derive(Debug)]
struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    pinned: Option<[u8; 32]>,
    verdict: Verdict,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).inspect_err(|error| {
            let reason = match self.pinned {
                Some(sha256) => format!("the link names {}; {error}", hex(&sha256)),
                None => error.to_string(),
            };
            *self.verdict.lock() = Some(reason);
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
