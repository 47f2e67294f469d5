// What a studio, a relay or a network may do in the middle of a stream: the picture comes back, and live.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { Relay, type Harm } from "./relay";
import { forget, longestMs, pattern, shot, sights, sleep, stats, until, useBrowser, watching, words } from "./support";

useBrowser();

/** The picture must be back after so long. */
const BACK_MS = 2000;
const RATE_HZ = 15;
const STREAM = { source: pattern(320, 160, RATE_HZ), rateHz: RATE_HZ, keyFrames: 600 };
const SIZE = { viewport: { width: 320, height: 160 } };

/** Memory of this process' browsers, in bytes. */
function browserBytes(): number {
  const processes = readdirSync("/proc").flatMap((id) => {
    try {
      const [, parent] = /\) \S (\d+) /.exec(readFileSync(`/proc/${id}/stat`, "utf8"))!;
      return [{ id, parent: parent!, pages: Number(readFileSync(`/proc/${id}/statm`, "utf8").split(" ")[1]) }];
    } catch {
      return [];
    }
  });
  const below = (id: string): number => processes.filter(({ parent }) => parent === id).reduce((sum, each) => sum + each.pages * 4096 + below(each.id), 0);
  return below(String(process.pid));
}

let relay: Relay;
const byRelay = { ...SIZE, link: async (studio: Parameters<typeof Relay.start>[0]) => (relay = await Relay.start(studio)).link };

/** Harms pictures again and again; each time they must be back in time, and the browser as small as before. */
async function harmed(page: Page, harms: readonly Harm[]): Promise<void> {
  await page.evaluate(() => globalThis.eyes.watch());
  let [before, level] = [await stats(page), 0];
  for (const round of [0, 1, 2]) {
    for (const harm of harms) {
      relay.harm("pictures", harm, 3);
      await sleep(3000 / RATE_HZ);
      await forget(page);
      // Not one picture, but as many in a row as come in a third of a second.
      const good = async (): Promise<boolean> => (await sights(page)).slice(-RATE_HZ / 3).filter(({ mark, frameId }) => mark === frameId).length >= RATE_HZ / 3;
      await until(`pictures after ${harm}`, good, BACK_MS);
      const now = await stats(page);
      const [asked, garbage] = [now.keyFrameRequests - before.keyFrameRequests, now.garbage - before.garbage];
      if (round === 0) console.log(`${harm}: ${asked} key frames asked, ${garbage} not understood`);
      before = now;
      assert.equal(await words(page), "");
    }
    if (round === 0) level = browserBytes();
  }
  const grown = (browserBytes() - level) / 2 ** 20;
  console.log(`the browser's memory grew by ${grown.toFixed(0)} MiB meanwhile`);
  assert.ok(grown < 60, `${grown.toFixed(0)} MiB`);
  assert.equal((await stats(page)).connections, 1, "in one session");
}

test("damaged pictures that are known as such are got over by a key frame that is asked for", { timeout: 300_000 }, () =>
  watching(STREAM, ({ page }) => harmed(page, ["head", "empty", "noise", "twice", "swap"]), byRelay));

test("damage that the decoder conceals is over with the next key frame", { timeout: 300_000 }, () =>
  watching({ ...STREAM, keyFrames: RATE_HZ }, ({ page }) => harmed(page, ["flip", "cut"]), byRelay));

test("damaged motion holds no picture up", { timeout: 180_000 }, () =>
  watching(
    { ...STREAM, motion: true },
    async ({ page }) => {
      await until("made frames", async () => (await stats(page)).generated > 5);
      await page.evaluate(() => globalThis.eyes.watch());
      for (const harm of ["flip", "head", "cut", "empty", "noise", "twice", "swap"] satisfies Harm[]) {
        relay.harm("tiles", harm, 15);
        relay.harm("coarse", harm, 15);
        await forget(page);
        await sleep(1500);
        const longest = await longestMs(page);
        assert.ok(longest < 1000, `${harm}: a picture stood for ${longest.toFixed(0)} ms`);
      }
      const { garbage, generated } = await stats(page);
      assert.ok(garbage > 20, `${garbage} not understood`);
      await until("made frames again", async () => (await stats(page)).generated > generated + 5);
      assert.equal(await words(page), "");
    },
    byRelay,
  ));

test("sound goes on after loss and damage, at its time", { timeout: 180_000 }, () =>
  watching(
    { ...STREAM, sound: "Sine" },
    async ({ page }) => {
      await until("sound", async () => (await stats(page)).soundPlayed > 100);
      // A packet lost, some, and many; and what a decoder may choke on.
      const harms: [Harm, number][] = [["drop", 1], ["drop", 7], ["drop", 90], ["flip", 5], ["head", 5], ["cut", 5], ["empty", 5], ["noise", 5], ["twice", 5], ["swap", 5]];
      for (const [harm, count] of harms) {
        relay.harm("sound", harm, count);
        await sleep(count * 20 + 1000);
        const before = await stats(page);
        await sleep(1500);
        const { figures, last, now } = await page.evaluate(() => ({ figures: globalThis.eyes.stats()!, last: globalThis.eyes.heard.at(-1)!.at, now: performance.now() }));
        const [blocks, steps] = [figures.soundPlayed - before.soundPlayed, figures.soundSteps - before.soundSteps];
        assert.ok(blocks > 50, `${harm} ${count}: ${blocks} of 75 blocks were heard`);
        assert.ok(steps <= blocks / 5, `${harm} ${count}: ${steps} steps in ${blocks} blocks`);
        assert.ok(Math.abs(last - now) < 400, `${harm} ${count}: the last block is heard ${(last - now).toFixed(0)} ms from now`);
      }
      assert.equal(await words(page), "");
    },
    byRelay,
  ));

test("a clock that is set in the middle stops nothing", { timeout: 180_000 }, () =>
  watching(
    { ...STREAM, sound: "Sine" },
    async ({ page }) => {
      await page.evaluate(() => globalThis.eyes.watch(3));
      await sleep(4000);
      const before = await stats(page);
      // The studio's clock, by minutes forwards and back; the viewer's stands to it the other way round.
      for (const minutes of [5, -7, 0]) {
        relay.shift(minutes * 60_000);
        await forget(page);
        await sleep(3000);
        const [longest, now] = [await longestMs(page), await stats(page)];
        assert.ok(longest < 1000, `${minutes} min: a picture stood for ${longest.toFixed(0)} ms`);
        const off = now.clockAheadMs + minutes * 60_000;
        assert.ok(Math.abs(off) < 1000, `the clock is found to be ${now.clockAheadMs} ms ahead`);
        const { p50, p95 } = now.ageMs;
        console.log(`clock set by ${minutes} min: latency p50 ${p50!.toFixed(0)}, p95 ${p95!.toFixed(0)} ms; before ${before.ageMs.p50!.toFixed(0)}, ${before.ageMs.p95!.toFixed(0)}`);
        assert.ok(p50! > 0 && p95! < before.ageMs.p95! + 500, `p50 ${p50}, p95 ${p95} ms`);
      }
      assert.ok((await stats(page)).soundPlayed > before.soundPlayed + 200, "sound goes on");
      assert.equal(await words(page), "");
    },
    byRelay,
  ));

test("a studio that stands still for seconds is waited for, and then seen live", { timeout: 180_000 }, () =>
  watching(
    STREAM,
    async ({ page, studio }) => {
      await page.evaluate(() => globalThis.eyes.watch());
      studio.process.kill("SIGSTOP");
      await until("the word", async () => (await page.locator("#state").innerText()) === "waiting for pictures", 4000);
      await sleep(2000);
      await shot(page, "still-studio");
      studio.process.kill("SIGCONT");
      await forget(page);
      await until("pictures", async () => (await sights(page)).length > RATE_HZ, 3000);
      await until("the word", async () => (await page.locator("#state").innerText()) === "live", 2000);
      await sleep(1000);
      const last = (await sights(page)).slice(-5);
      console.log(`after the stop: ${last.map(({ markAgeMs }) => markAgeMs?.toFixed(0)).join(", ")} ms old`);
      for (const { markAgeMs } of last) assert.ok(markAgeMs! < 1000, `${markAgeMs} ms old`);
    },
    SIZE,
  ));
