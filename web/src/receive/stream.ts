// The page's end of its worker.

import type { StreamLink } from "../link";
import type { Catalog, VideoTrack } from "./catalog";
import { noCounts } from "./counts";
import type { DecodedPicture, Notice, Order, ReceiveFigures } from "./messages";
import type { ViewFigures } from "./report";
import type { ConnectionState } from "./session";
import type { MotionField } from "./wire/assemble";
import type { Unit } from "./wire/unit";

/** Who listens to a stream. */
export interface StreamListener {
  state(state: ConnectionState): void;
  /** The catalog and the track that is received of it, whenever either changes. */
  catalog(catalog: Catalog, track: VideoTrack | undefined): void;
  /** A decoded picture; it is the listener's to close. */
  picture(picture: DecodedPicture): void;
  soundUnit(unit: Unit): void;
  motion(field: MotionField): void;
  /** This browser decodes no such pictures. */
  undecodable(track: VideoTrack): void;
  /** The worker could not go on, and why. */
  broken(reason: string): void;
}

/** Receives and decodes one stream in a worker. */
export class Stream {
  /** What the worker counted and measured, a quarter of a second old at most. */
  figures: ReceiveFigures = {
    counts: noCounts(),
    roundTripMs: undefined,
    decoded: 0,
    skipped: 0,
    decodeMs: { p50: undefined, p95: undefined },
    keyFrameRequests: 0,
    wantedBps: undefined,
  };
  private readonly worker = new Worker("/-/worker.js", { type: "module", name: "receiver" });

  /** Resolves when the worker runs, or cannot. Until then the page must not be busy: browsers start workers by its thread. */
  readonly begun: Promise<void>;
  private early: ((listener: StreamListener) => void)[] = [];

  /** Begins at once: whoever is to `listen` may need a while to be there. */
  constructor(link: StreamLink) {
    this.begun = new Promise((resolve) => {
      const keep = (tell: (listener: StreamListener) => void): void => {
        this.early.push(tell);
        resolve();
      };
      this.worker.onmessage = ({ data }: MessageEvent<Notice>) => keep((listener) => this.hear(listener, data));
      this.worker.onerror = ({ message }) => keep((listener) => listener.broken(message || "The page's worker could not be loaded."));
    });
    this.order({ kind: "start", link, originMs: performance.timeOrigin });
  }

  /** Tells all that came and comes. */
  listen(listener: StreamListener): void {
    this.worker.onmessage = ({ data }: MessageEvent<Notice>) => this.hear(listener, data);
    this.worker.onerror = ({ message }) => listener.broken(message || "The page's worker failed.");
    for (const tell of this.early.splice(0)) tell(listener);
  }

  close(): void {
    this.worker.terminate();
  }

  private order(order: Order): void {
    this.worker.postMessage(order);
  }

  private hear(listener: StreamListener, notice: Notice): void {
    switch (notice.kind) {
      case "state":
        return listener.state(notice.state);
      case "catalog":
        return listener.catalog(notice.catalog, notice.track);
      case "picture":
        return listener.picture(notice.picture);
      case "sound":
        return listener.soundUnit(notice.unit);
      case "motion":
        return listener.motion(notice.field);
      case "undecodable":
        return listener.undecodable(notice.track);
      case "figures":
        this.figures = notice.figures;
        return;
    }
  }

  /** Receives pictures and motion, or leaves them out while nobody looks. They begin again at a key frame. */
  watch(watching: boolean): void {
    this.order({ kind: "watch", watching });
  }

  /** Receives a rendition; the one that fits best where none is named. */
  choose(track: string | undefined): void {
    this.order({ kind: "choose", track });
  }

  /** Ends the wait for the next attempt to connect. */
  retryNow(): void {
    this.order({ kind: "retry" });
  }

  /** Says that so many pictures were closed. */
  released(count: number): void {
    if (count > 0) this.order({ kind: "released", count });
  }

  /** Says how the stream is watched, for the studio and for the choice of a rendition. */
  tell(figures: ViewFigures): void {
    this.order({ kind: "figures", figures });
  }
}
