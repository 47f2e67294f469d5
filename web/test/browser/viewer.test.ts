// The page in a real browser, watching a real studio.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { choose, freePort, open, pattern, shot, sleep, stats, studio, until, useBrowser, watching, words } from "./support";
import { encodePng } from "./png";

useBrowser();

function psnrDb(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [sum, count] = [0, 0];
  for (let index = 0; index < a.length; index += 1) {
    if (index % 4 === 3) continue;
    sum += (a[index]! - b[index]!) ** 2;
    count += 1;
  }
  return 10 * Math.log10((255 * 255) / Math.max(sum / count, 1e-9));
}

test("frames come in order and at the stream's rate, sound with them", { timeout: 180_000 }, async () => {
  const rateHz = 15;
  await watching({ source: pattern(640, 320, rateHz), rateHz, sound: "Sine" }, async ({ page }) => {
    await page.evaluate(() => globalThis.eyes.watch());
    await sleep(1000);
    await page.evaluate(() => (globalThis.eyes.sights.length = 0));
    await sleep(6000);
    const sights = await page.evaluate(() => globalThis.eyes.sights);
    const marks = sights.map((sight) => sight.mark);
    assert.ok(marks.every((mark) => mark !== undefined), "the mark is read in every picture");
    assert.deepEqual(sights.map((sight) => sight.frameId), marks, "the stamp is the picture's own");
    marks.reduce((last, mark) => {
      assert.ok(mark! > last!, `${mark} after ${last}`);
      return mark;
    });
    const seconds = (sights.at(-1)!.at - sights[0]!.at) / 1000;
    const sentHz = (marks.at(-1)! - marks[0]!) / seconds;
    assert.ok(Math.abs(sentHz - rateHz) < rateHz * 0.12, `${sentHz.toFixed(1)} frames of the stream a second`);
    assert.ok(sights.length / seconds > rateHz * 0.6, `${(sights.length / seconds).toFixed(1)} drawn a second`);
    const ages = sights.map((sight) => sight.markAgeMs!).sort((a, b) => a - b);
    console.log(`glass to glass by the mark: p50 ${ages[ages.length >> 1]!.toFixed(0)} ms, p95 ${ages[Math.floor(ages.length * 0.95)]!.toFixed(0)} ms`);
    const figures = await stats(page);
    console.log(`first picture ${figures.firstPictureMs!.toFixed(0)} ms after the page was opened`);
    console.log(`${figures.soundPlayed} blocks of sound, ${figures.soundSteps} steps`);
    assert.ok(figures.soundPlayed > 250, `${figures.soundPlayed} blocks of sound`);
    assert.ok(figures.soundSteps < figures.soundPlayed / 4, `${figures.soundSteps} steps in ${figures.soundPlayed} blocks of sound`);
    assert.equal(figures.garbage, 0);
    await page.keyboard.press("h");
    await sleep(700);
    await shot(page, "flat");
    assert.match(await page.evaluate(() => document.getElementById("hud")!.innerText), /latency[\s\S]*ms/);
  });
});

test("the picture is the one that was sent", { timeout: 180_000 }, async () => {
  const [width, height] = [640, 320];
  const source = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const box = Math.hypot(x - 420, y - 150) < 80;
      const color = box ? [230, 60, 40] : [40 + 150 * (x / width), 60 + 140 * (y / height), 128 + 60 * Math.sin(x / 25) * Math.cos(y / 31)];
      color.forEach((value, channel) => (source[(y * width + x) * 3 + channel] = Math.round(value)));
    }
  }
  const still = `(kind: "StillInput", settings: (path: "still.png", picture: (rate_hz: Some(10.0))))`;
  await watching({ source: still, rateHz: 10, bitrateBps: 12_000_000 }, async ({ page }) => {
    await until("some pictures", async () => (await stats(page))?.shown > 15);
    const seen = await page.evaluate(() => globalThis.eyes.picture("decoded"));
    const sent = new Uint8Array(width * height * 4);
    for (let index = 0; index < width * height; index += 1) sent.set([...source.subarray(index * 3, index * 3 + 3), 255], index * 4);
    const db = psnrDb(seen.rgba, sent);
    console.log(`the picture on the canvas against the one that was sent: ${db.toFixed(1)} dB`);
    assert.ok(db >= 33, `${db.toFixed(1)} dB`);
    await shot(page, "still");
    // As a sphere: what lies ahead is the middle of the picture, and the view turns by keys and mouse.
    const middle = async (): Promise<number[]> => {
      const { width: w, height: h, rgba } = await page.evaluate(() => globalThis.eyes.picture());
      return rgba.slice((Math.floor(h / 2) * w + Math.floor(w / 2)) * 4, (Math.floor(h / 2) * w + Math.floor(w / 2)) * 4 + 3);
    };
    const near = (x: number, y: number, color: number[]): void => {
      const at = (y * width + x) * 3;
      const off = Math.max(...color.map((value, channel) => Math.abs(value - source[at + channel]!)));
      assert.ok(off < 14, `${color} where ${[...source.subarray(at, at + 3)]} lies`);
    };
    await choose(page, ["projection", "equirectangular"]);
    near(width / 2, height / 2, await middle());
    await page.mouse.move(320, 100);
    await page.mouse.down();
    await page.mouse.move(320 - 213, 100, { steps: 4 });
    await page.mouse.up();
    // A third of the width is 30 of the 90 degrees: 30/360 of the picture.
    near(Math.round(width * (0.5 + 30 / 360)), height / 2, await middle());
    await page.mouse.wheel(0, 500);
    await shot(page, "sphere");
    await page.keyboard.press("r");
    near(width / 2, height / 2, await middle());
  }, { files: { "still.png": encodePng(width, height, source) } });
});

test("a clap is heard when it is seen", { timeout: 180_000 }, async () => {
  await watching({ source: pattern(320, 160, 15, true), rateHz: 15, sound: "Clap" }, async ({ page }) => {
    await until("a picture", async () => (await stats(page))?.shown > 15);
    await page.evaluate(() => globalThis.eyes.watch());
    await sleep(9000);
    const { sights, heard } = await page.evaluate(() => ({ sights: globalThis.eyes.sights, heard: globalThis.eyes.heard }));
    const flashes = sights.filter((sight, index) => sight.white && !sights[index - 1]?.white);
    const claps = heard.filter(({ loud }, index) => loud && !heard[index - 1]?.loud);
    assert.ok(flashes.length >= 4 && claps.length >= 4, `${flashes.length} flashes, ${claps.length} claps`);
    const apart = flashes.map((flash) => claps.map((clap) => clap.at - flash.at).reduce((best, each) => (Math.abs(each) < Math.abs(best) ? each : best)));
    apart.sort((a, b) => a - b);
    const median = apart[apart.length >> 1]!;
    console.log(`the clap is heard ${median.toFixed(0)} ms after the flash is drawn (median of ${apart.length}, ${apart[0]!.toFixed(0)} to ${apart.at(-1)!.toFixed(0)})`);
    // ITU-R BT.1359: noticed from 45 ms early to 125 ms late.
    assert.ok(median > -45 && median < 125, `${median.toFixed(0)} ms`);
  }, { viewport: { width: 320, height: 160 } });
});

test("sound is heard from the start on, however long the page took to begin", { timeout: 180_000 }, async () => {
  const slow = (page: Page): Promise<unknown> =>
    page.addInitScript(() => {
      document.addEventListener("DOMContentLoaded", () => {
        const until = performance.now() + 4000;
        while (performance.now() < until);
      });
    });
  await watching({ source: pattern(320, 160, 15), rateHz: 15, sound: "Sine" }, async ({ page }) => {
    await sleep(1000);
    const { length: before } = await page.evaluate(() => globalThis.eyes.heard);
    await sleep(2000);
    const { heard, now } = await page.evaluate(() => ({ heard: globalThis.eyes.heard, now: performance.now() }));
    assert.ok(heard.length > before + 75, `${heard.length - before} of 100 blocks in two seconds`);
    const lateMs = heard.at(-1)!.at - now;
    assert.ok(Math.abs(lateMs) < 1000, `the last one is heard ${lateMs.toFixed(0)} ms from now`);
  }, { before: slow, viewport: { width: 320, height: 160 } });
});

test("tiles arrive, and made frames lie between their neighbours", { timeout: 240_000 }, async () => {
  const rateHz = 10;
  await watching({ source: pattern(320, 160, rateHz), rateHz, motion: true }, async ({ page }) => {
    await until("motion", async () => (await stats(page))?.fields > 10);
    await until("made frames", async () => (await stats(page)).generated > 10);
    await page.evaluate(() => globalThis.eyes.watch());
    const triple = await page.evaluate(() => globalThis.eyes.triple());
    const [before, made, following] = triple.pictures as [number[], number[], number[]];
    const [whole, first, second] = [psnrDb(before, following), psnrDb(before, made), psnrDb(made, following)];
    console.log(`phase ${triple.phases[1]}: neighbours ${whole.toFixed(1)} dB apart, the made frame ${first.toFixed(1)} and ${second.toFixed(1)} dB from them`);
    assert.ok(triple.phases[1]! > 0 && triple.phases[1]! < 1);
    assert.ok(first > whole && second > whole, "it is nearer to each of them than they are to one another");
    await sleep(3000);
    const sights = await page.evaluate(() => globalThis.eyes.sights);
    for (const sight of sights.filter((each) => each.previousFrameId !== undefined)) {
      assert.ok(sight.phase > 0 && sight.phase < 1 && sight.previousFrameId! < sight.frameId);
    }
    assert.ok(sights.some((sight) => sight.previousFrameId === undefined), "received pictures are drawn too");
    const { tiles, tilesLost, garbage } = await stats(page);
    assert.ok(tiles > 10 && tilesLost < tiles * 0.2 && garbage === 0, `${tilesLost} of ${tiles} tiles lost, ${garbage} not understood`);
    // Off, there are none.
    await page.keyboard.press("g");
    await page.keyboard.press("g");
    await sleep(500);
    const { generated } = await stats(page);
    await sleep(1500);
    assert.equal((await stats(page)).generated, generated);
  }, { viewport: { width: 320, height: 160 } });
});

test("the page connects again when the studio was started anew", { timeout: 240_000 }, async () => {
  const settings = { port: await freePort(), source: pattern(320, 160, 10), rateHz: 10 };
  const first = await studio(settings);
  const { page, errors } = await open(first.link, { viewport: { width: 320, height: 160 } });
  await until("a picture", async () => (await stats(page))?.shown > 5);
  const { session } = await stats(page);
  await first.stop();
  await until("words that it is gone", async () => /tries again/.test(await words(page)));
  await shot(page, "away");
  const second = await studio(settings);
  assert.notEqual(second.link, first.link, "another certificate");
  await until("pictures of the new session", async () => {
    const now = await stats(page);
    return now.session !== session && now.connection === "connected" && now.receivedHz > 0;
  });
  const { shown } = await stats(page);
  await until("that they go on", async () => (await stats(page)).shown > shown + 5);
  assert.equal(await words(page), "", "nothing stands over the picture");
  assert.deepEqual(errors, []);
  await page.close();
  await second.stop();
});

test("a hidden page receives no pictures, and goes on when it is seen again", { timeout: 180_000 }, async () => {
  await watching({ source: pattern(320, 160, 10), rateHz: 10, sound: "Sine" }, async ({ page }) => {
    const see = (state: string) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "visibilityState", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, state);
    await see("hidden");
    await sleep(1000);
    const hidden = await stats(page);
    await sleep(2000);
    const later = await stats(page);
    assert.ok(later.received <= hidden.received + 1, `${later.received - hidden.received} pictures came`);
    assert.ok(later.soundPlayed > hidden.soundPlayed, "who turned to another page still listens");
    await see("visible");
    await until("pictures", async () => (await stats(page)).shown > later.shown + 5);
  }, { viewport: { width: 320, height: 160 } });
});

test("a stream that changes its size and its codec in the middle is followed", { timeout: 180_000 }, async () => {
  await watching({ source: pattern(320, 160, 10), rateHz: 10, motion: true }, async ({ page, studio: running }) => {
    running.change({ source: pattern(640, 320, 10) });
    await until("the larger picture", async () => (await stats(page)).width === 640);
    await page.evaluate(() => globalThis.eyes.watch());
    await until("its mark", async () => (await page.evaluate(() => globalThis.eyes.sights)).some((sight) => sight.mark !== undefined && sight.phase === 1));
    running.change({ source: pattern(640, 320, 10), codec: "Av1" });
    await until("AV1", async () => /^av01/.test((await stats(page)).codec));
    const { shown } = await stats(page);
    await until("its pictures", async () => (await stats(page)).shown > shown + 5);
    assert.equal((await stats(page)).connections, 1, "in one session");
  });
});
