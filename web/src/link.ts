// The link that this page was opened by. It is the viewer's link itself: the studio serves the page on the TCP port of the same
// number as the UDP port that it streams on. `?token=` is the word that viewers must know, `#sha256=` the certificate to accept.

/** Where a stream is and what is needed to get in. */
export interface StreamLink {
  /** The address to open by WebTransport: `https://host:port/name`, with the token. */
  url: string;
  /** The stream's name, the address' path. */
  name: string;
  /** SHA-256 of the certificate to accept, if no authority vouches for it. */
  sha256?: Uint8Array<ArrayBuffer>;
}

/** Why a link cannot be used, for people. */
export class LinkError extends Error {}

const HASH = /^sha256=([0-9a-f]{64})$/i;

/** Reads a link from the page's own address. Throws `LinkError`. */
export function parseLink(address: string): StreamLink {
  const url = new URL(address);
  // A stream that is elsewhere: `?stream=https://host:port/name`, for pages that are served by another machine.
  const stream = url.searchParams.get("stream");
  if (stream !== null) {
    if (!URL.canParse(stream)) throw new LinkError("The stream's address in this link is no address. Copy the whole link again.");
    const target = new URL(stream);
    if (target.protocol !== "https:") throw new LinkError("A stream's address starts with https://.");
    target.hash ||= url.hash;
    return parseLink(target.href);
  }
  const name = decodeURIComponent(url.pathname).replace(/^\/+/, "");
  if (name === "") throw new LinkError("This address names no stream. Open the whole link that the studio printed.");
  const fragment = url.hash.slice(1);
  const digits = HASH.exec(fragment)?.[1];
  if (fragment !== "" && !digits) {
    throw new LinkError("The part of this link behind the # is damaged: it should be sha256= and 64 digits. Copy the whole link again.");
  }
  const token = url.searchParams.get("token");
  const query = token === null ? "" : `?token=${encodeURIComponent(token)}`;
  const link: StreamLink = { url: `https://${url.host}/${name}${query}`, name };
  if (digits) link.sha256 = Uint8Array.from(digits.match(/../g)!, (pair) => Number.parseInt(pair, 16));
  return link;
}
