// The viewer: a session, its decoders, the pace and the renderer, tied together.

import { Sound } from "./audio";
import type { Catalog, VideoTrack } from "./catalog";
import { Controls, type Command } from "./controls";
import type { StreamLink } from "./link";
import { Look } from "./look";
import { choose, Pace } from "./pace";
import { percentile, Rate } from "./rates";
import { edgesOf, Renderer, type EyeView, type Layout, type Shown } from "./render/renderer";
import { Session, type ConnectionState, type SessionListener } from "./session";
import { undecodable } from "./support";
import { Ui, type Action, type Choices } from "./ui";
import { Video, type Picture } from "./video";
import type { MotionField } from "./wire/assemble";
import type { Stamp, Unit } from "./wire/unit";
import { headsetThere, Immersive } from "./xr";

/** Motion fields that are kept: those of the pictures that wait, and some that came early. */
const FIELDS = 12;
/** Ages of shown pictures that are remembered. */
const AGES = 120;
/** Pictures that the clocks of studio and viewer are compared by. */
const TRIPS = 100;
/** Clocks that differ by less, in milliseconds, are taken for the same: the way there may be longer than the way back. */
const SAME_CLOCK_MS = 100;
/** How often the figures are renewed. */
const FIGURES_MS = 500;
/** Pixels that are drawn for one of the page, at most: beyond, nobody sees the difference, and the GPU does. */
const MAX_PIXEL_RATIO = 2;
/** After so long without a picture the stream is said to stand still. */
const STILL_MS = 2000;

/** What was drawn, told by the event `drawn` of the canvas right after it was drawn. */
export interface Drawn {
  /** The picture, or the later one of the two that it was made from. */
  stamp: Stamp;
  /** The picture before it, where this one is made. */
  previous?: Stamp;
  /** 1 for a picture as it came. */
  phase: number;
  /** How old it is, in milliseconds by both clocks. */
  ageMs: number;
}

/** What the viewer's figures show, for scripts. */
export interface Stats {
  connection: ConnectionState["kind"];
  session: string | undefined;
  connections: number;
  width: number;
  height: number;
  codec: string;
  received: number;
  decoded: number;
  skipped: number;
  shown: number;
  generated: number;
  repeated: number;
  receivedHz: number;
  shownHz: number;
  generatedHz: number;
  bitrateBps: number;
  ageMs: { p50: number | undefined; p95: number | undefined };
  decodeMs: { p50: number | undefined; p95: number | undefined };
  jitterMs: number;
  roundTripMs: number | undefined;
  fields: number;
  tiles: number;
  tilesLost: number;
  /** How far this machine's clock is ahead of the studio's; 0 where they cannot be told apart. */
  clockAheadMs: number;
  groupsSkipped: number;
  garbage: number;
  soundPlayed: number;
  soundLost: number;
  soundSteps: number;
  firstPictureMs: number | undefined;
}

export class Viewer implements SessionListener {
  readonly look = new Look();
  private readonly ui: Ui;
  private readonly renderer: Renderer;
  private readonly controls: Controls;
  private readonly video: Video;
  private readonly sound = new Sound();
  private readonly pace = new Pace();
  private readonly session: Session;
  private readonly immersive: Immersive;
  private readonly fields = new Map<number, MotionField>();
  private readonly ages: number[] = [];
  /** What pictures took from studio to here by both clocks, in milliseconds. */
  private readonly trips: number[] = [];
  private readonly rates = { received: new Rate(), shown: new Rate(), generated: new Rate(), bytes: new Rate() };
  private choices: Choices;
  private described: Catalog | undefined;
  private track: VideoTrack | undefined;
  private connection: ConnectionState = { kind: "connecting" };
  private shown: { picture: Picture; phase: number } | undefined;
  private drawnKey = "";
  private counts = { shown: 0, repeated: 0 };
  private refresh = { last: 0, ms: 1000 / 60 };
  private figuresAt = 0;
  private firstPictureMs: number | undefined;

  constructor(link: StreamLink, gl: WebGL2RenderingContext) {
    this.ui = new Ui(
      (action) => this.act(action),
      (choices) => this.applyChoices(choices),
      (track) => this.session.choose(track),
      () => this.sound.resume(),
    );
    this.choices = this.ui.choices();
    this.renderer = new Renderer(gl);
    this.controls = new Controls(this.ui.canvas, this.look, (command) => this.command(command));
    this.video = new Video(
      (picture) => this.decoded(picture),
      (error) => this.decoderFailed(error),
    );
    this.immersive = new Immersive(
      gl,
      (views, target) => this.frame(this.immersive.displayMs, views, target),
      () => this.leftHeadset(),
    );
    this.ui.setButton("device", { shown: this.controls.deviceState !== "absent" });
    this.ui.setButton("fullscreen", { shown: document.fullscreenEnabled });
    void headsetThere().then((there) => this.ui.setButton("headset", { shown: there }));
    navigator.xr?.addEventListener("devicechange", () => void headsetThere().then((there) => this.ui.setButton("headset", { shown: there })));
    document.addEventListener("visibilitychange", () => this.seen());
    addEventListener("online", () => this.session.retryNow());
    this.session = new Session(link, this);
    this.seen();
    requestAnimationFrame((now) => this.tick(now));
  }

  // What the session tells.

  state(state: ConnectionState): void {
    this.connection = state;
    switch (state.kind) {
      case "connecting":
        this.ui.setState(this.firstPictureMs === undefined ? "connecting" : "connecting again", false);
        break;
      case "connected":
        this.ui.say(undefined);
        break;
      case "waiting": {
        const seconds = Math.max((state.retryAt - performance.now()) / 1000, 0.1).toFixed(1);
        this.ui.setState(`trying again in ${seconds} s`, false);
        const button = { label: "Try now", press: () => this.session.retryNow() };
        this.ui.say({ title: state.reason, help: "This page tries again by itself.", button });
        break;
      }
      case "refused":
        this.ui.setState("not connected", false);
        this.ui.say({ title: state.reason, help: state.help, button: { label: "Try again", press: () => location.reload() } });
        break;
    }
  }

  catalog(catalog: Catalog, fresh: boolean): void {
    if (fresh && this.described?.session !== catalog.session) {
      // Frame numbers and times of another session do not compare.
      this.pace.restart();
      this.sound.restart();
      this.fields.clear();
      this.trips.length = 0;
    }
    this.described = catalog;
    this.sound.configure(catalog.audio);
    void this.retrack();
  }

  /** Decodes what the session receives now, where this browser can. */
  private async retrack(): Promise<void> {
    const track = this.session.video;
    this.ui.setRenditions(this.described?.renditions ?? [], track?.track);
    this.track = track;
    if (!track) return;
    this.video.configure(track);
    const trouble = await undecodable(track);
    if (!trouble || this.track !== track) return;
    this.video.stop(true);
    this.ui.say(trouble);
  }

  picture(unit: Unit, afterGap: boolean): void {
    this.trips.push(Date.now() - unit.sentAtUs / 1000);
    if (this.trips.length > TRIPS) this.trips.shift();
    this.video.push(unit, afterGap);
  }

  soundUnit(unit: Unit): void {
    this.sound.push(unit);
  }

  motion(field: MotionField): void {
    this.fields.set(field.stamp.frameId, field);
    if (this.fields.size > FIELDS) this.fields.delete(this.fields.keys().next().value!);
  }

  private decoded(picture: Picture): void {
    this.pace.ready(picture.stamp.ptsUs / 1000, picture.readyAt);
    // Who joins or falls behind gets many at once: those whose time is over make room at once.
    const [moment, { pictures }] = [this.pace.moment(performance.now(), 1), this.video];
    while (moment !== undefined && pictures.length > 1 && pictures[1]!.stamp.ptsUs / 1000 <= moment) this.release(1);
  }

  private decoderFailed(error: Error): void {
    console.warn("the decoder gave up", error);
    // The newest key frame is there already, or comes soon.
    setTimeout(() => this.session.restartPictures(), 200);
  }

  /** Receives pictures only while somebody looks. Sound goes on: who turned to another page still listens. */
  private seen(): void {
    const watching = document.visibilityState === "visible" || this.immersive.running;
    this.session.watch(watching);
    // A screen that nobody touches stays on while there is something to see.
    if (watching) return void navigator.wakeLock?.request("screen").catch(() => {});
    this.video.stop();
    this.renderer.forget();
    this.pace.restart();
    this.fields.clear();
    this.shown = undefined;
  }

  // What the viewer does.

  private command(command: Command): void {
    switch (command) {
      case "generate":
        return this.ui.setGenerate(!this.choices.generate);
      case "hud":
        return this.ui.toggleHud();
      case "fullscreen":
        return this.act("fullscreen");
      case "mute":
        return this.act("mute");
      case "louder":
      case "softer":
        return this.sound.changeVolume(command === "louder" ? 3 : -3);
    }
  }

  private act(action: Action): void {
    switch (action) {
      case "mute":
        this.sound.resume();
        return this.sound.setMuted(!this.sound.isMuted);
      case "device":
        void this.controls.followDevice(this.controls.deviceState === "off");
        return;
      case "ahead":
        return this.controls.ahead();
      case "settings":
        return this.ui.toggleSettings();
      case "hud":
        return this.ui.toggleHud();
      case "headset":
        this.immersive.start().then(
          () => {
            this.ui.setButton("headset", { pressed: true });
            this.seen();
          },
          (error: unknown) => this.ui.setState(`no headset: ${error instanceof Error ? error.message : String(error)}`, false),
        );
        return;
      case "fullscreen":
        if (!document.fullscreenEnabled) return;
        void (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()).catch(() => {});
        return;
    }
  }

  private applyChoices(choices: Choices): void {
    this.choices = choices;
    this.drawnKey = "";
  }

  private leftHeadset(): void {
    this.ui.setButton("headset", { pressed: false });
    this.seen();
    this.drawnKey = "";
    requestAnimationFrame((now) => this.tick(now));
  }

  // Drawing.

  private tick(now: number): void {
    // The headset has a clock of its own.
    if (this.immersive.running) return;
    requestAnimationFrame((next) => this.tick(next));
    const passed = now - this.refresh.last;
    // The display's own rate: a mean over what can be one, without the pauses.
    if (passed > 3 && passed < 60) this.refresh.ms += (passed - this.refresh.ms) / 16;
    this.refresh.last = now;
    this.controls.tick(passed / 1000);
    const { canvas } = this.ui;
    const ratio = Math.min(devicePixelRatio, MAX_PIXEL_RATIO);
    const [width, height] = [Math.max(Math.round(canvas.clientWidth * ratio), 1), Math.max(Math.round(canvas.clientHeight * ratio), 1)];
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      this.drawnKey = "";
    }
    const view: EyeView = {
      eye: "left",
      rotation: this.look.rotation(),
      edges: edgesOf(this.look.fovDeg, width / height),
      viewport: { x: 0, y: 0, width, height },
    };
    this.frame(this.refresh.ms, [view], null);
    this.figures(now);
  }

  /** How the picture is laid out. A flat one is shown as it is. */
  private layout(track: VideoTrack): Layout {
    const { projection, stereo } = this.choices;
    const sent = track.projection.kind === "rectilinear" && !this.immersive.running ? { kind: "flat" as const } : track.projection;
    return { projection: projection === "sent" ? sent : { kind: projection }, stereo: stereo === "sent" ? track.stereo : stereo };
  }

  /** Draws what is on now. */
  private frame(displayMs: number | undefined, views: readonly EyeView[], target: WebGLFramebuffer | null): void {
    const { track, video } = this;
    if (!track || this.renderer.gl.isContextLost()) return;
    const { pictures } = video;
    // Without motion there is nothing to make frames from, and nothing to wait for.
    const generating = this.choices.generate && this.renderer.canGenerate && this.described?.motion !== undefined;
    const steps = generating ? this.pace.steps(displayMs ?? this.refresh.ms) : 1;
    // Frame callbacks are told the frame's time, which may be older than a picture that is decoded meanwhile.
    const moment = this.pace.moment(performance.now(), steps);
    if (moment === undefined) return;
    const times = pictures.map((picture) => picture.stamp.ptsUs / 1000);
    const motionOf = (previous: number, current: number): MotionField | undefined => {
      const field = this.fields.get(pictures[current]!.stamp.frameId);
      return field?.previousFrameId === pictures[previous]!.stamp.frameId ? field : undefined;
    };
    const choice = choose(times, moment, steps, (previous, current) => motionOf(previous, current) !== undefined);
    if (!choice) return;
    const current = pictures[choice.current]!;
    const shown: Shown = { current };
    if (choice.previous !== undefined) {
      const [previous, field] = [pictures[choice.previous]!, motionOf(choice.previous, choice.current)];
      if (field) shown.between = { previous, field, phase: choice.phase };
    }
    const phase = shown.between?.phase ?? 1;
    const isNew = this.shown?.picture !== current || this.shown.phase !== phase;
    const layout = this.layout(track);
    const key = JSON.stringify([layout, views.map(({ rotation, edges }) => [...rotation, ...edges])]);
    // Nothing moved: what is on the canvas stays. A headset wants every frame drawn.
    if (!isNew && key === this.drawnKey && target === null) return;
    const before = this.renderer.counts.generated;
    this.renderer.draw(shown, layout, views, target);
    this.drawnKey = key;
    if (!isNew) {
      this.counts.repeated += 1;
      return;
    }
    this.shown = { picture: current, phase };
    this.counts.shown += 1;
    this.firstPictureMs ??= performance.now();
    const made = this.renderer.counts.generated > before;
    const ageMs = performance.timeOrigin + performance.now() - current.stamp.capturedAtUs / 1000;
    if (!made) {
      this.sound.shown(ageMs);
      this.ages.push(ageMs);
      if (this.ages.length > AGES) this.ages.shift();
    }
    const drawn: Drawn = { stamp: current.stamp, phase, ageMs, ...(made && shown.between ? { previous: shown.between.previous.stamp } : {}) };
    this.ui.canvas.dispatchEvent(new CustomEvent("drawn", { detail: drawn }));
    // What lies before the two that are drawn from is not needed again.
    if (!made) current.drawn = true;
    this.release(choice.previous ?? choice.current);
  }

  private release(count: number): void {
    if (count > 0) this.video.release(count);
  }

  // Figures.

  /** How far this machine's clock is ahead of the studio's: the fastest picture came in half a round trip. */
  private clockAheadMs(): number {
    if (this.trips.length === 0) return 0;
    const ahead = Math.min(...this.trips) - (this.session.roundTripMs ?? 0) / 2;
    return Math.abs(ahead) < SAME_CLOCK_MS ? 0 : ahead;
  }

  stats(): Stats {
    const now = performance.now();
    const { counts } = this.session;
    const track = this.track;
    const clockAheadMs = this.clockAheadMs();
    const ages = this.ages.map((age) => age - clockAheadMs);
    return {
      connection: this.connection.kind,
      session: this.described?.session,
      connections: counts.connections,
      width: track?.width ?? 0,
      height: track?.height ?? 0,
      codec: track?.codec ?? "",
      received: counts.pictures,
      decoded: this.video.decoded,
      skipped: this.video.skipped,
      shown: this.counts.shown,
      generated: this.renderer.counts.generated,
      repeated: this.counts.repeated,
      receivedHz: this.rates.received.note(counts.pictures, now),
      shownHz: this.rates.shown.note(this.counts.shown, now),
      generatedHz: this.rates.generated.note(this.renderer.counts.generated, now),
      bitrateBps: this.rates.bytes.note(counts.bytes, now) * 8,
      ageMs: { p50: percentile(ages, 0.5), p95: percentile(ages, 0.95) },
      decodeMs: { p50: percentile(this.video.decodeMs, 0.5), p95: percentile(this.video.decodeMs, 0.95) },
      jitterMs: this.pace.jitterMs,
      roundTripMs: this.session.roundTripMs,
      fields: counts.fields,
      tiles: counts.tiles,
      tilesLost: counts.tilesLost,
      clockAheadMs,
      groupsSkipped: counts.groupsSkipped,
      garbage: counts.garbage,
      soundPlayed: this.sound.played,
      soundLost: counts.soundsLost,
      soundSteps: this.sound.steps,
      firstPictureMs: this.firstPictureMs,
    };
  }

  private figures(now: number): void {
    if (now - this.figuresAt < FIGURES_MS) return;
    this.figuresAt = now;
    this.ui.setButton("mute", {
      shown: this.sound.there,
      pressed: !this.sound.isMuted,
      label: this.sound.isMuted ? "Sound off" : `Sound ${this.sound.gainDb >= 0 ? "+" : "−"}${Math.abs(this.sound.gainDb)} dB`,
    });
    this.ui.setButton("device", { pressed: this.controls.deviceState === "on" });
    this.ui.showSoundHint(this.sound.waits);
    if (this.connection.kind === "connected") this.sayConnected();
    if (!this.ui.hudShown) return;
    const stats = this.stats();
    const ms = (value: number | undefined): string => (value === undefined ? "–" : value.toFixed(1));
    const rows: [string, string][] = [
      ["picture", `${stats.width} × ${stats.height} ${stats.codec}`],
      ["latency", `${ms(stats.ageMs.p50)} ms, p95 ${ms(stats.ageMs.p95)}`],
      ["of it held", `${ms(stats.jitterMs)} ms`],
      ["decoding", `${ms(stats.decodeMs.p50)} ms, p95 ${ms(stats.decodeMs.p95)}`],
      ["received", `${stats.receivedHz.toFixed(1)} pictures/s`],
      ["drawn", `${stats.shownHz.toFixed(1)} /s, generated ${stats.generatedHz.toFixed(1)} /s`],
      ["bit rate", `${(stats.bitrateBps / 1e6).toFixed(2)} Mbit/s`],
      ["lost tiles", `${stats.tilesLost} of ${stats.tiles}`],
      ["groups skipped", String(stats.groupsSkipped)],
      ["never drawn", String(stats.skipped)],
    ];
    if (stats.roundTripMs !== undefined) rows.push(["round trip", `${ms(stats.roundTripMs)} ms`]);
    if (stats.clockAheadMs !== 0) rows.push(["clock", `${(stats.clockAheadMs / 1000).toFixed(1)} s ahead of the studio's, taken into account`]);
    if (this.sound.there) rows.push(["sound", this.sound.error ?? `${stats.soundLost} lost, ${stats.soundSteps} steps`]);
    if (stats.garbage > 0) rows.push(["not understood", String(stats.garbage)]);
    this.ui.figures(rows);
  }

  private sayConnected(): void {
    const newest = this.video.pictures.at(-1)?.readyAt;
    if (!this.track) return this.ui.setState(this.described?.audio ? "sound only" : "waiting for pictures", this.described?.audio !== undefined);
    const still = newest === undefined || performance.now() - newest > STILL_MS;
    this.ui.setState(still ? "waiting for pictures" : "live", !still);
  }
}
