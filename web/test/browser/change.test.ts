// What a stream is may change in the middle of it, and so may what of it is received: pictures go on.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { Relay } from "./relay";
import { choose, forget, longestMs, pattern, shot, sights, sleep, stats, until, useBrowser, watching, words } from "./support";

useBrowser();

const RATE_HZ = 15;
const SPHERE = { source: pattern(640, 320, RATE_HZ), rateHz: RATE_HZ, keyFrames: 30, projection: "Equirectangular" } as const;
const TWO = { ...SPHERE, bitrateBps: 4_000_000, smaller: { size: [320, 160], bitrateBps: 500_000 } } as const;

test("a projection, a size and a stereo layout that change in the middle are followed", { timeout: 240_000 }, () =>
  watching({ ...SPHERE, motion: true }, async ({ page, studio }) => {
    await page.evaluate(() => globalThis.eyes.watch());
    const changes = [
      { projection: "HalfEquirectangular" },
      { stereo: "TopBottom", size: [320, 320] },
      { stereo: "LeftRight", size: [640, 160] },
      { projection: "Rectilinear", stereo: "Mono", size: [480, 320] },
      { projection: "Equirectangular", size: [640, 320] },
    ] as const;
    for (const change of changes) {
      const { track } = await stats(page);
      await forget(page);
      studio.change(change);
      const what = JSON.stringify(change);
      await until(`pictures after ${what}`, async () => (await sights(page)).filter((sight) => sight.track !== track).length > RATE_HZ);
      const [seen, now] = [await sights(page), await stats(page)];
      // In order, and none of the old track after the first of the new one.
      assert.deepEqual(seen.map(({ track: each }) => each !== track), seen.map((_, index) => index >= seen.findIndex(({ track: each }) => each !== track)), what);
      // A flat picture of an eye is one with edges of its own.
      if ("projection" in change) assert.equal(now.projection!.toLowerCase(), change.projection === "Rectilinear" ? "offaxis" : change.projection.toLowerCase());
      if ("size" in change) assert.deepEqual([now.width, now.height], change.size);
      assert.equal(await words(page), "");
      await shot(page, `changed-${now.projection}-${now.width}x${now.height}`);
    }
    const { connections, garbage } = await stats(page);
    assert.deepEqual([connections, garbage], [1, 0], "in one session");
  }));

/** What was seen since `forget` is without a gap, and no picture is older than the one before it. */
async function gapless(page: Page, what: string): Promise<void> {
  const [longest, seen] = [await longestMs(page), await sights(page)];
  seen.forEach(({ frameId }, index) => assert.ok(frameId > (seen[index - 1]?.frameId ?? -1), `${what}: ${frameId} after ${seen[index - 1]?.frameId}`));
  const at = seen.findIndex(({ track }, index) => index > 0 && track !== seen[index - 1]!.track);
  const [last, first] = [seen[at - 1]!, seen[at]!];
  console.log(`${what}: the longest that a picture stood was ${longest.toFixed(0)} ms, where tracks changed ${(first.at - last.at).toFixed(0)} ms and ${first.frameId - last.frameId - 1} left out`);
  assert.ok(longest < 500, `${what}: ${longest.toFixed(0)} ms`);
}

test("another rendition follows without a gap", { timeout: 240_000 }, () =>
  watching(TWO, async ({ page }) => {
    await until("both renditions", async () => (await page.locator('[name="quality"] option').count()) === 3);
    // By their names in the menu: which track is which depends on the encoder that is there first.
    const offered = await page.locator('[name="quality"] option').evaluateAll((options) => options.map((each) => ({ name: each.textContent!, track: (each as HTMLOptionElement).value })));
    await page.evaluate(() => globalThis.eyes.watch());
    for (const width of [320, 640, 320]) {
      const wanted = offered.find(({ name }) => name.startsWith(`${width} ×`))!.track;
      await sleep(1000);
      await forget(page);
      await choose(page, ["quality", wanted]);
      await until(`pictures of ${width} px`, async () => (await sights(page)).filter(({ track }) => track === wanted).length > RATE_HZ);
      assert.equal((await stats(page)).width, width);
      await gapless(page, `to ${width} px`);
    }
    await shot(page, "small-rendition");
    const { connections, garbage, skipped } = await stats(page);
    assert.deepEqual([connections, garbage], [1, 0], `in one session, ${skipped} never drawn`);
    assert.equal(await words(page), "");
  }));

test("the rendition that the view has pixels for is received, by itself", { timeout: 240_000 }, () =>
  watching(
    TWO,
    async ({ page }) => {
      await page.evaluate(() => globalThis.eyes.watch());
      await until("the smaller one", async () => (await stats(page)).width === 320);
      await sleep(1000);
      await forget(page);
      await page.setViewportSize({ width: 480, height: 240 });
      await until("the larger one", async () => (await stats(page)).width === 640);
      await sleep(1000);
      await gapless(page, "to the larger one");
      assert.match(await page.locator('[name="quality"] option').first().innerText(), /automatic \(640 × 320\)/);
    },
    { viewport: { width: 50, height: 100 } },
  ));

test("on a narrow way the smaller rendition is received, and the larger one again when it is wide", { timeout: 300_000 }, async () => {
  let relay: Relay;
  const link = async (studio: Parameters<typeof Relay.start>[0]): Promise<string> => (relay = await Relay.start(studio)).link;
  // Snow takes all the bits that it may have.
  const snow = `(kind: "CameraInput", settings: (device: "gst:videotestsrc is-live=true pattern=snow ! video/x-raw,width=640,height=320,framerate=15/1"))`;
  await watching(
    { ...TWO, source: snow, bitrateBps: 3_000_000, smaller: { size: [320, 160], bitrateBps: 300_000 } },
    async ({ page }) => {
      await page.evaluate(() => globalThis.eyes.watch());
      await until("the larger one", async () => (await stats(page)).width === 640);
      await sleep(5000);
      console.log(`without a limit ${((await stats(page)).bitrateBps / 1e6).toFixed(2)} Mbit/s`);
      await forget(page);
      relay.narrow(800_000);
      await until("the smaller one", async () => (await stats(page)).width === 320, 10_000);
      await sleep(2000);
      console.log(`on the way down to 0.8 Mbit/s a picture stood for ${(await longestMs(page)).toFixed(0)} ms at most`);
      await forget(page);
      await sleep(3000);
      const longest = await longestMs(page);
      console.log(`on 0.8 Mbit/s a picture stood for ${longest.toFixed(0)} ms at most`);
      assert.ok(longest < 500, `${longest.toFixed(0)} ms`);
      relay.narrow(undefined);
      await until("the larger one again", async () => (await stats(page)).width === 640, 120_000);
      assert.equal((await stats(page)).connections, 1, "in one session");
      assert.equal(await words(page), "");
    },
    { link },
  );
});
