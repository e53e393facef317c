//! `portway token`: tokens for programs, each for one port.

use portway_core::access::user_may;
use portway_core::host::Target;
use portway_core::secret::Secret;
use portway_sources::{TOKEN_LIFETIME_MAX, TokenRow};
use serde::Serialize;

use super::context::{Context, World};
use crate::cli::{Global, Token, TokenCreate};
use crate::duration;
use crate::output::{Failure, moment, note, warn};

#[derive(Serialize)]
struct Row {
    id: String,
    user: String,
    workspace: String,
    port: u16,
    label: Option<String>,
    created_at: u64,
    expires_at: u64,
    last_used: Option<u64>,
    /// Only where it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<TokenRow> for Row {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id.to_string(),
            user: row.user.to_string(),
            workspace: row.workspace.to_string(),
            port: row.port,
            label: row.label,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used: row.last_used,
            token: None,
        }
    }
}

pub(crate) async fn run(global: &Global, command: Token) -> Result<(), Failure> {
    let context = Context::new(global)?;
    let world = context.world().await?;
    match command {
        Token::Create(args) => create(&context, &world, &args).await,
        Token::List { user } => {
            let user = user.map(|name| world.user(&name)).transpose()?;
            let tokens = world.store.tokens(user.as_deref()).await?;
            let rows: Vec<Row> = tokens.into_iter().map(Row::from).collect();
            let cells = |row: &Row| {
                let used = row.last_used.map_or_else(|| "never".to_owned(), moment);
                let label = row.label.clone().unwrap_or_default();
                [
                    row.id.clone(),
                    row.user.clone(),
                    row.workspace.clone(),
                    row.port.to_string(),
                    moment(row.expires_at),
                    used,
                    label,
                ]
            };
            let heads = ["ID", "USER", "WORKSPACE", "PORT", "EXPIRES", "LAST USED", "LABEL"];
            context.output.list(&rows, heads, cells, "no tokens; `portway token create` makes one")
        }
        Token::Remove { id } => {
            world.store.remove_token(&id).await?;
            context.output.record(&serde_json::json!({ "removed": id }), &format!("token {id} is revoked"))
        }
    }
}

/// The token alone on standard output, for scripts; what it is on standard error.
async fn create(context: &Context, world: &World, args: &TokenCreate) -> Result<(), Failure> {
    let user = world.user(&args.user)?;
    let workspace = world.workspace(&args.workspace)?;
    let lifetime_s = args.expires.as_secs();
    if !(1..=TOKEN_LIFETIME_MAX).contains(&lifetime_s) {
        return Err(Failure::usage(format!("a token is good for 1s to 90d, not {}", duration::format(args.expires))));
    }
    // Decided as at a request, which also knows the administrator's bounds. What is not allowed now may be later.
    let target =
        Target { host: String::new(), workspace: workspace.key.to_string(), port: args.port, tls: false, domain: 0 };
    if let Err(reason) = user_may(&world.snapshot, &context.settings.rules, &target, &user) {
        warn(&format!(
            "`{user}` may not open port {} of `{}` now ({}), so that the token does not either",
            args.port,
            workspace.id,
            reason.as_str()
        ));
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let secret = Secret::new(random);
    let (row, _) = world
        .store
        .add_token(&secret.hash(), &user, &workspace.key, args.port, lifetime_s, args.label.as_deref())
        .await?;
    let text = secret.token_text();
    if !context.output.json {
        note(&format!(
            "token {} opens port {} of `{}` until {}; it is not shown again",
            row.id,
            row.port,
            workspace.id,
            moment(row.expires_at)
        ));
    }
    context.output.record(&Row { token: Some(text.clone()), ..Row::from(row) }, &text)
}
