// Decodes sound and lets it be heard when the pictures that were captured with it are seen.
//
// Sound is ready long before its picture is. How old pictures are when they are shown is measured (`shown`), and each block of
// sound sounds when it is as old: `capturedAt` is what joins the two. Blocks follow one another without a gap; only where
// stream and sound card have drifted apart by more than a block is there a step.

import type { AudioTrack } from "./receive/catalog";
import type { Unit } from "./receive/wire/unit";

/** Pictures that the delay is taken from: half a second of them. */
const WINDOW = 15;
/** The sound's delay follows the pictures' by so much a block, which nobody hears, in milliseconds. */
const FOLLOW_MS = 1;
/** A delay that differs by more is another one, and taken at once. */
const JUMP_MS = 100;
/** How fast what is known of the two clocks' difference follows what they say: they are read a little late or early. */
const CLOCK_SHARE = 0.02;
/** Sound moves only when it is off by more, in seconds. */
const DRIFT_S = 0.02;
/** Sound is scheduled at least this long before it is heard, in seconds. */
const AHEAD_S = 0.03;
/** Without pictures, sound is this old when it is heard, beyond the youngest, in milliseconds. */
const ALONE_MS = 80;
/** A delay that nobody would wait for: the clocks are wrong, not the sound. */
const LONGEST_S = 5;

/** Plays one track at a time. */
export class Sound {
  played = 0;
  /** Times that the sound had to jump. */
  steps = 0;
  /** What went wrong, for people. */
  error: string | undefined;
  private context: AudioContext | undefined;
  private gain: GainNode | undefined;
  private decoder: AudioDecoder | undefined;
  private config: AudioDecoderConfig | undefined;
  private readonly captured = new Map<number, number>();
  private readonly delays: number[] = [];
  private readonly youngest: number[] = [];
  private next = 0;
  private delay: number | undefined;
  /** The sound card's clock less the page's, in seconds. */
  private clock: number | undefined;
  private volumeDb = 0;
  private muted = false;
  private paused = false;

  /** Sets the track; nothing for none. */
  configure(track: AudioTrack | undefined): void {
    const config: AudioDecoderConfig | undefined = track && {
      codec: track.codec,
      sampleRate: track.rateHz,
      numberOfChannels: track.channels,
      // Opus needs none, and one of a container would be another's.
      ...(track.description.length > 0 && track.codec !== "opus" ? { description: track.description } : {}),
    };
    if (JSON.stringify(config) === JSON.stringify(this.config) && this.decoder?.state === "configured") return;
    this.config = config;
    this.error = undefined;
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = undefined;
    if (config) this.open(config);
  }

  private open(config: AudioDecoderConfig): void {
    if (!("AudioDecoder" in globalThis)) {
      this.error = "This browser decodes no sound (WebCodecs AudioDecoder): Chrome, Edge, Firefox 130 and Safari 26 do.";
      return;
    }
    const decoder: AudioDecoder = new AudioDecoder({
      output: (data) => this.output(data),
      error: (error) => {
        if (this.decoder !== decoder) return;
        this.decoder = undefined;
        this.error = `The sound cannot be decoded (${error.message}).`;
      },
    });
    decoder.configure(config);
    this.decoder = decoder;
    this.context ??= new AudioContext({ latencyHint: "interactive", sampleRate: config.sampleRate });
    this.gain ??= new GainNode(this.context);
    this.gain.connect(this.context.destination);
    this.setGain();
  }

  /** Whether the browser waits for a click before it lets anything be heard. */
  get waits(): boolean {
    return this.decoder !== undefined && this.context?.state === "suspended";
  }

  /** Whether there is sound at all. */
  get there(): boolean {
    return this.config !== undefined;
  }

  /** Lets it be heard: called from a click or a key. */
  resume(): void {
    if (this.context?.state === "suspended") void this.context.resume();
  }

  get isMuted(): boolean {
    return this.muted;
  }

  get gainDb(): number {
    return this.volumeDb;
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
    this.setGain();
  }

  /** Silent while the picture is held. */
  setPaused(paused: boolean): void {
    this.paused = paused;
    this.setGain();
  }

  /** Makes it louder or softer; who turns the volume wants to hear. */
  changeVolume(db: number): void {
    this.volumeDb = Math.min(Math.max(this.volumeDb + db, -60), 12);
    this.setMuted(false);
  }

  private setGain(): void {
    if (!this.gain || !this.context) return;
    // Over some milliseconds: a step would click.
    this.gain.gain.setTargetAtTime(this.muted || this.paused ? 0 : 10 ** (this.volumeDb / 20), this.context.currentTime, 0.01);
  }

  /** Notes how old a picture was when it was shown, in milliseconds. */
  shown(ageMs: number): void {
    this.delays.push(ageMs);
    if (this.delays.length > WINDOW) this.delays.shift();
  }

  /** Another session: another clock. */
  restart(): void {
    this.delays.length = 0;
    this.delay = undefined;
    this.youngest.length = 0;
    this.captured.clear();
  }

  push(unit: Unit): void {
    if (this.decoder?.state !== "configured") return;
    this.youngest.push(performance.timeOrigin + performance.now() - unit.stamp.capturedAtUs / 1000);
    if (this.youngest.length > 100) this.youngest.shift();
    this.captured.set(unit.stamp.ptsUs, unit.stamp.capturedAtUs);
    // What is lost on the way never comes out.
    if (this.captured.size > 200) this.captured.delete(this.captured.keys().next().value!);
    this.decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: unit.stamp.ptsUs, data: unit.data }));
  }

  /** How old sound is to be when it is heard, in milliseconds. */
  private delayMs(): number {
    const sorted = [...this.delays].sort((a, b) => a - b);
    const wanted = sorted.length === 0 ? Math.min(...this.youngest) + ALONE_MS : sorted[sorted.length >> 1]!;
    const off = wanted - (this.delay ?? wanted);
    this.delay = Math.abs(off) > JUMP_MS || this.delay === undefined ? wanted : this.delay + Math.min(Math.max(off, -FOLLOW_MS), FOLLOW_MS);
    return this.delay;
  }

  /** What the sound card's clock says at a moment of the page's, in seconds. */
  private cardTime(context: AudioContext, pageMs: number): number {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    const clock = (contextTime ?? context.currentTime) - (performanceTime ?? performance.now()) / 1000;
    if (this.clock === undefined || Math.abs(clock - this.clock) > JUMP_MS / 1000) this.clock = clock;
    else this.clock += (clock - this.clock) * CLOCK_SHARE;
    return this.clock + pageMs / 1000;
  }

  private output(data: AudioData): void {
    const { context, gain } = this;
    const capturedAtUs = this.captured.get(data.timestamp);
    this.captured.delete(data.timestamp);
    if (!context || !gain || context.state !== "running" || capturedAtUs === undefined) return data.close();
    const buffer = context.createBuffer(data.numberOfChannels, data.numberOfFrames, data.sampleRate);
    for (let channel = 0; channel < data.numberOfChannels; channel += 1) {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: channel, format: "f32-planar" });
      buffer.copyToChannel(samples, channel);
    }
    data.close();
    const wanted = this.cardTime(context, capturedAtUs / 1000 - performance.timeOrigin + this.delayMs());
    const earliest = context.currentTime + AHEAD_S / 10;
    if (Math.abs(wanted - this.next) > DRIFT_S || this.next < earliest) {
      const start = wanted - context.currentTime < LONGEST_S ? Math.max(wanted, context.currentTime + AHEAD_S) : context.currentTime + AHEAD_S;
      // A block that would sound on top of the one before is left out.
      if (start < this.next - DRIFT_S) return;
      this.next = start;
      this.steps += 1;
    }
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(gain);
    source.start(this.next);
    this.next += buffer.duration;
    this.played += 1;
  }

  /** Ends the sound until `configure`. */
  stop(): void {
    this.configure(undefined);
    this.restart();
  }
}
