// Opens a WebTransport session to a studio, and says in words why there is none.

import type { StreamLink } from "../link";

/** The wire that is spoken: the newest that both the studio and `@moq/net` know. */
const PROTOCOL = "moq-lite-05";
/** Datagrams that wait while something else is done: those of some fields. Browsers keep one unless told. */
const WAITING_DATAGRAMS = 256;
/** How long the connection and the first catalog may take. */
export const CONNECT_MS = 5000;

/** Refused for good: trying again would not help. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly help: string,
  ) {
    super(message);
  }
}

/** Waits for a promise, and throws `what` where that takes longer. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(what)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the page's own server says of the stream; nothing where the page comes from elsewhere. */
interface Admission {
  status: number;
  /** The certificate that the studio has now. */
  sha256?: string;
  /** How long that is valid, in seconds; negative where it is no more. */
  expiresInS?: number;
}

/** Asks the studio whether it lets us in: a browser does not say why a WebTransport session was refused. */
async function ask(link: StreamLink): Promise<Admission | undefined> {
  const { host, search } = new URL(link.url);
  if (host !== location.host) return undefined;
  try {
    const answer = await within(CONNECT_MS, "", fetch(`/-/admission/${link.name}${search}`, { cache: "no-store" }));
    const body = answer.ok ? ((await answer.json()) as { sha256?: string; expiresInS?: number }) : {};
    return { status: answer.status, ...body };
  } catch {
    return { status: 0 };
  }
}

/** Why the session did not come about although the studio would have let us in. */
function reasonOf(error: unknown, admission: Admission | undefined): string {
  if (!(error instanceof WebTransportError)) return (error as Error).message;
  if (admission === undefined) return "The connection failed. The studio may have refused the link's token or certificate.";
  if ((admission.expiresInS ?? 1) <= 0) {
    return "The studio's certificate has expired. Started again, the studio signs another one, or takes the one that it is given.";
  }
  return "The connection failed.";
}

/** Throws what the studio itself says against letting us in. Whether its certificate is another than the link's. */
function admit(link: StreamLink, admission: Admission | undefined): boolean {
  switch (admission?.status) {
    case 403:
      throw new Refused(
        "The studio does not let you in with this link.",
        "Its token is missing or wrong. Ask whoever streams for the whole link, with the part behind “token=”.",
      );
    case 404:
      throw new Refused(`There is no stream called “${link.name}” here.`, "Ask whoever streams for the link that the studio prints now.");
    case 503:
      throw new Error("The studio has as many viewers as it may.");
    case 0:
      throw new Error("The studio cannot be reached.");
  }
  const digits = admission?.sha256?.match(/../g);
  if (!digits) return false;
  // A studio that was started again has signed another certificate. What vouches for it is where this page came from.
  const [now, before] = [Uint8Array.from(digits, (pair) => Number.parseInt(pair, 16)), link.sha256];
  link.sha256 = now;
  return before === undefined || now.some((byte, index) => byte !== before[index]);
}

function begin(link: StreamLink): WebTransport {
  const hashes: WebTransportHash[] = link.sha256 ? [{ algorithm: "sha-256", value: link.sha256 }] : [];
  const options = { congestionControl: "low-latency", protocols: [PROTOCOL], serverCertificateHashes: hashes };
  const transport = new WebTransport(link.url, options as WebTransportOptions);
  for (const promise of [transport.closed, transport.ready]) promise.catch(() => {});
  transport.datagrams.incomingHighWaterMark = WAITING_DATAGRAMS;
  return transport;
}

const answered = (opened: Promise<unknown>): Promise<unknown> =>
  within(CONNECT_MS, "The studio does not answer. Is its UDP port open in the firewall?", opened);

/**
 * Opens a session. Throws `Refused` where trying again would not help. With `hasty` the studio is not asked first whether it
 * lets us in: not for later attempts, as browsers allow few sessions that fail.
 */
export async function openTransport(link: StreamLink, hasty: boolean): Promise<WebTransport> {
  const asked = ask(link);
  const begun = hasty ? begin(link) : undefined;
  const renewed = asked.then((admission) => admit(link, admission));
  if (begun) {
    // A refusal ends the wait; that there is none does not.
    const agreed = renewed.then((other) => (other ? Promise.reject(new Error("another certificate")) : begun.ready));
    try {
      await answered(Promise.race([begun.ready.catch(() => agreed), agreed]));
      return begun;
    } catch (error) {
      begun.close();
      if (!(await renewed)) throw new Error(reasonOf(error, await asked));
    } finally {
      agreed.catch(() => {});
    }
  }
  await renewed;
  const transport = begin(link);
  try {
    await answered(transport.ready);
  } catch (error) {
    transport.close();
    throw new Error(reasonOf(error, await asked));
  }
  return transport;
}
