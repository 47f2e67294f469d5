// Measures the age of pictures when the page has drawn them, by the mark in them: `npm run bench`. Prints one JSON object a line,
// as the studio's bench programs do.

import { percentile } from "../../src/rates";
import type { Sight } from "./eyes";
import { blueprint, freePort, launch, open, pattern, sleep, Studio, until } from "./support";

const SECONDS = 20;
const EVERY = 5;
const [WIDTH, HEIGHT, RATE_HZ] = [640, 320, 30];

const browser = await launch();
for (const motion of [false, true]) {
  const studio = await Studio.start(blueprint({ port: await freePort(), source: pattern(WIDTH, HEIGHT, RATE_HZ), rateHz: RATE_HZ, motion }));
  const { page } = await open(browser, studio.link, { width: WIDTH, height: HEIGHT });
  await until("a picture", async () => page.evaluate(() => globalThis.eyes.stats()?.firstPictureMs));
  await sleep(5000);
  // Not in every picture: reading back holds the page up.
  await page.evaluate((every) => globalThis.eyes.watch(every), EVERY);
  await sleep(SECONDS * 1000);
  const { sights, stats } = await page.evaluate(() => ({ sights: globalThis.eyes.sights, stats: globalThis.eyes.stats()! }));
  const ages = sights.flatMap((sight) => (sight.previousFrameId === undefined && sight.markAgeMs !== undefined ? [sight.markAgeMs] : [])).sort((a, b) => a - b);
  const at = (share: number): number => Number(ages[Math.floor(ages.length * share)]!.toFixed(1));
  const median = (of: (sight: Sight) => number): number => Number(percentile(sights.map(of), 0.5)?.toFixed(1));
  const record = {
    name: `chromium glass-to-glass ${WIDTH}×${HEIGHT} ${RATE_HZ} Hz${motion ? ", frames between" : ""}`,
    p50_ms: at(0.5),
    p95_ms: at(0.95),
    pictures: ages.length,
    drawn_hz: Number(((sights.length * EVERY) / SECONDS).toFixed(1)),
    sent_p50_ms: median((sight) => sight.agesMs.sent),
    arrived_p50_ms: median((sight) => sight.agesMs.arrived),
    decoded_p50_ms: median((sight) => sight.agesMs.decoded),
    drawn_p50_ms: median((sight) => sight.ageMs),
    held_ms: Number(stats.jitterMs.toFixed(1)),
    first_picture_ms: Number(stats.firstPictureMs?.toFixed(0)),
  };
  console.log(JSON.stringify(record));
  await page.close();
  await studio.stop();
}
await browser.close();
