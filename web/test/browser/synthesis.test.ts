// The page's shaders in a real browser, against the studio's own numbers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Case } from "./shaders";
import { browser, useBrowser } from "./support";

useBrowser();

test("the synthesis in GLSL agrees with the studio's reference", { timeout: 60_000 }, async () => {
  const page = await browser.newPage();
  await page.addScriptTag({ content: readFileSync("out/test/browser/shaders.js", "utf8") });
  const cases = JSON.parse(readFileSync("test/vectors/synthesis.json", "utf8")) as Case[];
  for (const example of cases) {
    const made = await page.evaluate((each) => globalThis.synthesize(each), example);
    example.frames.forEach(({ phase, rgb }, index) => {
      const wanted = rgb.match(/../g)!.map((pair) => Number.parseInt(pair, 16));
      const off = wanted.map((value, at) => Math.abs(value - made[index]![at]!));
      // Samplers round to 1/256 of a texel, and a block may choose the other of two motions that explain it alike.
      const share = off.filter((value) => value > 3).length / off.length;
      const mean = off.reduce((sum, value) => sum + value, 0) / off.length;
      assert.ok(share < 0.01 && mean < 0.1, `wraps ${example.wraps}, phase ${phase}: ${(share * 100).toFixed(1)} % off, mean ${mean.toFixed(2)}`);
    });
  }
  await page.close();
});
