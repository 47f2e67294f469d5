// Measures how old pictures are when they are drawn, by the mark in them: `npm run bench`. The same studio's stream is watched by
// the desktop's viewer, by the page, and by the stock Media over QUIC player in the same browser. Prints one JSON object a line, as
// the studio's bench programs do.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MILESTONES } from "../../src/milestones";
import { percentile } from "../../src/rates";
import { browser, freePort, open, pattern, sleep, startBrowser, STUDIO, Studio, until } from "./support";

const SECONDS = Number(process.env["NEURAL_STUDIO_SECONDS"] || 20);
/** What is not measured: decoders and delays settle. */
const SETTLE_MS = 5000;
/** Reading back holds the page up: not in every picture. */
const EVERY = 5;
const [WIDTH, HEIGHT, RATE_HZ] = [640, 320, 30];

/** What 95 of 100 pictures must stay below, in milliseconds. */
const [DESKTOP_MS, PAGE_MS] = [100, 150];

/** Times that the link is opened, and what the middle one must stay below, in milliseconds. */
const [LOADS, FIRST_MS] = [10, 1000];

/** A number as it is printed. */
const tidy = (value: number | undefined): number => Number(value?.toFixed(1));

/** Prints a record; with a limit, also whether it is kept. */
function tell(name: string, [p50, p95]: readonly [number, number], limitMs: number | undefined, more: Record<string, number>): void {
  const title = `${name} glass-to-glass ${WIDTH}x${HEIGHT} ${RATE_HZ} Hz`;
  const kept = limitMs === undefined ? {} : { limit_ms: limitMs, passed: p95 <= limitMs };
  console.log(JSON.stringify({ name: title, p50_ms: tidy(p50), p95_ms: tidy(p95), ...kept, ...more }));
}

function percentiles(name: string, ages: readonly number[]): [number, number] {
  const [p50, p95] = [percentile(ages, 0.5), percentile(ages, 0.95)];
  if (p50 === undefined || p95 === undefined) throw new Error(`${name}: no picture with a mark was drawn`);
  return [p50, p95];
}

/** The page in the browser. */
async function page(studio: Studio, name: string): Promise<void> {
  const { page: tab } = await open(studio.link, { viewport: { width: WIDTH, height: HEIGHT } });
  await until("a picture", async () => tab.evaluate(() => globalThis.eyes.stats()?.firstPictureMs));
  await sleep(SETTLE_MS);
  await tab.evaluate((every) => globalThis.eyes.watch(every), EVERY);
  await sleep(SECONDS * 1000);
  const { sights, stats } = await tab.evaluate(() => ({ sights: globalThis.eyes.sights, stats: globalThis.eyes.stats()! }));
  const received = sights.filter((sight) => sight.previousFrameId === undefined);
  const median = (of: (sight: (typeof sights)[number]) => number): number => tidy(percentile(received.map(of), 0.5));
  const ages = received.flatMap(({ markAgeMs }) => markAgeMs ?? []);
  tell(name, percentiles(name, ages), PAGE_MS, {
    pictures: ages.length,
    drawn_hz: tidy((sights.length * EVERY) / SECONDS),
    sent_p50_ms: median(({ agesMs }) => agesMs.sent),
    arrived_p50_ms: median(({ agesMs }) => agesMs.arrived),
    decoded_p50_ms: median(({ agesMs }) => agesMs.decoded),
    drawn_p50_ms: median(({ ageMs }) => ageMs),
    held_ms: tidy(stats.jitterMs),
  });
  await tab.context().close();
}

/** How soon there is a picture when the link is opened, in a new profile each time; and when what comes before it is done. */
async function firstPicture(studio: Studio): Promise<void> {
  const loads: Map<string, number>[] = [];
  for (let load = 0; load < LOADS; load += 1) {
    const { page: tab } = await open(studio.link, { viewport: { width: WIDTH, height: HEIGHT } });
    await until("a picture", async () => tab.evaluate(() => globalThis.eyes.stats()?.firstPictureMs));
    loads.push(new Map(await tab.evaluate(() => performance.getEntriesByType("mark").map(({ name, startTime }) => [name, startTime] as const))));
    await tab.context().close();
  }
  const median = (milestone: string, share = 0.5): number => tidy(percentile(loads.flatMap((load) => load.get(milestone) ?? []), share));
  const [drawn, before] = [MILESTONES.at(-1)!, MILESTONES.slice(0, -1)];
  const p50 = median(drawn);
  const steps = before.map((milestone) => [`${milestone.replaceAll(" ", "_")}_ms`, median(milestone)]);
  const name = `Chromium, first picture ${WIDTH}x${HEIGHT}`;
  console.log(JSON.stringify({ name, p50_ms: p50, p95_ms: median(drawn, 0.95), limit_ms: FIRST_MS, passed: p50 <= FIRST_MS, loads: LOADS, ...Object.fromEntries(steps) }));
}

/** The desktop's viewer, without a window. */
async function desktop(studio: Studio, name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "neural-studio-latency-"));
  const report = join(folder, "viewer.json");
  const seconds = String(SECONDS + SETTLE_MS / 1000);
  const link = studio.link.replace(/^http:/, "https:");
  const arguments_ = ["view", link, "--headless", "--seconds", seconds, "--size", `${WIDTH}x${HEIGHT}`, "--quiet", "--report", report];
  const viewer = spawn(STUDIO, arguments_, { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise((resolve) => viewer.once("exit", resolve));
  if (code !== 0) throw new Error(`the desktop's viewer ended with ${String(code)}`);
  const { stages } = JSON.parse(readFileSync(report, "utf8")) as { stages: { stage: string; p50_ms: number; p95_ms: number }[] };
  const glass = stages.find(({ stage }) => stage === "glass to glass");
  if (!glass) throw new Error(`the desktop's viewer reports no glass to glass: ${JSON.stringify(stages)}`);
  tell(name, [glass.p50_ms, glass.p95_ms], DESKTOP_MS, {});
  rmSync(folder, { recursive: true, force: true });
}

/** The stock player, on a page that this machine serves. */
async function stock(studio: Studio): Promise<void> {
  const server = createServer((_, answer) => answer.end("<!doctype html><title>stock player</title><body style='margin:0'>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const tab = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT } });
  await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await tab.addScriptTag({ path: "out/test/browser/stock.js" });
  const { host, pathname, hash } = new URL(studio.link);
  const url = `https://${host}${pathname}`;
  await tab.evaluate(
    ([address, stream, sha256, width, height]) => globalThis.watchStock(address, stream, sha256, width, height),
    [url, pathname.slice(1), hash.replace("#sha256=", ""), WIDTH, HEIGHT] as [string, string, string, number, number],
  );
  await until("the stock player's picture", async () => tab.evaluate(() => globalThis.stockAges.length > 0));
  await sleep(SETTLE_MS);
  await tab.evaluate(() => (globalThis.stockAges.length = 0));
  await sleep(SECONDS * 1000);
  const ages = await tab.evaluate(() => globalThis.stockAges);
  const name = "peer: @moq/watch 0.4.6 in Chromium,";
  tell(name, percentiles(name, ages), undefined, { pictures: ages.length, drawn_hz: tidy(ages.length / SECONDS) });
  await tab.close();
  server.close();
}

await startBrowser();
try {
  for (const motion of [false, true]) {
    const studio = await Studio.start({ port: await freePort(), source: pattern(WIDTH, HEIGHT, RATE_HZ), rateHz: RATE_HZ, motion });
    const between = motion ? ", frames between," : "";
    await desktop(studio, `desktop${between}`);
    await page(studio, `Chromium${between}`);
    if (!motion) {
      await stock(studio);
      await firstPicture(studio);
    }
    await studio.stop();
  }
} finally {
  await browser.close();
}
