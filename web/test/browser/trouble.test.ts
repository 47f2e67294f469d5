// What keeps a stream from being seen: said in clear words, and got over.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Relay } from "./relay";
import { browser, context, ELSEWHERE, open, pattern, shot, stats, studio, until, useBrowser, words } from "./support";

useBrowser();

test("a wrong token is refused in clear words", { timeout: 120_000 }, async () => {
  const running = await studio({ source: pattern(320, 160, 10), rateHz: 10, token: "open sesame" });
  const good = await open(running.link, { viewport: { width: 320, height: 160 } });
  await until("a picture", async () => (await stats(good.page))?.shown > 2);
  const url = new URL(running.link);
  url.searchParams.set("token", "guess");
  const { page } = await open(url.href);
  await until("a refusal", async () => /does not let you in/.test(await words(page)));
  assert.match(await words(page), /token is missing or wrong/);
  assert.equal((await stats(page)).connection, "refused");
  await shot(page, "refused");
  const other = new URL(running.link);
  other.pathname = "/elsewhere";
  await page.goto(other.href);
  await until("words", async () => /no stream called “elsewhere”/.test(await words(page)));
  await page.goto(`${url.origin}/live#sha256=12`);
  await page.reload();
  await until("words", async () => /damaged/.test(await words(page)));
  await page.close();
  await good.page.close();
  await running.stop();
});

test("what the browser lacks is said, with what would help", { timeout: 60_000 }, async () => {
  const running = await studio({ source: pattern(320, 160, 5), rateHz: 5 });
  for (const [name, sentence] of [["WebTransport", /no WebTransport[\s\S]*Firefox/], ["VideoDecoder", /no WebCodecs[\s\S]*Safari/]] as const) {
    const page = await browser.newPage();
    await page.addInitScript((global) => delete (globalThis as Record<string, unknown>)[global], name);
    await page.goto(running.link);
    await until(name, async () => sentence.test(await words(page)));
    await page.close();
  }
  await running.stop();
});

test("from another machine it takes a secure page, to which the other one leads", { timeout: 120_000 }, async () => {
  const running = await studio({ source: pattern(320, 160, 10), rateHz: 10, host: ELSEWHERE });
  assert.ok(running.link.startsWith(`https://${ELSEWHERE}:`), running.link);
  // As one who goes on past the warning about the certificate.
  const { page } = await open(running.link.replace("https:", "http:"), { viewport: { width: 640, height: 400 }, ignoreHTTPSErrors: true });
  await until("words", async () => /only on secure pages/.test(await words(page)));
  await shot(page, "insecure");
  assert.equal(await page.getAttribute("#message a", "href"), running.link);
  await page.click("#message a");
  await until("a picture", async () => (await stats(page))?.shown > 5);
  await page.context().close();
  await running.stop();
});

test("a codec that the browser refuses is named, and another one is played after it", { timeout: 120_000 }, async () => {
  const running = await studio({ source: pattern(320, 160, 10), rateHz: 10, codec: "H265" });
  const { page, errors } = await open(running.link);
  await until("words", async () => /does not decode H\.265[\s\S]*Ask whoever streams/.test(await words(page)));
  await shot(page, "undecodable");
  running.change({ codec: "H264" });
  await until("pictures", async () => (await stats(page)).shown > 5);
  assert.equal(await words(page), "", "nothing stands over the picture");
  assert.deepEqual(errors, []);
  await page.context().close();
  await running.stop();
});

test("an expired certificate is called one", { timeout: 120_000 }, async () => {
  const running = await studio({ source: pattern(320, 160, 10), rateHz: 10 });
  const page = await (await context()).newPage();
  // What the studio says of a certificate that ran out while it streamed, which the browser then does not accept.
  const sha256 = "00".repeat(32);
  await page.route("**/-/admission/**", (route) => route.fulfill({ json: { sha256, expiresInS: -60 } }));
  await page.goto(running.link.replace(/[0-9a-f]{64}$/, sha256));
  await until("words", async () => /certificate has expired[\s\S]*Started again/.test(await words(page)));
  await page.context().close();
  await running.stop();
});

test("a certificate that ran out, and one that the link does not name, are refused", { timeout: 120_000 }, async () => {
  const running = await studio({ source: pattern(320, 160, 10), rateHz: 10 });
  const [good, expired] = [await Relay.start(running), await Relay.start(running, "expired")];
  const mismatch = good.stream.replace(/[0-9a-f]{8}$/, "00000000");
  for (const [what, link] of [["expired", expired.link], ["mismatch", Relay.page(running, mismatch)]] as const) {
    const { page, errors } = await open(link);
    await until(`words about ${what}`, async () => /connection failed[\s\S]*certificate/.test(await words(page)));
    await shot(page, `certificate-${what}`);
    assert.equal((await stats(page)).shown, 0);
    assert.deepEqual(errors, []);
    await page.context().close();
  }
  const { page } = await open(good.link);
  await until("a picture", async () => (await stats(page))?.shown > 2);
  await page.context().close();
  await running.stop();
});
