// When the page got how far, from the moment the link was opened: marks that a browser's own tools show too.

/** What has to happen before a picture is seen, in this order. */
export const MILESTONES = ["scripts run", "connected", "stream described", "first picture here", "first picture decoded", "first picture drawn"] as const;
export type Milestone = (typeof MILESTONES)[number];

const passed = new Set<Milestone>();

/** Marks a milestone, the first time, at a moment by `performance.now()`. */
export function pass(milestone: Milestone, at = performance.now()): void {
  if (passed.has(milestone)) return;
  passed.add(milestone);
  performance.mark(milestone, { startTime: Math.max(at, 0) });
}
