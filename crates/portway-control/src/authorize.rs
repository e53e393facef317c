//! The authoriser: turns a login on the control host into a ticket for one workspace host (R9–R12, R15, R17, R54).
//!
//! It reads the login cookie and nothing else of what a browser sends by itself. Redeeming the ticket is the callback's.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::{Extension, Form};
use http::{HeaderMap, StatusCode};
use portway_core::access::{self, Basis, Reason};
use portway_core::secret::Secret;
use portway_core::ticket::Ticket;

use crate::app::{App, Login, Peer, fresh_secret};
use crate::ask::{Ask, Checked, incomplete};
use crate::chain::{self, Chain, Siblings};
use crate::guard;
use crate::login::login_url;
use crate::pages::{ConsentPage, Onward};
use crate::reply::{Answer, Refusal, page, see_other};
use crate::siblings;

/// How many siblings one row of redirects takes along: with more, a page stands between.
const REDIRECTED_MAX: usize = 5;

/// `GET /.portway/authorize?host=&return=&ch=`, and once more with `met=` when its siblings have been asked.
pub(crate) async fn authorize(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    ask: Result<Query<Ask>, QueryRejection>,
    siblings: Result<Query<Siblings>, QueryRejection>,
) -> Answer {
    guard::top_level(&headers).map_err(|_| not_a_navigation())?;
    let (Ok(Query(ask)), Ok(Query(siblings))) = (ask, siblings) else { return Err(incomplete()) };
    let names = &app.settings.names;
    let mut chain = Chain::read(names, &ask, &siblings)?;
    let Some(me) = app.login(&headers).await? else {
        return see_other(&login_url(&app, &chain.ask.path()), "log-in");
    };
    let basis = decide(&app, &me, &chain.ask, peer).await?;
    if !may_pass_silently(&app, &me, &chain.ask, &basis).await? {
        return consent_page(&app, &me, &chain.ask);
    }
    if chain.met.is_empty() {
        chain.ahead = siblings::of(&app, &me, &chain.ask).await?;
        let whole = std::iter::once(&chain.ask.target).chain(&chain.ahead).map(|target| target.host.clone());
        let once = (me.hash, whole.collect::<Vec<_>>());
        if !chain.ahead.is_empty() && app.chains.admit(&once, Instant::now()) {
            return see_other(&chain.next_step(names), "siblings");
        }
    }
    let mut tickets = Vec::new();
    for (target, challenge) in &chain.met {
        let one = Checked { target: target.clone(), return_to: "/".to_owned(), challenge: *challenge };
        // A sibling never spoils the visit: what may not be opened, or not silently, is left out.
        let basis = access::user_may(&app.world(), &app.settings.rules, target, &me.user);
        if let Ok(basis) = basis
            && may_pass_silently(&app, &me, &one, &basis).await?
        {
            tickets.push((one.target.clone(), issue(&app, &me, &one, peer).await?));
        }
    }
    if !app.tickets.admit(&(me.hash, chain.ask.target.host.clone()), Instant::now()) {
        app.audit("ticket.limited", Some(&me.user), Some(&chain.ask.target.host), peer, "").await;
        return Err(going_in_circles(&app, &chain.ask));
    }
    tickets.push((chain.ask.target.clone(), issue(&app, &me, &chain.ask, peer).await?));
    let to = chain::callback_url(names, &tickets)?;
    if chain.met.len() > REDIRECTED_MAX {
        // Browsers give up after twenty redirects in a row; a page begins the count anew.
        return page(StatusCode::OK, &Onward { to: &to, place: &chain.ask.target.host });
    }
    see_other(&to, "ticket")
}

/// `POST /.portway/consent`: the visitor agrees to be known to the owner of a workspace that is not theirs (R15).
pub(crate) async fn consent(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    ask: Result<Form<Ask>, FormRejection>,
) -> Answer {
    let Ok(Form(ask)) = ask else { return Err(incomplete()) };
    let ask = ask.check(&app.settings.names)?;
    let Some(me) = app.login(&headers).await? else {
        return see_other(&login_url(&app, &ask.path()), "log-in");
    };
    decide(&app, &me, &ask, peer).await?;
    app.store.add_consent(&me.user, &ask.target.workspace, ask.target.port).await?;
    app.audit("consent", Some(&me.user), Some(&ask.target.host), peer, "").await;
    page(StatusCode::OK, &Onward { to: &app.url(&ask.path()), place: &ask.target.host })
}

/// Asks core; every no is the same page, whatever the reason, which only the audit learns (R54).
async fn decide(app: &App, me: &Login, ask: &Checked, peer: Peer) -> Result<Basis, Refusal> {
    app.find(&ask.target.workspace).await?;
    let decision = access::user_may(&app.world(), &app.settings.rules, &ask.target, &me.user);
    let reason = match decision {
        Ok(basis) => return Ok(basis),
        Err(Reason::SourceStale) => return Err(Refusal::unavailable()),
        Err(reason) => reason,
    };
    app.audit("authorize.denied", Some(&me.user), Some(&ask.target.host), peer, reason.as_str()).await;
    if app.denials.admit(&me.user, Instant::now()) {
        Err(nothing_for_you(me.name.as_deref().unwrap_or(&me.user)))
    } else {
        Err(Refusal::too_many("You have opened many addresses that are not yours. Wait a minute, then try again."))
    }
}

/// Owners need no consent to visit themselves, others need it once for a port.
pub(crate) async fn may_pass_silently(app: &App, me: &Login, ask: &Checked, basis: &Basis) -> Result<bool, Refusal> {
    match basis {
        Basis::Owner(_) => Ok(true),
        Basis::Shared(_) | Basis::Public | Basis::Token(_) | Basis::Front => {
            Ok(app.store.has_consent(&me.user, &ask.target.workspace, ask.target.port).await?)
        }
    }
}

/// Makes a ticket.
async fn issue(app: &App, me: &Login, ask: &Checked, peer: Peer) -> Result<Secret, Refusal> {
    let host = &ask.target.host;
    let secret = fresh_secret()?;
    let ticket = Ticket {
        host: host.clone(),
        challenge: ask.challenge,
        user: me.user.clone(),
        login: me.hash,
        return_to: ask.return_to.clone(),
        expires_at: 0,
    };
    app.store.add_ticket(&secret.hash(), &ticket).await?;
    app.audit("ticket", Some(&me.user), Some(host), peer, "").await;
    Ok(secret)
}

fn consent_page(app: &App, me: &Login, ask: &Checked) -> Answer {
    let world = app.world();
    let workspace = world.workspace(&ask.target.workspace);
    page(
        StatusCode::OK,
        &ConsentPage {
            user: me.name.as_deref().unwrap_or(&me.user),
            owner: workspace.and_then(|workspace| workspace.owner.as_deref()),
            workspace: workspace.map_or(ask.target.workspace.as_str(), |workspace| &workspace.id),
            port: ask.target.port,
            host: &ask.target.host,
            return_to: &ask.return_to,
            challenge: &ask.challenge.text(),
        },
    )
}

fn not_a_navigation() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "not-a-navigation",
        "Open this in a tab",
        "A login can only go on in a tab of its own, not inside another page.",
    )
}

fn nothing_for_you(user: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is nothing here for you",
        format!("This address does not exist, is not running, or is not shared with you. You are logged in as {user}."),
    )
    .action("Your workspaces", "/.portway/")
}

fn going_in_circles(app: &App, ask: &Checked) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "cookies-blocked",
        "Your browser keeps coming back",
        format!(
            "You are logged in, but {} never remembers it. Your browser, or an extension in it, most likely blocks cookies for that address. Allow them, then try again.",
            ask.target.host
        ),
    )
    .action("Try again", format!("{}/", app.settings.names.origin(&ask.target)))
    .retry_after(60)
}
