// The page in a headset that is not there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { encodePng } from "./png";
import { choose, open, press, shot, sleep, stats, studio, until, useBrowser, type Studio } from "./support";

useBrowser();

/** Blue of the left and the right eye's picture. */
const BLUES = [40, 210] as const;

/** A studio whose picture has both eyes side by side, each a whole sphere: red grows to the right, green downwards. */
async function sphere(): Promise<Studio> {
  const [width, height] = [640, 320];
  const source = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const line = x % 40 === 0 || y % 40 === 0 ? 60 : 0;
      source.set([Math.round(((x % 320) / 320) * 255), Math.round((y / height) * 255), BLUES[x < 320 ? 0 : 1] + (line && 30)], (y * width + x) * 3);
    }
  }
  const still = `(kind: "StillInput", settings: (path: "eyes.png", picture: (rate_hz: Some(10.0))))`;
  return studio({ source: still, rateHz: 10, sound: "Sine" }, { "eyes.png": encodePng(width, height, source) });
}

/** A page in whose headset the stream is seen. */
async function worn(link: string, layers: boolean): Promise<{ page: Page; errors: string[] }> {
  const { page, errors } = await open(link, {
    viewport: { width: 800, height: 400 },
    before: async (made) => {
      if (!layers) await made.addInitScript(() => (globalThis.noLayers = true));
      await made.addInitScript({ content: readFileSync("out/test/browser/headset.js", "utf8") });
    },
  });
  await until("a picture", async () => (await stats(page))?.shown > 3);
  await choose(page, ["projection", "equirectangular"], ["stereo", "leftRight"]);
  await press(page, "headset");
  await until("a session", async () => page.evaluate(() => globalThis.headset.activeSession !== undefined));
  await sleep(1000);
  return { page, errors };
}

const near = (color: number[] | undefined, wanted: number[]): void =>
  wanted.forEach((value, channel) => assert.ok(Math.abs(color![channel]! - value) < 26, `${color} where ${wanted} was to be seen`));

/** What both eyes see ahead. */
const ahead = (page: Page): Promise<number[][]> => page.evaluate(() => globalThis.eyes.pixels([[0.25, 0.5], [0.75, 0.5]]));

/** Composition layers that the session shows. */
const layerCount = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const state = globalThis.headset.activeSession!.renderState as { layers?: unknown[] };
    return state.layers?.length ?? 0;
  });

/** Turns the head so far to the left. */
const turn = (page: Page, leftDeg: number): Promise<void> =>
  page.evaluate((deg) => {
    const half = (deg * Math.PI) / 360;
    globalThis.headset.quaternion.set(0, Math.sin(half), 0, Math.cos(half));
  }, leftDeg);

/** Presses a controller's button for some frames. */
async function click(page: Page, hand: "left" | "right", button: string, heldMs = 200): Promise<void> {
  await page.evaluate(([each, id]) => globalThis.headset.controllers[each]!.updateButtonValue(id, 1), [hand, button] as const);
  await sleep(heldMs);
  await page.evaluate(([each, id]) => globalThis.headset.controllers[each]?.updateButtonValue(id, 0), [hand, button] as const);
  await sleep(400);
}

for (const layers of [true, false]) {
  test(`a headset shows each eye its own picture, ${layers ? "as a layer of its own" : "drawn for each eye"}`, { timeout: 180_000 }, async () => {
    const running = await sphere();
    const { page, errors } = await worn(running.link, layers);
    const before = await ahead(page);
    near(before[0], [128, 128, BLUES[0]]);
    near(before[1], [128, 128, BLUES[1]]);
    // The head turns 90 degrees to the left: a quarter of the sphere.
    await turn(page, 90);
    await sleep(500);
    const left = await ahead(page);
    near(left[0], [64, 128, BLUES[0]]);
    near(left[1], [64, 128, BLUES[1]]);
    assert.equal(await layerCount(page), layers ? 1 : 0);
    // The trigger: what is looked at is ahead.
    await click(page, "right", "trigger");
    near((await ahead(page))[0], [128, 128, BLUES[0]]);
    // The stick turns by steps of 30 degrees.
    await page.evaluate(() => globalThis.headset.controllers.right!.updateAxis("thumbstick", "x-axis", 1));
    await sleep(300);
    await page.evaluate(() => globalThis.headset.controllers.right!.updateAxis("thumbstick", "x-axis", 0));
    await sleep(300);
    near((await ahead(page))[0], [128 + 255 / 12, 128, BLUES[0]]);
    await page.evaluate(() => globalThis.headset.activeSession?.end());
    await until("the page's own view", async () => page.evaluate(() => globalThis.headset.activeSession === undefined));
    const { shown } = await stats(page);
    await until("pictures on the page", async () => (await stats(page)).shown > shown + 3);
    assert.deepEqual(errors, []);
    await page.context().close();
    await running.stop();
  });

  test(`controllers hold the picture, call figures and leave, ${layers ? "with" : "without"} layers`, { timeout: 180_000 }, async () => {
    const running = await sphere();
    const { page, errors } = await worn(running.link, layers);
    // A place of the panel between its lines: 1.1 m ahead, 0.2 m below the eyes; and one above it.
    const look = (): Promise<number[][]> => page.evaluate(() => globalThis.eyes.pixels([[0.25, 0.6], [0.75, 0.6], [0.25, 0.25]]));
    const dark = (color: number[] | undefined): boolean => Math.max(...color!) < 110 && color![1]! < 60;
    assert.ok(!dark((await look())[0]));
    await click(page, "left", "y-button");
    await sleep(700);
    const called = await look();
    assert.ok(dark(called[0]) && dark(called[1]) && !dark(called[2]), `the panel stands below what is ahead: ${JSON.stringify(called)}`);
    await shot(page, layers ? "headset-layers" : "headset");
    // It stays where it is when the head turns away.
    await turn(page, 90);
    await sleep(500);
    assert.ok(!dark((await look())[0]), "it does not follow the head");
    await turn(page, 0);
    await sleep(500);
    // Louder, by the stick; heard of in the figures when the headset is off.
    await page.evaluate(() => globalThis.headset.controllers.right!.updateAxis("thumbstick", "y-axis", -1));
    await sleep(300);
    await page.evaluate(() => globalThis.headset.controllers.right!.updateAxis("thumbstick", "y-axis", 0));
    await click(page, "right", "a-button");
    await sleep(800);
    const { received } = await stats(page);
    await sleep(1000);
    assert.ok((await stats(page)).received <= received + 1, "the picture is held");
    await click(page, "right", "a-button");
    await until("pictures", async () => (await stats(page)).received > received + 3);
    // The panel's last button, pointed at by the right controller, leaves.
    await page.evaluate(() => {
      const { position, quaternion } = globalThis.headset.controllers.right!;
      const eyes = globalThis.headset.position;
      // From the eyes, to the right by 0.32 m and down by 0.45 m at 1.1 m.
      position.set(eyes.x + 0.32, eyes.y - 0.46, eyes.z);
      quaternion.set(0, 0, 0, 1);
    });
    await sleep(300);
    await click(page, "right", "trigger");
    await until("the page's own view", async () => page.evaluate(() => globalThis.headset.activeSession === undefined));
    await until("how loud it is", async () => /\+3 dB/.test(await page.locator('[data-do="mute"]').innerText()));
    // Once more, and left by holding the grip.
    await page.evaluate(() => document.querySelector<HTMLButtonElement>('[data-do="headset"]')!.click());
    await until("a session", async () => page.evaluate(() => globalThis.headset.activeSession !== undefined));
    await sleep(500);
    await click(page, "left", "squeeze", 1600);
    await until("the page's own view", async () => page.evaluate(() => globalThis.headset.activeSession === undefined));
    assert.deepEqual(errors, []);
    await page.context().close();
    await running.stop();
  });
}

test("hands pinch: the right one looks ahead, the left one calls the panel", { timeout: 120_000 }, async () => {
  const running = await sphere();
  const { page, errors } = await worn(running.link, true);
  await page.evaluate(() => (globalThis.headset.primaryInputMode = "hand"));
  const pinch = async (hand: "left" | "right"): Promise<void> => {
    await page.evaluate((each) => globalThis.headset.hands[each]!.updatePinchValue(1), hand);
    await sleep(300);
    await page.evaluate((each) => globalThis.headset.hands[each]!.updatePinchValue(0), hand);
    await sleep(500);
  };
  await turn(page, 90);
  await sleep(300);
  near((await ahead(page))[0], [64, 128, BLUES[0]]);
  await pinch("right");
  near((await ahead(page))[0], [128, 128, BLUES[0]]);
  await pinch("left");
  await sleep(700);
  assert.equal(await layerCount(page), 2, "the panel is a layer");
  assert.deepEqual(errors, []);
  await page.context().close();
  await running.stop();
});
