//! Answers that are not the dev server's word on the request, but on how it was asked: recognised before they are passed on.
//!
//! A server that refuses the name it was told is told the other one (design: profiles), and an IDE that finds a port closed
//! has not answered for the port. It reads a status, a few fields and the beginning of a body, and knows no visitor.

use portway_core::host::Scheme;
use portway_core::workspace::Profile;
use portway_http1::{Name, RequestHead, ResponseHead};

use crate::http::edit::Edit;
use crate::upstream::{Connection, ide};

/// Why an answer is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server does not serve the name it was told.
    Name,
    /// The IDE says that nothing listens on the port.
    Closed,
}

/// How dev servers refuse a name: the status, and words near the beginning of the body, as seen of Vite 8, webpack-dev-server
/// 6, MCP 2, Django 6, Rails 6.1 and Jupyter 4.6.
const REFUSALS: [(u16, &str); 8] = [
    // Vite and all that is built on it: SvelteKit, Astro, Nuxt, Angular.
    (403, "Blocked request. This host"),
    // webpack-dev-server.
    (403, "Invalid Host header"),
    // MCP servers.
    (421, "Invalid Host header"),
    // Django, in words for a developer and for everybody else.
    (400, "DisallowedHost at"),
    (400, "Invalid HTTP_HOST header"),
    // Rails.
    (403, "Blocked host"),
    // Jupyter.
    (403, "Blocking request with non-local"),
    (403, "non-local 'Host'"),
];

/// Whether a status is one by which names are refused.
pub(crate) fn is_refusal(status: u16) -> bool {
    REFUSALS.iter().any(|(known, _)| *known == status)
}

/// Looks at an answer whose head has come, reading the beginning of its body where that can matter. What was read stays
/// for whoever passes it on.
pub(crate) async fn refused(
    connection: &mut Connection,
    request: &RequestHead,
    response: &ResponseHead,
    edit: &Edit<'_>,
) -> Option<Refused> {
    if edit.carried.is_some() && ide::refuses(connection, response, edit.permit.port()).await {
        return Some(Refused::Closed);
    }
    if !edit.switchable {
        return None;
    }
    let words: Vec<&str> =
        REFUSALS.iter().filter(|(status, _)| *status == response.status()).map(|(_, words)| *words).collect();
    let by_name = goes_in_circles(request, response, edit)
        || !words.is_empty() && connection.body_says(response.framing(), &words).await;
    by_name.then_some(Refused::Name)
}

/// A server that insists on https sends everybody who comes by `http://localhost` to the same place by https, for ever; told
/// the public name and scheme it is content.
fn goes_in_circles(request: &RequestHead, response: &ResponseHead, edit: &Edit<'_>) -> bool {
    let target = edit.permit.target();
    let public = edit.settings.names.domains.get(target.domain).map(|domain| domain.scheme);
    if edit.profile != Profile::Localhost || edit.permit.scheme() != Scheme::Http || public != Some(Scheme::Https) {
        return false;
    }
    let redirect = matches!(response.status(), 301 | 302 | 307 | 308);
    let path = request.path_and_query();
    let location = response.fields().get(Name::Location).unwrap_or_default();
    let front = location.strip_suffix(path).unwrap_or_default();
    redirect
        && (front == b"https://localhost" || front == format!("https://localhost:{}", edit.permit.port()).as_bytes())
}
