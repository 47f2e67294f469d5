// What is around the picture: on a phone, by keyboard, by gamepad, for who cannot see it or wants it calm.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePng } from "./png";
import { choose, pattern, shot, sleep, stats, until, useBrowser, watching, type Watched } from "./support";

useBrowser();

test("a phone has the picture and all controls", { timeout: 120_000 }, async () => {
  const source = { source: pattern(640, 320, 10), rateHz: 10, sound: "Sine", projection: "Equirectangular" } as const;
  await watching(source, phone, { viewport: { width: 390, height: 844 }, deviceScaleFactor: 1, isMobile: true, hasTouch: true });
});

async function phone({ page }: Watched): Promise<void> {
  await page.touchscreen.tap(195, 200);
  for (const action of ["pause", "mute", "device", "ahead", "settings", "hud", "fullscreen"]) {
    const box = await page.locator(`[data-do="${action}"]`).boundingBox();
    assert.ok(box && box.height >= 40 && box.y + box.height <= 844 && box.x >= 0 && box.x + box.width <= 390, `${action} can be tapped`);
  }
  await page.tap('[data-do="hud"]');
  await sleep(700);
  await shot(page, "phone");
  await page.tap('[data-do="settings"]');
  await sleep(300);
  await shot(page, "phone-menu");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out");
  // One finger turns the view; two bring it nearer.
  await page.tap('[data-do="settings"]');
  const middle = async (): Promise<number[]> => (await page.evaluate(() => globalThis.eyes.pixels([[0.5, 0.45]])))[0]!;
  const before = await middle();
  const touch = await page.context().newCDPSession(page);
  const move = (type: "touchStart" | "touchMove" | "touchEnd", ...points: [number, number][]): Promise<unknown> =>
    touch.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
  await move("touchStart", [300, 300]);
  for (let x = 280; x >= 60; x -= 20) await move("touchMove", [x, 300]);
  await move("touchEnd");
  await sleep(300);
  assert.notDeepEqual(await middle(), before, "the view turned");
  const { width } = await page.evaluate(() => ({ width: document.getElementById("picture")!.clientWidth }));
  assert.equal(width, 390);
  await move("touchStart", [150, 300], [240, 300]);
  for (let by = 10; by <= 60; by += 10) await move("touchMove", [150 - by, 300], [240 + by, 300]);
  await move("touchEnd");
}

test("all is within reach of the keyboard, and has a name", { timeout: 120_000 }, async () => {
  await watching({ source: pattern(320, 160, 10), rateHz: 10, motion: true }, async ({ page }) => {
    await until("made frames", async () => (await stats(page))?.generated > 3);
    // The picture, then each button that is there, by the tabulator alone.
    const reached: string[] = [];
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    for (let step = 0; step < 12; step += 1) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement?.id || (document.activeElement as HTMLElement | null)?.dataset["do"] || ""));
    }
    for (const wanted of ["picture", "pause", "ahead", "settings", "hud", "fullscreen"]) assert.ok(reached.includes(wanted), `${wanted} among ${reached}`);
    const named = await page.locator("#bar").ariaSnapshot();
    for (const name of ["Pause", "Ahead", "View", "Figures", "Full screen"]) assert.match(named, new RegExp(`button "${name}"`), named);
    assert.match(named, /status: live/);
    // The menu opens by its key, has the focus, and gives it back.
    await page.keyboard.press("v");
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "between");
    assert.equal(await page.getAttribute('[data-do="settings"]', "aria-expanded"), "true");
    for (const label of ["Quality", "Frames between", "Picture", "Eyes"]) assert.equal(await page.getByRole("combobox", { name: new RegExp(`^${label}`) }).count(), 1, label);
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => (document.activeElement as HTMLElement).dataset["do"]), "settings");
    // Both kinds of frames beside one another: the left half is the received picture.
    await page.keyboard.press("g");
    await until("both names", async () => page.locator("#compared").isVisible());
    await page.evaluate(() => globalThis.eyes.picture("made"));
    await shot(page, "compare");
    const line = await page.evaluate(() => globalThis.eyes.pixels([[0.5, 0.15], [0.5, 0.85]]));
    assert.ok(line.every((color) => Math.min(...color) > 240), `a line tells them apart: ${line}`);
    await page.keyboard.press("g");
    await until("no names", async () => !(await page.locator("#compared").isVisible()));
    // Held, and live again.
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await page.keyboard.press("Space");
    await until("the word", async () => (await page.locator("#state").innerText()) === "paused");
    await sleep(500);
    const held = await stats(page);
    await sleep(1000);
    assert.ok((await stats(page)).received <= held.received + 1);
    await page.keyboard.press("Space");
    await until("pictures", async () => (await stats(page)).shown > held.shown + 5);
  });
});

test("who wants no motion gets steps, and a gamepad turns the view", { timeout: 120_000 }, async () => {
  // Colours that tell where they lie, and stay there.
  const [width, height] = [640, 320];
  const bytes = Buffer.alloc(width * height * 3);
  for (let at = 0; at < width * height; at += 1) bytes.set([((at % width) / width) * 255, Math.floor(at / width) % 256, 90], at * 3);
  const still = `(kind: "StillInput", settings: (path: "still.png", picture: (rate_hz: Some(10.0))))`;
  await watching({ source: still, rateHz: 10 }, async ({ page }) => {
    await choose(page, ["projection", "equirectangular"]);
    await page.emulateMedia({ reducedMotion: "reduce" });
    assert.equal(await page.evaluate(() => getComputedStyle(document.getElementById("bar")!).transitionDuration), "0s");
    const columns = (): Promise<number[][]> => page.evaluate(() => globalThis.eyes.pixels([[0.2, 0.4], [0.5, 0.4], [0.8, 0.4]]));
    const before = await columns();
    await page.keyboard.down("ArrowRight");
    await sleep(600);
    const step = await columns();
    await sleep(600);
    await page.keyboard.up("ArrowRight");
    assert.notDeepEqual(step, before, "one step");
    await page.keyboard.press("ArrowLeft");
    await page.emulateMedia({ reducedMotion: "no-preference" });
    // A gamepad, as browsers report it: the right stick pushed to the right, then the stick pressed.
    const pad = (axes: number[], pressed: number[]): Promise<void> =>
      page.evaluate(
        ([values, down]) => {
          const buttons = Array.from({ length: 17 }, (_, index) => ({ pressed: down!.includes(index), touched: false, value: down!.includes(index) ? 1 : 0 }));
          navigator.getGamepads = () => [{ connected: true, index: 0, id: "pad", mapping: "standard", axes: values, buttons, timestamp: 0 } as unknown as Gamepad];
        },
        [axes, pressed],
      );
    await pad([0, 0, 1, 0], []);
    await sleep(1200);
    await pad([0, 0, 0, 0], []);
    await sleep(300);
    assert.notDeepEqual(await columns(), before, "the stick turned it");
    await pad([0, 0, 0, 0], [11]);
    await sleep(300);
    const again = await columns();
    before.forEach((color, index) => color.forEach((value, channel) => assert.ok(Math.abs(value - again[index]![channel]!) < 40, "ahead again")));
    await pad([0, 0, 0, 0], [9]);
    await until("figures", async () => page.locator("#hud").isVisible());
  }, { files: { "still.png": encodePng(width, height, bytes) } });
});
