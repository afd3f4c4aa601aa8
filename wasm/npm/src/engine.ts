/**
 * The shell around the core: does what the core's `poll` says, with a WebSocket and a timer.
 *
 * What is to be said, when, and when to try again is decided by the core; nothing of it is decided here.
 */

import type { Action, RawClient } from "../wasm/watersmeet_wasm.js";

/** Whether there is a connection: none is wanted, one is wanted, or there is one. */
export type Connection = "offline" | "connecting" | "online";

/**
 * What proves to a server who calls: a token, or what is asked for one before each attempt to connect, since tokens
 * expire.
 */
export type TokenSource = string | (() => string | Promise<string>);

/** What the core tells about a document, and about the connection. */
export interface EngineEvents {
  notice(action: Extract<Action, { name: string }>): void;
  connection(connection: Connection): void;
  failed(message: string, code: string): void;
}

/** The WebSocket subprotocol. */
const SUBPROTOCOL = "watersmeet.v1";
/** How long a socket may take to open before it is given up. */
const OPENING_MAX_MILLIS = 10_000;
/** No part of a large delta is given to a socket in which more than that waits. */
const BUFFERED_BYTES_MAX = 64 * 1024;
/** How often it is looked whether it has sent that. */
const PART_MILLIS = 20;
/** The longest wait that a timer can do. */
const TIMER_MAX_MILLIS = 2 ** 31 - 1;

export class Engine {
  readonly raw: RawClient;
  readonly #events: EngineEvents;
  #url = "";
  #token: TokenSource | undefined;
  #follow = true;
  /** Steps whenever an attempt to connect begins or is given up. */
  #attempt = 0;
  #wanted = false;
  #connection: Connection = "offline";
  #socket: WebSocket | undefined;
  #polling = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #opening: ReturnType<typeof setTimeout> | undefined;
  #unlisten: (() => void) | undefined;

  constructor(raw: RawClient, events: EngineEvents) {
    this.raw = raw;
    this.#events = events;
  }

  get connection(): Connection {
    return this.#connection;
  }

  connect(url: string, token: TokenSource | undefined, follow = true): void {
    const changed = url !== this.#url || token !== this.#token || follow !== this.#follow;
    if (this.#wanted && changed) this.disconnect();
    this.#url = url;
    this.#token = token;
    this.#follow = follow;
    if (this.#wanted) return;
    this.raw.followRedirects(follow ? url : undefined);
    this.#wanted = true;
    this.#unlisten = whenNetworkMayBeBack(() => this.#hurry());
    this.raw.goOnline(Date.now());
    this.#report("connecting");
    this.poll();
  }

  disconnect(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#unlisten?.();
    this.raw.goOffline();
    this.poll();
    this.#report("offline");
  }

  /** Does what the core wants done. To be called after every call of the core that may have changed something. */
  poll(): void {
    // Whoever is told something may edit, which polls: that is left to the loop that is running.
    if (this.#polling) return;
    this.#polling = true;
    try {
      for (;;) {
        const action = this.raw.poll(Date.now());
        if (action.type !== "wait") this.#do(action);
        else if (!this.#sendPart()) return this.#wait(action.until);
      }
    } finally {
      this.#polling = false;
    }
  }

  #do(action: Exclude<Action, { type: "wait" }>): void {
    switch (action.type) {
      case "send":
        // `bufferedAmount` is not looked at: these are small, and the core sends each edit once, and gives up a connection
        // that has gone silent.
        if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(action.bytes as Uint8Array<ArrayBuffer>);
        return;
      case "connect":
        return this.#open(action.redirect ?? this.#url);
      case "disconnect":
        return this.#drop();
      case "failed":
        return this.#events.failed(action.message, action.code);
      default:
        return this.#events.notice(action);
    }
  }

  /** Sends a part of what is large, once the socket has sent those before: what is small goes between. Whether it did. */
  #sendPart(): boolean {
    const socket = this.#socket;
    if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > BUFFERED_BYTES_MAX) return false;
    const part = this.raw.takePart();
    if (part) socket.send(part as Uint8Array<ArrayBuffer>);
    return part !== undefined;
  }

  #wait(until: number): void {
    clearTimeout(this.#timer);
    const wait = Math.max(0, until - Date.now());
    // A socket does not tell when it has sent something.
    const millis = this.raw.hasParts() ? Math.min(wait, PART_MILLIS) : wait;
    if (millis > TIMER_MAX_MILLIS) return;
    this.#timer = setTimeout(() => {
      this.raw.tick(Date.now());
      this.poll();
    }, millis);
  }

  #open(url: string): void {
    this.#report("connecting");
    this.#opening = setTimeout(() => this.#closed(), OPENING_MAX_MILLIS);
    const token = this.#token;
    if (typeof token === "function") void this.#openWith(url, token);
    else this.#dial(url, token);
  }

  async #openWith(url: string, provider: () => string | Promise<string>): Promise<void> {
    const attempt = ++this.#attempt;
    try {
      const token = await provider();
      if (attempt === this.#attempt) this.#dial(url, token);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      const why = error instanceof Error ? error.message : String(error);
      this.#events.failed(`There is no token for the server: ${why}`, "no-token");
      this.#closed();
    }
  }

  #dial(url: string, token: string | undefined): void {
    try {
      this.#socket = new WebSocket(url, SUBPROTOCOL);
    } catch {
      return this.#closed();
    }
    const socket = this.#socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      clearTimeout(this.#opening);
      this.raw.connected(Date.now(), token);
      this.#report("online");
      this.poll();
    };
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      // Text is not of this protocol; as no bytes it is refused as any other frame that is none.
      this.raw.received(Date.now(), typeof data === "string" ? new Uint8Array() : new Uint8Array(data));
      this.poll();
    };
    socket.onclose = () => this.#closed();
  }

  /** The socket has closed, or never opened. */
  #closed(): void {
    this.#drop();
    this.raw.disconnected(Date.now());
    this.poll();
  }

  /** Lets go of the socket. What it may still say, minutes later if the network is frozen, is of no interest. */
  #drop(): void {
    clearTimeout(this.#opening);
    this.#attempt++;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#report(this.#wanted ? "connecting" : "offline");
  }

  #hurry(): void {
    if (this.#socket?.readyState === WebSocket.CONNECTING) return this.#closed();
    this.raw.tick(Date.now());
    this.raw.hurry(Date.now());
    this.poll();
  }

  #report(connection: Connection): void {
    if (connection === this.#connection) return;
    this.#connection = connection;
    this.#events.connection(connection);
  }
}

/** Calls back when the network has come back, or the user has. Answers with how to stop that. */
function whenNetworkMayBeBack(callback: () => void): () => void {
  const page: Document | undefined = globalThis.document;
  const onVisible = () => {
    if (page?.visibilityState === "visible") callback();
  };
  // Neither is there in Node, the first is there in workers.
  globalThis.addEventListener?.("online", callback);
  page?.addEventListener("visibilitychange", onVisible);
  return () => {
    globalThis.removeEventListener?.("online", callback);
    page?.removeEventListener("visibilitychange", onVisible);
  };
}
