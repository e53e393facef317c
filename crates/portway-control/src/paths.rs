//! Addresses by path, as an IDE behind `/w/{workspace}/` prints them, turned into the port's own host:
//! `/w/blue/proxy/3000/x` is `https://3000-blue.…/x`. They are redirected, never served (R23).

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{HeaderValue, StatusCode, Uri, header};
use portway_core::host::{Names, PortForm, canonical_port};
use portway_core::return_to;

use crate::app::App;
use crate::reply::{Answer, Refusal, because};

/// `GET /w/{workspace}/proxy/{port}/…` and `/w/{workspace}/absproxy/{port}/…`.
pub(crate) async fn proxied(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let to = target(&app.settings.names, path).ok_or_else(Refusal::not_found)?;
    let location = HeaderValue::from_str(&to).map_err(|_| Refusal::not_found())?;
    // Who may open it is decided there.
    Ok(because("moved", (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()))
}

/// The URL that a path stands for. A server behind `absproxy` is asked with the whole path below the workspace, so it keeps
/// that.
fn target(names: &Names, path: &str) -> Option<String> {
    let (workspace, rest) = path.strip_prefix("/w/")?.split_once('/')?;
    let (way, behind) = rest.split_once('/')?;
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (port, inner) = behind.split_at_checked(end)?;
    let port = canonical_port(port)?;
    let inner = match way {
        "proxy" if inner.starts_with('/') => inner.to_owned(),
        "proxy" => format!("/{inner}"),
        "absproxy" => format!("/{rest}"),
        _ => return None,
    };
    let url = names.url(0, workspace, PortForm::Number { port, tls: false }).ok()?;
    // A path that a browser could read as another host leads to the front page.
    Some(format!("{}{}", url.trim_end_matches('/'), return_to::or_root(&inner)))
}

#[cfg(test)]
mod tests {
    use portway_core::host::{ControlHost, Domain, Pattern, Scheme};

    use super::*;

    #[test]
    fn paths_of_an_ide_become_hosts_of_ports() {
        let names = Names {
            domains: vec![Domain {
                name: "code.example".into(),
                pattern: Pattern::default(),
                scheme: Scheme::Https,
                port: 443,
                default_port: 8080,
            }],
            control: ControlHost { host: "code.example".into(), scheme: Scheme::Https, port: 443 },
        };
        for (path, wanted) in [
            ("/w/blue/proxy/3000/a/b?c=%2F", Some("https://3000-blue.code.example/a/b?c=%2F")),
            ("/w/blue/proxy/3000/", Some("https://3000-blue.code.example/")),
            ("/w/blue/proxy/3000", Some("https://3000-blue.code.example/")),
            ("/w/blue/proxy/3000?x", Some("https://3000-blue.code.example/?x")),
            ("/w/BLUE/proxy/3000/", Some("https://3000-blue.code.example/")),
            ("/w/blue/absproxy/3000/a", Some("https://3000-blue.code.example/absproxy/3000/a")),
            ("/w/blue/proxy/3000//evil.example", Some("https://3000-blue.code.example/")),
            ("/w/blue/proxy/3000/\\evil.example", Some("https://3000-blue.code.example/")),
            ("/w/blue/proxy/03000/", None),
            ("/w/blue/proxy/0/", None),
            ("/w/blue/proxy/65536/", None),
            ("/w/blue/proxy/3000@evil/", None),
            ("/w/blue/other/3000/", None),
            ("/w/blue/proxy/", None),
            ("/w/blue", None),
            ("/w/blue.evil/proxy/3000/", None),
            ("/w//proxy/3000/", None),
            ("/w/3000-blue/proxy/3000/", None),
        ] {
            assert_eq!(target(&names, path).as_deref(), wanted, "{path}");
        }
    }
}
