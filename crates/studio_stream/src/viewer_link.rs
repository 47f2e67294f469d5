//! The address that a viewer opens.
//!
//! `https://HOST:PORT/NAME?token=SECRET#sha256=HASH`: where the publisher is, which stream, the token if it asks for one,
//! and the hash of its certificate if no authority vouches for it. The hash lies behind the `#`, so no server sees it.

use crate::identity::hex;
use core::{fmt, str::FromStr};
use url::{Host, Url};

/// Longest stream name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 256;
/// Longest link read, in bytes.
const MAX_LINK_BYTES: usize = 4096;
const DEFAULT_PORT: u16 = 443;

/// Where a stream is and what is needed to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct ViewerLink {
    host: Host,
    port: u16,
    name: String,
    token: Option<String>,
    sha256: Option<[u8; 32]>,
}

/// Why a link cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewerLinkError {
    /// Not an address at all.
    #[error("`{link}` is not a viewer link ({reason}); it looks like https://HOST:PORT/NAME")]
    Address {
        /// What was given.
        link: String,
        /// What is wrong.
        reason: String,
    },
    /// Another scheme.
    #[error("a viewer link starts with https://, not with {0}://")]
    Scheme(String),
    /// A host that is none.
    #[error("`{0}` is neither a host name nor an address")]
    Host(String),
    /// No or an impossible stream name.
    #[error("`{0}` is not a stream name: 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_`, `.`, parted by `/`")]
    Name(String),
    /// An impossible token.
    #[error("a token has 1 to {MAX_TOKEN_BYTES} bytes and no control characters")]
    Token,
    /// A hash that is none.
    #[error("the part behind `#` must be sha256= and 64 hexadecimal digits")]
    Hash,
    /// Something in the query that is not known here.
    #[error("a viewer link knows `token` in its query, not `{0}`")]
    Query(String),
}

/// Checks a stream name: letters, digits, `-`, `_` and `.`, in parts parted by `/`.
pub fn check_name(name: &str) -> Result<(), ViewerLinkError> {
    let part = |part: &str| {
        let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        // `.` and `..` would be resolved away by whoever handles the address.
        plain && part.bytes().any(|byte| byte != b'.')
    };
    if name.len() <= MAX_NAME_BYTES && name.split('/').count() <= 8 && name.split('/').all(part) {
        Ok(())
    } else {
        Err(ViewerLinkError::Name(name.to_owned()))
    }
}

/// Checks a token.
pub fn check_token(token: &str) -> Result<(), ViewerLinkError> {
    let fits = (1..=MAX_TOKEN_BYTES).contains(&token.len()) && !token.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(ViewerLinkError::Token) }
}

impl ViewerLink {
    /// Builds a link.
    pub fn new(
        host: &str,
        port: u16,
        name: &str,
        token: Option<&str>,
        sha256: Option<[u8; 32]>,
    ) -> Result<Self, ViewerLinkError> {
        check_name(name)?;
        token.map_or(Ok(()), check_token)?;
        // An address with colons is written in brackets in links, and without them by people.
        let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let host = Host::parse(&bracketed).map_err(|_| ViewerLinkError::Host(host.to_owned()))?;
        Ok(Self { host, port, name: name.to_owned(), token: token.map(str::to_owned), sha256 })
    }

    /// Host name or address, addresses without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        }
    }

    /// Whether the host is this machine itself, whichever machine that is.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }

    /// UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token, if the link holds one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// SHA-256 of the certificate to accept, if the link names one.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256
    }

    /// The same link with another token.
    pub fn with_token(mut self, token: Option<&str>) -> Result<Self, ViewerLinkError> {
        token.map_or(Ok(()), check_token)?;
        self.token = token.map(str::to_owned);
        Ok(self)
    }

    /// The address to request: the link without the hash.
    pub(crate) fn request_url(&self) -> String {
        let query = self.token.as_ref().map(|token| {
            let pairs: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
            format!("?{pairs}")
        });
        format!("https://{}:{}/{}{}", self.host, self.port, self.name, query.unwrap_or_default())
    }
}

/// The token in the query of a request's path, as [`ViewerLink`] writes it.
pub(crate) fn token_of(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "token").map(|(_, value)| value.into_owned())
}

impl fmt::Display for ViewerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request_url())?;
        self.sha256.map_or(Ok(()), |sha256| write!(f, "#sha256={}", hex(&sha256)))
    }
}

impl fmt::Debug for ViewerLink {
    /// Leaves the token out: debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ViewerLink({}:{}/{}, token: {})",
            self.host,
            self.port,
            self.name,
            if self.token.is_some() { "set" } else { "none" }
        )
    }
}

impl FromStr for ViewerLink {
    type Err = ViewerLinkError;

    fn from_str(link: &str) -> Result<Self, ViewerLinkError> {
        let address = |reason: String| ViewerLinkError::Address { link: link.chars().take(200).collect(), reason };
        if link.len() > MAX_LINK_BYTES {
            return Err(address(format!("longer than {MAX_LINK_BYTES} bytes")));
        }
        let url = Url::parse(link.trim()).map_err(|error| address(error.to_string()))?;
        if url.scheme() != "https" {
            return Err(ViewerLinkError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(address("a user name has no meaning here".into()));
        }
        let host = url.host_str().ok_or_else(|| address("no host".into()))?;
        let mut token = None;
        for (key, value) in url.query_pairs() {
            if key != "token" {
                return Err(ViewerLinkError::Query(key.chars().take(40).collect()));
            }
            token = Some(value.into_owned());
        }
        let sha256 = url.fragment().map(parse_hash).transpose()?;
        Self::new(host, url.port().unwrap_or(DEFAULT_PORT), url.path().trim_start_matches('/'), token.as_deref(), sha256)
    }
}

fn parse_hash(fragment: &str) -> Result<[u8; 32], ViewerLinkError> {
    let digits =
        fragment.strip_prefix("sha256=").filter(|digits| digits.len() == 64 && digits.is_ascii()).ok_or(ViewerLinkError::Hash)?;
    let mut sha256 = [0; 32];
    for (index, byte) in sha256.iter_mut().enumerate() {
        let pair = &digits[2 * index..2 * index + 2];
        // `from_str_radix` would also take a sign.
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(ViewerLinkError::Hash);
        let (high, low) = (digit(pair.as_bytes()[0])?, digit(pair.as_bytes()[1])?);
        *byte = (high << 4 | low) as u8;
    }
    Ok(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_link() -> impl Strategy<Value = ViewerLink> {
        let host = prop_oneof![
            "[a-z]{1,10}(\\.[a-z]{2,8}){0,2}",
            any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        ];
        let name = "[A-Za-z0-9_-][A-Za-z0-9_.-]{0,12}(/[A-Za-z0-9_-]{1,8}){0,3}";
        (host, 1_u16.., name, prop::option::of("\\PC{1,40}"), prop::option::of(any::<[u8; 32]>()))
            .prop_filter_map("usable", |(host, port, name, token, sha256)| {
                ViewerLink::new(&host, port, &name, token.as_deref(), sha256).ok()
            })
    }

    proptest! {
        #[test]
        fn links_round_trip_with_whatever_token(link in any_link()) {
            prop_assert_eq!(link.to_string().parse(), Ok(link.clone()));
            let url = link.request_url();
            let token = url.split_once('?').and_then(|(_, query)| token_of(query));
            prop_assert_eq!(token.as_deref(), link.token());
            prop_assert!(!link.to_string().contains(char::is_whitespace), "a link is one word");
        }

        #[test]
        fn garbage_is_refused_without_harm(text in "\\PC{0,80}", tail in "\\PC{0,80}") {
            let _ = text.parse::<ViewerLink>();
            let _ = format!("https://host/{text}#{tail}").parse::<ViewerLink>();
        }
    }

    #[test]
    fn bad_links_say_what_is_wrong() {
        let error = |link: &str| link.parse::<ViewerLink>().expect_err(link);
        assert!(matches!(error("viewer"), ViewerLinkError::Address { .. }));
        assert_eq!(error("http://host/live"), ViewerLinkError::Scheme("http".into()));
        assert!(matches!(error("https://host"), ViewerLinkError::Name(_)));
        assert!(matches!(error("https://host/a b"), ViewerLinkError::Name(_)));
        assert_eq!(error("https://host/live?key=1"), ViewerLinkError::Query("key".into()));
        assert_eq!(error("https://host/live#sha256=12"), ViewerLinkError::Hash);
        assert_eq!(error("https://host/live?token="), ViewerLinkError::Token);
        assert!(matches!(error(&format!("https://host/{}", "x".repeat(5000))), ViewerLinkError::Address { .. }));
    }

    #[test]
    fn the_token_stays_out_of_debug_output() {
        let link = ViewerLink::new("::1", 4433, "live", Some("secret"), None).expect("usable");
        assert!(!format!("{link:?}").contains("secret"));
        assert_eq!((link.host().as_str(), link.to_string().as_str()), ("::1", "https://[::1]:4433/live?token=secret"));
    }
}
