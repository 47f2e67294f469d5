// A studio and a browser for the tests, and the eyes to look at what they show.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before } from "node:test";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

/** Longer than anything takes on a machine that does much else. */
export const PATIENCE_MS = 60_000;

export function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run \`cargo xtask web-test\``);
  return value;
}

function onPath(names: readonly string[]): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  if (!found) throw new Error(`none of ${names.join(", ")} is installed; NEURAL_STUDIO_CHROMIUM may name another browser`);
  return found;
}

/** The program under test. */
export const STUDIO = required("NEURAL_STUDIO");
const CHROMIUM = process.env["NEURAL_STUDIO_CHROMIUM"] || onPath(["chromium", "chromium-browser", "google-chrome"]);
/** A folder with a page that was just built, to be tested in place of the one that the studio was built with. */
const PAGE = process.env["NEURAL_STUDIO_PAGE"];

/** Where pictures of the page are left to be looked at. */
export const SHOTS = process.env["NEURAL_STUDIO_SHOTS"] || join(tmpdir(), "neural-studio-web-shots");
mkdirSync(SHOTS, { recursive: true });

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A port that is free for TCP, hence most likely for UDP too. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

/** A studio that runs a blueprint. */
export class Studio {
  private constructor(
    readonly process: ChildProcess,
    /** All that it printed. */
    readonly said: () => string,
    /** The page's link, as the studio prints it. */
    readonly link: string,
    private readonly folder: string,
    private source: Source,
  ) {}

  /** Starts one that streams a source. `files` lie beside its blueprint. */
  static async start(source: Source, files: Record<string, Buffer> = {}): Promise<Studio> {
    const folder = mkdtempSync(join(tmpdir(), "neural-studio-web-"));
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    const file = join(folder, "test.blueprint.ron");
    writeFileSync(file, blueprint(source));
    const child = spawn(STUDIO, ["run", file, "--headless"], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, RUST_LOG: "info,studio_stream=debug" } });
    let said = "";
    const link = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the studio gave no link:\n${said}`)), PATIENCE_MS);
      const listen = (bytes: Buffer): void => {
        said += bytes.toString();
        const found = /^in a browser: (\S+)$/m.exec(said)?.[1];
        if (!found) return;
        clearTimeout(timer);
        resolve(found);
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.once("exit", (code) => {
        clearTimeout(timer);
        reject(new Error(`the studio ended with ${code}:\n${said}`));
      });
    });
    return new Studio(child, () => said, link, folder, source);
  }

  /** Saves a changed blueprint in the running one's place, which the studio follows. */
  change(changes: Partial<Source>): void {
    this.source = { ...this.source, ...changes };
    writeFileSync(join(this.folder, "test.blueprint.ron"), blueprint(this.source));
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    if (this.process.exitCode === null && this.process.signalCode === null) {
      // One that a test has stopped hears of its end only when it goes on.
      this.process.kill("SIGCONT");
      this.process.kill();
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What a test's stream is made of. */
export interface Source {
  port: number;
  /** The node that shows pictures, and its settings. */
  source: string;
  rateHz?: number;
  /** A tone or, with a source that flashes, claps. */
  sound?: "Sine" | "Clap";
  motion?: boolean;
  bitrateBps?: number;
  token?: string;
  /** What viewers know the studio's machine by. */
  host?: string;
  codec?: "H264" | "H265" | "Av1";
  /** Pictures from one key frame to the next, at most. */
  keyFrames?: number;
  /** The projection that the picture is brought to, of the sphere or flat. */
  projection?: "Equirectangular" | "HalfEquirectangular" | "Rectilinear";
  /** Where the eyes' pictures lie, and the size of both together, with a projection. */
  stereo?: "Mono" | "TopBottom" | "LeftRight";
  size?: readonly [number, number];
  /** The same pictures once more, at another size; takes a projection. */
  smaller?: { size: readonly [number, number]; bitrateBps: number };
}

/** A blueprint that streams a source, with the mark in its pictures. */
function blueprint({ port, source, rateHz = 30, sound, motion = false, bitrateBps = 8_000_000, token, host, codec = "H264", keyFrames = 60, projection, stereo = "Mono", size = [640, 320], smaller }: Source): string {
  const output = [`bind: "127.0.0.1:${port}"`];
  if (token) output.push(`token: Some("${token}")`);
  if (host) output.push(`host: "${host}"`);
  if (smaller) output.push("renditions: 2");
  const encoder = (bps: number): string =>
    `(kind: "VideoEncoder", settings: (bitrate_bps: ${bps}, frame_rate_hz: ${rateHz.toFixed(1)}, codec: ${codec}, key_frame_interval_frames: ${keyFrames}))`;
  const eyes = (pictures: readonly [number, number]): string =>
    `(kind: "EyeView", settings: (projection: ${projection}, stereo: ${stereo}, size: (${pictures.join(", ")})))`;
  const nodes = [
    `"source": ${source}`,
    `"colour": (kind: "ColorConvert")`,
    `"encoder": ${encoder(bitrateBps)}`,
    `"stream": (kind: "WebTransportOutput", settings: (${output.join(", ")}))`,
  ];
  if (projection) nodes.push(`"eyes": ${eyes(size)}`);
  const coded = projection ? [`"colour.frame -> eyes.frame"`, `"eyes.eyes -> encoder.frame"`] : [`"colour.frame -> encoder.frame"`];
  const links = [`"source.frame -> colour.frame"`, ...coded, `"encoder.packets -> stream.packets"`];
  if (smaller) {
    nodes.push(`"small eyes": ${eyes(smaller.size)}`, `"small encoder": ${encoder(smaller.bitrateBps)}`);
    links.push(`"colour.frame -> small eyes.frame"`, `"small eyes.eyes -> small encoder.frame"`, `"small encoder.packets -> stream.packets 2"`);
  }
  if (motion) {
    nodes.push(`"flow": (kind: "OpticalFlow", settings: (cell_px: 16))`);
    links.push(`"colour.frame -> flow.frame"`, `"flow.motion -> stream.motion"`);
  }
  if (sound) {
    nodes.push(`"tone": (kind: "ToneInput", settings: (sound: ${sound}))`, `"voice": (kind: "AudioEncoder")`);
    links.push(`"tone.audio -> voice.audio"`, `"voice.packets -> stream.audio"`);
  }
  return `(version: 1, nodes: {\n${nodes.join(",\n")}\n}, links: [${links.join(", ")}])`;
}

/** The test pattern, with the mark in it. */
export const pattern = (width: number, height: number, rateHz: number, flash = false): string =>
  `(kind: "TestPatternInput", settings: (size: (${width}, ${height}), rate_hz: ${rateHz.toFixed(1)}, flash: ${flash}))`;

/** A name that this machine has for the browser alone: pages there are not those of the machine itself. */
export const ELSEWHERE = "studio.test";

/** Starts a browser that has what it has on most machines, a GPU apart. */
function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    // Playwright turns QUIC off.
    ignoreDefaultArgs: ["--disable-quic"],
    args: [
      // A name that is not this machine's own, as from another machine.
      `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`,
      // WebGL in software but in the GPU process, as on any machine: with `--disable-gpu` each picture is copied back and forth.
      "--use-gl=angle",
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
      "--no-sandbox",
      "--no-first-run",
      "--disable-background-networking",
      "--autoplay-policy=no-user-gesture-required",
      // A page that no server sent has no address to compare with the studio's.
      ...(PAGE ? ["--disable-features=LocalNetworkAccessChecks"] : []),
    ],
  });
}

/** A context of the browser. */
export async function context(options: BrowserContextOptions = {}): Promise<BrowserContext> {
  const made = await browser.newContext(options);
  if (PAGE) {
    for (const part of ["viewer.js", "worker.js", "viewer.css"]) {
      await made.route(`**/-/${part}`, (route) => route.fulfill({ path: join(PAGE, part) }));
    }
    await made.route((url) => /^\/(live|elsewhere)$/.test(url.pathname), (route) => route.fulfill({ path: join(PAGE, "index.html") }));
  }
  return made;
}

/** The browser of the tests, once it is started. */
export let browser: Browser;

export async function startBrowser(): Promise<void> {
  browser = await launch();
}

/** Gives the tests of a file a browser; it goes with the file, and so do studios that were not stopped. */
export function useBrowser(): void {
  before(startBrowser);
  after(async () => {
    await browser.close();
    for (const each of running) await each.stop();
  });
}

/** How a page is opened: a browser's context, and scripts of `out/test/browser` that run before its own. */
export interface Opening extends BrowserContextOptions {
  before?: (page: Page) => Promise<unknown>;
}

/** What the browser and its Media over QUIC say where a studio is gone, and an emulated headset's layers in their first frame. */
const NOISE = /^(Failed to (load resource|establish a connection)|fatal error running connection WebTransportError|TypeError: .*'isEnabled'\))/;

/** Opens a page that eyes look at; what goes wrong on it is in `errors`. */
export async function open(link: string, { before: prepare, ...options }: Opening = {}): Promise<{ page: Page; errors: string[] }> {
  const page = await (await context({ viewport: { width: 640, height: 320 }, ...options })).newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.stack ?? error.message));
  page.on("console", (message) => message.type() === "error" && !NOISE.test(message.text()) && errors.push(message.text()));
  await prepare?.(page);
  await page.addInitScript({ content: readFileSync("out/test/browser/eyes.js", "utf8") });
  await page.goto(link);
  return { page, errors };
}

/** Waits until `look` gives something. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false | null>, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs / 1000} s for: ${what}`);
    await sleep(100);
  }
}

/** What a test file started and has not stopped yet. */
const running = new Set<{ stop(): Promise<void> }>();

/** Notes what is to be stopped with the test file, if not before. */
export function stopAfterwards<T extends { stop(): Promise<void> }>(started: T): T {
  running.add(started);
  return started;
}

/** Starts a studio that is stopped with the test file, if not before. On a free port, unless one is given. */
export async function studio(source: Omit<Source, "port"> & { port?: number }, files?: Record<string, Buffer>): Promise<Studio> {
  return stopAfterwards(await Studio.start({ port: await freePort(), ...source }, files));
}

/** A page, and what went wrong on it. */
export interface Watched {
  page: Page;
  errors: string[];
  studio: Studio;
}

/** Runs `look` on a page that watches a studio of its own and shows its pictures. Nothing may go wrong on the page. */
export async function watching(
  source: Parameters<typeof studio>[0],
  look: (watched: Watched) => Promise<void>,
  { files, link = ({ link }) => link, ...opening }: Opening & { files?: Record<string, Buffer>; link?: (studio: Studio) => string | Promise<string> } = {},
): Promise<void> {
  const started = await studio(source, files);
  const { page, errors } = await open(await link(started), opening);
  await until("a picture", async () => (await stats(page))?.shown > 3);
  await look({ page, errors, studio: started });
  assert.deepEqual(errors, []);
  await page.context().close();
  await started.stop();
}

/** Presses a button of the bar, which a move of the pointer brings back. */
export async function press(page: Page, action: string): Promise<void> {
  await page.mouse.move(20, 20);
  await page.mouse.move(30, 30);
  await page.click(`[data-do="${action}"]`);
}

/** Leaves a picture of the page to be looked at. */
export const shot = (page: Page, name: string): Promise<Buffer> => page.screenshot({ path: join(SHOTS, `${name}.png`) });
export const stats = (page: Page) => page.evaluate(() => globalThis.eyes.stats()!);
export const sights = (page: Page) => page.evaluate(() => globalThis.eyes.sights);
/** Forgets what was seen. */
export const forget = (page: Page): Promise<void> =>
  page.evaluate(() => {
    globalThis.eyes.sights.length = globalThis.eyes.turns.length = 0;
  });

/** The longest that one picture stood since `forget`, in milliseconds, less the longest that the page itself did meanwhile on a busy machine. */
export async function longestMs(page: Page): Promise<number> {
  const { sights: seen, turns, now } = await page.evaluate(() => ({ sights: globalThis.eyes.sights, turns: globalThis.eyes.turns, now: performance.now() }));
  const longest = (times: readonly number[]): number => times.reduce((most, at, index) => Math.max(most, at - (times[index - 1] ?? at)), 0);
  const times = [...seen.map(({ at }) => at), now];
  const stood = times.map((until, index) => {
    const from = times[index - 1] ?? until;
    return until - from - longest([from, ...turns.filter((at) => at > from && at < until), until]);
  });
  return Math.max(...stood);
}

/** Shows a flat picture as a whole sphere, or however else the menu can. */
export async function choose(page: Page, ...choices: [name: "between" | "projection" | "stereo" | "quality", value: string][]): Promise<void> {
  await press(page, "settings");
  for (const [name, value] of choices) await page.selectOption(`[name="${name}"]`, value);
  await press(page, "settings");
}
/** What the message over the picture says; nothing while there is none. */
export const words = (page: Page) =>
  page.evaluate(() => {
    const message = document.getElementById("message")!;
    return message.hidden ? "" : message.innerText;
  });
