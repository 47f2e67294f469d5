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
/** Blocks that a decoder may keep to itself for a while; of what is further behind, nothing was heard. */
const HELD_BLOCKS = 2;
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
  /** When what the decoder has not given back yet was captured, in microseconds, in its order. */
  private readonly captured: number[] = [];
  private readonly delays: number[] = [];
  private readonly youngest: number[] = [];
  private next = 0;
  /** Blocks that were scheduled and have not ended yet, by when they begin, in seconds of the sound card's clock. */
  private readonly scheduled: { source: AudioBufferSourceNode; start: number }[] = [];
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
    this.captured.length = 0;
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
      output: (data) => (this.decoder === decoder ? this.output(data) : data.close()),
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
    if (this.config && this.decoder?.state === "configured") {
      this.decoder.reset();
      this.decoder.configure(this.config);
    }
    this.delays.length = 0;
    this.delay = undefined;
    this.youngest.length = 0;
    this.captured.length = 0;
    this.silenceFrom(0);
  }

  push(unit: Unit): void {
    if (this.decoder?.state !== "configured") return;
    this.youngest.push(performance.timeOrigin + performance.now() - unit.stamp.capturedAtUs / 1000);
    if (this.youngest.length > 100) this.youngest.shift();
    this.captured.push(unit.stamp.capturedAtUs);
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
    // Until the sound card has played something, both are zero, which says nothing.
    const clock = performanceTime ? contextTime! - performanceTime / 1000 : context.currentTime - performance.now() / 1000;
    if (this.clock === undefined || Math.abs(clock - this.clock) > JUMP_MS / 1000) this.clock = clock;
    else this.clock += (clock - this.clock) * CLOCK_SHARE;
    return this.clock + pageMs / 1000;
  }

  private output(data: AudioData): void {
    const { context, gain } = this;
    // A block belongs to the packet whose turn it is. Its time stamp does not tell: decoders count on from the first packet by
    // samples, however much was lost since.
    const withoutSound = this.captured.length - (this.decoder?.decodeQueueSize ?? 0) - 1 - HELD_BLOCKS;
    if (withoutSound > 0) this.captured.splice(0, withoutSound);
    const capturedAtUs = this.captured.shift();
    if (!context || !gain || context.state !== "running" || capturedAtUs === undefined) return data.close();
    const buffer = context.createBuffer(data.numberOfChannels, data.numberOfFrames, data.sampleRate);
    for (let channel = 0; channel < data.numberOfChannels; channel += 1) {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: channel, format: "f32-planar" });
      buffer.copyToChannel(samples, channel);
    }
    data.close();
    const wanted = this.cardTime(context, capturedAtUs / 1000 - performance.timeOrigin + this.delayMs());
    const { currentTime } = context;
    // What comes late, or by clocks that are wrong, is heard as soon as it can be.
    const due = wanted - currentTime < LONGEST_S ? Math.max(wanted, currentTime + AHEAD_S) : currentTime + AHEAD_S;
    const early = this.next - due;
    if (this.next < currentTime + AHEAD_S / 10 || early < -DRIFT_S) {
      this.next = due;
      this.steps += 1;
    } else if (early > JUMP_MS / 1000) {
      // What was to be heard after this block was captured before it: its time is over.
      this.silenceFrom(due);
      this.next = due;
      this.steps += 1;
    } else if (early > DRIFT_S && due === wanted) {
      // One block too many for the sound card's clock.
      this.steps += 1;
      return;
    }
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(gain);
    source.start(this.next);
    const block = { source, start: this.next };
    this.scheduled.push(block);
    source.onended = () => this.scheduled.splice(this.scheduled.indexOf(block), 1);
    this.next += buffer.duration;
    this.played += 1;
  }

  /** Ends what is scheduled beyond a moment of the sound card's. */
  private silenceFrom(moment: number): void {
    for (const { source, start } of this.scheduled) source.stop(Math.max(start, moment));
  }

  /** Ends the sound until `configure`. */
  stop(): void {
    this.configure(undefined);
    this.restart();
  }
}
