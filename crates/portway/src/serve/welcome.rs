//! The first minute: without any configuration there is a user, a workspace `local` that is this machine, and a link to log
//! in by, printed with what to open next.

use std::io::{self, IsTerminal as _, Write as _};

use portway_core::host::{Names, PortForm};
use portway_core::workspace::Address;
use portway_sources::{NewWorkspace, Store, StoreError};

use crate::config::Settings;
use crate::output::Failure;

/// The workspace of the embedded default.
const LOCAL: &str = "local";
/// The first user, where the system does not say who starts the gateway.
const SOMEBODY: &str = "me";

/// Makes the first user and their workspace, once, and only under the embedded default.
pub(super) async fn prepare(settings: &Settings, store: &Store) -> Result<(), Failure> {
    let failed = |error: StoreError| Failure::failed(error.to_string());
    if !settings.embedded || !store.users().await.map_err(failed)?.is_empty() {
        return Ok(());
    }
    let name = first_name(std::env::var("USER").ok().as_deref());
    store.add_user(&name).await.map_err(failed)?;
    let workspace = NewWorkspace { id: LOCAL.into(), owner: Some(name.as_str().into()), address: Address::Loopback };
    store.add_workspace(&workspace).await.map_err(failed)?;
    Ok(())
}

/// Says what to open next, to a person on standard error; a fresh link each time the embedded default starts.
pub(super) async fn greet(settings: &Settings, names: &Names, store: &Store) -> Result<(), Failure> {
    if !settings.embedded {
        return Ok(());
    }
    let failed = |error: String| Failure::failed(error);
    let Ok(Some(workspace)) = store.workspace(LOCAL).await else { return Ok(()) };
    let Some(owner) = &workspace.owner else { return Ok(()) };
    let link = portway_control::login_link(store, names, owner).await.map_err(|error| failed(error.to_string()))?;
    let example =
        names.url(0, LOCAL, PortForm::Number { port: 3000, tls: false }).map_err(|error| failed(error.to_string()))?;
    let (bold, plain) = if io::stderr().is_terminal() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    let text = format!(
        "\n{bold}Portway is running.{plain}\n\n\
         \u{20} 1. Log in as {owner}, once, within ten minutes:\n\
         \u{20}    {bold}{link}{plain}\n\
         \u{20} 2. Start any dev server on this machine, for example:\n\
         \u{20}    python3 -m http.server 3000\n\
         \u{20} 3. Open its port:\n\
         \u{20}    {bold}{example}{plain}\n\n\
         Home page: {}/   Data: {}   Stop: Ctrl-C\n\n",
        names.control.origin(),
        settings.data.display(),
    );
    // Nobody may be reading; that is no reason to stop.
    let _ = io::stderr().write_all(text.as_bytes());
    Ok(())
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
