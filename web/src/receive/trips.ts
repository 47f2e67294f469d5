// What pictures take from the studio's network to here, by both clocks: the fastest tells how far the clocks are apart.

/** Pictures that are remembered. */
const WINDOW = 100;
/** A picture that takes so much longer than the fastest, in milliseconds, does not wait on the way: a clock was set. */
const JUMP_MS = 5000;

export class Trips {
  private readonly trips: number[] = [];

  note(tripMs: number): void {
    if (tripMs > (this.fastestMs ?? tripMs) + JUMP_MS) this.restart();
    this.trips.push(tripMs);
    if (this.trips.length > WINDOW) this.trips.shift();
  }

  /** The fastest of the last pictures; nothing of none. */
  get fastestMs(): number | undefined {
    return this.trips.length > 0 ? Math.min(...this.trips) : undefined;
  }

  restart(): void {
    this.trips.length = 0;
  }
}
