// The page's worker: receives and decodes, so that neither waits while the page draws.

import { follow, now } from "../clock";
import { percentile, Rate } from "../rates";
import type { Catalog, VideoTrack } from "./catalog";
import { Estimate } from "./estimate";
import type { Notice, Order, ReceiveFigures } from "./messages";
import { Quality } from "./quality";
import { reportOf, viewerId, type ViewFigures } from "./report";
import { Session, type ConnectionState, type SessionListener } from "./session";
import { Trips } from "./trips";
import { decoderConfig, Video } from "./video";
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

/** A worker's own scope: the types that the page is checked with know windows only. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(message: Notice, transfer: Transferable[]): void;
};

function tell(notice: Notice, transfer: Transferable[] = []): void {
  scope.postMessage(notice, transfer);
}

/** Receives one stream for the page. */
class Receiver implements SessionListener {
  private readonly session: Session;
  private readonly video: Video;
  private readonly estimate = new Estimate();
  private readonly quality = new Quality();
  private readonly bytes = new Rate();
  private readonly trips = new Trips();
  /** What the last second's pictures took from studio to here by both clocks, in milliseconds. */
  private recent: number[] = [];
  private catalogNow: Catalog | undefined;
  private track: VideoTrack | undefined;
  private automatic = true;
  private view: ViewFigures | undefined;
  private requests = 0;
  private requestedAt = -Infinity;
  private skippedBefore = 0;
  private watching: boolean;
  private picturesBefore = 0;
  private stalledS = 0;

  constructor({ link, watching }: Order & { kind: "start" }) {
    this.video = new Video(
      (picture) => tell({ kind: "picture", picture }, [picture.frame]),
      (error) => this.decoderFailed(error),
    );
    this.session = new Session(link, viewerId(), this);
    this.watching = watching;
    this.session.watch(watching);
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
        if (!order.watching) this.video.stop();
        return;
      case "choose":
        this.automatic = order.track === undefined;
        this.quality.restart();
        this.choose(order.track);
        return;
      case "retry":
        return this.session.retryNow();
      case "released":
        return this.video.released(order.count);
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
      this.recent = [];
      this.estimate.restart();
      this.quality.restart();
      // Pictures of another session are no base for this one's.
      this.video.stop();
    }
    this.catalogNow = catalog;
    this.retrack();
  }

  picture(unit: Unit, afterGap: boolean): void {
    const trip = performance.timeOrigin + performance.now() - unit.sentAtUs / 1000;
    this.trips.note(trip);
    this.recent.push(trip);
    this.video.push(unit, afterGap);
  }

  pictureLost(): void {
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

  /** Decodes what is received now, where this browser can. */
  private retrack(): void {
    const { catalogNow: catalog } = this;
    if (!catalog) return;
    const track = this.session.video;
    this.track = track;
    tell({ kind: "catalog", catalog, track });
    if (!track) return;
    this.video.configure(track);
    const supported = VideoDecoder.isConfigSupported(decoderConfig(track)).then((answer) => answer.supported === true, () => false);
    void supported.then((can) => {
      if (can || this.track !== track) return;
      this.video.stop(true);
      tell({ kind: "undecodable", track });
    });
  }

  private choose(track: string | undefined): void {
    const before = this.session.video?.track;
    this.session.choose(track);
    if (this.session.video?.track !== before) this.retrack();
  }

  private decoderFailed(error: Error): void {
    console.warn("the decoder gave up", error);
    this.pictureLost();
    const { decoded } = this.video;
    // A studio that knows no reports sends no key frame before its time.
    setTimeout(() => this.video.decoded === decoded && this.session.restartPictures(), RESTART_MS);
  }

  private figures(): ReceiveFigures {
    const { decodeMs } = this.video;
    return {
      counts: { ...this.session.counts },
      roundTripMs: this.session.roundTripMs,
      decoded: this.video.decoded,
      skipped: this.video.skipped,
      decodeMs: { p50: percentile(decodeMs, 0.5), p95: percentile(decodeMs, 0.95) },
      fastestMs: this.trips.fastestMs,
      keyFrameRequests: this.requests,
      wantedBps: this.estimate.wantedBps,
    };
  }

  /** Once a second: what can be taken, what is received of it, and the word of it to the studio. */
  private second(): void {
    const { counts } = this.session;
    const receivedBps = this.bytes.note(counts.bytes, now()) * 8;
    const rateHz = this.track?.frameRateHz ?? 0;
    this.estimate.note({
      receivedBps,
      queueMs: (percentile(this.recent, 0.5) ?? 0) - (this.trips.fastestMs ?? 0),
      groupsSkipped: counts.groupsSkipped - this.skippedBefore,
      decodeMs: percentile(this.video.decodeMs, 0.5),
      intervalMs: rateHz > 0 ? 1000 / rateHz : undefined,
    });
    this.skippedBefore = counts.groupsSkipped;
    this.lookForStall(counts.pictures);
    this.recent = [];
    const { catalogNow: catalog } = this;
    if (this.automatic && catalog && catalog.renditions.length > 1 && this.view) {
      const room = { wantedBps: this.estimate.wantedBps, wantedPx: this.view.wantedPx };
      this.choose(this.quality.choose(catalog.renditions, catalog.video?.track, room, now() / 1000));
    }
    this.report(receivedBps);
  }

  /** A group that never goes on says nothing: what would come after it is asked for, once. */
  private lookForStall(pictures: number): void {
    const still = pictures === this.picturesBefore && this.watching && this.track !== undefined;
    this.picturesBefore = pictures;
    this.stalledS = still ? this.stalledS + 1 : 0;
    if (this.stalledS === STALLED_S) this.pictureLost();
    else if (this.stalledS === DEAD_S) this.session.restartPictures();
  }

  private report(receivedBps = this.bytes.note(this.session.counts.bytes, now()) * 8): void {
    const watched = { session: this.session.number, video: this.track?.track, receivedBps, now: now() };
    this.session.report(reportOf(this.view, this.figures(), watched));
    // Told once.
    if (this.view) this.view.gaze = [];
  }
}

let receiver: Receiver | undefined;
scope.onmessage = ({ data }) => {
  if (data.kind === "start") {
    follow(data.originMs);
    receiver = new Receiver(data);
  } else {
    receiver?.obey(data);
  }
};
