//! `portway share`: who besides the owner may open a port, within the administrator's bounds.

use portway_core::workspace::Level;

use super::context::{Context, World, joined};
use super::port;
use crate::cli::{Global, Share, ShareRemove, ShareSet};
use crate::output::Failure;

pub(crate) async fn run(global: &Global, command: Share) -> Result<(), Failure> {
    let context = Context::new(global)?;
    let world = context.world().await?;
    match command {
        Share::Set(args) => set(&context, world, &args).await,
        Share::List { workspace } => {
            let mut rows = port::rows(&context, &world, workspace.as_deref())?;
            rows.retain(port::Row::is_shared);
            port::list(&context, &rows, "nothing is shared")
        }
        Share::Remove(args) => remove(&context, world, &args).await,
    }
}

async fn set(context: &Context, world: World, args: &ShareSet) -> Result<(), Failure> {
    let id = world.workspace(&args.port.workspace)?.id.clone();
    let port = args.port.port;
    let users = world.users(&args.users)?;
    let level = args.level.map(Level::from);
    check_bounds(context, port, level.unwrap_or(Level::Users))?;
    world.store.set_share(&id, port, level, &users, &[]).await?;
    world.store.close().await;
    let whom = match level {
        None => format!("is shared with {}", joined(&users)),
        Some(Level::Owner | Level::Users) => "is the owner's alone".to_owned(),
        Some(Level::Authenticated) => "is open to everybody who can log in".to_owned(),
        Some(Level::Public) => "is open to everybody".to_owned(),
    };
    port::show(context, &id, port, &whom).await
}

async fn remove(context: &Context, world: World, args: &ShareRemove) -> Result<(), Failure> {
    let id = world.workspace(&args.port.workspace)?.id.clone();
    let port = args.port.port;
    let shared = world.snapshot.port(&id.to_ascii_lowercase(), port).cloned().unwrap_or_default();
    let users = world.users(&args.users)?;
    if let Some(stranger) = users.iter().find(|user| !shared.users.contains(*user)) {
        return Err(Failure::failed(format!("port {port} of `{id}` is not shared with `{stranger}` by name"))
            .hint(format!("`portway share list {id}` shows what is shared")));
    }
    let human = if users.is_empty() {
        if shared.level == Level::Owner && shared.users.is_empty() {
            return Err(Failure::failed(format!("port {port} of `{id}` is not shared")));
        }
        world.store.remove_share(&id, port).await?;
        "is the owner's alone".to_owned()
    } else {
        world.store.set_share(&id, port, None, &[], &users).await?;
        format!("is no longer shared with {}", joined(&users))
    };
    world.store.close().await;
    port::show(context, &id, port, &human).await
}

/// A share that the configuration would take back is refused here, with the setting that does.
fn check_bounds(context: &Context, port: u16, level: Level) -> Result<(), Failure> {
    let rules = &context.settings.rules;
    if level == Level::Owner {
        return Ok(());
    }
    if rules.denied.contains(&port) {
        return Err(Failure::failed(format!("port {port} is never served"))
            .hint("`access.denied` of the configuration names it"));
    }
    if rules.protected.contains(&port) {
        return Err(Failure::failed(format!("port {port} is for the owner alone"))
            .hint("`access.protected` of the configuration names it, because an IDE gives a shell"));
    }
    if level > rules.ceiling {
        let message =
            format!("sharing ends at `{}` here, and this asks for `{}`", rules.ceiling.as_str(), level.as_str());
        return Err(Failure::failed(message).hint("`access.ceiling` of the configuration says so"));
    }
    Ok(())
}
