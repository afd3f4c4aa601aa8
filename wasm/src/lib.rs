//! The CRDT core for browsers. It translates types and holds no logic: that is in `watersmeet_crdt::client`, and
//! what needs a browser (sockets, storage, tabs) is in the npm package around it.
//!
//! Time is an argument in milliseconds since the epoch; random numbers come from the browser. Every error is thrown
//! as an `Error`, `TypeError` or `RangeError` that says what was wrong; a call that throws has changed nothing.

mod convert;
mod ops;

use convert::{
    changes_to_js, error, int_to_js, map_to_js, natural, number, object, path_from_js, range_error, time,
    value_to_js, values_to_js, version_from_js, version_to_js, whole,
};
use js_sys::{Array, Float64Array, Uint8Array};
use ops::ops_from_js;
use wasm_bindgen::prelude::*;
use watersmeet_crdt::client::{Action, Client, Notice, Refusal};
use watersmeet_crdt::document::{EditError, Kind, ListView, RegisterView, View};
use watersmeet_crdt::session::Token;
use watersmeet_crdt::{Delta, Document, ReplicaId};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What a register, a set or a list of a document holds. */
export type Value = null | boolean | number | bigint | string | Uint8Array | Value[];
/**
 * Something in a document that changed: the keys from the root down, what stands, or stood, there, and what happened
 * to it. Of a list every step is told, in order, since its index counts on the steps before it; of everything else
 * how it reads now.
 */
export type Change =
  /** `value` is undefined where the register is gone; `conflicts` is how many concurrent values there are besides. */
  | { path: string[]; kind: "register"; what: "written"; value: Value | undefined; conflicts: number }
  /** `value` is what the counter reads now, `by` how much more that is than before. */
  | { path: string[]; kind: "counter"; what: "counted"; value: number | bigint; by: number | bigint }
  | { path: string[]; kind: "set" | "rwset"; what: "added" | "removed"; item: Value }
  /** Whether the flag, or the guard, is up now. */
  | { path: string[]; kind: "flag" | "guard"; what: "raised"; up: boolean }
  | { path: string[]; kind: "list"; what: "inserted" | "replaced"; index: number; value: Value }
  /** An element is gone from where `index` says it stood. */
  | { path: string[]; kind: "list"; what: "taken"; index: number };
/** A document read as a whole. */
export type Json = Value | Json[] | { [key: string]: Json };
/** One operation of an edit. */
export type Op =
  | { op: "set" | "add" | "remove" | "include" | "exclude"; path: readonly string[]; value: Value }
  | { op: "increment"; path: readonly string[]; value: number | bigint }
  | { op: "flag" | "guard"; path: readonly string[]; value: boolean }
  | { op: "splice"; path: readonly string[]; index: number; remove: number; values: readonly Value[] }
  | { op: "replace"; path: readonly string[]; index: number; value: Value }
  | { op: "delete"; path: readonly string[] };
/** What a local edit did. */
export interface Edited { changes: Change[]; delta: Uint8Array; version: Float64Array }
/** Where a document's edits are. */
export interface RawStatus {
  live: boolean;
  notOnDevice: number;
  notOnServer: number;
  refused: { code: string; message: string; lasting: boolean } | undefined;
}
/** What the shell is to do. */
export type Action =
  | { type: "send"; bytes: Uint8Array }
  | { type: "connect"; redirect: string | undefined }
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
        let refused = |refused| match refused {
            EditError::BeyondTheEnd { .. } => range_error(&refused),
            _ => error(refused),
        };
        let edited = self.client.edit(name, time(now), ops).map_err(refused)?;
        let edited = edited.ok_or_else(|| not_open(name))?;
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
    /// Goes where a server that drains says, if that is as secure as `own`; nowhere else if there is none.
    #[wasm_bindgen(js_name = followRedirects)]
    pub fn follow_redirects(&mut self, own: Option<String>) {
        self.client.follow_redirects(own.as_deref());
    }

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

    /// Says that the connection is open, and by which token the server may know who calls, if by any.
    pub fn connected(&mut self, now: f64, token: Option<String>) {
        self.client.connected(time(now), Token::from(token.unwrap_or_default()));
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
            Action::Connect { redirect } => {
                object([("type", "connect".into()), ("redirect", redirect.into())])
            }
            Action::Disconnect => object([("type", "disconnect".into())]),
            Action::Wait(until) => {
                object([("type", "wait".into()), ("until", number(until.millis()).into())])
            }
            Action::Notify(notice) => notice_to_js(notice),
        }
    }

    /// The next frame of a large delta, if one is being sent: to be sent when there is nothing else to do and the socket has
    /// sent what came before.
    #[wasm_bindgen(js_name = takePart)]
    pub fn take_part(&mut self) -> Option<Uint8Array> {
        self.client.take_part().map(|part| Uint8Array::from(&part[..]))
    }

    /// Whether there is a part to take.
    #[wasm_bindgen(js_name = hasParts)]
    pub fn has_parts(&self) -> bool {
        self.client.has_parts()
    }
}

fn refusal_to_js(refusal: &Refusal) -> JsValue {
    object([
        ("code", refusal.code.name().into()),
        ("message", refusal.message.as_str().into()),
        ("lasting", (!refusal.code.passes()).into()),
    ])
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
            ("code", code.name().into()),
            ("message", message.into()),
        ]),
        Notice::Failed(violation) => object([
            ("type", "failed".into()),
            ("code", violation.code().name().into()),
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
            ("refused", self.client.refusal(name).map_or(JsValue::UNDEFINED, refusal_to_js)),
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
        self.at(name, path, &|document, path| document.register(path).map_or(JsValue::UNDEFINED, value_to_js))
    }

    /// The concurrent values of a register that did not win.
    #[wasm_bindgen(unchecked_return_type = "Value[]")]
    pub fn conflicts(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| values_to_js(&document.conflicts(path)))
    }

    /// The value of a counter; 0 if there is none.
    #[wasm_bindgen(unchecked_return_type = "number")]
    pub fn count(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| int_to_js(document.counter(path)))
    }

    /// The items of a set.
    #[wasm_bindgen(unchecked_return_type = "Value[]")]
    pub fn items(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| values_to_js(&document.items(path)))
    }

    /// The items of a remove-wins set.
    #[wasm_bindgen(js_name = rwItems, unchecked_return_type = "Value[]")]
    pub fn rw_items(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| values_to_js(&document.rw_items(path)))
    }

    /// Whether a flag is up.
    #[wasm_bindgen(js_name = isRaised, unchecked_return_type = "boolean")]
    pub fn is_raised(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| document.is_raised(path).into())
    }

    /// Whether a guard is up.
    #[wasm_bindgen(js_name = isGuarded, unchecked_return_type = "boolean")]
    pub fn is_guarded(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| document.is_guarded(path).into())
    }

    /// The elements of a list.
    #[wasm_bindgen(unchecked_return_type = "Value[]")]
    pub fn list(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| values_to_js(&document.list(path)))
    }

    /// How many elements a list has.
    #[wasm_bindgen(js_name = listLength, unchecked_return_type = "number")]
    pub fn list_length(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| {
            number(list(document, path).map_or(0, ListView::len) as u64).into()
        })
    }

    /// The element of a list at an index; undefined if there is none.
    #[wasm_bindgen(unchecked_return_type = "Value | undefined")]
    pub fn element(&self, name: &str, path: &JsValue, index: f64) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| {
            let element = list(document, path).and_then(|list| list.get(place(index)?));
            element.and_then(RegisterView::get).map_or(JsValue::UNDEFINED, value_to_js)
        })
    }

    /// The concurrent values of an element of a list that did not win.
    #[wasm_bindgen(js_name = elementConflicts, unchecked_return_type = "Value[]")]
    pub fn element_conflicts(&self, name: &str, path: &JsValue, index: f64) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| {
            let element = list(document, path).and_then(|list| list.get(place(index)?));
            values_to_js(&element.map(|element| element.conflicts().collect::<Vec<_>>()).unwrap_or_default())
        })
    }

    /// The keys of a map.
    #[wasm_bindgen(unchecked_return_type = "string[]")]
    pub fn keys(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| {
            document.keys(path).into_iter().map(JsValue::from).collect::<Array>().into()
        })
    }

    /// A map as an object; undefined if there is none.
    #[wasm_bindgen(js_name = toJSON, unchecked_return_type = "{ [key: string]: Json } | undefined")]
    pub fn to_json(&self, name: &str, path: &JsValue) -> Result<JsValue, JsValue> {
        self.at(name, path, &|document, path| document.map(path).map_or(JsValue::UNDEFINED, map_to_js))
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
        read: &dyn Fn(&Document, &[&str]) -> JsValue,
    ) -> Result<JsValue, JsValue> {
        let path = path_from_js(path)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Ok(read(self.document(name)?, &path))
    }
}

fn list<'a>(document: &'a Document, path: &[&str]) -> Option<ListView<'a>> {
    match document.get(path, Kind::List) {
        Some(View::List(list)) => Some(list),
        _ => None,
    }
}

/// Which element an index from JavaScript means: none, if it is not a whole number.
fn place(index: f64) -> Option<usize> {
    natural(index).and_then(|index| usize::try_from(index).ok())
}
