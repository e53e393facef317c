//! `portway user`: people, their one-time links and passwords.

use std::io::{self, BufRead as _, IsTerminal as _};

use portway_control::{login_link, password};
use portway_sources::{Store, StoreError, UserRow};
use serde::Serialize;

use super::context::Context;
use crate::cli::{Global, Origins, User, UserAdd};
use crate::output::{Failure, Output, moment, note};

#[derive(Serialize)]
struct Row {
    name: String,
    suspended: bool,
    password: bool,
    created_at: u64,
}

impl From<UserRow> for Row {
    fn from(row: UserRow) -> Self {
        Self {
            name: row.id.to_string(),
            suspended: row.suspended,
            password: row.password.is_some(),
            created_at: row.created_at,
        }
    }
}

#[derive(Serialize)]
struct Link {
    name: String,
    login_link: String,
    expires_in_s: u64,
}

/// How long a link is good, in seconds.
const LINK_LIFETIME_S: u64 = 600;

pub(crate) async fn run(global: &Global, command: User) -> Result<(), Failure> {
    let origins = match &command {
        User::Add(UserAdd { origins, .. }) | User::Link { origins, .. } => origins.clone(),
        User::List | User::Password { .. } | User::Set { .. } | User::Remove { .. } => Origins::default(),
    };
    let context = Context::with_origins(global, &origins)?;
    let store = context.settings.store().open().await?;
    match command {
        User::Add(args) => add(&context, &store, &args).await,
        User::List => list(context.output, &store).await,
        User::Link { name, .. } => print_link(&context, &store, &name).await,
        User::Password { name, none } => set_password(context.output, &store, &name, none).await,
        User::Set { name, suspend, .. } => {
            store.set_suspended(&name, suspend).await?;
            let human = if suspend { "is suspended; what they had open has ended" } else { "may log in again" };
            show(context.output, &store, &name, human).await
        }
        User::Remove { name } => {
            let id = find(&store, &name).await?.id;
            store.remove_user(&id).await?;
            context.output.record(&serde_json::json!({ "removed": &*id }), &format!("user `{id}` is removed"))
        }
    }
}

async fn add(context: &Context, store: &Store, args: &UserAdd) -> Result<(), Failure> {
    // Hashed first, so that a password that will not do adds nobody.
    let phc = if args.password_stdin { Some(hash(&read_line()?)?) } else { None };
    match store.add_user(&args.name).await {
        Err(error @ StoreError::Exists { .. }) => {
            let hint = format!("`portway user link {}` makes another link", args.name);
            return Err(Failure::failed(error.to_string()).hint(hint));
        }
        Err(error @ StoreError::Invalid(_)) => return Err(Failure::usage(error.to_string())),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(phc) = phc {
        store.set_password(&args.name, Some(&phc)).await?;
    }
    print_link(context, store, &args.name).await
}

/// The link alone on standard output, for scripts; what it is on standard error.
async fn print_link(context: &Context, store: &Store, name: &str) -> Result<(), Failure> {
    let user = find(store, name).await?;
    if user.suspended {
        let hint = format!("`portway user set {name} --resume` lets them in again");
        return Err(Failure::failed(format!("user `{}` is suspended", user.id)).hint(hint));
    }
    let link = login_link(store, &context.names, &user.id).await?;
    if !context.output.json {
        note(&format!("`{}` logs in with this link, once, within ten minutes", user.id));
    }
    let record = Link { name: user.id.to_string(), login_link: link.clone(), expires_in_s: LINK_LIFETIME_S };
    context.output.record(&record, &link)
}

async fn set_password(output: Output, store: &Store, name: &str, none: bool) -> Result<(), Failure> {
    let user = find(store, name).await?;
    let phc = if none { None } else { Some(hash(&read_password(&user.id)?)?) };
    store.set_password(&user.id, phc.as_deref()).await?;
    // Whoever knew the old one is out.
    store.end_logins_of(&user.id).await?;
    let human = if none { "logs in with links only" } else { "has a new password; earlier logins have ended" };
    show(output, store, &user.id, human).await
}

async fn list(output: Output, store: &Store) -> Result<(), Failure> {
    let rows: Vec<Row> = store.users().await?.into_iter().map(Row::from).collect();
    let cells = |row: &Row| {
        let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        [row.name.clone(), yes_no(row.suspended), yes_no(row.password), moment(row.created_at)]
    };
    output.list(&rows, ["NAME", "SUSPENDED", "PASSWORD", "CREATED"], cells, "no users; `portway user add` adds one")
}

async fn show(output: Output, store: &Store, name: &str, human: &str) -> Result<(), Failure> {
    let row = Row::from(find(store, name).await?);
    let human = format!("user `{}` {human}", row.name);
    output.record(&row, &human)
}

async fn find(store: &Store, name: &str) -> Result<UserRow, Failure> {
    let missing =
        || Failure::failed(format!("there is no user `{name}`")).hint("`portway user list` shows all of them");
    store.user(name).await?.ok_or_else(missing)
}

fn hash(password: &str) -> Result<String, Failure> {
    password::hash(password).map_err(|error| Failure::failed(error.to_string()))
}

/// Asked for twice on a terminal, without an echo; else the first line of standard input.
fn read_password(name: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let first = rpassword::prompt_password(format!("new password of {name}: "))?;
    let second = rpassword::prompt_password("once more: ")?;
    if first == second { Ok(first) } else { Err(Failure::failed("the two are not the same")) }
}

fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    // A password is short; a line without an end is not one.
    io::Read::take(io::stdin().lock(), 2 * password::MAX as u64).read_line(&mut line)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        Err(Failure::failed("there is no password on standard input"))
    } else {
        Ok(password.to_owned())
    }
}
