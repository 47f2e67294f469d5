// The page's own logic, without a browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CatalogError, parseCatalog } from "../../src/receive/catalog";
import { LinkError, parseLink } from "../../src/link";
import { deviceRotation, Look } from "../../src/look";
import { GazeLog } from "../../src/gaze";
import { choose, Pace } from "../../src/pace";
import { percentile, Rate } from "../../src/rates";
import { edgesOfProjection, hit, orientation, turned } from "../../src/xr/pose";

const HASH = "0c113bfb5e42b4f2eeb37abc34f0bb986fe5572083cd0c4c16f5b95c2fc5d9e9";

test("the page's address is the stream's", () => {
  const link = parseLink(`http://127.0.0.1:4433/live?token=a%20b%26c#sha256=${HASH}`);
  assert.deepEqual([link.url, link.name, link.sha256?.length], ["https://127.0.0.1:4433/live?token=a%20b%26c", "live", 32]);
  assert.deepEqual(parseLink("https://studio.example/stage/left").sha256, undefined);
  assert.equal(parseLink("https://[::1]:4433/stage/left").url, "https://[::1]:4433/stage/left");
  const elsewhere = parseLink(`http://localhost/?stream=${encodeURIComponent("https://host:99/live?token=t")}#sha256=${HASH}`);
  assert.deepEqual([elsewhere.url, elsewhere.sha256?.[0]], ["https://host:99/live?token=t", 0x0c]);
});

test("a damaged link says what is wrong", () => {
  for (const [address, words] of [
    ["http://127.0.0.1:4433/", /names no stream/],
    ["http://127.0.0.1:4433/live#sha256=12", /damaged/],
    ["http://127.0.0.1:4433/?stream=nonsense", /no address/],
    ["http://127.0.0.1:4433/?stream=http%3A%2F%2Fhost%2Flive", /https/],
  ] as const) {
    assert.throws(() => parseLink(address), (error) => error instanceof LinkError && words.test(error.message), address);
  }
});

function catalogOf(change: (catalog: Record<string, any>) => void): Uint8Array {
  const catalog = {
    video: { renditions: { "video.0": { codec: "h264", codedWidth: 1280, codedHeight: 640, framerate: 30, bitrate: 8e6 }, low: { codec: "avc1.42c01e", codedWidth: 640, codedHeight: 320 } } },
    audio: { renditions: { "audio.0": { codec: "opus", sampleRate: 48000, numberOfChannels: 2, description: "4f70" } } },
    immersive: {
      version: 1,
      session: "0f",
      video: { track: "video.0", codec: "avc1.64001f", projection: { kind: "fisheye", fovDeg: 190 }, stereo: "leftRight" },
      audio: { track: "audio.0" },
      motion: { tiles: ["motion.0", "motion.1"], coarse: "motion.coarse", grid: [40, 20], picture: [1280, 640] },
    },
  };
  change(catalog);
  return new TextEncoder().encode(JSON.stringify(catalog));
}

test("a catalog is read", () => {
  const catalog = parseCatalog(catalogOf(() => {}));
  assert.equal(catalog.session, "0f");
  assert.deepEqual([catalog.video?.codec, catalog.video?.width, catalog.video?.stereo], ["avc1.64001f", 1280, "leftRight"]);
  assert.deepEqual(catalog.video?.projection, { kind: "fisheye", fovDeg: 190 });
  assert.deepEqual(catalog.renditions.map(({ track, codec }) => [track, codec]), [["video.0", "avc1.64001f"], ["low", "avc1.42c01e"]]);
  assert.deepEqual([catalog.audio?.rateHz, [...catalog.audio!.description]], [48000, [0x4f, 0x70]]);
  assert.deepEqual(catalog.motion, { tiles: ["motion.0", "motion.1"], coarse: "motion.coarse" });
  const silent = parseCatalog(catalogOf((root) => delete root["immersive"].video));
  assert.deepEqual([silent.video, silent.renditions], [undefined, []]);
});

test("a hostile catalog is refused in words", () => {
  const hostile: [RegExp, (root: Record<string, any>) => void][] = [
    [/not published by a studio/, (root) => delete root["immersive"]],
    [/another release/, (root) => (root["immersive"].version = 9)],
    [/picture size/, (root) => (root["video"].renditions["video.0"].codedWidth = 4e9)],
    [/picture size/, (root) => (root["video"].renditions["video.0"].codedHeight = "640")],
    [/frame rate/, (root) => (root["video"].renditions["video.0"].framerate = 1e9)],
    [/field of view/, (root) => (root["immersive"].video.projection.fovDeg = -1)],
    [/projection/, (root) => (root["immersive"].video.projection = { kind: "torus" })],
    [/codec/, (root) => (root["immersive"].video.codec = "<img>")],
    [/track/, (root) => (root["immersive"].motion.coarse = "../x")],
    [/motion tracks/, (root) => (root["immersive"].motion.tiles = [])],
    [/motion grid/, (root) => (root["immersive"].motion.grid = [1e9, 1e9])],
    [/sample rate/, (root) => (root["audio"].renditions["audio.0"].sampleRate = 1e9)],
    [/channels/, (root) => (root["audio"].renditions["audio.0"].numberOfChannels = 0)],
    [/rendition/, (root) => (root["immersive"].video.track = "video.9")],
    [/damaged/, (root) => (root["video"] = 7)],
  ];
  for (const [words, change] of hostile) {
    assert.throws(() => parseCatalog(catalogOf(change)), (error) => error instanceof CatalogError && words.test(error.message), String(words));
  }
  assert.throws(() => parseCatalog(new Uint8Array(100_000)), CatalogError);
  assert.throws(() => parseCatalog(new TextEncoder().encode("{")), CatalogError);
});

test("pictures are shown as late as nearly all of them are ready", () => {
  const pace = new Pace();
  // 30 Hz, ready 40 ms after capture, every tenth 25 ms later.
  const interval = 1000 / 30;
  for (let frame = 0; frame < 120; frame += 1) pace.ready(frame * interval, frame * interval + 40 + (frame % 10 === 9 ? 25 : 0));
  assert.ok(Math.abs(pace.intervalMs! - interval) < 1e-6);
  assert.ok(pace.jitterMs > 24 && pace.jitterMs < 26, `${pace.jitterMs}`);
  assert.ok(Math.abs(pace.moment(1065, 1)! - 1000) < 1, "the moment lies 65 ms back");
  assert.ok(Math.abs(pace.moment(1065, 2)! - (1000 - interval / 2)) < 1, "half a frame more where frames are made");
  assert.deepEqual([pace.steps(1000 / 60), pace.steps(1000 / 90), pace.steps(1000 / 24)], [2, 3, 1]);
});

test("few pictures that come very late hold up none of the others", () => {
  const pace = new Pace();
  // Every tenth is 150 ms late: to wait for them would make all that old.
  for (let frame = 0; frame < 120; frame += 1) pace.ready(frame * 33, frame * 33 + 40 + (frame % 5) + (frame % 10 === 9 ? 150 : 0));
  assert.ok(pace.jitterMs < 10, `${pace.jitterMs}`);
  // Every other is, by less: that is the rhythm.
  for (let frame = 120; frame < 240; frame += 1) pace.ready(frame * 33, frame * 33 + 40 + (frame % 2 === 1 ? 60 : 0));
  assert.ok(pace.jitterMs > 55, `${pace.jitterMs}`);
  // No more than can be decoded ahead.
  for (let frame = 240; frame < 480; frame += 1) pace.ready(frame * 33, frame * 33 + 40 + (frame % 2 === 1 ? 390 : 0));
  assert.ok(pace.jitterMs <= 4 * 33 + 1, `${pace.jitterMs}`);
});

test("who joins late gets the pictures since the last key frame at once, and is live right after them", () => {
  const pace = new Pace();
  for (let frame = 0; frame < 60; frame += 1) pace.ready(frame * 33, 2000 + frame);
  for (let frame = 60; frame < 64; frame += 1) pace.ready(frame * 33, frame * 33 + 60);
  assert.ok(Math.abs(pace.moment(5000, 1)! - 4940) < 40, `${pace.moment(5000, 1)}`);
});

test("a clock that jumps begins another time line", () => {
  const pace = new Pace();
  for (let frame = 0; frame < 30; frame += 1) pace.ready(frame * 33, frame * 33 + 20);
  for (let frame = 0; frame < 30; frame += 1) pace.ready(1e9 + frame * 33, 1000 + frame * 33);
  assert.ok(Math.abs(pace.moment(2000, 1)! - (1e9 + 1000)) < 5);
});

test("drift is followed", () => {
  const pace = new Pace();
  // The studio's clock is fast by 100 parts in a million for ten minutes.
  let now = 0;
  for (let frame = 0; frame < 18_000; frame += 1) {
    now = frame * 33 * (1 - 1e-4) + 30;
    pace.ready(frame * 33, now);
  }
  assert.ok(Math.abs(pace.moment(now, 1)! - 17_999 * 33) < 3);
});

test("each received picture is drawn once as it came, and made ones lie between", () => {
  const times = [0, 33.4, 66.7, 100];
  const drawn = (moment: number, may = true) => choose(times, moment, 2, () => may);
  assert.equal(drawn(-1), undefined, "nothing is on yet");
  assert.deepEqual(drawn(1), { current: 0, phase: 1 });
  assert.deepEqual(drawn(17), { previous: 0, current: 1, phase: 0.5 });
  assert.deepEqual(drawn(33.5), { current: 1, phase: 1 });
  assert.deepEqual(drawn(60), { previous: 1, current: 2, phase: 0.5 });
  assert.deepEqual(drawn(60, false), { current: 1, phase: 1 }, "without motion there is nothing to make one from");
  assert.deepEqual(drawn(1e6), { current: 3, phase: 1 }, "late: the newest stays");
  // 60 Hz over 30 Hz: one as it came, one made, and so on.
  const phases = Array.from({ length: 6 }, (_, tick) => choose(times, 2 + tick * 16.7, 2, () => true)?.phase);
  assert.deepEqual(phases, [1, 0.5, 1, 0.5, 1, 0.5]);
});

const along = (rotation: Float32Array, x: number, y: number, z: number): number[] =>
  [0, 1, 2].map((row) => Math.round((rotation[row]! * x + rotation[3 + row]! * y + rotation[6 + row]! * z) * 1e4) / 1e4 + 0);

test("a turned view looks where it was turned", () => {
  const look = new Look();
  look.turn(90, 0);
  assert.deepEqual(along(look.rotation(), 0, 0, -1), [1, 0, 0], "right is +X");
  look.turn(-90, 120);
  assert.deepEqual(along(look.rotation(), 0, 0, -1), [0, 1, 0], "up stops at the zenith");
  look.turn(270, 0);
  look.zoom(500);
  assert.deepEqual([look.yawDeg, look.fovDeg], [-90, 150]);
  look.reset();
  assert.deepEqual([look.yawDeg, look.pitchDeg, look.fovDeg], [0, 0, 90]);
});

test("a device that is held upright looks at the horizon", () => {
  assert.deepEqual(along(deviceRotation(0, 90, 0, 0), 0, 0, -1), [0, 0, -1], "upright, to the north");
  assert.deepEqual(along(deviceRotation(0, 90, 0, 0), 0, 1, 0), [0, 1, 0], "its top is up");
  assert.deepEqual(along(deviceRotation(90, 90, 0, 0), 0, 0, -1), [-1, 0, 0], "turned to the left");
  assert.deepEqual(along(deviceRotation(0, 0, 0, 0), 0, 0, -1), [0, -1, 0], "flat on the table, it looks down");
  assert.deepEqual(along(deviceRotation(0, 0, -90, 90), 0, 1, 0), [0, 1, 0], "on its side, the screen's top is up");
});

test("a headset's view is known by its projection", () => {
  // 45° to the left, 40° to the right, 50° up, 35° down; near 0.1, far 100.
  const [l, r, u, d] = [45, 40, 50, 35].map((deg) => Math.tan((deg * Math.PI) / 180)) as [number, number, number, number];
  const matrix = new Float32Array([2 / (l + r), 0, 0, 0, 0, 2 / (u + d), 0, 0, (r - l) / (l + r), (u - d) / (u + d), -1, -1, 0, 0, -0.2, 0]);
  edgesOfProjection(matrix).forEach((edge, index) => assert.ok(Math.abs(edge - [l, r, u, d][index]!) < 1e-5));
});

test("rates and percentiles", () => {
  const rate = new Rate();
  for (let second = 0; second <= 4; second += 0.5) rate.note(second * 30, second * 1000);
  assert.equal(rate.note(150, 5000), 30);
  assert.equal(percentile([], 0.5), undefined);
  assert.deepEqual([percentile([3, 1, 2], 0.5), percentile([3, 1, 2], 0.95)], [2, 3]);
});

test("where a view looks is noted ten times a second, and told once", () => {
  const [log, look] = [new GazeLog(), new Look()];
  look.turn(30, -20);
  for (let ms = 0; ms < 1000; ms += 16) log.note(look.rotation(), ms);
  const told = log.take();
  assert.ok(told.length >= 8 && told.length <= 10, `${told.length}`);
  assert.ok(Math.abs(told[3]!.yawDeg - 30) < 1e-3 && Math.abs(told[3]!.pitchDeg + 20) < 1e-3);
  assert.deepEqual(log.take(), []);
  for (let ms = 0; ms < 1e5; ms += 16) log.note(look.rotation(), 1000 + ms);
  assert.equal(log.take().length, 64, "no more than a report has room for");
});

test("a ray meets the panel where it points", () => {
  // To the right by 90 degrees, two metres away: at +X.
  const board = { centre: [2, 0, 0] as [number, number, number], yaw: Math.PI / 2, width: 1, height: 0.5 };
  const looking = (yaw: number, y = 0): Float32Array => {
    const [a, b, c, d, e, f, g, h, i] = turned(-yaw) as unknown as [number, number, number, number, number, number, number, number, number];
    return new Float32Array([a, b, c, 0, d, e, f, 0, g, h, i, 0, 0, y, 0, 1]);
  };
  const near = (at: [number, number] | undefined, wanted: [number, number]): void => wanted.forEach((value, index) => assert.ok(Math.abs(at![index]! - value) < 1e-4, `${at}`));
  near(hit(looking(Math.PI / 2), board), [0.5, 0.5]);
  near(hit(looking(Math.PI / 2, 0.2), board), [0.5, 0.1]);
  near(hit(looking(Math.PI / 2 + Math.atan(0.2)), board), [0.9, 0.5]);
  assert.equal(hit(looking(0), board), undefined, "beside it");
  assert.equal(hit(looking(-Math.PI / 2), board), undefined, "behind");
  // A half turn about Y, the other way round.
  const { y, w } = orientation(Math.PI / 2);
  assert.ok(Math.abs(y! + Math.SQRT1_2) < 1e-9 && Math.abs(w! - Math.SQRT1_2) < 1e-9);
});

test("pictures are chosen as the studio's own viewer chooses them", () => {
  type Picked = [number | null, number, number] | null;
  type Event = ["ready", number, number] | ["ask", number, number, boolean, Picked];
  interface Case { name: string; events: Event[]; jitterMs: number; intervalMs: number | null; steps: number; targetMs?: number }
  const { cases } = JSON.parse(readFileSync("test/vectors/pace.json", "utf8")) as { cases: Case[] };
  // The page has no setting for the delay.
  const ours = cases.filter((one) => one.targetMs === undefined || one.targetMs === null);
  assert.ok(ours.length >= 7, `${ours.length} cases`);
  for (const { name, events, jitterMs, intervalMs, steps } of ours) {
    const [pace, pictures]: [Pace, number[]] = [new Pace(), []];
    events.forEach((event, index) => {
      if (event[0] === "ready") {
        pace.ready(event[1], event[2]);
        // Another time line has other pictures.
        if (pictures.length > 0 && pictures.at(-1)! >= event[1]) pictures.length = 0;
        pictures.push(event[1]);
        return;
      }
      const moment = pace.moment(event[1], event[2]);
      const choice = moment === undefined ? undefined : choose(pictures, moment, event[2], () => event[3]);
      const found = choice && [choice.previous === undefined ? null : pictures[choice.previous]!, pictures[choice.current]!, choice.phase];
      assert.deepEqual(found ?? null, event[4], `${name}, event ${index}`);
    });
    assert.ok(Math.abs(pace.jitterMs - jitterMs) < 0.002, `${name}: ${pace.jitterMs} ms, not ${jitterMs}`);
    assert.ok(intervalMs === null || Math.abs(pace.intervalMs! - intervalMs) < 0.002, name);
    assert.equal(pace.steps(1000 / 60), steps, name);
  }
});
