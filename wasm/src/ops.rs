//! The operations of an edit, from JavaScript. What does not fit is a `TypeError` that names the path and the fault.

use crate::convert::{kind_of, path_from_js, type_error, value_from_js, whole};
use js_sys::{Array, Reflect};
use wasm_bindgen::JsValue;
use watersmeet_crdt::Value;
use watersmeet_crdt::document::Op;

pub(crate) fn ops_from_js(ops: &Array) -> Result<Vec<Op>, JsValue> {
    ops.iter().map(|op| op_from_js(&op)).collect()
}

fn op_from_js(op: &JsValue) -> Result<Op, JsValue> {
    let path = path_from_js(&Reflect::get(op, &"path".into())?)?;
    let raw = RawOp { op, path };
    match raw.field("op")?.as_string().as_deref() {
        Some("set") => raw.with_value(Op::Set),
        Some("increment") => raw.with_number(Op::Increment),
        Some("add") => raw.with_value(Op::Insert),
        Some("remove") => raw.with_value(Op::Remove),
        Some("include") => raw.with_value(Op::Include),
        Some("exclude") => raw.with_value(Op::Exclude),
        Some("flag") => raw.with_boolean(Op::Flag),
        Some("guard") => raw.with_boolean(Op::Guard),
        Some("splice") => raw.splice(),
        Some("replace") => raw.replace(),
        Some("delete") => Ok(Op::Delete(raw.path)),
        _ => Err(raw.fault(
            "an operation is set, increment, add, remove, include, exclude, flag, guard, splice, replace or delete",
        )),
    }
}

/// An operation of which only the path has been looked at.
struct RawOp<'a> {
    op: &'a JsValue,
    path: Vec<String>,
}

impl RawOp<'_> {
    fn with_value(self, op: fn(Vec<String>, Value) -> Op) -> Result<Op, JsValue> {
        let value = self.value(&self.field("value")?)?;
        Ok(op(self.path, value))
    }

    fn with_number(self, op: fn(Vec<String>, i64) -> Op) -> Result<Op, JsValue> {
        let by = self.value(&self.field("value")?)?.int();
        let by = by.ok_or_else(|| self.fault("a counter is incremented by a whole number"))?;
        Ok(op(self.path, by))
    }

    fn with_boolean(self, op: fn(Vec<String>, bool) -> Op) -> Result<Op, JsValue> {
        let up = self.field("value")?;
        let up =
            up.as_bool().ok_or_else(|| self.misfit("a flag or a guard is true, up, or false, down", &up))?;
        Ok(op(self.path, up))
    }

    fn splice(self) -> Result<Op, JsValue> {
        let (index, remove) = (self.size("index")?, self.size("remove")?);
        let values = self.field("values")?;
        if !Array::is_array(&values) {
            return Err(self.misfit("what is inserted into a list is an array of values", &values));
        }
        let insert = Array::from(&values).iter().map(|value| self.value(&value)).collect::<Result<_, _>>()?;
        Ok(Op::Splice(self.path, index, remove, insert))
    }

    fn replace(self) -> Result<Op, JsValue> {
        let (index, value) = (self.size("index")?, self.value(&self.field("value")?)?);
        Ok(Op::Replace(self.path, index, value))
    }

    fn field(&self, name: &str) -> Result<JsValue, JsValue> {
        Reflect::get(self.op, &name.into())
    }

    fn value(&self, value: &JsValue) -> Result<Value, JsValue> {
        value_from_js(value, &self.path, 0)
    }

    /// An index into a list, or a number of its elements.
    fn size(&self, name: &str) -> Result<usize, JsValue> {
        let size = self.field(name)?;
        let n = size.as_f64().ok_or_else(|| self.misfit(&format!("\"{name}\" is a whole number"), &size))?;
        let shown = format!("{}: \"{name}\"", self.path.join("/"));
        // One that does not fit is beyond the end of every list, which the edit will say.
        Ok(usize::try_from(whole(n, &shown)?).unwrap_or(usize::MAX))
    }

    fn misfit(&self, rule: &str, value: &JsValue) -> JsValue {
        self.fault(&format!("{rule}; this is {}", kind_of(value)))
    }

    fn fault(&self, fault: &str) -> JsValue {
        type_error(&format!("{}: {fault}", self.path.join("/")))
    }
}
