//! Which names the sample's servers answer to: `localhost` and its addresses, as Vite, Rails and others do against DNS
//! rebinding.
//!
//! That the sample works through the gateway shows that the gateway asks for it by this name.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Refuses a request for any other host.
pub(super) async fn localhost_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_localhost(host) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this dev server answers to localhost only\n").into_response()
    }
}

fn is_localhost(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::is_localhost;

    #[test]
    fn only_this_machines_own_names_are_answered() {
        for own in ["localhost:3000", "LOCALHOST", "127.0.0.1:3000", "[::1]:3000", "[::1]"] {
            assert!(is_localhost(own), "{own}");
        }
        for other in ["", "evil.example", "localhost.evil.example:3000", "3000-demo.portway.localhost", "localhost:x"] {
            assert!(!is_localhost(other), "{other}");
        }
    }
}
