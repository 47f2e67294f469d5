// Which rendition fits: the largest that the way and the decoder carry, and no larger than the view shows.

import type { VideoTrack } from "./catalog";

/** A better rendition is only taken when so much room is left above its bit rate. */
const ROOM = 1.25;
/** Seconds for which a better one must fit. */
const CALM_S = 8;
/** Seconds after a rendition that did not fit before it is tried again. */
const AGAIN_S = 60;
/** A picture that is wider than the view needs by less is taken: a lower one would look soft. */
const WASTE = 1.5;

/** What the choice depends on. */
export interface Room {
  /** What the viewer can take; nothing where nothing says that it is little. */
  wantedBps: number | undefined;
  /** Pixels across that the view needs of the whole picture. */
  wantedPx: number;
}

/** Chooses among renditions, once a second. */
export class Quality {
  private chosen: string | undefined;
  private calmS = 0;
  /** When renditions did not fit, in seconds. */
  private readonly failed = new Map<string, number>();

  /** The track to receive; the first one is what the studio itself prefers. */
  choose(tracks: readonly VideoTrack[], preferred: string | undefined, room: Room, nowS: number): string | undefined {
    const order = [...tracks].sort((a, b) => a.bitrateBps - b.bitrateBps || a.width - b.width);
    let at = order.findIndex(({ track }) => track === (this.chosen ?? preferred));
    if (at < 0) at = order.length - 1;
    const current = order[at];
    if (!current) return (this.chosen = undefined);
    const { wantedBps, wantedPx } = room;
    if (wantedBps !== undefined && wantedBps < current.bitrateBps && at > 0) {
      this.failed.set(current.track, nowS);
      while (at > 0 && order[at]!.bitrateBps > wantedBps) at -= 1;
      this.calmS = 0;
    } else {
      const next = order[at + 1];
      const useful = next !== undefined && current.width < wantedPx;
      const fits = next !== undefined && (wantedBps === undefined || next.bitrateBps * ROOM < wantedBps);
      const again = next === undefined ? 0 : nowS - (this.failed.get(next.track) ?? -Infinity);
      this.calmS = useful && fits && again > AGAIN_S ? this.calmS + 1 : 0;
      // A much smaller picture shows the same: a phone does not need that of a headset.
      const less = order[at - 1];
      if (less && less.width >= wantedPx * WASTE) at -= 1;
      else if (this.calmS >= CALM_S) {
        at += 1;
        this.calmS = 0;
      }
    }
    return (this.chosen = order[at]!.track);
  }

  /** Another stream: nothing is known of its renditions. */
  restart(): void {
    this.chosen = undefined;
    this.calmS = 0;
    this.failed.clear();
  }
}
