//! Which ports of a workspace a login takes along: those that a page lately called in vain, those that are declared or
//! shared, those that people open; at most eight, and only such as this person may open without being asked anything.

use std::collections::BTreeSet;
use std::time::Instant;

use portway_core::access;
use portway_core::host::{PortForm, Target};
use portway_core::noticed::HOSTS_MAX;

use crate::app::{App, Login, now};
use crate::ask::Checked;
use crate::authorize::may_pass_silently;
use crate::reply::Refusal;

/// The siblings that the visit `ask` of `me` takes along, best first.
pub(crate) async fn of(app: &App, me: &Login, ask: &Checked) -> Result<Vec<Target>, Refusal> {
    let mut chosen: Vec<Target> = Vec::new();
    let have = app.store.hosts_of_login(&me.hash).await?;
    for (target, missed) in candidates(app, ask) {
        if chosen.len() == HOSTS_MAX {
            break;
        }
        // One that this login was taken to before is not asked again; one that a page missed is, whatever is known of it.
        let wanted = missed || !have.contains(&target.host);
        if !wanted || target.host == ask.target.host || chosen.iter().any(|other| other.host == target.host) {
            continue;
        }
        let basis = access::user_may(&app.world(), &app.settings.rules, &target, &me.user);
        let Ok(basis) = basis else { continue };
        let one = Checked { target, ..ask.clone() };
        if may_pass_silently(app, me, &one, &basis).await?
            && app.tickets.admit(&(me.hash, one.target.host.clone()), Instant::now())
        {
            chosen.push(one.target);
        }
    }
    Ok(chosen)
}

/// Every host that might be one, and whether a page missed it.
fn candidates(app: &App, ask: &Checked) -> Vec<(Target, bool)> {
    let (world, names) = (app.world(), &app.settings.names);
    let (key, domain) = (&ask.target.workspace, ask.target.domain);
    let noticed = world.noticed(key).cloned().unwrap_or_default();
    let missed: BTreeSet<_> = noticed.missed(now()).cloned().collect();
    let declared = world.ports(key).into_iter().flat_map(|table| table.keys());
    let declared =
        declared.filter_map(|port| names.host(domain, key, PortForm::Number { port: *port, tls: false }).ok());
    let mut hosts: Vec<String> = noticed.missed(now()).map(ToString::to_string).collect();
    hosts.extend(declared);
    hosts.extend(noticed.opened().map(ToString::to_string));
    let targets = hosts.iter().filter_map(|host| names.target_of(host));
    targets
        .filter(|target| target.workspace == *key && target.domain == domain)
        .map(|target| {
            let was_missed = missed.contains(target.host.as_str());
            (target, was_missed)
        })
        .collect()
}
