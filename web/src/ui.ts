// What is shown around the picture: state, messages, figures, buttons and settings.

import type { Stereo, VideoTrack } from "./receive/catalog";
import type { Between } from "./player";
import type { Trouble } from "./support";

/** What a button asks for. */
export type Action = "pause" | "mute" | "device" | "ahead" | "settings" | "hud" | "headset" | "fullscreen";

/** What the viewer chose. */
export interface Choices {
  between: Between;
  /** `sent`: as the catalog says. */
  projection: "sent" | "equirectangular" | "halfEquirectangular" | "flat";
  stereo: "sent" | Stereo;
}

/** The bar and the pointer vanish after so long without a move. */
const IDLE_MS = 3500;

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as T;
}

/** How a rendition is called in the menu. */
export function renditionLabel(track: VideoTrack): string {
  const rate = track.bitrateBps > 0 ? `, ${(track.bitrateBps / 1e6).toFixed(track.bitrateBps < 1e7 ? 1 : 0)} Mbit/s` : "";
  const hz = track.frameRateHz > 0 ? ` ${Math.round(track.frameRateHz)} Hz` : "";
  return `${track.width} × ${track.height}${hz}${rate}`;
}

export class Ui {
  readonly canvas = element<HTMLCanvasElement>("picture");
  private readonly hud = element("hud");
  private readonly message = element("message");
  private readonly bar = element("bar");
  private readonly state = element("state");
  private readonly settings = element<HTMLFormElement>("settings");
  private readonly compared = element("compared");
  private readonly soundHint = element<HTMLButtonElement>("sound");
  private idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    act: (action: Action) => void,
    private readonly choose: (choices: Choices) => void,
    /** A rendition; nothing for the one that fits best. */
    private readonly chooseRendition: (track: string | undefined) => void,
    /** Called with the first sign of the viewer: only then may sound be heard. */
    touched: () => void,
  ) {
    this.bar.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLButtonElement>("button[data-do]");
      if (button) act(button.dataset["do"] as Action);
    });
    this.settings.addEventListener("change", (event) => {
      const field = event.target as HTMLSelectElement;
      if (field.name === "quality") this.chooseRendition(field.value || undefined);
      else this.choose(this.choices());
    });
    this.settings.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggleSettings();
    });
    this.settings.addEventListener("submit", (event) => event.preventDefault());
    for (const event of ["pointerdown", "pointermove", "keydown"]) {
      addEventListener(event, () => {
        if (event !== "pointermove") touched();
        this.awake();
      });
    }
    this.awake();
  }

  private field(name: string): HTMLSelectElement {
    return this.settings.elements.namedItem(name) as HTMLSelectElement;
  }

  choices(): Choices {
    return {
      between: this.field("between").value as Between,
      projection: this.field("projection").value as Choices["projection"],
      stereo: this.field("stereo").value as Choices["stereo"],
    };
  }

  setBetween(between: Between): void {
    this.field("between").value = between;
    this.choose(this.choices());
  }

  /** Lists the renditions; `received` is the one that comes now, whether the viewer chose it or not. */
  setRenditions(tracks: readonly VideoTrack[], received: VideoTrack | undefined): void {
    const select = this.field("quality");
    const chosen = tracks.some(({ track }) => track === select.value) ? select.value : "";
    const options = tracks.map((track) => new Option(renditionLabel(track), track.track));
    const several = tracks.length > 1;
    if (several) options.unshift(new Option(received ? `automatic (${received.width} × ${received.height})` : "automatic", ""));
    select.replaceChildren(...options);
    select.value = several ? chosen : (tracks[0]?.track ?? "");
    select.disabled = !several;
  }

  /** Names both halves of a divided picture, or none. */
  setCompared(compared: boolean): void {
    this.compared.hidden = !compared;
  }

  private awake(): void {
    document.body.classList.remove("idle");
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => {
      const busy = !this.settings.hidden || !this.message.hidden || this.bar.contains(document.activeElement);
      if (!busy) document.body.classList.add("idle");
    }, IDLE_MS);
  }

  /** Shows a word for how it goes, in the bar. */
  setState(words: string, live: boolean): void {
    if (this.state.textContent !== words) this.state.textContent = words;
    this.state.classList.toggle("live", live);
  }

  setButton(action: Action, state: { shown?: boolean; pressed?: boolean; label?: string }): void {
    const button = this.bar.querySelector<HTMLButtonElement>(`[data-do="${action}"]`);
    if (!button) return;
    if (state.shown !== undefined) button.hidden = !state.shown;
    if (state.pressed !== undefined) button.setAttribute("aria-pressed", String(state.pressed));
    if (state.label !== undefined && button.textContent !== state.label) button.textContent = state.label;
  }

  /** Shows a message over the picture, or none. */
  say(trouble: (Trouble & { button?: { label: string; press: () => void } }) | undefined): void {
    this.message.hidden = trouble === undefined;
    if (!trouble) return;
    this.message.querySelector("h1")!.textContent = trouble.title;
    this.message.querySelector("p")!.textContent = trouble.help;
    const link = this.message.querySelector("a")!;
    link.hidden = trouble.href === undefined;
    link.href = trouble.href ?? "";
    link.textContent = "Open the secure page";
    const button = this.message.querySelector("button")!;
    button.hidden = trouble.button === undefined;
    button.textContent = trouble.button?.label ?? "";
    button.onclick = trouble.button?.press ?? null;
  }

  showSoundHint(shown: boolean): void {
    this.soundHint.hidden = !shown;
  }

  toggleSettings(): void {
    this.settings.hidden = !this.settings.hidden;
    const button = this.bar.querySelector<HTMLButtonElement>('[data-do="settings"]');
    button?.setAttribute("aria-expanded", String(!this.settings.hidden));
    // Who opened it by keyboard goes on in it, and back.
    if (!this.settings.hidden) [...this.settings.querySelectorAll("select")].find((select) => !select.disabled)?.focus();
    else if (this.settings.contains(document.activeElement)) button?.focus();
  }

  get hudShown(): boolean {
    return !this.hud.hidden;
  }

  toggleHud(): void {
    this.hud.hidden = !this.hud.hidden;
    this.setButton("hud", { pressed: !this.hud.hidden });
  }

  /** Fills the figures in. */
  figures(rows: readonly (readonly [string, string])[]): void {
    const nodes = rows.flatMap(([name, value]) => {
      const [term, data] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      data.textContent = value;
      return [term, data];
    });
    this.hud.replaceChildren(...nodes);
  }
}
