/**
 * Documents that many people edit together, with or without a network.
 *
 * @packageDocumentation
 */

export { Client, type ClientOptions, type ClientState, type ConnectOptions } from "./client.js";
export { Doc, type DocEvent, type Refusal, type Status, type WaitOptions } from "./doc.js";
export type { Connection, TokenSource } from "./engine.js";
export { Flag, Guard, List, RwSet } from "./handles.js";
export type { Unsubscribe } from "./listeners.js";
export { init, type InitOptions } from "./module.js";
export { Presence } from "./presence.js";
export { Transaction, type Path } from "./transaction.js";
export type { Change, Json, Value } from "../wasm/watersmeet_wasm.js";
