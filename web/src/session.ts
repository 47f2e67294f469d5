// One stream: connects, follows the catalog, receives what it names, and connects again with back-off.

import { Connection, type Broadcast, type Track } from "@moq/net";
import { CatalogError, MAX_CATALOG_BYTES, parseCatalog, type Catalog, type VideoTrack } from "./catalog";
import type { StreamLink } from "./link";
import { MotionAssembler, type MotionField } from "./wire/assemble";
import { WireError } from "./wire/reader";
import { decodeCoarse, decodeTile } from "./wire/tile";
import { decodeUnit, MAX_AUDIO_UNIT_BYTES, MAX_UNIT_BYTES, type Unit } from "./wire/unit";

/** The wire that is spoken: the newest that both the studio and `@moq/net` know. */
const PROTOCOL = "moq-lite-05";
/** Priorities of hang's players: what is missed most goes first. */
const PRIORITY = { catalog: 100, audio: 80, video: 60, coarse: 70 };
/** How far a group of pictures may fall behind before it is skipped. */
const MAX_AGE_MS = 500;
/** How long a motion field waits for its tiles. */
const MOTION_DEADLINE_MS = 30;
/** Datagrams that wait while the page does something else: those of some fields. Browsers keep one unless told. */
const WAITING_DATAGRAMS = 256;
/** How long the connection and the first catalog may take. */
const CONNECT_MS = 5000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 4000;
/** A session that lasted so long was a good one: the next attempt comes soon. */
const GOOD_SESSION_MS = 5000;

/** How the connection fares. */
export type ConnectionState =
  | { kind: "connecting" }
  | { kind: "connected" }
  | { kind: "waiting"; reason: string; retryAt: number }
  | { kind: "refused"; reason: string; help: string };

/** Who listens to a session. */
export interface SessionListener {
  state(state: ConnectionState): void;
  /** The catalog, whenever it changes. `fresh`: it is the first of a connection. */
  catalog(catalog: Catalog, fresh: boolean): void;
  /** A coded picture. `afterGap`: what came before it is not what it refers to. */
  picture(unit: Unit, afterGap: boolean): void;
  soundUnit(unit: Unit): void;
  motion(field: MotionField): void;
}

/** What was received. */
export interface SessionCounts {
  bytes: number;
  datagrams: number;
  pictures: number;
  groupsSkipped: number;
  sounds: number;
  soundsLost: number;
  tiles: number;
  tilesLost: number;
  fields: number;
  garbage: number;
  connections: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Refused for good: trying again would not help. */
class Refused extends Error {
  constructor(
    message: string,
    readonly help: string,
  ) {
    super(message);
  }
}

async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
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
  sha256?: string;
}

/** Receives a stream until it is closed. */
export class Session {
  readonly counts: SessionCounts = {
    bytes: 0, datagrams: 0, pictures: 0, groupsSkipped: 0, sounds: 0, soundsLost: 0, tiles: 0, tilesLost: 0, fields: 0, garbage: 0,
    connections: 0,
  };
  /** Round trip in milliseconds, where the browser or the studio tells. */
  roundTripMs: number | undefined;
  private closed = false;
  private connection: Connection.Established | undefined;
  private broadcast: Broadcast.Consumer | undefined;
  private described: Catalog | undefined;
  private watching = true;
  private rendition: string | undefined;
  private readonly tracks = new Map<string, Track.Subscriber>();
  private wake: (() => void) | undefined;

  constructor(
    private readonly link: StreamLink,
    private readonly listener: SessionListener,
  ) {
    void this.run();
  }

  close(): void {
    this.closed = true;
    this.connection?.close();
    this.wake?.();
  }

  /** Ends the wait for the next attempt. */
  retryNow(): void {
    this.wake?.();
  }

  /** Receives pictures and motion, or leaves them out while nobody looks. They begin again at a key frame. */
  watch(watching: boolean): void {
    if (this.watching === watching) return;
    this.watching = watching;
    this.follow();
  }

  /** The track of video that is received: the chosen one where there is such, otherwise the first. */
  get video(): VideoTrack | undefined {
    return this.described?.renditions.find(({ track }) => track === this.rendition) ?? this.described?.video;
  }

  /** Receives another rendition. */
  choose(track: string): void {
    this.rendition = track;
    this.follow();
  }

  /** Begins the pictures anew, at the newest key frame: after a decoder's error. */
  restartPictures(): void {
    const track = this.video?.track;
    const subscriber = track === undefined ? undefined : this.tracks.get(track);
    if (track === undefined || !subscriber) return;
    this.tracks.delete(track);
    subscriber.close();
    this.follow();
  }

  private async run(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.closed) {
      const started = performance.now();
      this.listener.state({ kind: "connecting" });
      let reason: string;
      try {
        await this.receive();
        reason = "The studio ended the stream.";
      } catch (error) {
        if (error instanceof Refused || error instanceof CatalogError) {
          const help = error instanceof Refused ? error.help : "";
          this.listener.state({ kind: "refused", reason: error.message, help });
          return;
        }
        reason = error instanceof Error ? error.message : String(error);
      }
      this.end();
      if (this.closed) return;
      if (performance.now() - started > GOOD_SESSION_MS) retryMs = FIRST_RETRY_MS;
      // Spread over a quarter of the wait, so that not all viewers of a studio come back at once.
      const wait = retryMs * (0.875 + Math.random() * 0.25);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
      this.listener.state({ kind: "waiting", reason, retryAt: performance.now() + wait });
      await Promise.race([sleep(wait), new Promise<void>((resolve) => (this.wake = resolve))]);
    }
  }

  private end(): void {
    for (const track of this.tracks.values()) track.close();
    this.tracks.clear();
    this.connection?.close();
    this.connection = undefined;
    this.broadcast = undefined;
    this.described = undefined;
  }

  /** Asks the studio whether it lets us in: a browser does not say why a WebTransport session was refused. */
  private async admission(): Promise<Admission | undefined> {
    if (new URL(this.link.url).host !== location.host) return undefined;
    const query = new URL(this.link.url).search;
    try {
      const answer = await within(CONNECT_MS, "", fetch(`/-/admission/${this.link.name}${query}`, { cache: "no-store" }));
      const body = answer.ok ? ((await answer.json()) as { sha256?: string }) : {};
      return { status: answer.status, ...body };
    } catch {
      return { status: 0 };
    }
  }

  private async open(): Promise<WebTransport> {
    const admission = await this.admission();
    if (admission?.status === 403) {
      throw new Refused(
        "The studio does not let you in with this link.",
        "Its token is missing or wrong. Ask whoever streams for the whole link, with the part behind “token=”.",
      );
    }
    if (admission?.status === 404) {
      throw new Refused(`There is no stream called “${this.link.name}” here.`, "Ask whoever streams for the link that the studio prints now.");
    }
    if (admission?.status === 503) throw new Error("The studio has as many viewers as it may.");
    if (admission?.status === 0) throw new Error("The studio cannot be reached.");
    const hashes: WebTransportHash[] = [];
    // A studio that was started again has signed another certificate. What vouches for it is where this page came from.
    const renewed = admission?.sha256?.match(/../g);
    const value = renewed ? Uint8Array.from(renewed, (pair) => Number.parseInt(pair, 16)) : this.link.sha256;
    if (value) hashes.push({ algorithm: "sha-256", value });
    const options = { congestionControl: "low-latency", protocols: [PROTOCOL], serverCertificateHashes: hashes };
    const transport = new WebTransport(this.link.url, options as WebTransportOptions);
    transport.closed.catch(() => {});
    transport.datagrams.incomingHighWaterMark = WAITING_DATAGRAMS;
    try {
      await within(CONNECT_MS, "The studio does not answer. Is its UDP port open in the firewall?", transport.ready);
    } catch (error) {
      transport.close();
      const elsewhere = admission === undefined ? " It may have refused the link's token or certificate." : "";
      throw new Error(error instanceof WebTransportError ? `The connection failed.${elsewhere}` : (error as Error).message);
    }
    return transport;
  }

  private async receive(): Promise<void> {
    const transport = await this.open();
    const connection = await Connection.connect(new URL(this.link.url), { transport });
    this.connection = connection;
    if (this.closed) return connection.close();
    const broadcast = connection.consume(this.link.name as never);
    this.broadcast = broadcast;
    const ended = transport.closed.then(
      (info) => {
        throw new Error(info.reason ? `The studio closed the connection: ${info.reason}.` : "The studio closed the connection.");
      },
      () => {
        throw new Error("The connection was lost.");
      },
    );
    ended.catch(() => {});
    const track = broadcast.track("catalog.json").subscribe({ priority: PRIORITY.catalog });
    for (;;) {
      const next = track.readFrame();
      const waited = this.described ? next : within(CONNECT_MS, "The studio sends no stream yet.", next);
      const frame = await Promise.race([waited, ended]);
      if (!frame) return;
      if (frame.payload.length > MAX_CATALOG_BYTES) throw new CatalogError("The stream's catalog is too large to be one.");
      const catalog = parseCatalog(frame.payload);
      const fresh = this.described === undefined;
      this.described = catalog;
      if (fresh) {
        this.counts.connections += 1;
        this.listener.state({ kind: "connected" });
        void this.measure(connection);
      }
      this.listener.catalog(catalog, fresh);
      this.follow();
    }
  }

  private async measure(connection: Connection.Established): Promise<void> {
    while (this.connection === connection) {
      const stats = await connection.stats();
      this.roundTripMs = stats.rtt ?? connection.probe.peek().rtt;
      await sleep(1000);
    }
  }

  /** Subscribes to what the catalog names and ends what it no longer names. */
  private follow(): void {
    const { broadcast, described } = this;
    if (!broadcast || !described) return;
    const wanted = new Map<string, () => void>();
    const want = (track: string, priority: number, receive: (track: Track.Subscriber) => Promise<void>): void => {
      wanted.set(track, () => {
        const subscriber = broadcast.track(track).subscribe({ priority });
        this.tracks.set(track, subscriber);
        // The track ends with the connection, or when the catalog names another.
        receive(subscriber).catch((error: unknown) => console.debug(`track ${track} ended`, error));
      });
    };
    if (this.video && this.watching) want(this.video.track, PRIORITY.video, (track) => this.pictures(track));
    if (described.audio) want(described.audio.track, PRIORITY.audio, (track) => this.sounds(track));
    if (described.motion && this.watching) {
      const assembler = new MotionAssembler(MOTION_DEADLINE_MS);
      for (const tiles of described.motion.tiles) want(tiles, PRIORITY.video, (track) => this.tiles(track, assembler));
      want(described.motion.coarse, PRIORITY.coarse, (track) => this.coarse(track, assembler));
    }
    for (const [name, track] of this.tracks) {
      if (wanted.has(name)) continue;
      this.tracks.delete(name);
      track.close();
    }
    for (const [name, start] of wanted) {
      if (!this.tracks.has(name)) start();
    }
  }

  /** Runs `read`; what is not understood is counted, and says so. */
  private understood(read: () => void): boolean {
    try {
      read();
      return true;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counts.garbage += 1;
      return false;
    }
  }

  private async pictures(track: Track.Subscriber): Promise<void> {
    let last: number | undefined;
    let gap = true;
    for (;;) {
      const group = await track.nextGroup();
      if (!group) return;
      if (last === undefined) {
        // A late joiner starts with the newest group; only from then on may one be late.
        track.update({ priority: PRIORITY.video, latencyMax: MAX_AGE_MS });
      } else if (group.sequence > last + 1) {
        this.counts.groupsSkipped += group.sequence - last - 1;
        gap = true;
      }
      last = group.sequence;
      try {
        for (;;) {
          const frame = await group.readFrame();
          if (!frame) break;
          this.counts.bytes += frame.payload.length;
          const good = this.understood(() => {
            const unit = decodeUnit(frame.payload, MAX_UNIT_BYTES);
            if (gap && !unit.keyFrame) return;
            this.counts.pictures += 1;
            this.listener.picture(unit, gap);
            gap = false;
          });
          gap ||= !good;
        }
      } catch (error) {
        // Too old, or lost on the way; the next group starts afresh.
        if (this.tracks.get(track.name) !== track) return;
        console.debug(`group ${group.sequence} broke off`, error);
        this.counts.groupsSkipped += 1;
        gap = true;
      }
    }
  }

  private async sounds(track: Track.Subscriber): Promise<void> {
    let last: number | undefined;
    for (;;) {
      const group = await track.nextGroup();
      if (!group) return;
      if (last !== undefined) this.counts.soundsLost += group.sequence - last - 1;
      last = group.sequence;
      const frame = await group.readFrame().catch(() => undefined);
      if (!frame) continue;
      this.counts.bytes += frame.payload.length;
      this.understood(() => {
        const unit = decodeUnit(frame.payload, MAX_AUDIO_UNIT_BYTES);
        this.counts.sounds += 1;
        this.listener.soundUnit(unit);
      });
    }
  }

  private async tiles(track: Track.Subscriber, assembler: MotionAssembler): Promise<void> {
    for (;;) {
      const datagram = await track.recvDatagram();
      if (!datagram) return;
      this.counts.datagrams += 1;
      this.counts.bytes += datagram.payload.length;
      this.understood(() => assembler.pushTile(decodeTile(datagram.payload), performance.now()));
      this.assembled(assembler);
    }
  }

  private async coarse(track: Track.Subscriber, assembler: MotionAssembler): Promise<void> {
    for (;;) {
      const group = await track.nextGroup();
      if (!group) return;
      const frame = await group.readFrame().catch(() => undefined);
      if (!frame) continue;
      this.counts.bytes += frame.payload.length;
      this.understood(() => assembler.pushCoarse(decodeCoarse(frame.payload), performance.now()));
      this.assembled(assembler);
      // A field that only lost tiles is handed out by its deadline.
      const deadline = assembler.nextDeadline();
      if (deadline !== undefined) setTimeout(() => this.assembled(assembler), Math.max(deadline - performance.now(), 0) + 1);
    }
  }

  private assembled(assembler: MotionAssembler): void {
    for (let field = assembler.poll(performance.now()); field; field = assembler.poll(performance.now())) {
      this.counts.fields += 1;
      this.counts.tiles += field.tiles;
      this.counts.tilesLost += field.lostTiles;
      this.listener.motion(field);
    }
  }
}
