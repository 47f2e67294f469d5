// What is around the picture: on a phone, by keyboard, by gamepad, for who cannot see it or wants it calm.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { blueprint, context, freePort, launch, open, pattern, press, shot, sleep, stats, stopAll, studio, until } from "./support";

let browser: Browser;

before(async () => {
  browser = await launch();
});

after(async () => {
  await browser.close();
  await stopAll();
});

test("a phone has the picture and all controls", { timeout: 120_000 }, async () => {
  const running = await studio(blueprint({ port: await freePort(), source: pattern(320, 160, 10), rateHz: 10, sound: "Sine" }));
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 1, isMobile: true, hasTouch: true });
  const page = await context.newPage();
  await page.addInitScript({ content: readFileSync("out/test/browser/eyes.js", "utf8") });
  await page.goto(running.link);
  await until("a picture", async () => (await stats(page))?.shown > 5);
  await page.touchscreen.tap(195, 200);
  await page.tap('[data-do="settings"]');
  await sleep(500);
  await shot(page, "phone");
  for (const action of ["mute", "device", "ahead", "settings", "hud", "fullscreen"]) {
    const box = await page.locator(`[data-do="${action}"]`).boundingBox();
    assert.ok(box && box.height >= 40 && box.y + box.height <= 844 && box.x >= 0 && box.x + box.width <= 390, `${action} can be tapped`);
  }
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out");
  await context.close();
  await running.stop();
});

