// Which rendition fits: the largest that the way and the decoder carry, and no larger than the view shows.
//
// Chosen once a second. One that makes more than can be taken is left at once, for the largest that can be; one that shows the
// view no more than the next smaller would, likewise. The next larger one is taken when it has fitted for a while, with room to
// spare; one that had to be left, each time later than the time before.
//
// The studio's own viewer does the same (`studio_stream`'s `subscribe::quality`); `test/vectors/quality.json` holds both to it.

import type { VideoTrack } from "./catalog";

/** A better rendition is only taken when so many times its bit rate fit. */
const ROOM = 1.25;
/** Seconds for which it must have fitted. */
const CALM_S = 8;
/** Seconds until a rendition that did not fit is tried again: the first time, and at most. */
const AGAIN_S = { first: 15, most: 240 };
/** One that fails within so many times that wait of its last failure is waited for twice as long. */
const SOON = 4;
/** A picture that is so many times as wide as the view needs is more than enough. */
const WASTE = 1.5;

/** What the choice depends on. */
export interface Room {
  /** What the viewer can take; nothing where nothing says that it is little. */
  wantedBps: number | undefined;
  /** Pixels across that the view needs of the whole picture. */
  wantedPx: number;
}

/** What is looked at of a rendition. */
export type Offer = Pick<VideoTrack, "track" | "bitrateBps" | "width">;

/** Chooses among renditions. */
export class Quality {
  private chosen: string | undefined;
  private calmS = 0;
  /** When renditions did not fit, and for how long they are left alone after that. */
  private readonly failures = new Map<string, { atS: number; waitS: number }>();

  /** The track to receive; `preferred` is what the studio itself would, to begin with. */
  choose(offered: readonly Offer[], preferred: string | undefined, room: Room, nowS: number): string | undefined {
    const order = [...offered].sort((a, b) => a.bitrateBps - b.bitrateBps || a.width - b.width);
    for (const track of this.failures.keys()) {
      if (!order.some((each) => each.track === track)) this.failures.delete(track);
    }
    return (this.chosen = order[this.place(order, preferred, room, nowS)]?.track);
  }

  private place(order: readonly Offer[], preferred: string | undefined, { wantedBps, wantedPx }: Room, nowS: number): number {
    const find = (name: string | undefined): number => order.findIndex(({ track }) => track === name);
    // One that is gone says nothing of the others.
    let at = [find(this.chosen), find(preferred)].find((place) => place >= 0) ?? order.length - 1;
    const current = order[at];
    if (!current) return -1;
    const before = at;
    if (wantedBps !== undefined && at > 0 && wantedBps < current.bitrateBps) {
      this.noteFailure(current.track, nowS);
      while (at > 0 && order[at]!.bitrateBps > wantedBps) at -= 1;
    } else {
      // A much smaller picture shows the same: a phone does not need that of a headset.
      while (at > 0 && order[at - 1]!.width >= wantedPx * WASTE) at -= 1;
    }
    if (at < before) {
      this.calmS = 0;
      return at;
    }
    const next = order[at + 1];
    const failure = next && this.failures.get(next.track);
    const better =
      next !== undefined &&
      current.width < wantedPx &&
      (wantedBps === undefined || next.bitrateBps * ROOM < wantedBps) &&
      (failure === undefined || nowS - failure.atS > failure.waitS);
    this.calmS = better ? this.calmS + 1 : 0;
    if (this.calmS < CALM_S) return at;
    this.calmS = 0;
    return at + 1;
  }

  private noteFailure(track: string, nowS: number): void {
    const before = this.failures.get(track);
    const soon = before !== undefined && nowS - before.atS < before.waitS * SOON;
    this.failures.set(track, { atS: nowS, waitS: soon ? Math.min(before.waitS * 2, AGAIN_S.most) : AGAIN_S.first });
  }

  /** Another stream: nothing is known of its renditions. */
  restart(): void {
    this.chosen = undefined;
    this.calmS = 0;
    this.failures.clear();
  }
}
