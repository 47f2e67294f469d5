// What pictures take from the studio's network to here, by both clocks: the fastest tells how far the clocks are apart.

/** Pictures that are remembered. */
const WINDOW = 100;
/** A picture that takes so much longer or shorter than the fastest, in milliseconds, did not wait on the way: a clock was set. */
const JUMP_MS = 5000;
/** Clocks that differ by less, in milliseconds, are taken for the same: the way there may be longer than the way back. */
const SAME_CLOCK_MS = 100;

export class Trips {
  private readonly trips: number[] = [];

  /** Notes what a picture took. Whether a clock was set: what was before does not compare. */
  note(tripMs: number): boolean {
    const jumped = Math.abs(tripMs - (this.fastestMs ?? tripMs)) > JUMP_MS;
    if (jumped) this.restart();
    this.trips.push(tripMs);
    if (this.trips.length > WINDOW) this.trips.shift();
    return jumped;
  }

  /** The fastest of the last pictures; nothing of none. */
  private get fastestMs(): number | undefined {
    return this.trips.length > 0 ? Math.min(...this.trips) : undefined;
  }

  /** How far this machine's clock is ahead of the studio's: the fastest picture came in half a round trip. 0 where they cannot be told apart. */
  aheadMs(roundTripMs: number | undefined): number {
    const { fastestMs } = this;
    if (fastestMs === undefined) return 0;
    const ahead = fastestMs - (roundTripMs ?? 0) / 2;
    return Math.abs(ahead) < SAME_CLOCK_MS ? 0 : ahead;
  }

  restart(): void {
    this.trips.length = 0;
  }
}
