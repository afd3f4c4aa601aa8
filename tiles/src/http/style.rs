//! `/tiles/{set}/style.json`: a style with which a bare map library shows a set, from this server alone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer::Refusal;
use super::tilejson::{base_url, no_set, short_lived};
use super::{Server, fonts};
use crate::style::{Urls, style};

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Refusal> {
    let mut segments = request.uri().path().rsplit('/');
    let (file, name) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let Some(set) = server.sets.current(name) else { return Err(no_set(name)) };
    if file != "style.json" {
        let error = format!("there is no {file:?} of the set {name:?}");
        return Err(Refusal::Missing { error, hint: "its style is at /tiles/NAME/style.json" });
    }
    let base = base_url(&server.options, request.headers());
    let glyphs = server
        .options
        .fonts
        .as_deref()
        .and_then(fonts::default_font)
        .map(|font| (format!("{base}/tiles/fonts/{{fontstack}}/{{range}}.pbf"), font));
    let urls = Urls { tilejson: format!("{base}/tiles/{name}.json"), glyphs };
    let body = style(name, set.facts(), &urls).to_string();
    Ok(short_lived(&server.options, request.headers(), "application/json", body))
}
