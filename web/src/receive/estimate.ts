// What a viewer can take, in bits a second, from what arrives and how: nobody sends more than the stream to find out.
//
// Delay-based, as Google Congestion Control (draft-ietf-rmcat-gcc §5): pictures that take ever longer say that the way is full.
// Then what arrived is more than there is room for; the wish falls below it and rises again slowly. A wish far above what is
// sent says nothing: there is no opinion then.

/** Pictures that take so much longer than the fastest of them, in milliseconds, wait in a queue on the way. */
const QUEUE_MS = 60;
/** The wish after a sign of trouble, of what arrived. */
const FALL = 0.85;
/** How the wish rises in a second without one. */
const RISE = 1.08;
/** A wish that is so many times what arrives is none. */
const ENOUGH = 1.6;
/** No wish is lower, in bits a second. */
const LEAST_BPS = 100_000;
/** A decoder that works for more than this share of the time is about to fall behind. */
const BUSY = 0.9;

/** What happened in about a second. */
export interface Second {
  receivedBps: number;
  /** What pictures took from the studio to here beyond the fastest of the last while: the middle of this second's, in milliseconds. */
  queueMs: number;
  /** Groups that were skipped or broke off. */
  groupsSkipped: number;
  decodeMs: number | undefined;
  /** Time between two pictures; nothing where that is not known. */
  intervalMs: number | undefined;
}

/** Watches the seconds go by. */
export class Estimate {
  /** What the viewer believes it can take; nothing where it has no opinion. */
  wantedBps: number | undefined;

  note({ receivedBps, queueMs, groupsSkipped, decodeMs, intervalMs }: Second): void {
    // Nothing comes: nothing is known.
    if (receivedBps <= 0) return;
    const load = decodeMs === undefined || intervalMs === undefined ? 0 : decodeMs / intervalMs;
    const room = load > BUSY ? Math.min(FALL, BUSY / load) : queueMs > QUEUE_MS || groupsSkipped > 0 ? FALL : undefined;
    if (room !== undefined) {
      this.wantedBps = Math.max(receivedBps * room, LEAST_BPS);
    } else if (this.wantedBps !== undefined) {
      this.wantedBps *= RISE;
      if (this.wantedBps > receivedBps * ENOUGH) this.wantedBps = undefined;
    }
  }

  restart(): void {
    this.wantedBps = undefined;
  }
}
