//! The web app's files.

use axum::Router;
use axum::http::{HeaderValue, header::CACHE_CONTROL};
use axum::response::Response;
use axum::routing::get_service;
use std::path::Path;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

/// Files whose names contain a hash of their content never change.
fn for_ever(response: &Response) -> Option<HeaderValue> {
    // One that is missing may come with the next release.
    let found = response.status().is_success();
    found.then_some(HeaderValue::from_static("public, max-age=31536000, immutable"))
}

/// Everything else is asked about each time, which costs a 304.
fn ask_again(_: &Response) -> Option<HeaderValue> {
    Some(HeaderValue::from_static("no-cache"))
}

/// Serves `folder`: what a bundler put into `assets/` for ever, the rest afresh, and `index.html` for every path that
/// is the app's own.
pub(crate) fn router(folder: &Path) -> Router {
    let assets = get_service(ServeDir::new(folder.join("assets")));
    let rest = get_service(ServeDir::new(folder).fallback(ServeFile::new(folder.join("index.html"))));
    Router::new()
        .nest_service(
            "/assets",
            assets.layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, for_ever)),
        )
        .fallback_service(rest.layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, ask_again)))
}
