// The page: looks whether the browser can, reads the link, and starts the viewer.

import type { Stats } from "./figures";
import { LinkError, parseLink } from "./link";
import { pass } from "./milestones";
import { Stream } from "./receive/stream";
import { RenderError } from "./render/gl";
import { missing, NO_WEBGL, type Trouble } from "./support";
import { Viewer } from "./viewer";

declare global {
  /** For scripts on the page and in tests: what the figures show. */
  var neuralStudio: { stats(): Stats } | undefined;
}

/** Says why there is no picture, in the page's message. */
function say(trouble: Trouble): void {
  const message = document.getElementById("message")!;
  message.hidden = false;
  message.querySelector("h1")!.textContent = trouble.title;
  message.querySelector("p")!.textContent = trouble.help;
  const link = message.querySelector("a")!;
  link.hidden = trouble.href === undefined;
  link.href = trouble.href ?? "";
  link.textContent = "Open the secure page";
  document.getElementById("state")!.textContent = "not connected";
}

async function start(): Promise<Viewer | undefined> {
  const trouble = missing();
  if (trouble) {
    say(trouble);
    return undefined;
  }
  let stream: Stream | undefined;
  try {
    const link = parseLink(location.href);
    document.title = `${link.name} – Neural Studio`;
    // First: connecting takes longer than all that follows here.
    stream = new Stream(link);
    await stream.begun;
    const canvas = document.getElementById("picture") as HTMLCanvasElement;
    // A picture that covers all needs neither depth nor blending.
    const options: WebGLContextAttributes = { alpha: false, antialias: false, depth: false, powerPreference: "high-performance" };
    const gl = canvas.getContext("webgl2", options) as WebGL2RenderingContext | null;
    if (!gl) throw new RenderError("no WebGL 2");
    // A GPU that was lost comes back with a page that is loaded again.
    canvas.addEventListener("webglcontextlost", () => setTimeout(() => location.reload(), 1000));
    return new Viewer(stream, gl);
  } catch (error) {
    stream?.close();
    if (error instanceof LinkError) say({ title: error.message, help: "The link looks like https://HOST:PORT/NAME#sha256=…" });
    else if (error instanceof RenderError) say(NO_WEBGL);
    else throw error;
    return undefined;
  }
}

pass("scripts run");
const viewer = await start();
if (viewer) globalThis.neuralStudio = { stats: () => viewer.stats() };
