// Runs on a page of its own: the stock Media over QUIC player, and eyes that read the mark from its canvas.

import MoqWatch from "@moq/watch/element";
import { readMark } from "./mark";

declare global {
  /** Ages of the pictures by their marks, in milliseconds, since `watchStock` was called or the list was emptied. */
  var stockAges: number[];
  /** Plays a stream whose certificate has this hash, at its size in pixels. */
  var watchStock: (url: string, name: string, sha256: string, width: number, height: number) => void;
}

globalThis.stockAges = [];
globalThis.watchStock = (url, name, sha256, width, height) => {
  const player = new MoqWatch();
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.style.cssText = `width:${width}px;height:${height}px`;
  player.append(canvas);
  player.connection.webtransport = { serverCertificateHashes: [{ value: sha256 }] };
  player.latency = "real-time";
  player.visible = "always";
  player.muted = true;
  // What it is given is the whole address: nothing is announced below it.
  player.reload = false;
  player.name = name;
  player.url = url;
  document.body.append(player);
  let last: number | undefined;
  const look = (): void => {
    requestAnimationFrame(look);
    if (canvas.width !== width || canvas.height !== height) return;
    const context = canvas.getContext("2d");
    const mark = context && readMark(width, height, (top, rows) => context.getImageData(0, top, width, rows).data);
    if (!mark || mark.frameId === last) return;
    last = mark.frameId;
    globalThis.stockAges.push(Date.now() - mark.capturedAtMs);
  };
  look();
};
