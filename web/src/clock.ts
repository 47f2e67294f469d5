// One steady clock for the page and its worker, whose own clocks begin at different moments.

let offsetMs = 0;

/** Makes `now` tell the time since `originMs`, another global scope's `performance.timeOrigin`. */
export function follow(originMs: number): void {
  offsetMs = performance.timeOrigin - originMs;
}

/** Milliseconds since the page's own `performance.timeOrigin`, wherever this is called. */
export function now(): number {
  return performance.now() + offsetMs;
}
