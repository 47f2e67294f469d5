// The page's worker: receives and decodes, so that neither waits while the page draws.

import { follow, now } from "../clock";
import { Rate } from "../rates";
import type { StreamLink } from "../link";
import type { Catalog, VideoTrack } from "./catalog";
import { Estimate } from "./estimate";
import type { DecodedPicture, Notice, Order, ReceiveFigures } from "./messages";
import { Quality } from "./quality";
import { reportOf, viewerId, type ViewFigures } from "./report";
import { Session, type ConnectionState, type SessionListener } from "./session";
import { Trips } from "./trips";
import { Switching, type PictureListener } from "./switching";
import { decoderConfig } from "./video";
import type { MotionField } from "./wire/assemble";
import type { Unit } from "./wire/unit";

/** How often the page is told the figures. */
const FIGURES_MS = 250;
/** How often the studio is told how its stream is watched. */
const SECOND_MS = 1000;
/** Between two requests for a key frame at least. */
const REQUEST_MS = 200;
/** Seconds without a picture after which a key frame is asked for, and after which the pictures are subscribed to anew. */
const [STALLED_S, DEAD_S] = [2, 4];
/** A decoder that got no key frame for so long goes back to the newest there is. */
const RESTART_MS = 1000;

/** Pictures that wait so long on the way are passed over at a key frame that is asked for, not more often than this. */
const [LATE_MS, SKIP_EVERY_MS] = [350, 2000];

/** A worker's own scope: the types that the page is checked with know windows only. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(message: Notice, transfer: Transferable[]): void;
};

function tell(notice: Notice, transfer: Transferable[] = []): void {
  scope.postMessage(notice, transfer);
}

/** Receives one stream for the page. */
class Receiver implements SessionListener, PictureListener {
  private readonly session: Session;
  private readonly switching = new Switching(this);
  private readonly estimate = new Estimate();
  private readonly quality = new Quality();
  private readonly bytes = new Rate(SECOND_MS);
  private skippedAt = -Infinity;
  private readonly trips = new Trips();
  private described: Catalog | undefined;
  /** Renditions that this browser cannot decode. */
  private readonly undecodable = new Set<string>();
  private automatic = true;
  private view: ViewFigures | undefined;
  private requests = 0;
  private requestedAt = -Infinity;
  private watching = true;
  private decodedBefore = 0;
  private stalledS = 0;

  constructor(link: StreamLink) {
    this.session = new Session(link, viewerId(), this);
    void this.session.run();
    setInterval(() => tell({ kind: "figures", figures: this.figures() }), FIGURES_MS);
    setInterval(() => this.second(), SECOND_MS);
  }

  obey(order: Order): void {
    switch (order.kind) {
      case "start":
        return;
      case "watch":
        this.watching = order.watching;
        this.session.watch(order.watching);
        if (!order.watching) this.switching.stop();
        return;
      case "choose":
        this.automatic = order.track === undefined;
        this.quality.restart();
        this.choose(order.track);
        return;
      case "retry":
        return this.session.retryNow();
      case "released":
        return this.switching.released(order.count);
      case "figures":
        this.view = order.figures;
        return;
    }
  }

  // What the session tells.

  state(state: ConnectionState): void {
    tell({ kind: "state", state });
  }

  catalog(catalog: Catalog, fresh: boolean): void {
    if (fresh) {
      this.trips.restart();
      this.estimate.restart();
      this.quality.restart();
      // Pictures of another session are no base for this one's.
      this.switching.restart();
      this.undecodable.clear();
    }
    this.described = catalog;
    this.followTrack();
    tell({ kind: "catalog", catalog, track: this.switching.track });
  }

  coded(track: string, unit: Unit, afterGap: boolean): void {
    if (track === this.switching.track?.track) {
      const trip = performance.timeOrigin + performance.now() - unit.sentAtUs / 1000;
      if (this.trips.note(trip)) this.estimate.restart();
      this.estimate.note(trip);
    }
    this.switching.push(track, unit, afterGap);
  }

  pictureLost(track: string): void {
    // One that is on its way out needs none.
    if (track !== this.session.video?.track) return;
    const at = now();
    if (at - this.requestedAt < REQUEST_MS) return;
    this.requestedAt = at;
    this.requests += 1;
    this.report();
  }

  soundUnit(unit: Unit): void {
    // Its bytes are a part of what came with others.
    const data = unit.data.slice();
    tell({ kind: "sound", unit: { ...unit, data } }, [data.buffer]);
  }

  motion(field: MotionField): void {
    tell({ kind: "motion", field }, [field.vectors.buffer as ArrayBuffer]);
  }

  // What the decoders tell.

  picture(picture: Omit<DecodedPicture, "clockAheadMs">): void {
    tell({ kind: "picture", picture: { ...picture, clockAheadMs: this.trips.aheadMs(this.session.roundTripMs) } }, [picture.frame]);
  }

  switched(track: VideoTrack): void {
    this.session.arrived();
    if (this.described) tell({ kind: "catalog", catalog: this.described, track });
  }

  swallowed(track: VideoTrack): void {
    this.pictureLost(track.track);
  }

  failed(track: VideoTrack, error: Error): void {
    console.warn("the decoder gave up", error);
    this.pictureLost(track.track);
    const { decoded } = this.switching.counts;
    // A studio that knows no reports sends no key frame before its time.
    setTimeout(() => this.switching.counts.decoded === decoded && this.session.restartPictures(), RESTART_MS);
  }

  /** Decodes what is received now, where this browser can. */
  private followTrack(): void {
    const { described: catalog, session, switching } = this;
    if (!catalog) return;
    const track = session.video;
    switching.follow(track, (name) => catalog.renditions.some((each) => each.track === name));
    if (!track) return;
    const supported = VideoDecoder.isConfigSupported(decoderConfig(track)).then((answer) => answer.supported === true, () => false);
    void supported.then((can) => {
      if (can || session.video !== track) return;
      switching.refuse(track.track);
      this.undecodable.add(track.track);
      tell({ kind: "undecodable", track });
      // What is shown goes on.
      if (switching.track && switching.track.track !== track.track) this.choose(switching.track.track);
    });
  }

  private choose(track: string | undefined): void {
    const before = this.session.video?.track;
    this.session.choose(track);
    const now = this.session.video?.track;
    if (now === before || now === undefined) return;
    this.followTrack();
    if (!this.switching.changing) return;
    // It goes over at a key frame: at once, not with the next that comes by itself. One of the other track's is no help.
    this.requestedAt = -Infinity;
    this.pictureLost(now);
  }

  private figures(): ReceiveFigures {
    const { switching } = this;
    return {
      counts: { ...this.session.counts },
      roundTripMs: this.session.roundTripMs,
      decoded: switching.counts.decoded,
      skipped: switching.skipped,
      decodeMs: switching.decodeMs,
      keyFrameRequests: this.requests,
      wantedBps: this.estimate.wantedBps,
    };
  }

  /** Once a second: what can be taken, what is received of it, and the word of it to the studio. */
  private second(): void {
    const { counts } = this.session;
    const receivedBps = this.bytes.note(counts.bytes, now()) * 8;
    const lowered = this.estimate.wantedBps !== undefined;
    // Groups that were left on purpose tell nothing of the path that is not known.
    const groupsSkipped = counts.groupsSkipped - counts.passedOver;
    this.estimate.update({ receivedBps, groupsSkipped, waiting: this.switching.waiting }, now() / 1000);
    this.lookForStall();
    const { described: catalog } = this;
    if (this.automatic && catalog && catalog.renditions.length > 1 && this.view) {
      const room = { wantedBps: this.estimate.wantedBps, wantedPx: this.view.wantedPx };
      const able = catalog.renditions.filter(({ track }) => !this.undecodable.has(track));
      this.choose(this.quality.choose(able, catalog.video?.track, room, now() / 1000));
    }
    if (lowered) this.catchUp();
    this.report(receivedBps);
  }

  /** The studio has had a second to send less. What still waits in front of its pictures is passed over: the next group goes first. */
  private catchUp(): void {
    const { session, switching, estimate: { queueMs } } = this;
    const late = queueMs > LATE_MS && !switching.changing;
    if (late || queueMs < LATE_MS / 4) session.catchUp(late);
    if (!late || !switching.track || now() - this.skippedAt < SKIP_EVERY_MS) return;
    this.skippedAt = now();
    this.requestedAt = -Infinity;
    this.pictureLost(switching.track.track);
  }

  /** A group that never goes on says nothing, nor does a decoder that swallows what it is given: a key frame is asked for, again and again. */
  private lookForStall(): void {
    const { track, counts: { decoded } } = this.switching;
    const still = decoded === this.decodedBefore && this.watching && track !== undefined && !this.undecodable.has(track.track);
    this.decodedBefore = decoded;
    this.stalledS = still ? this.stalledS + 1 : 0;
    if (this.stalledS % DEAD_S === STALLED_S) this.pictureLost(track!.track);
    else if (this.stalledS > 0 && this.stalledS % DEAD_S === 0) this.session.restartPictures();
  }

  private report(receivedBps = this.bytes.note(this.session.counts.bytes, now()) * 8): void {
    const watched = { session: this.session.number, video: this.session.video?.track, receivedBps, now: now() };
    this.session.report(reportOf(this.view, this.figures(), watched));
    // Told once.
    if (this.view) this.view.gaze = [];
  }
}

let receiver: Receiver | undefined;
scope.onmessage = ({ data }) => {
  if (data.kind === "start") {
    follow(data.originMs);
    receiver = new Receiver(data.link);
  } else {
    receiver?.obey(data);
  }
};
