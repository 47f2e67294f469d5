// The viewer: a stream, its player, sound, controls and what is around the picture, tied together.

import { Sound } from "./audio";
import { Controls, type Command } from "./controls";
import { Figures, recentAges, rowsOf, type Stats } from "./figures";
import { Gamepads } from "./gamepads";
import { GazeLog } from "./gaze";
import { Look } from "./look";
import { pass } from "./milestones";
import { Player, type Between, type Drawn } from "./player";
import type { Catalog, VideoTrack } from "./receive/catalog";
import type { DecodedPicture } from "./receive/messages";
import { browserName } from "./receive/report";
import type { ConnectionState } from "./receive/session";
import type { Stream, StreamListener } from "./receive/stream";
import type { MotionField } from "./receive/wire/assemble";
import type { Unit } from "./receive/wire/unit";
import { edgesOf, Renderer, widthFor, type EyeView, type Layout } from "./render/renderer";
import { undecodable } from "./support";
import { Ui, type Action, type Choices } from "./ui";
import { headsetThere, Immersive, type HeadsetFrame, type HeadsetHost } from "./xr/immersive";
import type { PanelContent } from "./xr/panel";

/** How often the figures are renewed. */
const FIGURES_MS = 500;
/** How often the worker is told how the stream is watched. */
const TELL_MS = 1000;
/** Pixels that are drawn for one of the page, at most: beyond, nobody sees the difference, and the GPU does. */
const MAX_PIXEL_RATIO = 2;
/** After so long without a picture the stream is said to stand still. */
const STILL_MS = 2000;
/** One press of a key makes sound so much louder or softer. */
const VOLUME_STEP_DB = 3;
/** What comes after each in the key's round: the desktop's order. */
const AFTER: Record<Between, Between> = { none: "generated", generated: "compare", compare: "none" };

export class Viewer implements StreamListener, HeadsetHost {
  readonly look = new Look();
  private readonly ui: Ui;
  private readonly player: Player;
  private readonly controls: Controls;
  private readonly gamepads: Gamepads;
  private readonly gaze = new GazeLog();
  private readonly sound = new Sound();
  private readonly figures = new Figures();
  private readonly immersive: Immersive;
  private readonly name: string;
  private choices: Choices;
  private described: Catalog | undefined;
  private track: VideoTrack | undefined;
  private connection: ConnectionState = { kind: "connecting" };
  private paused = false;
  private refresh = { last: 0, ms: 1000 / 60 };
  private figuresAt = 0;
  private newestAt: number | undefined;
  private wantedPx = 0;

  constructor(
    private readonly stream: Stream,
    gl: WebGL2RenderingContext,
  ) {
    this.ui = new Ui(
      (action) => this.act(action),
      (choices) => this.applyChoices(choices),
      (track) => this.stream.choose(track),
      () => this.sound.resume(),
    );
    this.choices = this.ui.choices();
    this.player = new Player(
      new Renderer(gl),
      (drawn) => this.drawn(drawn),
      (count) => this.stream.released(count),
    );
    this.controls = new Controls(this.ui.canvas, this.look, (command) => this.command(command));
    this.gamepads = new Gamepads(this.look, (command) => this.command(command));
    this.immersive = new Immersive(gl, this);
    const { userAgentData } = navigator as { userAgentData?: { brands: { brand: string; version: string }[]; platform: string } };
    this.name = browserName(navigator.userAgent, userAgentData?.brands, userAgentData?.platform);
    this.ui.setButton("device", { shown: this.controls.deviceState !== "absent" });
    this.ui.setButton("fullscreen", { shown: document.fullscreenEnabled });
    const headset = (): void => void headsetThere().then((there) => this.ui.setButton("headset", { shown: there }));
    headset();
    navigator.xr?.addEventListener("devicechange", headset);
    document.addEventListener("visibilitychange", () => this.seen());
    addEventListener("online", () => this.stream.retryNow());
    stream.listen(this);
    this.seen();
    setInterval(() => this.tell(), TELL_MS);
    requestAnimationFrame((now) => this.tick(now));
  }

  // What the stream tells.

  state(state: ConnectionState): void {
    this.connection = state;
    switch (state.kind) {
      case "connecting":
        this.ui.setState(this.player.firstAt === undefined ? "connecting" : "connecting again", false);
        break;
      case "connected":
        pass("connected");
        this.ui.say(undefined);
        break;
      case "waiting": {
        const seconds = Math.max((state.retryAt - performance.now()) / 1000, 0.1).toFixed(1);
        this.ui.setState(`trying again in ${seconds} s`, false);
        const button = { label: "Try now", press: () => this.stream.retryNow() };
        this.ui.say({ title: state.reason, help: "This page tries again by itself.", button });
        break;
      }
      case "refused":
        this.refuse(state.reason, state.help);
        break;
    }
  }

  private refuse(title: string, help: string): void {
    this.ui.setState("not connected", false);
    this.ui.say({ title, help, button: { label: "Try again", press: () => location.reload() } });
  }

  broken(reason: string): void {
    console.error("the worker failed", reason);
    this.refuse("This page can no longer receive the stream.", `${reason} Load the page again.`);
  }

  catalog(catalog: Catalog, track: VideoTrack | undefined): void {
    if (this.described?.session !== catalog.session) {
      // Frame numbers and times of another session do not compare.
      this.player.restart();
      this.sound.restart();
    }
    if (this.track?.track !== track?.track) this.ui.say(undefined);
    pass("stream described");
    this.described = catalog;
    this.track = track;
    this.player.redraw();
    this.sound.configure(catalog.audio);
    this.ui.setRenditions(catalog.renditions, track);
  }

  undecodable(track: VideoTrack): void {
    this.ui.say(undecodable(track));
  }

  picture(picture: DecodedPicture): void {
    this.newestAt = performance.now();
    pass("first picture here", picture.arrivedAt);
    pass("first picture decoded", picture.readyAt);
    if (this.watching) this.player.push(picture);
    else this.player.pictures.refuse(picture);
  }

  soundUnit(unit: Unit): void {
    this.sound.push(unit);
  }

  motion(field: MotionField): void {
    this.player.motion(field);
  }

  /** Whether somebody looks at pictures that move. */
  private get watching(): boolean {
    return !this.paused && (document.visibilityState === "visible" || this.immersive.running);
  }

  /** Receives pictures only while somebody looks. Sound goes on: who turned to another page still listens. */
  private seen(): void {
    this.stream.watch(this.watching);
    this.player.hold(this.paused);
    // A screen that nobody touches stays on while there is something to see.
    if (this.watching) void navigator.wakeLock?.request("screen").catch(() => {});
    else if (!this.paused) this.player.clear();
  }

  // What the viewer does.

  command(command: Command): void {
    switch (command) {
      case "between":
        return this.ui.setBetween(AFTER[this.choices.between]);
      case "louder":
      case "softer":
        return this.sound.changeVolume(command === "louder" ? VOLUME_STEP_DB : -VOLUME_STEP_DB);
      default:
        return this.act(command);
    }
  }

  private act(action: Action): void {
    switch (action) {
      case "pause":
        return this.pause(!this.paused);
      case "mute":
        this.sound.resume();
        return this.sound.setMuted(!this.sound.isMuted);
      case "device":
        void this.controls.followDevice(this.controls.deviceState === "off");
        return;
      case "ahead":
        this.immersive.ahead();
        return this.controls.ahead();
      case "settings":
        return this.ui.toggleSettings();
      case "hud":
        return this.ui.toggleHud();
      case "headset":
        if (this.immersive.running) return void this.immersive.end();
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

  /** Holds the picture and the sound; what follows is live again. */
  private pause(paused: boolean): void {
    this.paused = paused;
    this.sound.setPaused(paused);
    this.ui.setButton("pause", { pressed: paused, label: paused ? "Go on" : "Pause" });
    this.seen();
  }

  private applyChoices(choices: Choices): void {
    this.choices = choices;
    this.player.between = choices.between;
    this.player.redraw();
  }

  // What the headset asks for.

  ended(): void {
    this.ui.setButton("headset", { pressed: false });
    this.seen();
    this.player.redraw();
    requestAnimationFrame((now) => this.tick(now));
  }

  panel(): PanelContent {
    return { rows: rowsOf(this.stats(), this.sound), paused: this.paused };
  }

  whole(): { layout: Layout; width: number; height: number } | undefined {
    const { track } = this;
    // Which half is which is told by each eye's view.
    if (!track || this.choices.between === "compare") return undefined;
    return { layout: this.layout(track), width: track.width, height: track.height };
  }

  frame({ views, gaze, target, whole, force }: HeadsetFrame): void {
    this.draw(this.immersive.displayMs ?? this.refresh.ms, { views, gaze, target, force, whole });
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
    this.gamepads.tick(passed / 1000);
    const { canvas } = this.ui;
    const ratio = Math.min(devicePixelRatio, MAX_PIXEL_RATIO);
    const [width, height] = [Math.max(Math.round(canvas.clientWidth * ratio), 1), Math.max(Math.round(canvas.clientHeight * ratio), 1)];
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      this.player.redraw();
    }
    const view: EyeView = {
      eye: "left",
      rotation: this.look.rotation(),
      edges: edgesOf(this.look.fovDeg, width / height),
      viewport: { x: 0, y: 0, width, height },
    };
    this.draw(this.refresh.ms, { views: [view], gaze: view.rotation, target: null, force: false, whole: false });
    this.renew(now);
  }

  /** How the picture is laid out. A flat one is shown as it is. */
  private layout(track: VideoTrack): Layout {
    const { projection, stereo } = this.choices;
    const sent = track.projection.kind === "rectilinear" && !this.immersive.running ? { kind: "flat" as const } : track.projection;
    return { projection: projection === "sent" ? sent : { kind: projection }, stereo: stereo === "sent" ? track.stereo : stereo };
  }

  /** Draws what is on now. */
  private draw(displayMs: number, { views, gaze, target, whole, force }: HeadsetFrame): void {
    const { track } = this;
    const [first] = views;
    if (!track || !first) return;
    const layout = this.layout(track);
    if (layout.projection.kind !== "flat") this.gaze.note(gaze, performance.now());
    this.wantedPx = whole ? track.width : widthFor(first, layout);
    const layoutOf = (shown: VideoTrack): Layout => (whole ? { projection: { kind: "flat" }, stereo: "mono" } : this.layout(shown));
    this.player.frame(this.described?.motion !== undefined, layoutOf, displayMs, { views, target, force });
  }

  private drawn(drawn: Drawn): void {
    pass("first picture drawn");
    if (!drawn.previous) this.sound.shown(drawn.ageMs);
    this.ui.canvas.dispatchEvent(new CustomEvent("drawn", { detail: drawn }));
  }

  // Figures.

  stats(): Stats {
    const { connection, described: catalog, track, player, sound } = this;
    const displayMs = (this.immersive.running ? this.immersive.displayMs : undefined) ?? this.refresh.ms;
    return this.figures.stats({ connection, catalog, track, received: this.stream.figures, player, sound, displayMs });
  }

  /** Says how the stream is watched. */
  private tell(): void {
    const stats = this.stats();
    this.stream.tell({
      name: this.immersive.running ? `${this.name}, headset` : this.name,
      latencyMs: recentAges(this.player),
      clockOffsetMs: stats.clockAheadMs,
      displayHz: stats.displayHz,
      decodedHz: stats.decodedHz,
      generatedHz: stats.generatedHz,
      repeatedHz: stats.repeatedHz,
      targetDelayMs: stats.jitterMs,
      wantedPx: this.wantedPx,
      gaze: this.gaze.take(),
    });
  }

  private renew(now: number): void {
    if (now - this.figuresAt < FIGURES_MS) return;
    this.figuresAt = now;
    this.ui.setButton("mute", {
      shown: this.sound.there,
      pressed: !this.sound.isMuted,
      label: this.sound.isMuted ? "Sound off" : `Sound ${this.sound.gainDb >= 0 ? "+" : "−"}${Math.abs(this.sound.gainDb)} dB`,
    });
    this.ui.setButton("device", { pressed: this.controls.deviceState === "on" });
    this.ui.setCompared(this.choices.between === "compare" && this.described?.motion !== undefined);
    this.ui.showSoundHint(this.sound.waits);
    if (this.connection.kind === "connected") this.sayConnected();
    if (this.ui.hudShown) this.ui.figures(rowsOf(this.stats(), this.sound));
  }

  private sayConnected(): void {
    if (this.paused) return this.ui.setState("paused", false);
    if (!this.track) return this.ui.setState(this.described?.audio ? "sound only" : "waiting for pictures", this.described?.audio !== undefined);
    const still = this.newestAt === undefined || performance.now() - this.newestAt > STILL_MS;
    this.ui.setState(still ? "waiting for pictures" : "live", !still);
  }
}
