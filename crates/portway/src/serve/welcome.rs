//! The first minute: without any configuration there is a user, a workspace `local` that is this machine, and a link to log
//! in by, printed with what to open next: a port of this machine, or the sample of `--demo`.

use std::io::{self, IsTerminal as _, Write as _};

use portway_core::host::{Names, PortForm};
use portway_core::workspace::{Address, Workspace};
use portway_sources::{NewWorkspace, Store};

use crate::config::Settings;
use crate::demo::{self, Ports};
use crate::output::Failure;

/// The workspace of the embedded default.
const LOCAL: &str = "local";
/// The first user, where the system does not say who starts the gateway.
const SOMEBODY: &str = "me";

/// Makes the first user and their workspace, once, and only under the embedded default; and the sample's, where it is on
/// these ports.
pub(super) async fn prepare(settings: &Settings, store: &Store, sample: Option<Ports>) -> Result<(), Failure> {
    if settings.embedded && store.users().await?.is_empty() {
        let name = first_name(std::env::var("USER").ok().as_deref());
        drop(store.add_user(&name).await?);
        let workspace =
            NewWorkspace { id: LOCAL.into(), owner: Some(name.as_str().into()), address: Address::Loopback };
        drop(store.add_workspace(&workspace).await?);
    }
    match sample {
        Some(ports) => demo::workspace::declare(store, LOCAL, ports).await,
        None => Ok(()),
    }
}

/// Says what to open next, to a person on standard error; a fresh link each time the embedded default starts.
pub(super) async fn greet(settings: &Settings, names: &Names, store: &Store) -> Result<(), Failure> {
    if !settings.embedded {
        return Ok(());
    }
    let Ok(Some(workspace)) = store.workspace(LOCAL).await else { return Ok(()) };
    let Some(owner) = &workspace.owner else { return Ok(()) };
    let link = portway_control::login_link(store, names, owner).await?;
    let example = names.url(0, LOCAL, PortForm::Number { port: 3000, tls: false })?;
    let Style { bold, plain } = style();
    say(&format!(
        "\n{bold}Portway is running.{plain}\n\n\
         \u{20} 1. Log in as {owner}, once, within ten minutes:\n\
         \u{20}    {bold}{link}{plain}\n\
         \u{20} 2. Start any dev server on this machine, for example:\n\
         \u{20}    python3 -m http.server 3000\n\
         \u{20} 3. Open its port:\n\
         \u{20}    {bold}{example}{plain}\n\n\
         {}",
        last_line(settings, names)
    ));
    Ok(())
}

/// The same with the sample, whose workspace this is.
pub(super) async fn greet_demo(
    settings: &Settings,
    names: &Names,
    store: &Store,
    workspace: &Workspace,
    ports: Ports,
) -> Result<(), Failure> {
    let Some(owner) = &workspace.owner else { return Ok(()) };
    let link = portway_control::login_link(store, names, owner).await?;
    let page = names.url(0, &workspace.id, PortForm::Number { port: ports.page, tls: false })?;
    let Style { bold, plain } = style();
    say(&format!(
        "\n{bold}Portway is running, with a sample workspace.{plain}\n\n\
         \u{20} 1. Log in as {owner}, once, within ten minutes:\n\
         \u{20}    {bold}{link}{plain}\n\
         \u{20} 2. Open the sample:\n\
         \u{20}    {bold}{page}{plain}\n\n\
         {}",
        last_line(settings, names)
    ));
    Ok(())
}

fn last_line(settings: &Settings, names: &Names) -> String {
    format!("Home page: {}/   Data: {}   Stop: Ctrl-C\n\n", names.control.origin(), settings.data.display())
}

/// How a terminal is told to print in bold, and no longer; nothing for a file.
struct Style {
    bold: &'static str,
    plain: &'static str,
}

fn style() -> Style {
    if io::stderr().is_terminal() {
        Style { bold: "\u{1b}[1m", plain: "\u{1b}[0m" }
    } else {
        Style { bold: "", plain: "" }
    }
}

fn say(text: &str) {
    // Nobody may be reading; that is no reason to stop.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The system's name for whoever starts the gateway, as far as it can be a user's name.
fn first_name(login: Option<&str>) -> String {
    let lower = login.unwrap_or_default().to_ascii_lowercase();
    let fits = (1..=32).contains(&lower.len()) && lower.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if fits { lower } else { SOMEBODY.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::first_name;

    #[test]
    fn the_first_user_has_a_usable_name() {
        assert_eq!(first_name(Some("Alice")), "alice");
        for odd in [None, Some(""), Some("a b"), Some("DOMAIN\\x")] {
            assert_eq!(first_name(odd), "me", "{odd:?}");
        }
    }
}
