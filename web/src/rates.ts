// Counting what happens in a second, and percentiles.

/** Times over which rates are measured where nothing else is said. */
const WINDOW_MS = 2000;

/** How fast a counter grows. */
export class Rate {
  private readonly samples: { at: number; value: number }[] = [];

  constructor(private readonly windowMs = WINDOW_MS) {}

  /** Notes the counter's value at a moment and gives its growth in a second. */
  note(value: number, now: number): number {
    // A counter that starts anew is another one.
    if (value < (this.samples.at(-1)?.value ?? 0)) this.samples.length = 0;
    this.samples.push({ at: now, value });
    while (this.samples.length > 2 && now - this.samples[0]!.at > this.windowMs) this.samples.shift();
    const first = this.samples[0]!;
    return now > first.at ? ((value - first.value) * 1000) / (now - first.at) : 0;
  }
}

/** The value that a share of the values does not exceed; nothing of nothing. */
export function percentile(values: readonly number[], share: number): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.max(Math.ceil(sorted.length * share) - 1, 0), sorted.length - 1)];
}
