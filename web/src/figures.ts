// The figures: for people, for scripts, and for the studio's report.

import type { Sound } from "./audio";
import type { Player } from "./player";
import { percentile, Rate } from "./rates";
import type { Catalog, VideoTrack } from "./receive/catalog";
import type { ReceiveFigures } from "./receive/messages";
import type { ConnectionState } from "./receive/session";

/** Ages of pictures in a report are those of so long. */
const RECENT_MS = 1100;

/** What the viewer's figures show, for scripts. */
export interface Stats {
  connection: ConnectionState["kind"];
  session: string | undefined;
  connections: number;
  track: string | undefined;
  width: number;
  height: number;
  codec: string;
  projection: string | undefined;
  received: number;
  lost: number;
  decoded: number;
  skipped: number;
  shown: number;
  generated: number;
  repeated: number;
  receivedHz: number;
  decodedHz: number;
  shownHz: number;
  generatedHz: number;
  repeatedHz: number;
  displayHz: number;
  bitrateBps: number;
  wantedBps: number | undefined;
  ageMs: { p50: number | undefined; p95: number | undefined };
  decodeMs: { p50: number | undefined; p95: number | undefined };
  jitterMs: number;
  roundTripMs: number | undefined;
  fields: number;
  tiles: number;
  tilesLost: number;
  /** How far this machine's clock is ahead of the studio's; 0 where they cannot be told apart. */
  clockAheadMs: number;
  groupsSkipped: number;
  keyFrameRequests: number;
  garbage: number;
  soundPlayed: number;
  soundLost: number;
  soundSteps: number;
  firstPictureMs: number | undefined;
}

/** What the figures are taken from. */
export interface Watched {
  connection: ConnectionState;
  catalog: Catalog | undefined;
  track: VideoTrack | undefined;
  received: ReceiveFigures;
  player: Player;
  sound: Sound;
  /** Time between two frames of the display. */
  displayMs: number;
}

/** Counts over time. */
export class Figures {
  private readonly rates = {
    received: new Rate(), decoded: new Rate(), shown: new Rate(), generated: new Rate(), repeated: new Rate(), bytes: new Rate(),
  };

  /** All there is to say now. */
  stats({ connection, catalog, track, received, player, sound, displayMs }: Watched): Stats {
    const now = performance.now();
    const { counts } = received;
    const { generated } = player.renderer.counts;
    const ages = player.ages.map(({ ageMs }) => ageMs);
    return {
      connection: connection.kind,
      session: catalog?.session,
      connections: counts.connections,
      track: track?.track,
      width: track?.width ?? 0,
      height: track?.height ?? 0,
      codec: track?.codec ?? "",
      projection: track?.projection.kind,
      received: counts.pictures,
      lost: counts.picturesLost,
      decoded: received.decoded,
      skipped: received.skipped + player.pictures.skipped,
      shown: player.counts.shown,
      generated,
      repeated: player.counts.repeated,
      receivedHz: this.rates.received.note(counts.pictures, now),
      decodedHz: this.rates.decoded.note(received.decoded, now),
      shownHz: this.rates.shown.note(player.counts.shown, now),
      generatedHz: this.rates.generated.note(generated, now),
      repeatedHz: this.rates.repeated.note(player.counts.repeated, now),
      displayHz: 1000 / displayMs,
      bitrateBps: this.rates.bytes.note(counts.bytes, now) * 8,
      wantedBps: received.wantedBps,
      ageMs: { p50: percentile(ages, 0.5), p95: percentile(ages, 0.95) },
      decodeMs: received.decodeMs,
      jitterMs: player.pace.jitterMs,
      roundTripMs: received.roundTripMs,
      fields: counts.fields,
      tiles: counts.tiles,
      tilesLost: counts.tilesLost,
      clockAheadMs: player.clockAheadMs,
      groupsSkipped: counts.groupsSkipped,
      keyFrameRequests: received.keyFrameRequests,
      garbage: counts.garbage,
      soundPlayed: sound.played,
      soundLost: counts.soundsLost,
      soundSteps: sound.steps,
      firstPictureMs: player.firstAt,
    };
  }
}

/** How old the pictures of the last second were when they were drawn; nothing where there were none. */
export function recentAges(player: Player): { p50: number; p95: number } | undefined {
  const since = performance.now() - RECENT_MS;
  const ages = player.ages.filter(({ at }) => at >= since).map(({ ageMs }) => ageMs);
  const [p50, p95] = [percentile(ages, 0.5), percentile(ages, 0.95)];
  return p50 === undefined || p95 === undefined ? undefined : { p50, p95 };
}

/** The figures as people read them. */
export function rowsOf(stats: Stats, sound: Sound): [string, string][] {
  const ms = (value: number | undefined): string => (value === undefined ? "–" : value.toFixed(1));
  const rows: [string, string][] = [
    ["picture", `${stats.width} × ${stats.height} ${stats.codec}`],
    ["latency", `${ms(stats.ageMs.p50)} ms, p95 ${ms(stats.ageMs.p95)}`],
    ["of it held", `${ms(stats.jitterMs)} ms`],
    ["decoding", `${ms(stats.decodeMs.p50)} ms, p95 ${ms(stats.decodeMs.p95)}`],
    ["received", `${stats.receivedHz.toFixed(1)} pictures/s`],
    ["drawn", `${stats.shownHz.toFixed(1)} /s, generated ${stats.generatedHz.toFixed(1)} /s`],
    ["bit rate", `${(stats.bitrateBps / 1e6).toFixed(2)} Mbit/s`],
    ["lost tiles", `${stats.tilesLost} of ${stats.tiles}`],
    ["groups skipped", String(stats.groupsSkipped)],
    ["never drawn", String(stats.skipped)],
  ];
  if (stats.wantedBps !== undefined) rows.push(["room for", `${(stats.wantedBps / 1e6).toFixed(2)} Mbit/s`]);
  if (stats.keyFrameRequests > 0) rows.push(["key frames asked", String(stats.keyFrameRequests)]);
  if (stats.roundTripMs !== undefined) rows.push(["round trip", `${ms(stats.roundTripMs)} ms`]);
  if (stats.clockAheadMs !== 0) rows.push(["clock", `${(stats.clockAheadMs / 1000).toFixed(1)} s ahead of the studio's, taken into account`]);
  if (sound.there) rows.push(["sound", sound.error ?? `${stats.soundLost} lost, ${stats.soundSteps} steps`]);
  if (stats.garbage > 0) rows.push(["not understood", String(stats.garbage)]);
  return rows;
}
