//! `portway port`: how dev servers' ports are spoken to.

use portway_core::access::effective_level;
use portway_core::host::Scheme;
use portway_core::workspace::{Cors, Level, PortPolicy, Profile};
use portway_sources::PortChange;
use serde::Serialize;

use super::context::{Context, World, joined};
use crate::cli::{Global, Port, PortOf, PortSet};
use crate::output::{Failure, warn};

/// One configured port, for `port` and `share`.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    workspace: String,
    port: u16,
    /// `localhost`, `public`, or nothing set.
    profile: Option<&'static str>,
    scheme: Option<&'static str>,
    cors: Option<&'static str>,
    /// As it was shared.
    level: &'static str,
    users: Vec<String>,
    /// As it is in force, within the administrator's bounds.
    effective: &'static str,
}

impl Row {
    /// Whether anybody besides the owner was given it, bounds or not.
    pub(crate) fn is_shared(&self) -> bool {
        self.level != Level::Owner.as_str() || !self.users.is_empty()
    }
}

pub(crate) async fn run(global: &Global, command: Port) -> Result<(), Failure> {
    let context = Context::new(global)?;
    let world = context.world().await?;
    match command {
        Port::Set(args) => set(&context, world, &args).await,
        Port::List { workspace } => {
            let rows = rows(&context, &world, workspace.as_deref())?;
            list(&context, &rows, "no port is configured; every port works without")
        }
        Port::Remove(PortOf { workspace, port }) => {
            let id = world.workspace(&workspace)?.id.clone();
            if world.snapshot.port(&id.to_ascii_lowercase(), port).is_none() {
                return Err(Failure::failed(format!("nothing is set for port {port} of `{id}`")));
            }
            world.store.remove_port(&id, port).await?;
            show(&context, &id, port, "has its defaults again").await
        }
    }
}

async fn set(context: &Context, world: World, args: &PortSet) -> Result<(), Failure> {
    let id = world.workspace(&args.port.workspace)?.id.clone();
    let port = args.port.port;
    if context.settings.rules.denied.contains(&port) {
        warn(&format!("port {port} is in `access.denied` of this configuration, so that it is never served"));
    }
    let change = PortChange {
        profile: args.profile.map(|profile| Some(profile.into())),
        scheme: args.scheme.map(|scheme| Some(scheme.into())),
        cors: args.cors.map(|cors| Some(cors.into())),
    };
    world.store.set_port(&id, port, change).await?;
    world.store.close().await;
    show(context, &id, port, "is set").await
}

/// Prints a port as it now is.
pub(crate) async fn show(context: &Context, workspace: &str, port: u16, human: &str) -> Result<(), Failure> {
    let world = context.world().await?;
    let policy = world.snapshot.port(&workspace.to_ascii_lowercase(), port).cloned().unwrap_or_default();
    let row = row(context, workspace, port, &policy);
    context.output.record(&row, &format!("port {port} of `{workspace}` {human}"))
}

/// The configured ports of one workspace, or of all, in order.
pub(crate) fn rows(context: &Context, world: &World, workspace: Option<&str>) -> Result<Vec<Row>, Failure> {
    let mut ids: Vec<_> = match workspace {
        Some(id) => vec![world.workspace(id)?.id.clone()],
        None => world.snapshot.workspaces().map(|workspace| workspace.id.clone()).collect(),
    };
    ids.sort();
    let mut rows = Vec::new();
    for id in ids {
        let table = world.snapshot.ports(&id.to_ascii_lowercase());
        let ports = table.into_iter().flat_map(|table| table.iter());
        rows.extend(ports.map(|(port, policy)| row(context, &id, *port, policy)));
    }
    Ok(rows)
}

fn row(context: &Context, workspace: &str, port: u16, policy: &PortPolicy) -> Row {
    Row {
        workspace: workspace.to_owned(),
        port,
        profile: policy.profile.map(Profile::as_str),
        scheme: policy.scheme.map(Scheme::as_str),
        cors: policy.cors.map(Cors::as_str),
        level: policy.level.as_str(),
        users: policy.users.iter().map(ToString::to_string).collect(),
        effective: effective_level(&context.settings.rules, port, None, Some(policy)).as_str(),
    }
}

/// Prints ports; `empty` where there are none.
pub(crate) fn list(context: &Context, rows: &[Row], empty: &str) -> Result<(), Failure> {
    let cells = |row: &Row| {
        let or_default = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let users = joined(&row.users);
        [
            row.workspace.clone(),
            row.port.to_string(),
            or_default(row.profile),
            or_default(row.scheme),
            or_default(row.cors),
            row.effective.to_owned(),
            users,
        ]
    };
    context.output.list(rows, ["WORKSPACE", "PORT", "PROFILE", "SCHEME", "CORS", "OPEN TO", "USERS"], cells, empty)
}
