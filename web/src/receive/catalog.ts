// What a stream holds: hang's catalog with the studio's section `immersive`. Read as `studio_stream::catalog` reads it, from a
// stranger: every value has a range.

/** Largest catalog read, in bytes. */
export const MAX_CATALOG_BYTES = 64 * 1024;
const MAX_SIDE_PX = 32_768;
const MAX_FRAME_RATE_HZ = 1000;
const MAX_TILE_TRACKS = 8;
const MAX_CELLS = 960 * 480;
const MAX_RENDITIONS = 64;
const VERSION = 1;

/** Why a catalog cannot be used, for people. */
export class CatalogError extends Error {}

/** Tangents of an eye's field of view: left, right, up, down. */
export type Edges = [number, number, number, number];

/** How the picture covers the sphere. Angles are in degrees. */
export type Projection =
  | { kind: "equirectangular" }
  | { kind: "halfEquirectangular" }
  | { kind: "fisheye"; fovDeg: number }
  | { kind: "cubeMap" }
  | { kind: "rectilinear"; fovDeg: number }
  | { kind: "offAxis"; left: Edges; right: Edges };

/** Where the eyes' pictures lie. */
export type Stereo = "mono" | "topBottom" | "leftRight";

/** A track of video. */
export interface VideoTrack {
  track: string;
  /** As WebCodecs spells it, such as `avc1.64001f`. */
  codec: string;
  width: number;
  height: number;
  /** 0 where it is not known. */
  frameRateHz: number;
  bitrateBps: number;
  projection: Projection;
  stereo: Stereo;
}

/** A track of sound. */
export interface AudioTrack {
  track: string;
  codec: string;
  rateHz: number;
  channels: number;
  bitrateBps: number;
  /** The decoder's description, empty where it needs none. */
  description: Uint8Array<ArrayBuffer>;
}

/** The tracks of the motion fields. */
export interface MotionTracks {
  tiles: string[];
  coarse: string;
}

/** A stream's catalog. */
export interface Catalog {
  /** Chosen anew at each start of the studio. */
  session: string;
  video?: VideoTrack;
  /** The same pictures in every quality there is, `video` among them. */
  renditions: VideoTrack[];
  audio?: AudioTrack;
  motion?: MotionTracks;
}

type Json = Record<string, unknown>;

function object(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new CatalogError(`The catalog's ${what} is damaged.`);
  return value as Json;
}

function number(value: unknown, min: number, max: number, what: string): number {
  if (typeof value !== "number" || !(value >= min && value <= max)) throw new CatalogError(`The catalog's ${what} is out of range.`);
  return value;
}

function trackName(value: unknown): string {
  if (typeof value !== "string" || !/^[\w.-]{1,64}$/.test(value)) throw new CatalogError("The catalog names a track that cannot be one.");
  return value;
}

function edges(value: unknown): Edges {
  if (!Array.isArray(value) || value.length !== 4) throw new CatalogError("The catalog's field of view is damaged.");
  return value.map((edge) => number(edge, 1e-3, 60, "field of view")) as Edges;
}

function projectionOf(value: unknown): Projection {
  const projection = object(value, "projection");
  switch (projection["kind"]) {
    case "equirectangular":
    case "halfEquirectangular":
    case "cubeMap":
      return { kind: projection["kind"] };
    case "fisheye":
      return { kind: "fisheye", fovDeg: number(projection["fovDeg"], 1, 360, "field of view") };
    case "rectilinear":
      return { kind: "rectilinear", fovDeg: number(projection["fovDeg"], 1, 179.9, "field of view") };
    case "offAxis":
      return { kind: "offAxis", left: edges(projection["left"]), right: edges(projection["right"]) };
    default:
      throw new CatalogError("This page does not know the stream's projection. Load it again from the studio that streams.");
  }
}

/** A rendition on `track`; all share the projection that the section `immersive` tells of its own. */
function videoOf(video: Json, renditions: Json, track: string): VideoTrack {
  const config = object(renditions[track], "rendition");
  const stereo = video["stereo"];
  if (stereo !== "mono" && stereo !== "topBottom" && stereo !== "leftRight") throw new CatalogError("The catalog's stereo layout is unknown.");
  // The encoder's own spelling, where there is one.
  const spelled = track === video["track"] ? video["codec"] : "";
  const codec = String(spelled || config["codec"] || "");
  if (!/^[A-Za-z0-9.]{1,64}$/.test(codec)) throw new CatalogError("The catalog names a codec that cannot be one.");
  return {
    track,
    codec,
    width: number(config["codedWidth"], 1, MAX_SIDE_PX, "picture size"),
    height: number(config["codedHeight"], 1, MAX_SIDE_PX, "picture size"),
    frameRateHz: number(config["framerate"] ?? 0, 0, MAX_FRAME_RATE_HZ, "frame rate"),
    bitrateBps: number(config["bitrate"] ?? 0, 0, 1e12, "bit rate"),
    projection: projectionOf(video["projection"]),
    stereo,
  };
}

function audioOf(audio: Json, renditions: Json): AudioTrack {
  const track = trackName(audio["track"]);
  const config = object(renditions[track], "rendition of sound");
  const codec = config["codec"];
  if (typeof codec !== "string" || codec.length > 64) throw new CatalogError("The catalog names a codec of sound that cannot be one.");
  const hex = config["description"] ?? "";
  if (typeof hex !== "string" || hex.length > 2048 || !/^([0-9a-f]{2})*$/i.test(hex)) {
    throw new CatalogError("The catalog's description of the sound is damaged.");
  }
  return {
    track,
    codec,
    rateHz: number(config["sampleRate"], 1000, 384_000, "sample rate"),
    channels: number(config["numberOfChannels"], 1, 64, "number of channels"),
    bitrateBps: number(config["bitrate"] ?? 0, 0, 1e12, "bit rate"),
    description: Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
  };
}

function motionOf(motion: Json): MotionTracks {
  const tiles = motion["tiles"];
  if (!Array.isArray(tiles) || tiles.length < 1 || tiles.length > MAX_TILE_TRACKS) {
    throw new CatalogError("The catalog's number of motion tracks is out of range.");
  }
  const grid = motion["grid"];
  if (!Array.isArray(grid)) throw new CatalogError("The catalog's motion grid is damaged.");
  number(Number(grid[0]) * Number(grid[1]), 1, MAX_CELLS, "motion grid");
  return { tiles: tiles.map(trackName), coarse: trackName(motion["coarse"]) };
}

/** Reads a catalog. Throws `CatalogError`. */
export function parseCatalog(bytes: Uint8Array): Catalog {
  if (bytes.length > MAX_CATALOG_BYTES) throw new CatalogError("The stream's catalog is too large to be one.");
  let root: Json;
  try {
    root = object(JSON.parse(new TextDecoder().decode(bytes)), "root");
  } catch (error) {
    throw error instanceof CatalogError ? error : new CatalogError("The stream's catalog cannot be read.");
  }
  if (root["immersive"] === undefined) throw new CatalogError("The stream was not published by a studio.");
  const immersive = object(root["immersive"], "section `immersive`");
  if (immersive["version"] !== VERSION) throw new CatalogError("The studio is of another release than this page. Load the page again.");
  const renditions = (kind: string): Json => object(object(root[kind] ?? {}, kind)["renditions"] ?? {}, "renditions");
  const catalog: Catalog = { session: String(immersive["session"]), renditions: [] };
  if (immersive["video"]) {
    const [video, all] = [object(immersive["video"], "video"), renditions("video")];
    if (Object.keys(all).length > MAX_RENDITIONS) throw new CatalogError("The catalog has too many renditions.");
    catalog.video = videoOf(video, all, trackName(video["track"]));
    catalog.renditions = Object.keys(all).map((track) => videoOf(video, all, trackName(track)));
  }
  if (immersive["audio"]) catalog.audio = audioOf(object(immersive["audio"], "sound"), renditions("audio"));
  if (immersive["motion"]) catalog.motion = motionOf(object(immersive["motion"], "motion"));
  return catalog;
}
