//! A person's API tokens: made, listed, revoked (R56). One way for the home page and the API.

use http::StatusCode;
use portway_core::workspace::UserId;
use portway_sources::TokenRow;

use crate::app::{App, Login, Peer, fresh_secret};
use crate::ports::unfit;
use crate::reply::Refusal;
use crate::view::TokenView;

/// The longest life of a token, in seconds (R56).
pub(crate) const LIFETIME_MAX_S: u64 = portway_sources::TOKEN_LIFETIME_MAX;
/// What it is where nothing is said.
pub(crate) const LIFETIME_DEFAULT_S: u64 = 30 * 86_400;
/// The longest label, in characters.
const LABEL_MAX: usize = 64;
/// The most tokens one user may have.
const TOKENS_MAX: usize = 100;

/// What a new token shall open.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    pub(crate) workspace: String,
    pub(crate) port: u16,
    pub(crate) lifetime_s: u64,
    pub(crate) label: String,
}

/// The user's tokens, newest first.
pub(crate) async fn list(app: &App, user: &UserId) -> Result<Vec<TokenView>, Refusal> {
    let now = app.store.now().await?;
    let mut rows: Vec<TokenRow> = app.store.tokens(Some(user)).await?;
    rows.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    Ok(rows.into_iter().map(|row| TokenView::of(row, now)).collect())
}

/// Makes a token for a port that the user may open; gives its text, which nothing keeps.
pub(crate) async fn create(app: &App, me: &Login, peer: Peer, new: NewToken) -> Result<(TokenView, String), Refusal> {
    if app.settings.rules.denied.contains(&new.port) {
        let text = format!("Port {} is never served: the administrator has closed it.", new.port);
        return Err(unfit("port-denied", text));
    }
    if new.lifetime_s == 0 || new.lifetime_s > LIFETIME_MAX_S {
        return Err(unfit("token-lifetime", "A token lives at least a second and at most 90 days.".to_owned()));
    }
    let label = new.label.trim();
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(unfit("token-label", format!("A label is one line of at most {LABEL_MAX} characters.")));
    }
    let key = new.workspace.to_ascii_lowercase();
    app.find(&key).await?;
    let world = app.world();
    let workspace = world
        .workspace(&key)
        .filter(|workspace| {
            workspace.owner.as_ref() == Some(&me.user) || app.lens(&world).may_open(&me.user, workspace, new.port)
        })
        .ok_or_else(|| {
            let text = "You have no such workspace, and nobody shares this port of it with you.";
            Refusal::new(StatusCode::NOT_FOUND, "not-found", "There is no such port for you", text)
                .action("Your workspaces", "/.portway/")
        })?;
    if app.store.tokens(Some(&me.user)).await?.len() >= TOKENS_MAX {
        return Err(unfit("too-many-tokens", format!("You have {TOKENS_MAX} tokens. Revoke one first.")));
    }
    let secret = fresh_secret()?;
    let label = (!label.is_empty()).then(|| label.to_owned());
    let (store, user, key) = (app.store.clone(), me.user.clone(), workspace.key.clone());
    let (row, _) = app
        .commit(async move {
            store.add_token(&secret.hash(), &user, &key, new.port, new.lifetime_s, label.as_deref()).await
        })
        .await?;
    app.audit("token.made", Some(&me.user), None, peer, &format!("{} {}:{}", row.id, workspace.key, new.port)).await;
    let now = app.store.now().await?;
    Ok((TokenView::of(row, now), secret.token_text()))
}

/// Revokes a token of the user's own; false where there is none of this id.
pub(crate) async fn revoke(app: &App, me: &Login, peer: Peer, id: &str) -> Result<bool, Refusal> {
    if !app.store.tokens(Some(&me.user)).await?.iter().any(|row| row.id == id) {
        return Ok(false);
    }
    let (store, token) = (app.store.clone(), id.to_owned());
    app.commit(async move { store.remove_token(&token).await }).await?;
    app.audit("token.revoked", Some(&me.user), None, peer, id).await;
    Ok(true)
}
