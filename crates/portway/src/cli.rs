//! The command line as typed: commands, flags and their help. What they do is in `commands/`.

mod choices;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use self::choices::{CorsChoice, LevelChoice, ProfileChoice, SchemeChoice};
use crate::duration;

/// The front door to every port of every workspace.
///
/// `https://3000-{workspace}.{domain}` opens port 3000 of that workspace, for its owner and whomever they share it with.
#[derive(Debug, Parser)]
#[command(name = "portway", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  portway serve --demo                              a gateway on this machine, and a sample to try
  portway user add alice                            a user, and a link to log in with
  portway workspace add blue --address 10.0.0.7 --owner alice
  portway url blue 3000                             where alice opens port 3000
  portway share set blue 3000 --user bob            bob may open it too

Settings come from flags, then from the environment (PORTWAY_…), then from the file of --config, then \
from defaults; `portway config reference` prints all of them.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The configuration file (or PORTWAY_CONFIG)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of users, shares and tokens (or PORTWAY_DATA)
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) data: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
}

/// What decides listeners and names, besides the configuration.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Listeners {
    /// Where plain HTTP is answered: IP:PORT, or localhost:PORT for 127.0.0.1 and ::1; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// Where /healthz, /readyz and /metrics are answered
    #[arg(long, value_name = "ADDR")]
    pub(crate) ops: Option<String>,
    /// The domain under which workspaces have names
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
}

/// What decides the address that a link or URL is made for; a running gateway's own comes first.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Origins {
    /// Make the link for a gateway that listens here
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// Make the link for this domain
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway
    #[command(after_help = "\
Examples:
  portway serve --demo                              with a sample to try it on
  portway serve
  portway serve --listen localhost:8081
  portway serve --config /etc/portway/portway.toml --data /var/lib/portway

Without a configuration file it serves this machine's own ports under portway.localhost, to this machine alone, and \
prints a link to log in with. SIGTERM ends it: open requests may finish first. SIGHUP has it read its configuration \
again, as does a change of the file.")]
    Serve(Serve),
    /// Say what is wrong with the configuration, or what it means
    #[command(after_help = "\
Examples:
  portway check --config portway.toml
  PORTWAY_LIMITS_CONNECT=5s portway check --json

Every error is listed with file, line and key; the exit code is then 2.")]
    Check(Listeners),
    /// Make the tables of Portway's own state, or bring them up to date
    #[command(after_help = "\
Examples:
  portway migrate --config portway.toml
  portway migrate --config portway.toml --url postgres://postgres@db/codehub

`serve` does the same at its start where its role may. With --url the tables belong to that role, and the role of \
`postgres.url` is granted their use and nothing more. A gateway of an older version refuses newer tables.")]
    Migrate(Migrate),
    /// Ask a running gateway whether it is well
    #[command(after_help = "\
Examples:
  portway health                            the gateway on the same data folder
  portway health --ops 127.0.0.1:9080

The exit code is 0 if it is and 1 if not.")]
    Health(Health),
    /// Print the address of a port
    #[command(after_help = "\
Examples:
  portway url blue 3000                     http://3000-blue.portway.localhost:8080/
  portway url blue 8443s                    the same for a dev server that speaks TLS
  portway url blue                          the workspace's default port
  VSCODE_PROXY_URI=$(portway url blue --vscode) code-server

With VSCODE_PROXY_URI set, the Ports panel of code-server, and what it opens when a terminal prints \
http://localhost:3000, lead to the port's public address.")]
    Url(Url),
    /// Add, change and remove workspaces
    #[command(subcommand)]
    Workspace(Workspace),
    /// Add, change and remove users
    #[command(subcommand)]
    User(User),
    /// Say how a dev server's port is spoken to
    #[command(subcommand)]
    Port(Port),
    /// Say who besides the owner may open a port
    #[command(subcommand)]
    Share(Share),
    /// Make and revoke tokens for programs
    #[command(subcommand)]
    Token(Token),
    /// Print the reference of all settings
    #[command(subcommand)]
    Config(Config),
    /// Print what makes a shell complete commands and flags
    #[command(after_help = "\
Examples:
  portway completions bash > /usr/share/bash-completion/completions/portway
  portway completions zsh > /usr/share/zsh/site-functions/_portway
  portway completions fish > /usr/share/fish/vendor_completions.d/portway.fish")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write one for each command
    #[command(after_help = "\
Examples:
  portway man | man -l -
  portway man --dir /usr/local/share/man/man1")]
    Man {
        /// Write a page for each command into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) listeners: Listeners,
    /// Serve a sample workspace `demo` too, whose dev servers run inside the gateway
    #[arg(long)]
    pub(crate) demo: bool,
    /// Take the listeners of the gateway that runs on the same data folder, which then drains
    #[arg(long, conflicts_with = "demo")]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Connect as another role, which may make tables
    #[arg(long, value_name = "URL", env = "PORTWAY_MIGRATE_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The operations listener to ask
    #[arg(long, value_name = "ADDR")]
    pub(crate) ops: Option<SocketAddr>,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Url {
    /// The workspace's id
    pub(crate) workspace: String,
    /// A port, with a trailing `s` for a dev server that speaks TLS; the default port if left out
    #[arg(value_parser = port_form)]
    pub(crate) port: Option<PortText>,
    /// Print the address of every port, with `{{port}}` for its number: what VSCODE_PROXY_URI of code-server wants
    #[arg(long, conflicts_with = "port")]
    pub(crate) vscode: bool,
    #[command(flatten)]
    pub(crate) origins: Origins,
}

/// `3000`, or `8443s` for TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortText {
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

fn port_form(text: &str) -> Result<PortText, String> {
    let (digits, tls) = text.strip_suffix('s').map_or((text, false), |digits| (digits, true));
    match portway_core::host::canonical_port(digits) {
        Some(port) => Ok(PortText { port, tls }),
        None => Err("a port is a number from 1 to 65535, with a trailing `s` for TLS".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Workspace {
    /// Add a workspace
    #[command(after_help = "\
Examples:
  portway workspace add blue --address 10.0.0.7 --owner alice
  portway workspace add local --address localhost

The address is an IP address or a DNS name, without a port. It must be inside `workspaces.allow` to be dialled.")]
    Add(WorkspaceAdd),
    /// List workspaces, those of the workspaces file too
    List,
    /// Change a workspace
    #[command(override_usage = "portway workspace set [OPTIONS] <NAME>")]
    #[command(after_help = "\
Examples:
  portway workspace set blue --owner bob
  portway workspace set blue --stopped

A new address or state begins a new life of the workspace: open connections end.")]
    Set(WorkspaceSet),
    /// Remove a workspace; open connections to it end
    Remove {
        /// The workspace's id
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceAdd {
    /// Letters, digits and inner dashes
    pub(crate) name: String,
    /// Where it is
    #[arg(long, value_name = "ADDR")]
    pub(crate) address: String,
    /// Who may open every port of it
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct WorkspaceSet {
    /// The workspace's id
    pub(crate) name: String,
    /// Where it is
    #[arg(long, value_name = "ADDR", group = "change")]
    pub(crate) address: Option<String>,
    /// Who may open every port of it
    #[arg(long, value_name = "USER", group = "change")]
    pub(crate) owner: Option<String>,
    /// Nobody but those it is shared with
    #[arg(long, group = "change", conflicts_with = "owner")]
    pub(crate) no_owner: bool,
    /// It can be dialled
    #[arg(long, group = "change")]
    pub(crate) running: bool,
    /// It cannot be dialled
    #[arg(long, group = "change", conflicts_with = "running")]
    pub(crate) stopped: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user, and print a link to log in with
    #[command(after_help = "\
Examples:
  portway user add alice
  pass show portway/alice | portway user add alice --password-stdin

The link is good once, for ten minutes.")]
    Add(UserAdd),
    /// List users
    List,
    /// Make another link to log in with, good once, for ten minutes
    Link {
        /// The user's name
        name: String,
        #[command(flatten)]
        origins: Origins,
    },
    /// Set a password, read from standard input
    #[command(after_help = "\
Examples:
  portway user password alice                       asks for it
  pass show portway/alice | portway user password alice
  portway user password alice --none                links only")]
    Password {
        /// The user's name
        name: String,
        /// Take the password away, so that only links log in
        #[arg(long)]
        none: bool,
    },
    /// Suspend a user or let them in again
    #[command(after_help = "\
Examples:
  portway user set alice --suspend                  ends logins, sessions and open streams
  portway user set alice --resume")]
    #[command(group = clap::ArgGroup::new("change").required(true))]
    Set {
        /// The user's name
        name: String,
        /// Refuse them, and end what they have open
        #[arg(long, group = "change")]
        suspend: bool,
        /// Let them in again
        #[arg(long, group = "change")]
        resume: bool,
    },
    /// Remove a user with their logins and tokens
    Remove {
        /// The user's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserAdd {
    /// Letters, digits, and any of . _ @ -; in any case
    pub(crate) name: String,
    /// Read a password from the first line of standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) origins: Origins,
}

/// One port of one workspace.
#[derive(Debug, Args)]
pub(crate) struct PortOf {
    /// The workspace's id
    pub(crate) workspace: String,
    /// A port of it
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Port {
    /// Set how a port is spoken to
    #[command(after_help = "\
Examples:
  portway port set blue 3000 --profile public       the dev server sees the public host name
  portway port set blue 8443 --scheme https         the dev server speaks TLS; its certificate is not verified
  portway port set blue 5000 --cors passthrough     the dev server answers for CORS itself
  portway port set blue 5000                        only shows it on the home page")]
    Set(PortSet),
    /// List ports with settings or shares
    List {
        /// Of this workspace only
        workspace: Option<String>,
    },
    /// Forget what was set for a port, its share too
    Remove(PortOf),
}

#[derive(Debug, Args)]
pub(crate) struct PortSet {
    #[command(flatten)]
    pub(crate) port: PortOf,
    /// Which names the dev server is told: `localhost`, which dev servers trust, or the `public` ones
    #[arg(long, value_enum)]
    pub(crate) profile: Option<ProfileChoice>,
    /// What the dev server speaks
    #[arg(long, value_enum)]
    pub(crate) scheme: Option<SchemeChoice>,
    /// Who answers for CORS towards the workspace's other ports: the `gateway`, or the dev server (`passthrough`)
    #[arg(long, value_enum)]
    pub(crate) cors: Option<CorsChoice>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Share {
    /// Share a port
    #[command(override_usage = "\
portway share set [OPTIONS] <WORKSPACE> <PORT> <LEVEL>
       portway share set [OPTIONS] <WORKSPACE> <PORT> --user <NAME>...")]
    #[command(after_help = "\
Examples:
  portway share set blue 3000 --user bob --user eve     these two, once they have agreed to visit it
  portway share set blue 3000 authenticated             everybody who can log in
  portway share set blue 3000 public                    everybody
  portway share set blue 3000 owner                     nobody else any more

Bounded by `access.ceiling` and `access.protected` of the configuration.")]
    Set(ShareSet),
    /// List what is shared
    List {
        /// Of this workspace only
        workspace: Option<String>,
    },
    /// Take a share back; open streams end
    #[command(after_help = "\
Examples:
  portway share remove blue 3000                    the owner alone again
  portway share remove blue 3000 --user bob         all but bob")]
    Remove(ShareRemove),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub(crate) struct ShareSet {
    #[command(flatten)]
    pub(crate) port: PortOf,
    /// Who may open it
    #[arg(value_enum, group = "whom")]
    pub(crate) level: Option<LevelChoice>,
    /// A user who may open it; may be repeated
    #[arg(long = "user", value_name = "NAME", group = "whom")]
    pub(crate) users: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShareRemove {
    #[command(flatten)]
    pub(crate) port: PortOf,
    /// Only for this user; may be repeated
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token and print it, once
    #[command(after_help = "\
Examples:
  TOKEN=$(portway token create --user alice --workspace blue --port 3000)
  curl -H \"X-Portway-Token: $TOKEN\" \"$(portway url blue 3000)\"
  portway token create --user alice --workspace blue --port 3000 --expires 7d --label ci

It opens this one port, as far as its user may, until it expires: 30 days unless told otherwise, 90 at most.")]
    Create(TokenCreate),
    /// List tokens; they themselves are not kept
    List {
        /// Of this user only
        #[arg(long)]
        user: Option<String>,
    },
    /// Revoke a token; what it has open ends
    Remove {
        /// As `portway token list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// On whose behalf it acts
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,
    /// The workspace it opens
    #[arg(long, value_name = "NAME")]
    pub(crate) workspace: String,
    /// The port it opens
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// How long it is good
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration::parse)]
    pub(crate) expires: Duration,
    /// What it is for, to know it by in the list
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every setting with its default and meaning, as a TOML file
    Reference,
}

#[cfg(test)]
mod tests;
