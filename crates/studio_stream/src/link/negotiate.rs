//! Which wire both ends speak: WebTransport's subprotocol headers.

/// The request header that lists what a client can speak, as a list of RFC 8941 strings.
pub const OFFERED_PROTOCOLS_HEADER: &str = "wt-available-protocols";
/// The response header that names what the server chose, an RFC 8941 string.
pub const SELECTED_PROTOCOL_HEADER: &str = "wt-protocol";
/// The wires spoken here, best first. Older ones carry no datagrams.
pub const PROTOCOLS: [&str; 2] = ["moq-lite-06", "moq-lite-05"];

/// The value of [`OFFERED_PROTOCOLS_HEADER`] that offers one protocol.
pub fn offer(protocol: &str) -> String {
    format!("\"{protocol}\"")
}

/// Picks the best of [`PROTOCOLS`] from a header's list; `None` if nothing in it is spoken here.
///
/// Parameters of list members are ignored; members that are not strings are skipped.
pub fn select(offered: &str) -> Option<&'static str> {
    let offered: Vec<&str> =
        offered.split(',').filter_map(|member| member.split(';').next()?.trim().strip_prefix('"')?.strip_suffix('"')).collect();
    PROTOCOLS.into_iter().find(|protocol| offered.contains(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_common_protocol_wins() {
        assert_eq!(select(&offer(PROTOCOLS[0])), Some(PROTOCOLS[0]));
        assert_eq!(select(r#""moqt-18", "moq-lite-05";q=1 , "moq-lite-06""#), Some("moq-lite-06"));
        assert_eq!(select(r#""moq-lite-05""#), Some("moq-lite-05"));
        for nothing in ["", ",,;", "moq-lite-06", "\"", r#""h3""#] {
            assert_eq!(select(nothing), None, "{nothing}");
        }
    }
}
