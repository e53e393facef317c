//! The page server: one page with its script and style, and what the page tries.
//!
//! It tells the page both port numbers. Which public address belongs to a port is the page's to work out from its own: a dev
//! server does not know it.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::{Ports, echo, events, upload};

const HTML: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// What reached the server of a plain request.
#[derive(Serialize)]
struct Hello {
    /// The host it was asked for.
    host: String,
    /// How many cookies came along.
    cookies: usize,
}

/// Everything on the page's port.
pub(super) fn routes(ports: Ports) -> Router {
    let html = HTML
        .replace("data-page=\"3000\"", &format!("data-page=\"{}\"", ports.page))
        .replace("data-api=\"5000\"", &format!("data-api=\"{}\"", ports.api));
    Router::new()
        .route("/", get(async move || fresh("text/html; charset=utf-8", html.clone())))
        .route("/page.js", get(async || fresh("text/javascript; charset=utf-8", SCRIPT)))
        .route("/page.css", get(async || fresh("text/css; charset=utf-8", STYLE)))
        .route("/hello", get(hello))
        .route("/events", get(events::ticks))
        .route("/echo", any(echo::open))
        .route("/upload", post(upload::receive))
}

/// The next version may be another: nothing is kept without asking again.
fn fresh(kind: &'static str, content: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content).into_response()
}

async fn hello(fields: HeaderMap) -> Json<Hello> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let cookies = text(header::COOKIE).split(';').filter(|pair| !pair.trim().is_empty()).count();
    Json(Hello { host: text(header::HOST), cookies })
}

#[cfg(test)]
mod tests {
    use super::HTML;

    #[test]
    fn the_page_has_a_place_for_each_port_number() {
        for place in ["data-page=\"3000\"", "data-api=\"5000\""] {
            assert_eq!(HTML.matches(place).count(), 1, "{place}");
        }
    }
}
