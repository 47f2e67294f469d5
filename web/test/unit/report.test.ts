// What the page tells the studio, and what it takes for itself from the same figures.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Estimate } from "../../src/receive/estimate";
import type { ReceiveFigures } from "../../src/receive/messages";
import { Quality } from "../../src/receive/quality";
import { browserName, reportOf, viewerId, type ViewFigures } from "../../src/receive/report";
import { Trips } from "../../src/receive/trips";

const received: ReceiveFigures = {
  counts: {
    bytes: 1e6, datagrams: 10, pictures: 300, picturesLost: 2, groupsSkipped: 1, passedOver: 0, sounds: 0, soundsLost: 0, tiles: 40, tilesLost: 3, fields: 5,
    garbage: 4, connections: 1,
  },
  roundTripMs: 12.3456,
  decoded: 298,
  skipped: 0,
  decodeMs: { p50: 3, p95: Number.NaN },
  keyFrameRequests: 2,
  wantedBps: 3_000_000.4,
};
const view: ViewFigures = {
  name: "x".repeat(200),
  latencyMs: { p50: 48.123, p95: 54 },
  clockOffsetMs: 0,
  displayHz: 60,
  decodedHz: 30,
  generatedHz: 30,
  repeatedHz: 0,
  targetDelayMs: 6,
  wantedPx: 1000,
  gaze: Array.from({ length: 100 }, (_, index) => ({ at: index * 10, yawDeg: index, pitchDeg: -5 })),
};

test("a report has what the wire names, in its ranges", () => {
  const report = reportOf(view, received, { session: "0f", video: "video.0", receivedBps: 8e6 + 0.4, now: 1000 });
  const sent = JSON.parse(JSON.stringify(report)) as Record<string, any>;
  assert.deepEqual(Object.keys(sent).sort(), [
    "clockOffsetMs", "decodedHz", "displayHz", "garbage", "gaze", "generatedHz", "groupsSkipped", "keyFrameRequests", "latencyMs", "pictures",
    "picturesLost", "receivedBps", "repeatedHz", "roundTripMs", "session", "targetDelayMs", "tiles", "tilesLost", "version", "video", "viewer", "wantedBps",
  ], "what is not finite is left out");
  assert.deepEqual([sent["version"], sent["session"], sent["video"], sent["roundTripMs"], sent["wantedBps"]], [1, "0f", "video.0", 12.35, 3_000_000]);
  assert.deepEqual([sent["viewer"].kind, sent["viewer"].name.length], ["browser", 80]);
  assert.deepEqual([sent["gaze"].length, sent["gaze"][63]], [64, [10, 99, -5]], "the newest, as long before the report as they were");
  assert.ok(JSON.stringify(report).length < 16 * 1024);
  const early = JSON.parse(JSON.stringify(reportOf(undefined, received, { session: undefined, video: undefined, receivedBps: 0, now: 0 })));
  assert.ok(!("viewer" in early) && !("session" in early), "what is not known yet is left out");
});

test("a viewer's name is chance, and a browser's is short", () => {
  assert.match(viewerId(), /^[0-9a-f]{16}$/);
  assert.notEqual(viewerId(), viewerId());
  const brands = [{ brand: "Not.A/Brand", version: "8" }, { brand: "Chromium", version: "156" }];
  assert.equal(browserName("", brands, "Linux"), "Chromium 156, Linux");
  assert.equal(browserName("", [...brands, { brand: "Google Chrome", version: "156" }], "Windows"), "Google Chrome 156, Windows");
  assert.equal(browserName("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/26.4 Safari/605", undefined, undefined), "Safari 26, Mac OS X");
  assert.equal(browserName("Mozilla/5.0 (X11; Linux x86_64; Quest 3) OculusBrowser/40.1 Chrome/140", undefined, undefined), "Quest Browser 40, Linux");
  assert.equal(browserName("", undefined, undefined), "browser");
});

const vectors = <T>(name: string): T[] => (JSON.parse(readFileSync(`test/vectors/${name}`, "utf8")) as { cases: T[] }).cases;

test("what is wanted is estimated as the studio's own viewer does", () => {
  type Step = [nowS: number, delaysMs: number[], receivedBps: number, groupsSkipped: number, waiting: number, wantedBps: number | null];
  const cases = vectors<{ name: string; steps: Step[] }>("rate.json");
  assert.ok(cases.length >= 7, `${cases.length} cases`);
  for (const { name, steps } of cases) {
    const estimate = new Estimate();
    for (const [nowS, delaysMs, receivedBps, groupsSkipped, waiting, wantedBps] of steps) {
      for (const delayMs of delaysMs) estimate.note(delayMs);
      assert.equal(estimate.update({ receivedBps, groupsSkipped, waiting }, nowS) ?? null, wantedBps, `${name}, ${nowS} s`);
    }
  }
});

test("renditions are chosen as the studio's own viewer does", () => {
  type Rendition = [track: string, bitrateBps: number, width: number];
  type Step = [nowS: number, ladder: number, wantedBps: number | null, wantedPx: number | null, chosen: string | null];
  const cases = vectors<{ name: string; preferred: string; ladders: Rendition[][]; steps: Step[] }>("quality.json");
  assert.ok(cases.length >= 5, `${cases.length} cases`);
  for (const { name, preferred, ladders, steps } of cases) {
    const quality = new Quality();
    for (const [nowS, ladder, wantedBps, wantedPx, chosen] of steps) {
      const offers = ladders[ladder]!.map(([track, bitrateBps, width]) => ({ track, bitrateBps, width }));
      const room = { wantedBps: wantedBps ?? undefined, wantedPx: wantedPx ?? Infinity };
      assert.equal(quality.choose(offers, preferred, room, nowS) ?? null, chosen, `${name}, ${nowS} s`);
    }
  }
});

test("a clock that is set in the middle is another one", () => {
  const trips = new Trips();
  for (let picture = 0; picture < 50; picture += 1) trips.note(10 + (picture % 7));
  assert.equal(trips.aheadMs(20), 0, "the same clock");
  assert.ok(trips.note(3_600_010));
  assert.equal(trips.aheadMs(20), 3_600_000, "back by an hour");
  assert.ok(trips.note(-20));
  assert.equal(trips.aheadMs(20), 0, "and forth");
});
