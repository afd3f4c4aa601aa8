//! The web app's files, and what is answered to paths that nothing is at.
//!
//! A web app has paths of its own, for which its `index.html` is right; but only for a person who goes there. A script,
//! a tile or a module that is not there is not there, and whoever asked for it should hear so, and not get a page.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::handler::HandlerWithoutStateExt;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get_service;
use std::path::{Path, PathBuf};
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

/// What there is besides the routes of the API.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// Whether tile sets are served.
    pub(crate) tiles: bool,
    /// The web app's folder.
    pub(crate) web: Option<PathBuf>,
}

/// Serves the web app if there is one: what a bundler put into `assets/` for ever, the rest afresh, and `index.html` for
/// those who go to a path that is the app's own. Everything else is not there.
pub(crate) fn router(content: Content) -> Router {
    let Some(folder) = content.web.clone() else {
        return Router::new().fallback(move |request: Request| absent(content, request));
    };
    let missing = content.clone();
    let missing = (move |request: Request| absent(missing, request)).into_service();
    let app = (move |request: Request| app(content, request)).into_service();
    let assets = get_service(ServeDir::new(folder.join("assets")).fallback(missing));
    let rest = get_service(ServeDir::new(&folder).fallback(app));
    let safe =
        SetResponseHeaderLayer::overriding(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Router::new()
        .nest_service(
            "/assets",
            assets.layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, for_ever)),
        )
        .fallback_service(rest.layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, ask_again)))
        .layer(safe)
}

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

/// A path at which there is no file.
async fn app(content: Content, request: Request) -> Response {
    match &content.web {
        Some(folder) if is_of_the_app(&request) => index(folder, request).await,
        _ => absent(content, request).await,
    }
}

/// Whether somebody goes to a page, and not a page to a file.
fn is_of_the_app(request: &Request) -> bool {
    let path = request.uri().path();
    let wants_a_page =
        request.headers().get_all(ACCEPT).iter().any(|accept| {
            accept.to_str().is_ok_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
        });
    let names_a_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    wants_a_page && !names_a_file && !is_of_tiles(path)
}

fn is_of_tiles(path: &str) -> bool {
    path == "/tiles" || path.starts_with("/tiles/")
}

async fn index(folder: &Path, request: Request) -> Response {
    match ServeFile::new(folder.join("index.html")).try_call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::error!(%error, "index.html of the web folder cannot be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn absent(content: Content, request: Request) -> Response {
    let path = request.uri().path();
    let (error, hint) = match content {
        Content { tiles: false, .. } if is_of_tiles(path) => {
            ("no tile sets are served", "start the server with --tiles FOLDER, where NAME.pmtiles is")
        }
        _ if is_of_tiles(path) => {
            ("there is no such path under /tiles/", "ask for /tiles/NAME.json, which names the URLs of tiles")
        }
        Content { web: None, .. } => (
            "no web app is served, so there is nothing here",
            "start the server with --web FOLDER, or ask for /health",
        ),
        _ => ("there is no such file", "it may be one of another release; load the page again"),
    };
    let body =
        serde_json::json!({ "error": { "code": "not-found", "message": error, "hint": hint } }).to_string();
    let json = HeaderValue::from_static("application/json");
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, json)], body).into_response()
}
