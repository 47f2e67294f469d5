//! Who the publisher is: its TLS certificate.
//!
//! A certificate from an authority lets any viewer in by name. Without one the studio signs its own, short-lived enough
//! (14 days, ECDSA P-256) that browsers accept it by its hash, as WebTransport's `serverCertificateHashes` asks for; the
//! hash then travels in the viewer's link.

use core::time::Duration;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use wtransport::tls::{
    Certificate, WEBTRANSPORT_ALPN,
    rustls::{
        self,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    },
    self_signed::time::OffsetDateTime,
};
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    prelude::FromDer,
};

/// Days that a self-signed certificate is valid: the most that browsers accept by hash.
const SELF_SIGNED_DAYS: u32 = 14;
/// A kept certificate is replaced when less than this is left of it.
const RENEW_BEFORE: Duration = Duration::from_secs(2 * 24 * 3600);
/// Certificates start this long before they are made, for viewers whose clocks are behind.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);
/// Largest certificate or key file read.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

const CERTIFICATE_FILE: &str = "certificate.pem";
const KEY_FILE: &str = "private-key.pem";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot access {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no usable {what}: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate is out of date.
    #[error("the certificate in {} expired; renew it, or leave it out to have one signed here", .0.display())]
    Expired(PathBuf),
    /// A self-signed certificate that no viewer would accept by hash.
    #[error(
        "the self-signed certificate in {} cannot be accepted by its hash: {reason}; leave it out to have one signed here, or use one from an authority",
        path.display()
    )]
    NotByHash {
        /// The file.
        path: PathBuf,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Certificate and key do not belong together, or the key cannot be used.
    #[error("the certificate and its private key do not work together: {0}")]
    Mismatch(#[from] rustls::Error),
    /// A name that no certificate can carry.
    #[error("`{0}` is not a host name or an address that a certificate can carry")]
    Name(String),
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    sha256: [u8; 32],
    by_hash: bool,
}

impl core::fmt::Debug for Identity {
    /// Never shows the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").field("sha256", &hex(&self.sha256)).field("by_hash", &self.by_hash).finish_non_exhaustive()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Identity {
    /// Signs a certificate for this machine (`localhost`, the loopback addresses, its host name) and `extra_names`.
    pub fn self_signed<S: AsRef<str>>(extra_names: impl IntoIterator<Item = S>) -> Result<Self, IdentityError> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        // Some machines carry names that are not host names; they are reached by address then.
        if !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
            names.push(host);
        }
        names.extend(extra_names.into_iter().map(|name| name.as_ref().to_owned()));
        let identity = wtransport::Identity::self_signed_builder()
            .subject_alt_names(&names)
            .not_before(OffsetDateTime::now_utc() - CLOCK_SLACK)
            .validity_days(SELF_SIGNED_DAYS)
            .build()
            .map_err(|_| IdentityError::Name(names.join(", ")))?;
        let chain =
            identity.certificate_chain().as_slice().iter().map(|certificate| CertificateDer::from(certificate.der().to_vec()));
        let key = PrivatePkcs8KeyDer::from(identity.private_key().secret_der().to_vec());
        Self::checked(chain.collect(), key.into(), Path::new("the new certificate"))
    }

    /// Reads a certificate chain (the server's first) and its private key from PEM files.
    ///
    /// Fails if a file is missing or not PEM, the certificate expired, the key belongs to another certificate, or the
    /// certificate is self-signed in a way that viewers cannot accept by hash.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let pem = |path: &Path, what, reason: String| IdentityError::Pem { path: path.to_owned(), what, reason };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<_, _>>()
            .map_err(|error| pem(certificate, "certificate", error.to_string()))?;
        if chain.is_empty() {
            return Err(pem(certificate, "certificate", "there is no CERTIFICATE section".into()));
        }
        let key_der = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| pem(key, "private key", error.to_string()))?;
        Self::checked(chain, key_der, certificate)
    }

    /// Takes the self-signed identity kept in `directory`, or signs one and keeps it there.
    ///
    /// With it a studio that is started again is the same to its viewers: their links stay good and they reconnect. A
    /// certificate that runs out within two days is replaced. The key file is readable by its owner only.
    pub fn load_or_create(directory: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let directory = directory.as_ref();
        let (certificate, key) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        if certificate.exists() && key.exists() {
            match Self::from_pem_files(&certificate, &key) {
                Ok(identity) if identity.remaining() > RENEW_BEFORE => return Ok(identity),
                Ok(_) | Err(IdentityError::Expired(_)) => {
                    tracing::info!("the kept certificate runs out; links given out before need a new hash")
                }
                Err(error) => return Err(error),
            }
        }
        let identity = Self::self_signed(core::iter::empty::<&str>())?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::File { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        write_secret(&key, &pem_text("PRIVATE KEY", identity.key.secret_der())).map_err(failed(&key))?;
        fs::write(&certificate, pem_text("CERTIFICATE", &identity.chain[0])).map_err(failed(&certificate))?;
        Ok(identity)
    }

    fn checked(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>, path: &Path) -> Result<Self, IdentityError> {
        let pem = |reason: String| IdentityError::Pem { path: path.to_owned(), what: "certificate", reason };
        let (_, leaf) = X509Certificate::from_der(&chain[0]).map_err(|error| pem(error.to_string()))?;
        if !leaf.validity().is_valid() {
            return Err(IdentityError::Expired(path.to_owned()));
        }
        let by_hash = chain.len() == 1 && leaf.subject() == leaf.issuer();
        if by_hash {
            let refuse = |reason| Err(IdentityError::NotByHash { path: path.to_owned(), reason });
            let seconds = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
            if seconds > i64::from(SELF_SIGNED_DAYS) * 24 * 3600 {
                return refuse("it is valid for more than 14 days");
            }
            let algorithm = &leaf.public_key().algorithm;
            let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
                return refuse("its key is not ECDSA on P-256");
            }
        }
        let sha256 = *Certificate::from_der(chain[0].to_vec()).map_err(|error| pem(error.to_string()))?.hash().as_ref();
        let identity = Self { chain, key: Arc::new(key), sha256, by_hash };
        identity.tls()?;
        Ok(identity)
    }

    /// The SHA-256 of the certificate.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The hash that a viewer must be told, because no authority vouches for the certificate.
    pub fn pinned_sha256(&self) -> Option<[u8; 32]> {
        self.by_hash.then_some(self.sha256)
    }

    /// When the certificate expires.
    pub(crate) fn expires_at(&self) -> SystemTime {
        let not_after = X509Certificate::from_der(&self.chain[0]).map_or(0, |(_, leaf)| leaf.validity().not_after.timestamp());
        UNIX_EPOCH + Duration::from_secs(u64::try_from(not_after).unwrap_or(0))
    }

    /// How long the certificate is still valid.
    pub fn remaining(&self) -> Duration {
        self.expires_at().duration_since(SystemTime::now()).unwrap_or_default()
    }

    /// The TLS settings of a WebTransport server with this identity.
    pub(crate) fn tls(&self) -> Result<rustls::ServerConfig, IdentityError> {
        self.tls_for(WEBTRANSPORT_ALPN)
    }

    /// The TLS settings of a server of pages with this identity.
    pub(crate) fn page_tls(&self) -> Result<rustls::ServerConfig, IdentityError> {
        self.tls_for(b"http/1.1")
    }

    fn tls_for(&self, protocol: &[u8]) -> Result<rustls::ServerConfig, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        tls.alpn_protocols = vec![protocol.to_vec()];
        Ok(tls)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_PEM_BYTES {
        return Err(failed(io::Error::other("larger than any certificate or key")));
    }
    fs::read(path).map_err(failed)
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn pem_text(label: &str, der: &[u8]) -> String {
    let body = match label {
        "CERTIFICATE" => Certificate::from_der(der.to_vec()).map(|certificate| certificate.to_pem()).unwrap_or_default(),
        _ => wtransport::tls::PrivateKey::from_der_pkcs8(der.to_vec()).to_secret_pem(),
    };
    format!("{}\n", body.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_identity_is_the_same_after_a_restart_and_its_key_is_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("identity");
        let first = Identity::load_or_create(&home).expect("signed");
        let again = Identity::load_or_create(&home).expect("kept");
        assert_eq!(first.sha256(), again.sha256());
        assert_eq!(first.pinned_sha256(), Some(first.sha256()));
        assert!(first.remaining() > Duration::from_secs(13 * 24 * 3600));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(home.join(KEY_FILE)).expect("the key file").permissions().mode();
            assert_eq!(mode & 0o077, 0, "others may read the key");
        }
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        Identity::load_or_create(&one).expect("signed");
        Identity::load_or_create(&two).expect("signed");
        let missing = Identity::from_pem_files(directory.path().join("none.pem"), one.join(KEY_FILE)).expect_err("no such file");
        assert!(missing.to_string().contains("none.pem"), "{missing}");
        let swapped = Identity::from_pem_files(one.join(CERTIFICATE_FILE), two.join(KEY_FILE)).expect_err("another's key");
        assert!(matches!(swapped, IdentityError::Mismatch(_)), "{swapped}");
        let turned = Identity::from_pem_files(one.join(KEY_FILE), one.join(CERTIFICATE_FILE)).expect_err("the wrong way round");
        assert!(matches!(turned, IdentityError::Pem { .. }), "{turned}");
        let empty = directory.path().join("empty.pem");
        fs::write(&empty, "").expect("written");
        assert!(Identity::from_pem_files(&empty, one.join(KEY_FILE)).is_err());
    }
}
