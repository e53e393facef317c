//! The home page and its plain forms, which need no script.
//!
//! What a form may do is decided in `ports` and `tokens`; here forms become those calls, and their outcome a page again.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Form};
use http::{HeaderMap, StatusCode};
use portway_core::host::{PortForm, canonical_port};
use portway_core::workspace::{Level, UserId};
use serde::Deserialize;

use crate::app::{App, Login, Peer};
use crate::login::{begin, login_url};
use crate::pages::{HomePage, Notice, Onward};
use crate::ports::{self, Wanted, unfit};
use crate::reply::{Answer, Refusal, because, page, see_other, sentence};
use crate::tokens::{self, NewToken};

const HOME: &str = "/.portway/";

#[derive(Default, Deserialize)]
pub(crate) struct Done {
    #[serde(default)]
    done: String,
}

/// `GET /.portway/`.
pub(crate) async fn home(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    done: Result<Query<Done>, QueryRejection>,
) -> Answer {
    let Some(me) = app.login(&headers).await? else { return see_other(&login_url(&app, HOME), "log-in") };
    let Query(Done { done }) = done.unwrap_or_default();
    let notice = done_text(&done).map(|text| Notice { good: true, text: text.to_owned() });
    show(&app, &me, StatusCode::OK, notice, None).await
}

#[derive(Deserialize)]
pub(crate) struct PortForms {
    workspace: String,
    port: String,
    /// Which of the forms it was.
    r#do: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    cors: String,
}

/// `POST /.portway/ports`: every form about a port.
pub(crate) async fn ports(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(form): Form<PortForms>,
) -> Answer {
    let Some(me) = app.login(&headers).await? else { return see_other(&login_url(&app, HOME), "log-in") };
    match change_port(&app, &me, peer, &form).await {
        Ok(anchor) => see_other(&app.url(&format!("{HOME}?done={}#{anchor}", done_name(&form.r#do))), "changed"),
        Err(refusal) => again(&app, &me, refusal).await,
    }
}

async fn change_port(app: &App, me: &Login, peer: Peer, form: &PortForms) -> Result<String, Refusal> {
    let workspace = ports::owned(app, me, &form.workspace)?;
    let port = port_number(&form.port)?;
    let mut wanted = Wanted::from(&ports::current(app, &workspace, port));
    let user = UserId::from(form.user.trim().to_ascii_lowercase());
    match form.r#do.as_str() {
        "add" => {}
        "level" => {
            wanted.level = parsed(&form.level)?;
            // "Only me" means it: nobody named stays.
            if wanted.level == Level::Owner {
                wanted.users.clear();
            }
        }
        "share" if user.is_empty() => return Err(unfit("bad-value", "Say with whom: enter a user name.".to_owned())),
        "share" => {
            wanted.users.insert(user);
            wanted.level = wanted.level.max(Level::Users);
        }
        "unshare" => {
            wanted.users.remove(&user);
            if wanted.users.is_empty() && wanted.level == Level::Users {
                wanted.level = Level::Owner;
            }
        }
        "settings" => {
            wanted.profile = chosen(&form.profile)?;
            wanted.scheme = chosen(&form.scheme)?;
            wanted.cors = chosen(&form.cors)?;
        }
        "remove" => {
            ports::remove(app, me, peer, &workspace, port).await?;
            return Ok(workspace.key.to_string());
        }
        _ => return Err(Refusal::bad_request("That form is not one of ours.")),
    }
    ports::set(app, me, peer, &workspace, port, wanted).await?;
    Ok(format!("{}-{port}", workspace.key))
}

#[derive(Deserialize)]
pub(crate) struct TokenForm {
    workspace: String,
    port: String,
    days: String,
    #[serde(default)]
    label: String,
}

/// `POST /.portway/tokens`: the page that answers shows the token, once.
pub(crate) async fn create_token(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Answer {
    let Some(me) = app.login(&headers).await? else { return see_other(&login_url(&app, HOME), "log-in") };
    let made = async {
        let days: u64 =
            form.days.parse().map_err(|_| unfit("bad-value", "Choose how long the token lives.".to_owned()))?;
        let new = NewToken {
            workspace: form.workspace,
            port: port_number(&form.port)?,
            lifetime_s: days.saturating_mul(86_400),
            label: form.label,
        };
        tokens::create(&app, &me, peer, new).await
    };
    match made.await {
        Ok((_, text)) => show(&app, &me, StatusCode::OK, None, Some(&text)).await,
        Err(refusal) => again(&app, &me, refusal).await,
    }
}

#[derive(Deserialize)]
pub(crate) struct RevokeForm {
    id: String,
}

/// `POST /.portway/tokens/revoke`.
pub(crate) async fn revoke_token(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(form): Form<RevokeForm>,
) -> Answer {
    let Some(me) = app.login(&headers).await? else { return see_other(&login_url(&app, HOME), "log-in") };
    // One that is already gone is what was wanted.
    tokens::revoke(&app, &me, peer, &form.id).await?;
    see_other(&app.url(&format!("{HOME}?done=revoked#tokens")), "changed")
}

#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    #[serde(default)]
    current: String,
    new: String,
}

/// `POST /.portway/password`: a new password ends every other login of the user.
pub(crate) async fn password(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Answer {
    let Some(me) = app.login(&headers).await? else { return see_other(&login_url(&app, HOME), "log-in") };
    let old = app.store.user(&me.user).await?.and_then(|row| row.password);
    if old.is_some() {
        app.admit_attempt(peer, Some(&me.user))?;
        if !app.passwords.verify(old, form.current).await.map_err(|_| Refusal::unavailable())? {
            app.audit("password.refused", Some(&me.user), None, peer, "").await;
            let refusal = unfit("bad-credentials", "The current password is not right.".to_owned());
            return again(&app, &me, refusal).await;
        }
        app.forgive_attempt(peer, Some(&me.user));
    }
    let phc = match app.passwords.hash(form.new).await.map_err(|_| Refusal::unavailable())? {
        Ok(phc) => phc,
        Err(error) => return again(&app, &me, unfit("bad-password", sentence(&error.to_string()))).await,
    };
    let (store, user) = (app.store.clone(), me.user.clone());
    let change = async move {
        store.set_password(&user, Some(&phc)).await?;
        store.end_logins_of(&user).await
    };
    app.commit(change).await?;
    app.audit("password.set", Some(&me.user), None, peer, "").await;
    let mut response = see_other(&app.url(&format!("{HOME}?done=password#account")), "changed")?;
    begin(&app, &headers, &me.user, &mut response).await?;
    Ok(response)
}

#[derive(Deserialize)]
pub(crate) struct OpenForm {
    workspace: String,
    port: String,
}

/// `GET /.portway/open?workspace=&port=`: goes to a port by number. Whether it may be opened is decided there.
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<Query<OpenForm>, QueryRejection>,
) -> Answer {
    let Some(me) = app.login(&headers).await? else { return see_other(&login_url(&app, HOME), "log-in") };
    let Ok(Query(form)) = form else { return Err(Refusal::bad_request("It needs a workspace and a port.")) };
    let url = port_number(&form.port).and_then(|port| {
        let number = PortForm::Number { port, tls: false };
        let url = app.settings.names.url(0, &form.workspace, number);
        url.map_err(|error| unfit("no-name", sentence(&error.to_string())))
    });
    match url {
        Ok(url) => page(StatusCode::OK, &Onward { to: &url, place: url.trim_end_matches('/') }),
        Err(refusal) => again(&app, &me, refusal).await,
    }
}

/// The home page again, saying why a form changed nothing. What is not about the form's values stays a page of its own.
async fn again(app: &App, me: &Login, refusal: Refusal) -> Answer {
    if refusal.status != StatusCode::UNPROCESSABLE_ENTITY {
        return Err(refusal);
    }
    let notice = Notice { good: false, text: refusal.text.into_owned() };
    Ok(because(refusal.reason, show(app, me, refusal.status, Some(notice), None).await?))
}

async fn show(app: &App, me: &Login, status: StatusCode, notice: Option<Notice>, new_token: Option<&str>) -> Answer {
    app.find_shared_with(&me.user).await?;
    let world = app.world();
    let lens = app.lens(&world);
    let home = HomePage {
        user: me.name.as_deref().unwrap_or(&me.user),
        notice,
        workspaces: &lens.workspaces(&me.user),
        shared: &lens.shared_with(&me.user),
        tokens: &tokens::list(app, &me.user).await?,
        new_token,
        can_stop: app.can_stop(),
        own_logins: app.external.is_none(),
        has_password: app.store.user(&me.user).await?.is_some_and(|row| row.password.is_some()),
    };
    page(status, &home)
}

fn port_number(text: &str) -> Result<u16, Refusal> {
    canonical_port(text.trim())
        .ok_or_else(|| unfit("bad-value", "A port is a number from 1 to 65535, such as 3000.".to_owned()))
}

fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: String| unfit("bad-value", sentence(&error)))
}

/// A choice where empty means the default.
fn chosen<T: FromStr<Err = String>>(text: &str) -> Result<Option<T>, Refusal> {
    if text.is_empty() { Ok(None) } else { parsed(text).map(Some) }
}

fn done_name(form: &str) -> &'static str {
    match form {
        "add" => "added",
        "remove" => "removed",
        "share" => "shared",
        "unshare" => "unshared",
        _ => "saved",
    }
}

fn done_text(done: &str) -> Option<&'static str> {
    Some(match done {
        "added" => "The port is on your list. Only you can open it until you share it.",
        "removed" => "The port is off your list. Only you can open it now.",
        "shared" => "Shared. Send them the link; they log in and confirm once.",
        "unshared" => "No longer shared with them. Anything they had open was closed.",
        "saved" => "Saved.",
        "revoked" => "The token no longer works.",
        "stopping" => "It is being stopped. What was open there is closed.",
        "password" => "Your password is set. Every other login of yours has ended.",
        _ => return None,
    })
}
