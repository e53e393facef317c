//! `portway url`: the address of a port. Whether the workspace exists does not matter here.

use portway_core::host::{Names, PortForm};
use serde::Serialize;

use super::context::Context;
use crate::cli::{Global, Origins, Url};
use crate::output::Failure;

#[derive(Serialize)]
struct Record {
    workspace: String,
    url: String,
}

pub(crate) fn run(global: &Global, args: &Url) -> Result<(), Failure> {
    let (context, domain) = find_domain(global, &args.origins)?;
    if args.vscode {
        let url = context.names.url_template(domain, &args.workspace, "{{port}}")?;
        return context.output.record(&Record { workspace: args.workspace.clone(), url: url.clone() }, &url);
    }
    let form = match args.port {
        None => PortForm::Default,
        Some(port) => PortForm::Number { port: port.port, tls: port.tls },
    };
    let url = context.names.url(domain, &args.workspace, form)?;
    context.output.record(&Record { workspace: args.workspace.clone(), url: url.clone() }, &url)
}

/// `--domain` chooses one of the gateway's domains, or else names the only one.
fn find_domain(global: &Global, origins: &Origins) -> Result<(Context, usize), Failure> {
    let position =
        |names: &Names, name: &str| names.domains.iter().position(|domain| domain.name.eq_ignore_ascii_case(name));
    if let Some(name) = &origins.domain {
        let context = Context::with_origins(global, &Origins { domain: None, ..origins.clone() })?;
        if let Some(domain) = position(&context.names, name) {
            return Ok((context, domain));
        }
    }
    Ok((Context::with_origins(global, origins)?, 0))
}
