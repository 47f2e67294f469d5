// What a viewer tells the studio once a second, on the session that it watches with: how old the pictures are, what was lost,
// where it looks, what it can take. The track `report.json` of the broadcast `viewers/ID`; one group and frame a report.

import type { ReceiveFigures } from "./messages";

/** The track's name. */
export const REPORT_TRACK = "report.json";
/** Version of the wire. */
const VERSION = 1;
/** Places on the sphere in one report at most. */
export const MAX_GAZE = 64;
/** Characters of a viewer's name at most. */
const MAX_NAME = 80;

/** Where the middle of the view (or the eyes) looked. */
export interface Gaze {
  /** By `now()`. */
  at: number;
  /** To the right from the picture's centre, -180 to 180. */
  yawDeg: number;
  /** Up, -90 to 90. */
  pitchDeg: number;
}

/** What the page knows of how it is watched. */
export interface ViewFigures {
  name: string;
  /** Age of pictures when they were drawn, with the difference of the clocks taken out. */
  latencyMs: { p50: number; p95: number } | undefined;
  clockOffsetMs: number;
  displayHz: number;
  decodedHz: number;
  generatedHz: number;
  repeatedHz: number;
  targetDelayMs: number;
  /** Pixels across that the view needs of the picture, for the choice of a rendition; not reported. */
  wantedPx: number;
  gaze: Gaze[];
}

/** A report as it goes over the network. */
export type Report = Record<string, unknown>;

/** What else there is to say. */
interface Watched {
  session: string | undefined;
  video: string | undefined;
  receivedBps: number;
  now: number;
}

/** A name of 16 hexadecimal digits that nobody else has. */
export function viewerId(): string {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Two decimals are enough, and what is not finite is left out. */
function tidy(value: number | undefined): number | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : Math.round(value * 100) / 100;
}

/** Puts a report together; what is not known is left out. */
export function reportOf(view: ViewFigures | undefined, received: ReceiveFigures, watched: Watched): Report {
  const { counts } = received;
  const report: Report = {
    version: VERSION,
    session: watched.session,
    video: watched.video,
    roundTripMs: tidy(received.roundTripMs),
    decodeMs: tidy(received.decodeMs.p95),
    receivedBps: Math.round(watched.receivedBps),
    pictures: counts.pictures,
    picturesLost: counts.picturesLost,
    groupsSkipped: counts.groupsSkipped,
    tiles: counts.tiles,
    tilesLost: counts.tilesLost,
    garbage: counts.garbage,
    keyFrameRequests: received.keyFrameRequests,
    wantedBps: received.wantedBps === undefined ? undefined : Math.round(received.wantedBps),
  };
  if (view) {
    Object.assign(report, {
      viewer: { kind: "browser", name: [...view.name].slice(0, MAX_NAME).join("") },
      latencyMs: view.latencyMs && { p50: tidy(view.latencyMs.p50), p95: tidy(view.latencyMs.p95) },
      clockOffsetMs: tidy(view.clockOffsetMs),
      displayHz: tidy(view.displayHz),
      decodedHz: tidy(view.decodedHz),
      generatedHz: tidy(view.generatedHz),
      repeatedHz: tidy(view.repeatedHz),
      targetDelayMs: tidy(view.targetDelayMs),
      gaze: view.gaze.slice(-MAX_GAZE).map(({ at, yawDeg, pitchDeg }) => [tidy(Math.max(watched.now - at, 0)), tidy(yawDeg), tidy(pitchDeg)]),
    });
  }
  return report;
}

/** A browser's name and its system's, such as “Chromium 156, Linux”. */
export function browserName(agent: string, brands: readonly { brand: string; version: string }[] | undefined, platform: string | undefined): string {
  const brand = brands?.find(({ brand: each }) => !/not.?a.?brand|chromium/i.test(each)) ?? brands?.find(({ brand: each }) => each === "Chromium");
  const spelled = /(OculusBrowser|Firefox|Edg|OPR|Chrome|Version)\/(\d+)/.exec(agent);
  const known: Record<string, string> = { Version: "Safari", Edg: "Edge", OPR: "Opera", OculusBrowser: "Quest Browser" };
  const name = brand ? `${brand.brand} ${brand.version}` : spelled ? `${known[spelled[1]!] ?? spelled[1]} ${spelled[2]}` : "browser";
  const system = platform || (/(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)/.exec(agent)?.[1] ?? "");
  return system ? `${name}, ${system}` : name;
}
