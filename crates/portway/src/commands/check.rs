//! `portway check`: every error of the configuration and of the files it names, or what would listen and answer.

use std::net::SocketAddr;

use portway_core::host::{Names, PortForm, Scheme};
use portway_proxy::tls::{CertificateFiles, Certificates};
use portway_sources::{ActivityPlace, Database, DatabaseError, database_check};
use serde::Serialize;

use crate::config::control_plane::Way;
use crate::config::problem::{Complaint, Place, Problem};
use crate::config::settings::Tls;
use crate::config::{Flags, Settings};
use crate::output::{Failure, Output, warn};

#[derive(Serialize)]
struct Report {
    good: bool,
    problems: Vec<ProblemRow>,
    warnings: Vec<String>,
    #[serde(flatten)]
    summary: Option<Summary>,
}

#[derive(Serialize)]
struct ProblemRow {
    /// `portway.toml:3`, or which variable or flag.
    place: String,
    file: Option<String>,
    line: Option<usize>,
    key: String,
    message: String,
    hint: Option<String>,
}

#[derive(Serialize)]
struct Summary {
    config: Option<String>,
    data: String,
    listen: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    ops: SocketAddr,
    control: String,
    /// What a port's address looks like, for each domain.
    urls: Vec<String>,
    allow: Vec<String>,
    /// What the control plane's database was found to be, where there is one.
    database: Option<String>,
}

pub(crate) async fn run(flags: &Flags, json: bool) -> Result<(), Failure> {
    let output = Output { json };
    let settings = match Settings::of_process(flags) {
        Ok(settings) => settings,
        Err(problems) => return bad(output, problems),
    };
    let mut warnings = settings.warnings.clone();
    let names = settings.names(None, None);
    let mut problems = Vec::new();
    if let Some(tls) = &settings.tls {
        check_certificates(tls, &names, &mut problems, &mut warnings);
    }
    check_workspaces(&settings, &names, &mut problems).await;
    let database = check_control_plane(&settings, &names, &mut problems, &mut warnings).await;
    if !problems.is_empty() {
        return bad(output, problems);
    }
    let summary = Summary { database, ..summary(&settings, &names) };
    let human = human(&summary);
    if !json {
        warnings.iter().for_each(|warning| warn(warning));
    }
    output.record(&Report { good: true, problems: Vec::new(), warnings, summary: Some(summary) }, &human)
}

fn bad(output: Output, problems: Vec<Problem>) -> Result<(), Failure> {
    let failure = Failure::configuration(&problems);
    if !output.json {
        return Err(failure);
    }
    let problems = problems.into_iter().map(ProblemRow::from).collect();
    output.record(&Report { good: false, problems, warnings: Vec::new(), summary: None }, "")?;
    Err(failure.without_words())
}

impl From<Problem> for ProblemRow {
    fn from(problem: Problem) -> Self {
        let place = problem.place.to_string();
        let (file, line) = match problem.place {
            Place::File { path, line } => (Some(path.display().to_string()), Some(line)),
            Place::Variable(_) | Place::Flag(_) | Place::Default => (None, None),
        };
        Self { place, file, line, key: problem.key, message: problem.message, hint: problem.hint }
    }
}

/// Whether the files can be used, and speak for every name that is answered over TLS here.
pub(crate) fn check_certificates(tls: &Tls, names: &Names, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) {
    let mut covered: Vec<String> = Vec::new();
    for files in &tls.certificates {
        let pair = CertificateFiles { cert: files.cert.clone(), key: files.key.clone() };
        match Certificates::load(&[pair]) {
            Ok(certificates) => {
                let own: Vec<String> = certificates.names().map(str::to_owned).collect();
                // One connection could then carry requests for both; the decision is made for each request all the same.
                let wide = |name: &&str| own.iter().any(|other| other.strip_prefix("*.") == Some(name));
                if let Some(apex) = own.iter().map(String::as_str).find(wide) {
                    warnings.push(format!(
                        "the certificate {} covers both `{apex}` and `*.{apex}`: browsers may then use one connection for \
                         logins and workspaces; separate certificates keep them apart",
                        files.cert.display()
                    ));
                }
                covered.extend(own);
            }
            Err(error) => problems.push(Complaint::new(error.to_string()).at(&files.place, "tls.certificates")),
        }
    }
    if !problems.is_empty() {
        return;
    }
    let domains =
        names.domains.iter().filter(|domain| domain.scheme == Scheme::Https).map(|domain| format!("*.{}", domain.name));
    let control = (names.control.scheme == Scheme::Https).then(|| names.control.host.clone());
    let under_wildcard = |name: &str| name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
    for name in domains.chain(control) {
        let wild = under_wildcard(&name);
        if !covered.contains(&name) && !wild.is_some_and(|wild| covered.contains(&wild)) {
            warnings.push(format!(
                "no certificate covers `{name}`; visitors see an error unless something in front answers TLS"
            ));
        }
    }
}

async fn check_workspaces(settings: &Settings, names: &Names, problems: &mut Vec<Problem>) {
    let Some(path) = &settings.workspaces_file else { return };
    let Err(errors) = portway_sources::load_file(path, names).await else { return };
    for error in errors {
        problems.push(match error.line {
            0 => Complaint::new(error.message).at(settings.workspaces_file_place(), "workspaces.file"),
            line => Complaint::new(error.message).at(&Place::File { path: path.clone(), line }, ""),
        });
    }
}

/// Compares the queries, the channels and the role with the real database.
async fn check_control_plane(
    settings: &Settings,
    names: &Names,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let plane = &settings.control_plane;
    let postgres = plane.postgres.as_ref()?;
    let mut complain = |key: &str, error: DatabaseError| {
        problems.push(Complaint::new(error.to_string()).at(&postgres.place, key));
    };
    let database = match Database::new(&postgres.url, postgres.connections) {
        Ok(database) => database,
        Err(error) => {
            complain("postgres.url", error);
            return None;
        }
    };
    let (role, superuser) = match database_check::role(&database).await {
        Ok(found) => found,
        // Nothing else can be asked either.
        Err(error) => {
            complain("postgres.url", error);
            return None;
        }
    };
    if superuser {
        warnings.push(format!(
            "the gateway connects as `{role}`, a superuser: give it a role of its own that may read what its queries need"
        ));
    }
    let mut found = format!("role {role}");
    if let Some(query) = &plane.workspaces {
        match database_check::workspaces(&database, query, names).await {
            Ok(count) => found.push_str(&format!(", {count} workspaces")),
            Err(error) => complain("workspaces.query", error),
        }
        match database_check::silent_channels(&database, &query.channels).await {
            Ok(silent) => warnings.extend(silent.into_iter().map(|channel| {
                format!("no function of the database notifies on `{channel}`: changes are seen by polling alone")
            })),
            Err(error) => complain("workspaces.channels", error),
        }
    }
    if let Some(sessions) = &plane.sessions
        && let Way::Query { url, sql, .. } = &sessions.way
    {
        let checked = match Database::new(url, postgres.connections) {
            Ok(database) => database_check::sessions(&database, sql).await,
            Err(error) => Err(error),
        };
        match checked {
            Ok(()) => found.push_str(", sessions can be looked up"),
            Err(error) => complain("sessions.query", error),
        }
        match sessions.check_cookie().await {
            Ok(None) => {}
            Ok(Some(0)) => warnings.push("there is no session yet to compare the cookie's length with".to_owned()),
            Ok(Some(count)) => found.push_str(&format!(", the cookie is like {count} of them")),
            Err((key, error)) => complain(key, error),
        }
    }
    if let Some(wake) = &plane.wake
        && let Err((key, error)) = wake.check().await
    {
        complain(key, error);
    }
    if let Some(ActivityPlace::Query(query)) = plane.activity.as_ref().map(|activity| &activity.place) {
        match query.check().await {
            Ok(()) => found.push_str(", use can be told"),
            Err(error) => complain("activity.query", error),
        }
    }
    Some(found)
}

fn summary(settings: &Settings, names: &Names) -> Summary {
    let form = PortForm::Number { port: 3000, tls: false };
    let url =
        |domain: usize| names.url(domain, "workspace", form).unwrap_or_default().replace("workspace", "{workspace}");
    Summary {
        config: settings.config.as_ref().map(|path| path.display().to_string()),
        data: settings.data.display().to_string(),
        listen: settings.listen.clone(),
        tls: settings.tls.as_ref().map(|tls| tls.listen.clone()).unwrap_or_default(),
        ops: settings.ops,
        control: names.control.origin(),
        urls: (0..names.domains.len()).map(url).collect(),
        allow: settings.allow.iter().map(ToString::to_string).collect(),
        database: None,
    }
}

fn human(summary: &Summary) -> String {
    let sockets = |sockets: &[SocketAddr]| match sockets {
        [] => "off".to_owned(),
        _ => sockets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let allow = if summary.allow.is_empty() { "nowhere".to_owned() } else { summary.allow.join(", ") };
    let database = summary.database.as_ref().map(|found| format!("\n  database    {found}")).unwrap_or_default();
    format!(
        "configuration is good\n  file        {}\n  data        {}\n  plain HTTP  {}\n  TLS         {}\n  operations  {}\n  \
         log in at   {}\n  port 3000   {}\n  workspaces  {allow}{database}",
        summary.config.as_deref().unwrap_or("none, the embedded default"),
        summary.data,
        sockets(&summary.listen),
        sockets(&summary.tls),
        summary.ops,
        summary.control,
        summary.urls.join(", "),
    )
}
