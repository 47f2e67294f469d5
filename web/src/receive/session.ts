// One stream: connects, follows the catalog, receives what it names, and connects again with back-off.

import { Broadcast, Connection, Path, type Group, type Track } from "@moq/net";
import { now } from "../clock";
import type { StreamLink } from "../link";
import { CatalogError, MAX_CATALOG_BYTES, parseCatalog, type Catalog, type VideoTrack } from "./catalog";
import { CONNECT_MS, openTransport, Refused, within } from "./connect";
import { noCounts } from "./counts";
import { REPORT_TRACK, type Report } from "./report";
import { MotionAssembler, type MotionField } from "./wire/assemble";
import { WireError } from "./wire/reader";
import { decodeCoarse, decodeTile } from "./wire/tile";
import { decodeUnit, MAX_AUDIO_UNIT_BYTES, MAX_UNIT_BYTES, type Unit } from "./wire/unit";

/** Priorities of hang's players: what is missed most goes first. */
const PRIORITY = { catalog: 100, audio: 80, video: 60, coarse: 70 };
/** How far a group of pictures may fall behind before it is skipped: as it is, and where what is late is passed over. */
const [MAX_AGE_MS, LATE_AGE_MS] = [500, 60];
/** A group that brings nothing for so long while a newer one is there already is left for it. How often that is looked at. */
const [STALLED_MS, LOOK_MS] = [200, 40];
/** How long a motion field waits for its tiles. */
const MOTION_DEADLINE_MS = 30;
/** How long a report is kept for a studio that has not asked for it yet. */
const REPORT_AGE_MS = 1000;
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
  /** The catalog, whenever it changes. `fresh`: frame numbers and times do not compare with those before it. */
  catalog(catalog: Catalog, fresh: boolean): void;
  /** A coded picture of a track. `afterGap`: what came before it is not what it refers to. */
  coded(track: string, unit: Unit, afterGap: boolean): void;
  /** Something that a track's pictures refer to is missing or damaged: only a key frame helps. */
  pictureLost(track: string): void;
  soundUnit(unit: Unit): void;
  motion(field: MotionField): void;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A group brought nothing while a newer one was there already. */
class Stalled extends Error {}

/**
 * The next frame of a group, or nothing after its last. What the studio has handed to the network it sends, newer groups first:
 * on a way that has become narrow the last pictures of a group may come long after the next group's.
 */
async function frameInTime(track: Track.Subscriber, group: Group.Consumer): Promise<Group.Frame | undefined> {
  const read = group.readFrame();
  // Where the group is left nobody waits for it.
  read.catch(() => {});
  let stalledAt: number | undefined;
  for (;;) {
    const frame = await Promise.race([read, sleep(LOOK_MS).then(() => "waiting" as const)]);
    if (frame !== "waiting") return frame;
    if ((track.largest()?.group ?? -1) <= group.sequence) continue;
    stalledAt ??= now() - LOOK_MS;
    if (now() - stalledAt < STALLED_MS) continue;
    group.close();
    throw new Stalled(`nothing came for ${STALLED_MS} ms`);
  }
}

/** Receives a stream until it is closed. */
export class Session {
  readonly counts = noCounts();
  /** Round trip in milliseconds, where the browser or the studio tells. */
  roundTripMs: number | undefined;
  private closed = false;
  private connection: Connection.Established | undefined;
  private broadcast: Broadcast.Consumer | undefined;
  private described: Catalog | undefined;
  private watching = true;
  private rendition: string | undefined;
  /** The track of video that was followed last, and the one before it where that goes on until pictures of the new one are there. */
  private followed: string | undefined;
  private leaving: string | undefined;
  private readonly tracks = new Map<string, Track.Subscriber>();
  /** Whether older groups are left for newer ones at once. */
  private catching = false;
  private wake: (() => void) | undefined;
  private reports: Track.Producer | undefined;

  /** `viewer` is the name that reports are published by. */
  constructor(
    private readonly link: StreamLink,
    private readonly viewer: string,
    private readonly listener: SessionListener,
  ) {}

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

  /** Receives another rendition. The one before it goes on until `arrived`. */
  choose(track: string | undefined): void {
    this.rendition = track;
    this.follow();
  }

  /** Pictures of the track that is followed are there: the one before it is not needed any more. */
  arrived(): void {
    this.leaving = undefined;
    this.follow();
    this.place(this.followed);
  }

  /** Passes over pictures that wait on the way as soon as a newer group is there, or no longer does. */
  catchUp(catching: boolean): void {
    if (this.catching === catching) return;
    this.catching = catching;
    this.place(this.followed);
  }

  /** Whether a track of pictures is gone over to. */
  private comes(name: string): boolean {
    return this.leaving !== undefined && name === this.followed;
  }

  /** Tells the studio how a track of pictures is to be sent. What is gone over to goes before what is left. */
  private place(name: string | undefined): void {
    if (name === undefined) return;
    this.tracks.get(name)?.update({ priority: PRIORITY.video + Number(this.comes(name)), latencyMax: this.catching ? LATE_AGE_MS : MAX_AGE_MS });
  }

  /** Number of the studio's session, as its catalog says. */
  get number(): string | undefined {
    return this.described?.session;
  }

  /** Tells the studio how its stream is watched. */
  report(report: Report): void {
    this.reports?.writeJson(report);
  }

  /** Begins the pictures anew, at the newest key frame: where none came by itself. */
  restartPictures(): void {
    const track = this.video?.track;
    const subscriber = track === undefined ? undefined : this.tracks.get(track);
    if (track === undefined || !subscriber) return;
    this.tracks.delete(track);
    subscriber.close();
    this.follow();
  }

  async run(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    let hasty = true;
    while (!this.closed) {
      const started = now();
      this.listener.state({ kind: "connecting" });
      let reason: string;
      try {
        await this.receive(hasty);
        reason = "The studio ended the stream.";
      } catch (error) {
        if (error instanceof Refused || error instanceof CatalogError) {
          this.end();
          const help = error instanceof Refused ? error.help : "";
          this.listener.state({ kind: "refused", reason: error.message, help });
          return;
        }
        reason = error instanceof Error ? error.message : String(error);
      }
      this.end();
      hasty = false;
      if (this.closed) return;
      if (now() - started > GOOD_SESSION_MS) retryMs = FIRST_RETRY_MS;
      // Spread over a quarter of the wait, so that not all viewers of a studio come back at once.
      const wait = retryMs * (0.875 + Math.random() * 0.25);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
      this.listener.state({ kind: "waiting", reason, retryAt: now() + wait });
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
    this.followed = this.leaving = undefined;
    this.catching = false;
    this.reports = undefined;
  }

  private async receive(hasty: boolean): Promise<void> {
    const transport = await openTransport(this.link, hasty);
    const connection = await Connection.connect(new URL(this.link.url), { transport });
    this.connection = connection;
    if (this.closed) return connection.close();
    const broadcast = connection.consume(Path.from(this.link.name));
    this.broadcast = broadcast;
    const self = new Broadcast.Producer();
    this.reports = self.createTrack(REPORT_TRACK, { latencyMax: REPORT_AGE_MS });
    connection.publish(Path.from(`viewers/${this.viewer}`), self);
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
      const first = this.described === undefined;
      const fresh = this.described?.session !== catalog.session;
      this.described = catalog;
      // A relay goes on with another session of the studio in the same connection.
      if (fresh) this.drop(() => true);
      if (first) {
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
    const video = this.watching ? this.video?.track : undefined;
    if (video !== this.followed) this.leaving ??= this.followed;
    if (video === undefined || this.leaving === video || !described.renditions.some(({ track }) => track === this.leaving)) this.leaving = undefined;
    this.followed = video;
    const coming = Number(this.leaving !== undefined);
    for (const name of [video, this.leaving]) if (name !== undefined) want(name, PRIORITY.video + coming, (track) => this.pictures(track));
    if (described.audio) want(described.audio.track, PRIORITY.audio, (track) => this.sounds(track));
    if (described.motion && this.watching) {
      const assembler = new MotionAssembler(MOTION_DEADLINE_MS);
      for (const tiles of described.motion.tiles) want(tiles, PRIORITY.video, (track) => this.tiles(track, assembler));
      want(described.motion.coarse, PRIORITY.coarse, (track) => this.coarse(track, assembler));
    }
    this.drop((name) => !wanted.has(name));
    for (const [name, start] of wanted) {
      if (!this.tracks.has(name)) start();
    }
  }

  /** Ends the subscriptions that `unwanted` says yes to. */
  private drop(unwanted: (name: string) => boolean): void {
    for (const [name, track] of [...this.tracks]) {
      if (!unwanted(name)) continue;
      this.tracks.delete(name);
      track.close();
    }
  }

  /** Whether a subscription is still wanted. */
  private follows(track: Track.Subscriber): boolean {
    return this.tracks.get(track.name) === track;
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
    let newest = -1;
    let gap = true;
    const lost = (): void => {
      gap = true;
      this.listener.pictureLost(track.name);
    };
    for (;;) {
      const group = await track.nextGroup();
      if (!group) return;
      if (last === undefined) {
        // A late joiner starts with the newest group; only from then on may one be late.
        this.place(track.name);
      } else if (group.sequence > last + 1) {
        this.counts.groupsSkipped += group.sequence - last - 1;
        if (this.catching) this.counts.passedOver += group.sequence - last - 1;
        gap = true;
      }
      last = group.sequence;
      try {
        for (;;) {
          const frame = await frameInTime(track, group);
          // What was on its way when the track was left is of another picture, or of another session.
          if (!this.follows(track)) return;
          if (!frame) break;
          this.counts.bytes += frame.payload.length;
          const good = this.understood(() => {
            const unit = decodeUnit(frame.payload, MAX_UNIT_BYTES);
            const { frameId } = unit.stamp;
            if (!unit.keyFrame && frameId < newest) throw new WireError("a picture came too late");
            if (!unit.keyFrame && frameId === newest) {
              // Nothing is missing for it.
              this.counts.garbage += 1;
              return;
            }
            newest = frameId;
            if (gap && !unit.keyFrame) {
              this.counts.picturesLost += 1;
              return lost();
            }
            this.counts.pictures += 1;
            this.listener.coded(track.name, unit, gap);
            gap = false;
          });
          if (good) continue;
          this.counts.picturesLost += 1;
          lost();
        }
      } catch (error) {
        // Too old, or lost on the way; the next group starts afresh.
        if (!this.follows(track)) return;
        console.debug(`group ${group.sequence} broke off`, error);
        // One that was joined in its middle, and gives way before anything of it was shown, is no loss.
        if (!this.comes(track.name)) this.counts.groupsSkipped += 1;
        if (this.catching || error instanceof Stalled) {
          // The one that it gave way to is there.
          this.counts.passedOver += Number(this.catching);
          gap = true;
        } else {
          lost();
        }
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
      if (!this.follows(track)) return;
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
      if (!datagram || !this.follows(track)) return;
      this.counts.datagrams += 1;
      this.counts.bytes += datagram.payload.length;
      this.understood(() => assembler.pushTile(decodeTile(datagram.payload), now()));
      this.assembled(assembler);
    }
  }

  private async coarse(track: Track.Subscriber, assembler: MotionAssembler): Promise<void> {
    for (;;) {
      const group = await track.nextGroup();
      if (!group) return;
      const frame = await group.readFrame().catch(() => undefined);
      if (!this.follows(track)) return;
      if (!frame) continue;
      this.counts.bytes += frame.payload.length;
      this.understood(() => assembler.pushCoarse(decodeCoarse(frame.payload), now()));
      this.assembled(assembler);
      // A field that only lost tiles is handed out by its deadline.
      const deadline = assembler.nextDeadline();
      if (deadline !== undefined) setTimeout(() => this.assembled(assembler), Math.max(deadline - now(), 0) + 1);
    }
  }

  private assembled(assembler: MotionAssembler): void {
    for (let field = assembler.poll(now()); field; field = assembler.poll(now())) {
      this.counts.fields += 1;
      this.counts.tiles += field.tiles;
      this.counts.tilesLost += field.lostTiles;
      this.listener.motion(field);
    }
  }
}
