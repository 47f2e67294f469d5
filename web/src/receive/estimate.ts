// What a viewer can take, in bits a second, from what arrives and how: nobody sends more than the stream to find out.
//
// Delay-based, as Google Congestion Control (draft-ietf-rmcat-gcc §5): the fastest quarter of a second's pictures (chance losses
// hold up single ones) is compared with the fastest of the last half minute; what it is slower by is a queue on the way. A queue,
// skipped groups or a decoder that is behind lower the wish below what arrived; it rises again slowly. A wish far above what is
// sent says nothing: there is no opinion then.
//
// The studio's own viewer does the same (`studio_stream`'s `subscribe::rate`); `test/vectors/rate.json` holds both to it.

/** A queue that is too long, and one up to which there may be room for more, in milliseconds. */
const [QUEUE_HIGH_MS, QUEUE_LOW_MS] = [60, 25];
/** The wish after a sign of trouble, of what arrived, and how it rises in a second without one. */
const [DOWN, UP] = [0.85, 1.08];
/** A wish that is so many times what arrives is none. */
const NO_LIMIT = 4;
/** After the wish was lowered the queue gets so long to empty, in seconds. */
const PATIENCE_S = 1.5;
/** Seconds that the fastest picture is remembered. */
const BASELINE_SECONDS = 30;
/** The first seconds, in which a late joiner gets the past. */
const JOINING_SECONDS = 2;
/** Pictures of a second that are looked at, at most. */
const MAX_PICTURES = 1024;
/** Coded pictures that wait for the decoder, beyond which it is behind. */
const DECODER_BEHIND = 12;
/** No wish is lower, in bits a second. */
const LEAST_BPS = 50_000;

/** What was seen since the last estimate. */
export interface Seen {
  receivedBps: number;
  /** Groups that were skipped or broke off, so far. */
  groupsSkipped: number;
  /** Coded pictures that wait for the decoder. */
  waiting: number;
}

/** Watches the seconds go by. */
export class Estimate {
  /** What the viewer believes it can take; nothing where it has no opinion. */
  wantedBps: number | undefined;
  /** How long the pictures of the last second waited on the way. */
  queueMs = 0;
  private delaysMs: number[] = [];
  private fastestMs: number[] = [];
  private loweredAtS = -Infinity;
  private groupsSkipped = 0;
  private seconds = 0;

  /** Notes what a picture took on the way; the clocks' difference may be in it. */
  note(delayMs: number): void {
    if (this.delaysMs.length < MAX_PICTURES) this.delaysMs.push(delayMs);
  }

  /** The estimate, once a second, `nowS` by one steady clock. */
  update({ receivedBps, groupsSkipped, waiting }: Seen, nowS: number): number | undefined {
    const skipped = groupsSkipped > this.groupsSkipped;
    this.groupsSkipped = groupsSkipped;
    const delays = this.delaysMs.sort((a, b) => a - b);
    const [fastest, quarter] = [delays[0], delays[delays.length >> 2]];
    this.delaysMs = [];
    // Nothing came: nothing is known.
    if (fastest === undefined || quarter === undefined) return this.wantedBps;
    if (this.fastestMs.length === BASELINE_SECONDS) this.fastestMs.shift();
    this.fastestMs.push(fastest);
    const queueMs = quarter - Math.min(...this.fastestMs);
    this.queueMs = queueMs;
    this.seconds += 1;
    if (this.seconds <= JOINING_SECONDS) return undefined;
    const wanted = this.wantedBps ?? receivedBps;
    const waits = nowS - this.loweredAtS < PATIENCE_S;
    const behind = waiting > DECODER_BEHIND;
    if ((skipped || behind || queueMs > QUEUE_HIGH_MS) && !waits) {
      this.loweredAtS = nowS;
      this.wantedBps = Math.max(Math.min(wanted, receivedBps * DOWN), LEAST_BPS);
    } else if (this.wantedBps !== undefined && queueMs < QUEUE_LOW_MS && !skipped && !behind && !waits) {
      this.wantedBps = wanted * UP < receivedBps * NO_LIMIT ? wanted * UP : undefined;
    }
    return this.wantedBps;
  }

  /** Another clock or another stream: delays do not compare with those before. */
  restart(): void {
    this.wantedBps = undefined;
    this.delaysMs = [];
    this.fastestMs = [];
    this.loweredAtS = -Infinity;
    this.queueMs = this.seconds = 0;
  }
}
