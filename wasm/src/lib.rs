//! The CRDT core for browsers. It translates types and holds no logic: that is in `watersmeet_crdt::client`, and
//! what needs a browser (sockets, storage, tabs) is in the npm package around it.
//!
//! Time is an argument in milliseconds since the epoch; random numbers come from the browser. Every error is thrown
//! as an `Error` or a `TypeError` that says what was wrong; a call that throws has changed nothing.

mod convert;

use convert::{
    changes_to_js, error, int_to_js, map_to_js, number, object, ops_from_js, path_from_js, time, value_to_js,
    version_from_js, version_to_js, whole,
};
use js_sys::{Array, Float64Array, Uint8Array};
use wasm_bindgen::prelude::*;
use watersmeet_crdt::client::{Action, Client, Notice};
use watersmeet_crdt::{Delta, Document, ReplicaId};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What a register or a set of a document holds. */
export type Value = null | boolean | number | bigint | string | Uint8Array | Value[];
/** A leaf that changed: the keys from the root down, and what stands, or stood, there. */
export interface Change { path: string[]; kind: "register" | "counter" | "set" | "map" }
/** A document read as a whole. */
export type Json = Value | Json[] | { [key: string]: Json };
/** One operation of an edit. */
export interface Op { op: "set" | "increment" | "add" | "remove" | "delete"; path: readonly string[]; value?: unknown }
/** What a local edit did. */
export interface Edited { changes: Change[]; delta: Uint8Array; version: Float64Array }
/** Where a document's edits are. */
export interface RawStatus { live: boolean; notOnDevice: number; notOnServer: number }
/** What the shell is to do. */
export type Action =
  | { type: "send"; bytes: Uint8Array }
  | { type: "connect" }
  | { type: "disconnect" }
  | { type: "changed"; name: string; changes: Change[]; delta: Uint8Array; version: Float64Array | undefined }
  | { type: "status"; name: string }
  | { type: "presence"; name: string; peer: number; state: Uint8Array }
  | { type: "refused"; name: string; code: string; message: string }
  | { type: "failed"; code: string; message: string }
  | { type: "wait"; until: number };
"#;

/// Documents and the connection that syncs them: `watersmeet_crdt::client::Client`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawClient {
    client: Client,
}

/// A random number from the browser.
fn random() -> Result<u64, JsValue> {
    getrandom::u64().map_err(|cause| error(format!("no random numbers here: {cause}")))
}

fn decode(bytes: &Uint8Array) -> Result<Delta, JsValue> {
    Delta::decode(&bytes.to_vec()).map_err(error)
}

fn not_open(name: &str) -> JsValue {
    error(format!("no document named \"{name}\" is open"))
}

fn bytes(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

#[wasm_bindgen]
impl RawClient {
    /// A client that edits as `replica`, or as a random one.
    #[wasm_bindgen(constructor)]
    pub fn new(replica: Option<f64>, stores: bool) -> Result<RawClient, JsValue> {
        let id = match replica {
            Some(id) => whole(id, "a replica id")?,
            None => random()?,
        };
        Ok(RawClient { client: Client::new(ReplicaId::new(id), stores) })
    }

    /// Who edits here.
    #[wasm_bindgen(getter)]
    pub fn replica(&self) -> f64 {
        number(self.client.replica().get())
    }

    /// Opens a document from its stored deltas, in their order, and what the server was known to have. Throws, and
    /// opens nothing, if one of them cannot be read or lacks what comes before it.
    pub fn open(
        &mut self,
        name: &str,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array[]")] stored: &Array,
        on_server: Option<Float64Array>,
    ) -> Result<(), JsValue> {
        let on_server = on_server.as_ref().map(version_from_js).transpose()?.unwrap_or_default();
        let stored: Vec<Delta> =
            stored.iter().map(|delta| decode(&Uint8Array::new(&delta))).collect::<Result<_, _>>()?;
        match self.client.restore(name, stored, on_server) {
            0 => Ok(()),
            missing => {
                self.client.close(name);
                Err(error(format!("{missing} stored changes of \"{name}\" lack what comes before them")))
            }
        }
    }

    /// Closes a document.
    pub fn close(&mut self, name: &str) {
        self.client.close(name);
    }

    /// Applies operations together.
    #[wasm_bindgen(unchecked_return_type = "Edited")]
    pub fn edit(
        &mut self,
        name: &str,
        now: f64,
        #[wasm_bindgen(unchecked_param_type = "Op[]")] ops: &Array,
    ) -> Result<JsValue, JsValue> {
        let ops = ops_from_js(ops)?;
        let edited = self.client.edit(name, time(now), ops).map_err(error)?.ok_or_else(|| not_open(name))?;
        Ok(object([
            ("changes", changes_to_js(&edited.changes)),
            ("delta", bytes(&edited.delta)),
            ("version", version_to_js(&edited.version).into()),
        ]))
    }

    /// Takes in a delta from elsewhere on this device; undefined if what comes before it is missing.
    #[wasm_bindgen(js_name = takeIn, unchecked_return_type = "Change[] | undefined")]
    pub fn take_in(&mut self, name: &str, delta: &Uint8Array) -> Result<JsValue, JsValue> {
        let changes = self.client.take_in(name, decode(delta)?);
        Ok(changes.map_or(JsValue::UNDEFINED, |changes| changes_to_js(&changes)))
    }

    /// Says that a document is stored up to `version`.
    pub fn stored(&mut self, name: &str, version: &Float64Array) -> Result<(), JsValue> {
        self.client.stored(name, version_from_js(version)?);
        Ok(())
    }

    /// Shows an ephemeral state to the others; an empty one takes it back.
    pub fn present(&mut self, name: &str, state: &[u8]) {
        self.client.present(name, state);
    }
}

/// The connection.
#[wasm_bindgen]
impl RawClient {
    /// Wants a connection from now on.
    #[wasm_bindgen(js_name = goOnline)]
    pub fn go_online(&mut self, now: f64) {
        self.client.go_online(time(now));
    }

    /// Wants no connection.
    #[wasm_bindgen(js_name = goOffline)]
    pub fn go_offline(&mut self) {
        self.client.go_offline();
    }

    /// Tries at once instead of waiting.
    pub fn hurry(&mut self, now: f64) {
        self.client.hurry(time(now));
    }

    /// Says that the connection is open.
    pub fn connected(&mut self, now: f64) {
        self.client.connected(time(now));
    }

    /// Says that the connection is closed or could not be opened.
    pub fn disconnected(&mut self, now: f64) -> Result<(), JsValue> {
        self.client.disconnected(time(now), random()?);
        Ok(())
    }

    /// Takes in a message from the server.
    pub fn received(&mut self, now: f64, bytes: &[u8]) -> Result<(), JsValue> {
        self.client.received(time(now), bytes, random()?);
        Ok(())
    }

    /// Notes that time has passed.
    pub fn tick(&mut self, now: f64) -> Result<(), JsValue> {
        self.client.tick(time(now), random()?);
        Ok(())
    }

    /// What to do next.
    #[wasm_bindgen(unchecked_return_type = "Action")]
    pub fn poll(&mut self, now: f64) -> JsValue {
        match self.client.poll(time(now)) {
            Action::Send(frame) => object([("type", "send".into()), ("bytes", bytes(&frame))]),
            Action::Connect => object([("type", "connect".into())]),
            Action::Disconnect => object([("type", "disconnect".into())]),
            Action::Wait(until) => {
                object([("type", "wait".into()), ("until", number(until.millis()).into())])
            }
            Action::Notify(notice) => notice_to_js(notice),
        }
    }
}

fn notice_to_js(notice: Notice) -> JsValue {
    match notice {
        Notice::Changed { name, changes, delta, version } => object([
            ("type", "changed".into()),
            ("name", name.into()),
            ("changes", changes_to_js(&changes)),
            ("delta", bytes(&delta)),
            ("version", version.map_or(JsValue::UNDEFINED, |version| version_to_js(&version).into())),
        ]),
        Notice::Status { name } => object([("type", "status".into()), ("name", name.into())]),
        Notice::Presence { name, peer, state } => object([
            ("type", "presence".into()),
            ("name", name.into()),
            ("peer", number(peer).into()),
            ("state", bytes(&state)),
        ]),
        Notice::Refused { name, code, message } => object([
            ("type", "refused".into()),
            ("name", name.into()),
            ("code", format!("{code:?}").into()),
            ("message", message.into()),
        ]),
        Notice::Failed(violation) => object([
            ("type", "failed".into()),
            ("code", format!("{:?}", violation.code()).into()),
            ("message", violation.to_string().into()),
        ]),
    }
}

/// Reading.
#[wasm_bindgen]
impl RawClient {
    /// Where a document's edits are.
    #[wasm_bindgen(unchecked_return_type = "RawStatus")]
    pub fn status(&self, name: &str) -> JsValue {
        let status = self.client.status(name);
        object([
            ("live", status.live.into()),
            ("notOnDevice", number(status.not_on_device).into()),
            ("notOnServer", number(status.not_on_server).into()),
        ])
    }

    /// What the server is known to have, durably.
    #[wasm_bindgen(js_name = onServer)]
    pub fn on_server(&self, name: &str) -> Option<Float64Array> {
        self.client.on_server(name).map(version_to_js)
    }

    /// Which events of which replicas are in a document.
    pub fn version(&self, name: &str) -> Result<Float64Array, JsValue> {
        Ok(version_to_js(self.document(name)?.version()))
    }

    /// The name of a document's state, in hexadecimal: equal for equal states.
    pub fn hash(&self, name: &str) -> Result<String, JsValue> {
        Ok(format!("{:032x}", self.document(name)?.hash()))
    }

    /// The whole state, as a delta that can always be taken in.
    pub fn state(&self, name: &str) -> Result<Uint8Array, JsValue> {
        Ok(Uint8Array::from(&self.document(name)?.encode_state()[..]))
    }

    /// The value of a register; undefined if there is none.
    #[wasm_bindgen(unchecked_return_type = "Value | undefined")]
    pub fn get(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, |document, path| document.register(path).map_or(JsValue::UNDEFINED, value_to_js))
    }

    /// The concurrent values of a register that did not win.
    #[wasm_bindgen(unchecked_return_type = "Value[]")]
    pub fn conflicts(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, |document, path| {
            document.conflicts(path).into_iter().map(value_to_js).collect::<Array>().into()
        })
    }

    /// The value of a counter; 0 if there is none.
    #[wasm_bindgen(unchecked_return_type = "number")]
    pub fn count(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, |document, path| int_to_js(document.counter(path)))
    }

    /// The items of a set.
    #[wasm_bindgen(unchecked_return_type = "Value[]")]
    pub fn items(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, |document, path| {
            document.items(path).into_iter().map(value_to_js).collect::<Array>().into()
        })
    }

    /// The keys of a map.
    #[wasm_bindgen(unchecked_return_type = "string[]")]
    pub fn keys(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, |document, path| {
            document.keys(path).into_iter().map(JsValue::from).collect::<Array>().into()
        })
    }

    /// A map as an object; undefined if there is none.
    #[wasm_bindgen(js_name = toJSON, unchecked_return_type = "{ [key: string]: Json } | undefined")]
    pub fn to_json(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, |document, path| document.map(path).map_or(JsValue::UNDEFINED, map_to_js))
    }
}

impl RawClient {
    fn document(&self, name: &str) -> Result<&Document, JsValue> {
        self.client.document(name).ok_or_else(|| not_open(name))
    }

    fn at(
        &self,
        name: &str,
        path: &JsValue,
        read: impl FnOnce(&Document, &[&str]) -> JsValue,
    ) -> Result<JsValue, JsValue> {
        let path = path_from_js(path)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Ok(read(self.document(name)?, &path))
    }
}
