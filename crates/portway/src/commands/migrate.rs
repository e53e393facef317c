//! `portway migrate`: the tables of Portway's own state, made or brought up to date.

use portway_sources::StorePlace;
use serde::Serialize;

use super::context::Context;
use crate::cli::{Global, Migrate};
use crate::output::Failure;

#[derive(Serialize)]
struct Done {
    place: String,
    found: usize,
    now: usize,
}

pub(crate) async fn run(global: &Global, args: &Migrate) -> Result<(), Failure> {
    let context = Context::new(global)?;
    let store = context.settings.store();
    let place = match &store {
        StorePlace::Folder(folder) => folder.display().to_string(),
        StorePlace::Shared(shared) => format!("schema {}", shared.schema),
    };
    if args.url.is_some() && !store.is_shared() {
        return Err(Failure::usage("--url is for state in PostgreSQL, and this state is in a folder")
            .hint("write `schema = \"portway\"` under [postgres]"));
    }
    let migrated = store.migrate(args.url.as_deref()).await?;
    let human = match migrated.found == migrated.now {
        true => format!("{place}: the tables are up to date (step {})", migrated.now),
        false => format!("{place}: the tables are brought from step {} to {}", migrated.found, migrated.now),
    };
    context.output.record(&Done { place, found: migrated.found, now: migrated.now }, &human)
}
