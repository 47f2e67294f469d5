// What the page tells the studio, and what it takes for itself from the same figures.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { VideoTrack } from "../../src/receive/catalog";
import { Estimate } from "../../src/receive/estimate";
import type { ReceiveFigures } from "../../src/receive/messages";
import { Quality } from "../../src/receive/quality";
import { browserName, reportOf, viewerId, type ViewFigures } from "../../src/receive/report";
import { Trips } from "../../src/receive/trips";

const received: ReceiveFigures = {
  counts: {
    bytes: 1e6, datagrams: 10, pictures: 300, picturesLost: 2, groupsSkipped: 1, sounds: 0, soundsLost: 0, tiles: 40, tilesLost: 3, fields: 5,
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

test("trouble on the way lowers what is wanted, calm raises it, plenty is no opinion", () => {
  const estimate = new Estimate();
  const second = { receivedBps: 8e6, queueMs: 2, groupsSkipped: 0, decodeMs: 5, intervalMs: 33 };
  estimate.note(second);
  assert.equal(estimate.wantedBps, undefined);
  estimate.note({ ...second, queueMs: 120 });
  assert.equal(estimate.wantedBps, 6.8e6);
  estimate.note({ ...second, receivedBps: 6e6, groupsSkipped: 1 });
  assert.equal(estimate.wantedBps, 5.1e6);
  estimate.note({ ...second, receivedBps: 4e6 });
  assert.ok(Math.abs(estimate.wantedBps! - 5.508e6) < 1);
  for (let seconds = 0; seconds < 4; seconds += 1) estimate.note({ ...second, receivedBps: 4e6 });
  assert.equal(estimate.wantedBps, undefined, "far above what is sent");
  estimate.note({ ...second, decodeMs: 66 });
  assert.ok(Math.abs(estimate.wantedBps! - 8e6 * 0.45) < 1, "a decoder that takes twice the time can take half");
  estimate.note({ ...second, receivedBps: 0, queueMs: 500 });
  assert.ok(estimate.wantedBps! > 1e6, "nothing came: nothing is known");
});

const track = (name: string, width: number, bitrateBps: number): VideoTrack => ({
  track: name, codec: "avc1.64001f", width, height: width / 2, frameRateHz: 30, bitrateBps, projection: { kind: "equirectangular" }, stereo: "mono",
});
const tracks = [track("high", 3840, 20e6), track("middle", 1920, 8e6), track("low", 960, 2e6)];

test("the rendition that fits is chosen, and a better one not too soon", () => {
  const quality = new Quality();
  const wide = { wantedBps: undefined, wantedPx: 5000 };
  assert.equal(quality.choose(tracks, "high", wide, 0), "high", "what the studio prefers");
  assert.equal(quality.choose(tracks, "high", { ...wide, wantedBps: 5e6 }, 1), "low", "the largest below what is wanted");
  for (let second = 2; second < 9; second += 1) assert.equal(quality.choose(tracks, "high", wide, second), "low", `calm for ${second - 1} s`);
  assert.equal(quality.choose(tracks, "high", wide, 9), "middle");
  for (let second = 10; second < 60; second += 1) assert.equal(quality.choose(tracks, "high", wide, second), "middle", "the high one did not fit a moment ago");
  let second = 60;
  while (quality.choose(tracks, "high", wide, second) === "middle") assert.ok((second += 1) < 80);
  assert.equal(quality.choose(tracks, "high", wide, second + 1), "high", "a minute later it is tried again");
});

test("a small view gets no more than it shows", () => {
  const quality = new Quality();
  const phone = { wantedBps: undefined, wantedPx: 1200 };
  const seen = Array.from({ length: 20 }, (_, second) => quality.choose(tracks, "high", phone, second));
  assert.deepEqual([seen[0], seen.at(-1)], ["middle", "middle"]);
  assert.equal(quality.choose([], undefined, phone, 21), undefined);
});

test("a clock that is set in the middle is another one", () => {
  const trips = new Trips();
  for (let picture = 0; picture < 50; picture += 1) trips.note(10 + (picture % 7));
  assert.equal(trips.aheadMs(20), 0, "the same clock");
  trips.note(3_600_010);
  assert.equal(trips.aheadMs(20), 3_600_000, "back by an hour");
  assert.equal(trips.takeQueueMs(), 0, "nothing waits on the way");
  trips.note(-20);
  assert.equal(trips.aheadMs(20), 0, "and forth");
  assert.equal(trips.takeQueueMs(), 0);
});
