// A relay between a studio and the page that damages what passes: `studio_stream`'s example `hostile_relay`.

import { spawn, type ChildProcess } from "node:child_process";
import { PATIENCE_MS, required, stopAfterwards, type Studio } from "./support";

/** What is harmed, and how. */
export type Track = "pictures" | "tiles" | "coarse" | "sound" | "catalog";
export type Harm = "flip" | "head" | "cut" | "empty" | "noise" | "twice" | "swap" | "drop";

export class Relay {
  private constructor(
    private readonly process: ChildProcess,
    /** The stream's address. */
    readonly stream: string,
    /** The studio's own page that watches by the relay. */
    readonly link: string,
  ) {}

  /** Starts a relay that is stopped with the test file, if not before; with `expired`, one whose certificate is out of date. */
  static async start(studio: Studio, ...words: "expired"[]): Promise<Relay> {
    const child = spawn(required("NEURAL_STUDIO_RELAY"), [studio.link, ...words], { stdio: ["pipe", "pipe", "inherit"] });
    const stream = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("the relay gave no link")), PATIENCE_MS);
      let said = "";
      child.stdout.on("data", (bytes: Buffer) => {
        said += bytes.toString();
        const found = /^relay: (\S+)$/m.exec(said)?.[1];
        if (!found) return;
        clearTimeout(timer);
        resolve(found);
      });
      child.once("exit", (code) => {
        clearTimeout(timer);
        reject(new Error(`the relay ended with ${String(code)}`));
      });
    });
    return stopAfterwards(new Relay(child, stream, Relay.page(studio, stream)));
  }

  /** The studio's page for a stream that is elsewhere. */
  static page(studio: Studio, stream: string): string {
    const link = new URL(studio.link);
    link.hash = "";
    link.searchParams.set("stream", stream);
    return link.href;
  }

  /** Harms the next messages. */
  harm(track: Track, harm: Harm, count: number): void {
    this.process.stdin!.write(`${track} ${harm} ${count}\n`);
  }

  /** Makes the way to the page so narrow, or as wide as before. */
  narrow(bps: number | undefined): void {
    this.process.stdin!.write(`rate ${bps ?? 0}\n`);
  }

  /** Sets the studio's clock forwards. */
  shift(ms: number): void {
    this.process.stdin!.write(`shift ${ms}\n`);
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill();
    await ended;
  }
}
