//! `portway workspace`: the workspaces of the store. Those of the workspaces file are listed, and changed in that file.

use std::sync::Arc;

use portway_core::dial::{DialRefusal, DialRules, LOOPBACK};
use portway_core::host::PortForm;
use portway_core::workspace::{Address, State, UserId, Workspace as Record};
use portway_sources::{NewWorkspace, STORE_SOURCE, WorkspaceChange};
use serde::Serialize;

use super::context::{Context, World};
use crate::cli::{Global, Workspace, WorkspaceAdd, WorkspaceSet};
use crate::output::{Failure, warn};

#[derive(Serialize)]
struct Row {
    id: String,
    owner: Option<String>,
    address: String,
    state: &'static str,
    source: String,
    url: Option<String>,
}

pub(crate) async fn run(global: &Global, command: Workspace) -> Result<(), Failure> {
    let context = Context::new(global)?;
    let world = context.world().await?;
    match command {
        Workspace::Add(args) => add(&context, &world, &args).await,
        Workspace::List => list(&context, &world),
        Workspace::Set(args) => set(&context, &world, &args).await,
        Workspace::Remove { name } => {
            let id = own(&world, &name).await?;
            world.store.remove_workspace(&id).await?;
            context.output.record(&serde_json::json!({ "removed": &*id }), &format!("workspace `{id}` is removed"))
        }
    }
}

async fn add(context: &Context, world: &World, args: &WorkspaceAdd) -> Result<(), Failure> {
    check_id(context, &args.name)?;
    if let Some(taken) = world.snapshot.workspace(&args.name.to_ascii_lowercase()) {
        let place = if *taken.source == *STORE_SOURCE { "" } else { ", in the workspaces file" };
        return Err(Failure::failed(format!("there is a workspace `{}` already{place}", taken.id)));
    }
    let address = check_address(context, &args.address)?;
    let owner = args.owner.as_deref().map(|name| world.user(name)).transpose()?;
    if owner.is_none() {
        warn("the workspace has no owner: nobody opens it until a port is shared");
    }
    world.store.add_workspace(&NewWorkspace { id: args.name.clone(), owner, address }).await?;
    show(context, world, &args.name).await
}

async fn set(context: &Context, world: &World, args: &WorkspaceSet) -> Result<(), Failure> {
    let id = own(world, &args.name).await?;
    let address = args.address.as_deref().map(|text| check_address(context, text)).transpose()?;
    let owner = args.owner.as_deref().map(|name| world.user(name)).transpose()?;
    let owner: Option<Option<UserId>> = if args.no_owner { Some(None) } else { owner.map(Some) };
    let state = match (args.running, args.stopped) {
        (true, _) => Some(State::Running),
        (_, true) => Some(State::Stopped),
        _ => None,
    };
    world.store.set_workspace(&id, WorkspaceChange { owner, address, state }).await?;
    show(context, world, &id).await
}

/// Prints a workspace as it now is.
async fn show(context: &Context, world: &World, id: &str) -> Result<(), Failure> {
    let Some(workspace) = world.store.workspace(id).await? else {
        return Err(Failure::failed(format!("workspace `{id}` was removed meanwhile")));
    };
    let row = row(context, &workspace);
    let url = row.url.as_deref().unwrap_or_default();
    let human = format!("workspace `{id}` at {} is {}: {url}", workspace.address, row.state);
    context.output.record(&row, &human)
}

fn list(context: &Context, world: &World) -> Result<(), Failure> {
    let mut workspaces: Vec<&Arc<Record>> = world.snapshot.workspaces().collect();
    workspaces.sort_by(|one, two| one.key.cmp(&two.key));
    let rows: Vec<Row> = workspaces.into_iter().map(|workspace| row(context, workspace)).collect();
    let cells = |row: &Row| {
        let owner = row.owner.clone().unwrap_or_else(|| "-".to_owned());
        [
            row.id.clone(),
            owner,
            row.address.clone(),
            row.state.to_owned(),
            row.source.clone(),
            row.url.clone().unwrap_or_default(),
        ]
    };
    let heads = ["ID", "OWNER", "ADDRESS", "STATE", "SOURCE", "URL"];
    context.output.list(&rows, heads, cells, "no workspaces; `portway workspace add` adds one")
}

fn row(context: &Context, workspace: &Record) -> Row {
    Row {
        id: workspace.id.to_string(),
        owner: workspace.owner.as_ref().map(ToString::to_string),
        address: workspace.address.to_string(),
        state: workspace.state.as_str(),
        source: workspace.source.to_string(),
        url: context.names.url(0, &workspace.id, PortForm::Default).ok(),
    }
}

/// The id of a workspace that this command may change: one of the store, also where the file has the same id.
async fn own(world: &World, id: &str) -> Result<Arc<str>, Failure> {
    if let Some(workspace) = world.store.workspace(id).await? {
        return Ok(workspace.id.clone());
    }
    let workspace = world.workspace(id)?;
    Err(Failure::failed(format!("workspace `{}` is in the workspaces file; change it there", workspace.id)))
}

/// Whether every domain can carry the id in its names.
fn check_id(context: &Context, id: &str) -> Result<(), Failure> {
    let longest = PortForm::Number { port: u16::MAX, tls: true };
    for (index, domain) in context.names.domains.iter().enumerate() {
        context.names.host(index, id, PortForm::Default).map_err(|error| Failure::usage(error.to_string()))?;
        if context.names.host(index, id, longest).is_err() {
            warn(&format!("the id is long: under {} not every port has a name that DNS can carry", domain.name));
        }
    }
    Ok(())
}

/// Whether the address is one that can be dialled at all; whether it may be is warned of, since the configuration may
/// change before somebody dials.
fn check_address(context: &Context, text: &str) -> Result<Address, Failure> {
    let address: Address =
        text.parse().map_err(|error: portway_core::workspace::AddressError| Failure::usage(error.to_string()))?;
    let rules = DialRules { allow: context.settings.allow.clone(), own: Vec::new() };
    // Which port is dialled decides nothing here: the gateway's own sockets are its business when it dials.
    let refused = |ip| rules.check(ip, 1, false).err();
    let refusal = match &address {
        Address::Ip(ip) => refused(*ip),
        Address::Loopback if LOOPBACK.iter().all(|ip| refused(*ip).is_some()) => Some(DialRefusal::NotAllowed),
        Address::Name(_) if rules.allow.is_empty() => Some(DialRefusal::NotAllowed),
        Address::Loopback | Address::Name(_) => None,
    };
    match refusal {
        Some(DialRefusal::Forbidden) => {
            Err(Failure::usage(format!("`{text}` cannot be a workspace: {}", DialRefusal::Forbidden)))
        }
        Some(DialRefusal::NotAllowed | DialRefusal::Own | DialRefusal::Local) => {
            warn(&format!(
                "{text} is outside `workspaces.allow` of this configuration, so that it would not be dialled"
            ));
            Ok(address)
        }
        None => Ok(address),
    }
}
