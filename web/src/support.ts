// What the browser lacks, in words, and what would help.

import type { VideoTrack } from "./receive/catalog";

/** Something that keeps the stream from being seen. */
export interface Trouble {
  title: string;
  help: string;
  /** A link that would help. */
  href?: string;
}

/** What is missing before anything is tried; nothing if all is there. */
export function missing(): Trouble | undefined {
  if (!isSecureContext) {
    const secure = new URL(location.href);
    secure.protocol = "https:";
    return {
      title: "Browsers play live streams only on secure pages.",
      help:
        "This page was opened by http:// from another machine. Open it by https:// instead: the browser warns that it does not know " +
        "the studio's own certificate; go on by “Advanced”. A studio that has a real certificate needs no warning.",
      href: secure.href,
    };
  }
  if (!("WebTransport" in globalThis)) {
    return {
      title: "This browser has no WebTransport, which carries the stream.",
      help: "Chrome, Edge, Opera, Samsung Internet and the browsers of headsets have it, Firefox from 114 and Safari from 26.4 on.",
    };
  }
  if (!("VideoDecoder" in globalThis)) {
    return {
      title: "This browser has no WebCodecs, which decodes the pictures.",
      help: "Chrome, Edge, Opera and the browsers of headsets have it, Firefox from 130 and Safari from 16.4 on.",
    };
  }
  return undefined;
}

const NAMES: [RegExp, string][] = [
  [/^avc[13]/, "H.264"],
  [/^(hvc1|hev1)/, "H.265"],
  [/^av01/, "AV1"],
];

/** Says that a track cannot be decoded here. */
export function undecodable(track: VideoTrack): Trouble {
  const name = NAMES.find(([pattern]) => pattern.test(track.codec))?.[1] ?? track.codec;
  const h265 =
    "H.265 needs a decoder in hardware that the browser uses: Safari, or Chrome and Edge on most phones, headsets and newer computers. ";
  return {
    title: `This browser does not decode ${name} at ${track.width} × ${track.height} (${track.codec}).`,
    help: `${name === "H.265" ? h265 : ""}Ask whoever streams to send H.264 or AV1 (the setting “codec” of the video encoder), or a smaller picture; or watch with “neural-studio view”.`,
  };
}

/** The canvas cannot be drawn. */
export const NO_WEBGL: Trouble = {
  title: "This browser has no WebGL 2, which draws the picture.",
  help: "Turn on hardware acceleration in the browser's settings, update the graphics driver, or try another browser.",
};
