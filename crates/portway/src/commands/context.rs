//! What commands stand on: settings, the names links are made of, the store, and the world as a gateway would see it.

use std::sync::Arc;

use portway_core::host::Names;
use portway_core::snapshot::Snapshot;
use portway_core::workspace::{UserId, Workspace};
use portway_sources::{Database, DatabaseSource, Store};

use crate::cli::{Global, Origins};
use crate::config::{Flags, Settings};
use crate::output::{Failure, Output, warn};
use crate::running::Running;

/// Settings and names of one command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) names: Names,
    pub(crate) output: Output,
}

/// The store, and what it and the workspaces file say now.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) snapshot: Snapshot,
}

impl Context {
    /// For commands that make no link.
    ///
    /// # Errors
    /// Every problem of the configuration.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        Self::with_origins(global, &Origins::default())
    }

    /// Names come from the flags if given, else from the gateway that runs on the same data, else from the configuration.
    ///
    /// # Errors
    /// Every problem of the configuration.
    pub(crate) fn with_origins(global: &Global, origins: &Origins) -> Result<Self, Failure> {
        let flags = Flags {
            config: global.config.clone(),
            data: global.data.clone(),
            listen: origins.listen.clone(),
            domain: origins.domain.clone(),
            ..Flags::default()
        };
        let settings = super::settings(&flags)?;
        let told = !origins.listen.is_empty() || origins.domain.is_some();
        let running = if told { None } else { Running::find(&settings.data) };
        let names = running.and_then(|running| running.names()).unwrap_or_else(|| settings.names(None, None));
        Ok(Self { settings, names, output: Output { json: global.json } })
    }

    /// Opens the store and reads everything.
    ///
    /// # Errors
    /// Those of the store. A bad workspaces file, or a database that does not answer, is only warned of: a gateway would go
    /// on with what it knew last.
    pub(crate) async fn world(&self) -> Result<World, Failure> {
        let store = self.settings.store().open().await?;
        let mut listings = Vec::new();
        // The file comes first, as in a gateway: where both have an id, the first keeps it.
        if let Some(path) = &self.settings.workspaces_file {
            match portway_sources::load_file(path, &self.names).await {
                Ok(listing) => listings.push(listing),
                Err(errors) => {
                    for error in errors {
                        warn(&format!("{}: {error}", path.display()));
                    }
                }
            }
        }
        let plane = &self.settings.control_plane;
        if let (Some(postgres), Some(query)) = (&plane.postgres, &plane.workspaces) {
            let listing = match Database::new(&postgres.url, postgres.connections) {
                Ok(database) => DatabaseSource::new(database, query.clone(), self.names.clone()).listing().await,
                Err(error) => Err(error),
            };
            match listing {
                Ok(listing) => listings.push(listing),
                Err(error) => warn(&format!("{}: {error}", postgres.place)),
            }
        }
        listings.push(store.listing().await?);
        let mut snapshot = Snapshot::default();
        for listing in listings {
            let (next, _, conflicts) = snapshot.apply(snapshot.reconcile(listing));
            snapshot = next;
            for conflict in conflicts {
                warn(&conflict.to_string());
            }
        }
        Ok(World { store, snapshot })
    }
}

impl World {
    /// The workspace of this id.
    ///
    /// # Errors
    /// That there is none.
    pub(crate) fn workspace(&self, id: &str) -> Result<&Arc<Workspace>, Failure> {
        self.snapshot.workspace(&id.to_ascii_lowercase()).ok_or_else(|| {
            Failure::failed(format!("there is no workspace `{id}`")).hint("`portway workspace list` shows all of them")
        })
    }

    /// The user of this name.
    ///
    /// # Errors
    /// That there is none.
    pub(crate) fn user(&self, name: &str) -> Result<UserId, Failure> {
        match self.snapshot.user(&name.to_ascii_lowercase()) {
            Some(user) => Ok(user.id.clone()),
            None => Err(Failure::failed(format!("there is no user `{name}`"))
                .hint(format!("`portway user add {name}` adds one"))),
        }
    }

    /// Users by name, all of which exist.
    ///
    /// # Errors
    /// The first that does not.
    pub(crate) fn users(&self, names: &[String]) -> Result<Vec<UserId>, Failure> {
        names.iter().map(|name| self.user(name)).collect()
    }
}

/// Names joined for people.
pub(crate) fn joined(users: &[impl AsRef<str>]) -> String {
    users.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
