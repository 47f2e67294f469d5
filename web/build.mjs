// Builds the page: `node build.mjs [--out FOLDER]`, or the tests: `node build.mjs --tests`.

import { build } from "esbuild";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const argument = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};

// Parts of `@moq/net` that this page has no use for: falling back to WebSocket, which the studio does not serve, and sniffing
// out browsers. Both are only reached without a WebTransport session of one's own; 66 kB less.
const unused = {
  name: "unused",
  setup(bundle) {
    bundle.onResolve({ filter: /^(@moq\/qmux|bowser)$/ }, ({ path }) => ({ path, namespace: "unused" }));
    bundle.onLoad({ filter: /.*/, namespace: "unused" }, () => ({ contents: "export default class {}", loader: "js" }));
  },
};

const shared = {
  bundle: true,
  format: "esm",
  target: ["es2022"],
  loader: { ".glsl": "text" },
  absWorkingDir: here,
  legalComments: "none",
  logLevel: "warning",
};

if (process.argv.includes("--tests")) {
  const tests = (folder) => readdirSync(join(here, folder)).filter((name) => name.endsWith(".test.ts")).map((name) => join(folder, name));
  const node = { ...shared, platform: "node", packages: "external", outdir: "out/test", outbase: "test" };
  await build({ ...node, entryPoints: [...tests("test/unit"), ...tests("test/browser"), "test/browser/latency.ts"] });
  // What tests put into the page.
  const inPage = ["eyes", "headset", "shaders", "stock"].map((name) => `test/browser/${name}.ts`);
  await build({ ...shared, format: "iife", outdir: "out/test", outbase: "test", entryPoints: inPage });
} else {
  const out = argument("--out") ?? join(here, "out/page");
  mkdirSync(out, { recursive: true });
  await build({ ...shared, plugins: [unused], entryPoints: { viewer: "src/main.ts", worker: "src/receive/worker.ts" }, minify: true, charset: "utf8", outdir: out });
  await build({ ...shared, entryPoints: { viewer: "src/viewer.css" }, minify: true, outdir: out });
  copyFileSync(join(here, "src/index.html"), join(out, "index.html"));
}
