// Runs in the page's worker before the worker's own script: an evil network, told what to do by the channel `mangle`.

/** What becomes of what arrives. */
interface Evil {
  /** Of a hundred chunks of streams, those that have a byte changed. */
  streams: number;
  /** What datagrams become. */
  datagrams: "whole" | "cut short" | "noise";
}

let evil: Evil = { streams: 0, datagrams: "whole" };
new BroadcastChannel("mangle").onmessage = ({ data }) => (evil = data as Evil);

// The same each time (Park–Miller).
let state = 1;
const chance = (): number => (state = (state * 48271) % 2147483647) / 2147483647;

function wrap<T>(prototype: object, name: string, change: (value: T) => T): void {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name)!;
  const made = new WeakMap<object, ReadableStream<T>>();
  Object.defineProperty(prototype, name, {
    configurable: true,
    get(this: object) {
      let wrapped = made.get(this);
      if (!wrapped) {
        const source = get!.call(this) as ReadableStream<T>;
        wrapped = source.pipeThrough(new TransformStream<T, T>({ transform: (value, to) => to.enqueue(change(value)) }));
        made.set(this, wrapped);
      }
      return wrapped;
    },
  });
}

wrap<ReadableStream<Uint8Array>>(WebTransport.prototype, "incomingUnidirectionalStreams", (stream) =>
  stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, to) {
        const changed = bytes.slice();
        if (chance() * 100 < evil.streams && bytes.length > 0) changed[Math.floor(chance() * bytes.length)]! ^= 1 << Math.floor(chance() * 8);
        to.enqueue(changed);
      },
    }),
  ),
);
wrap<Uint8Array>(WebTransportDatagramDuplexStream.prototype, "readable", (bytes) => {
  if (evil.datagrams === "whole") return bytes;
  if (evil.datagrams === "cut short") return bytes.slice(0, Math.floor(chance() * bytes.length));
  return bytes.map(() => Math.floor(chance() * 256));
});
