// What the page and its worker tell each other.

import type { StreamLink } from "../link";
import type { Catalog, VideoTrack } from "./catalog";
import type { SessionCounts } from "./counts";
import type { ViewFigures } from "./report";
import type { ConnectionState } from "./session";
import type { MotionField } from "./wire/assemble";
import type { Stamp, Unit } from "./wire/unit";

/** What the page asks for. */
export type Order =
  /** The first: what to receive, and when the page's clock began. */
  | { kind: "start"; link: StreamLink; originMs: number }
  /** Whether somebody looks. */
  | { kind: "watch"; watching: boolean }
  /** A rendition; nothing for the one that fits best. */
  | { kind: "choose"; track: string | undefined }
  /** Ends the wait for the next attempt to connect. */
  | { kind: "retry" }
  /** Pictures that the page has closed: the decoder has few to give. */
  | { kind: "released"; count: number }
  /** What the page knows of how it is watched, once a second. */
  | { kind: "figures"; figures: ViewFigures };

/** A decoded picture on its way to the page. */
export interface DecodedPicture {
  /** The track that it came on, as the catalog described it then. */
  track: VideoTrack;
  stamp: Stamp;
  frame: VideoFrame;
  /** When the studio handed it to the network, in microseconds since the Unix epoch. */
  sentAtUs: number;
  /** When it was here, by `now()`. */
  arrivedAt: number;
  /** When it could be shown at the earliest, by `now()`: its arrival and the time of decoding. */
  readyAt: number;
  /** How far this machine's clock is ahead of the studio's, in milliseconds; 0 where they cannot be told apart. */
  clockAheadMs: number;
}

/** What the worker has counted and measured. */
export interface ReceiveFigures {
  counts: SessionCounts;
  roundTripMs: number | undefined;
  decoded: number;
  /** Pictures that were received and never decoded. */
  skipped: number;
  decodeMs: { p50: number | undefined; p95: number | undefined };
  keyFrameRequests: number;
  wantedBps: number | undefined;
}

/** What the worker tells. */
export type Notice =
  | { kind: "state"; state: ConnectionState }
  /** The catalog and the track that is received of it, whenever either changes. */
  | { kind: "catalog"; catalog: Catalog; track: VideoTrack | undefined }
  | { kind: "picture"; picture: DecodedPicture }
  | { kind: "sound"; unit: Unit }
  | { kind: "motion"; field: MotionField }
  /** This browser decodes no such pictures. */
  | { kind: "undecodable"; track: VideoTrack }
  | { kind: "figures"; figures: ReceiveFigures };
