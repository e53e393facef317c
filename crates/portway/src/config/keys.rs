//! Every setting, defined once: its key, kind, default, and what it means.
//!
//! The reader, the check for unknown keys, the environment and the reference file are all made from this table. What a
//! value may be beyond its kind is not known here; `settings.rs` reads meanings.

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Flag,
    /// Text such as `10s`, `500ms`, `1h30m`.
    Duration,
    /// A list of texts.
    Texts,
    /// A list of integers.
    Integers,
}

impl Kind {
    /// What the reader of an error message is told to write.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Integer => "a whole number without quotes",
            Self::Flag => "`true` or `false` without quotes",
            Self::Duration => "a duration in quotes, such as \"10s\", \"500ms\" or \"1h30m\"",
            Self::Texts => "a list of texts, such as [\"one\", \"two\"]",
            Self::Integers => "a list of whole numbers, such as [8080, 9000]",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Where it stands in the file: `limits.connect`; `[]` marks a repeated table: `domains[].name`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// The default as TOML; `None` where it follows from something else, which `doc` says.
    pub(crate) default: Option<&'static str>,
    /// A value for the reference file where there is no default.
    pub(crate) example: &'static str,
    /// What it means, line by line.
    pub(crate) doc: &'static str,
}

impl Key {
    /// The environment variable: `PORTWAY_LIMITS_CONNECT`. For a key of a repeated table that of the whole table.
    pub(crate) fn variable(&self) -> String {
        variable(self.path.split("[]").next().unwrap_or(self.path))
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The table it stands in: `limits`, `tls.certificates[]`, or nothing at the top.
    pub(crate) fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }
}

/// The environment variable of a key or repeated table.
pub(crate) fn variable(path: &str) -> String {
    format!("PORTWAY_{}", path.replace('.', "_").to_ascii_uppercase())
}

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Table {
    /// As in [`Key::path`]: `tls`, `tls.certificates[]`.
    pub(crate) path: &'static str,
    pub(crate) doc: &'static str,
    /// Whether the reference file shows it as a comment, because writing it means something already.
    pub(crate) commented: bool,
}

macro_rules! keys {
    ($($name:ident = $path:literal, $kind:ident, $default:tt $(($example:literal))?, $doc:literal;)*) => {
        $(pub(crate) const $name: Key = Key {
            path: $path,
            kind: Kind::$kind,
            default: keys!(@default $default),
            example: concat!($($example)?),
            doc: $doc,
        };)*
        /// Every key, in the order of the reference file.
        pub(crate) const KEYS: &[Key] = &[$($name),*];
    };
    (@default none) => { None };
    (@default $default:literal) => { Some($default) };
}

keys! {
    PRESET = "preset", Text, none("\"code-hub\""),
"Fills in what a control plane's database, cookie and API look like; every key it sets can be given here too.
\"code-hub\" is the one there is.";

    DATA = "data", Text, none("\"/var/lib/portway\""),
"Folder of Portway's own state: users, sessions, shares, tokens.
Default: $XDG_DATA_HOME/portway, else ~/.local/share/portway; /var/lib/portway for root.";

    LISTEN = "listen", Texts, "[\"127.0.0.1:8080\", \"[::1]:8080\"]",
"Where plain HTTP is answered (HTTP/1.1, and HTTP/2 with prior knowledge, for an ingress): IP:PORT.
`localhost:PORT` stands for 127.0.0.1 and ::1; port 0 takes a free one.";

    OPS = "ops", Text, "\"127.0.0.1:9080\"",
"Where /healthz, /readyz and /metrics are answered; never reachable through a workspace's name.";

    DOMAIN = "domain", Text, "\"portway.localhost\"",
"The domain under which workspaces have names. For several, use [[domains]] instead.";

    PATTERN = "pattern", Text, "\"{port}-{workspace}\"",
"How the label of a port's host name is made; `{workspace}` alone always opens the default port.
Also possible: \"{workspace}-{port}\", \"{port}--{workspace}\", \"dev-{port}-{workspace}\".";

    PUBLIC = "public", Text, none("\"https://code-hub.com\""),
"Scheme and port that browsers use for the domain; behind an ingress this is not the listener's.
Default: https on port 443. Under .localhost: https on the TLS listener's port where there is one, else http on the
plain listener's. Plain http is refused for every other domain.";

    CONTROL = "control", Text, none("\"https://code-hub.com\""),
"Where people log in and see their workspaces. Default: the (first) domain itself, with its scheme and port.";

    CONTROL_UPSTREAM = "control_upstream", Text, none("\"http://control-plane:8000\""),
"The control plane's API server. Workspaces are woken there, and everything of the control host that is not below
/.portway/ is passed on to it.";

    DEFAULT_PORT = "default_port", Integer, none("8080"),
"The port that `{workspace}.{domain}` opens. Default: 8080; under .localhost 3000, because there 8080 is the gateway
itself.";

    DOMAINS_NAME = "domains[].name", Text, none("\"code-hub.com\""),
"As `domain` above.";

    DOMAINS_PATTERN = "domains[].pattern", Text, "\"{port}-{workspace}\"",
"As `pattern` above.";

    DOMAINS_PUBLIC = "domains[].public", Text, none("\"https://code-hub.com\""),
"As `public` above.";

    DOMAINS_DEFAULT_PORT = "domains[].default_port", Integer, none("8080"),
"As `default_port` above.";

    PROXIES_TRUSTED = "proxies.trusted", Texts, none("[\"192.0.2.10\"]"),
"Addresses or ranges of the ingress, or of load balancers, in front: `X-Forwarded-For` from them is believed. None of them
may be in `workspaces.allow`, or the code in a workspace could say who it is. Default: nobody is believed.";

    PROXIES_PROTOCOL = "proxies.protocol", Texts, none("[\"plain\", \"tls\"]"),
"Listeners on which every connection comes from `trusted` and begins with the PROXY protocol (version 1 or 2): \"plain\" for
`listen`, \"tls\" for `tls.listen`. All others are reset there; elsewhere it is no request. Default: none.";

    TLS_LISTEN = "tls.listen", Texts, "[\"127.0.0.1:8443\", \"[::1]:8443\"]",
"Where TLS is answered (HTTP/1.1 and HTTP/2 by ALPN).";

    TLS_REDIRECT = "tls.redirect", Flag, "true",
"Whether the plain listener answers 308 to https, for the domains whose public origin is https.";

    TLS_HSTS = "tls.hsts", Duration, none("\"365d\""),
"How long browsers are told to use https alone (RFC 6797); \"0s\" tells them nothing.
Default: 365d, and 0s where every domain is under .localhost.";

    TLS_CERTIFICATES_CERT = "tls.certificates[].cert", Text, none("\"/etc/portway/tls.crt\""),
"PEM file with the certificate, then the chain. Which names it serves is read from it.
A relative path begins at this file's folder.";

    TLS_CERTIFICATES_KEY = "tls.certificates[].key", Text, none("\"/etc/portway/tls.key\""),
"PEM file with its private key.";

    WORKSPACES_FILE = "workspaces.file", Text, none("\"workspaces.toml\""),
"A TOML file with workspaces, read again when it changes. A relative path begins at this file's folder.";

    WORKSPACES_ALLOW = "workspaces.allow", Texts, none("[\"10.0.0.0/8\", \"fd00::/8\"]"),
"Where workspaces may be: address ranges. Nothing else is ever dialled.
Default: nothing; without any configuration file, and under .localhost, this machine (127.0.0.0/8 and ::1).";

    WORKSPACES_QUERY = "workspaces.query", Text, none("\"SELECT id, owner, state FROM workspaces\""),
"A query of the database under [postgres] that gives every workspace. Columns, by name: `id`, `owner`, `state` (one of
running, starting, standby, archived, stopping, error, stopped, deleted), and if it likes `address`, `generation` (which
life of the workspace this is: connections end with it), `name`; and whom every port but protected ones is shared with:
`share` (owner, users, authenticated or public), `users` and `groups` (text[] or JSON arrays of ids and of names).";

    WORKSPACES_ADDRESS = "workspaces.address", Text, none("\"codehub-ws-{workspace}\""),
"Where the workspaces of the query are, if it gives no `address`: an address, or a name made of the id.";

    WORKSPACES_LOAD = "workspaces.load", Text, "\"all\"",
"\"all\": every workspace of the query is read at start and held. \"demand\": one is read when somebody asks for it, where
there are too many for that: somebody who has logged in, or anybody on a port that Portway itself shares with everybody. Ids
are then asked for in lower case, as host names carry them; an index on `lower(owner)` helps the list of what somebody owns.";

    WORKSPACES_HELD = "workspaces.held", Integer, "10000",
"The most workspaces held with \"demand\": what was not used for the longest time is given up.";

    WORKSPACES_CHANNELS = "workspaces.channels", Texts, "[]",
"Channels on which the database notifies of changes (LISTEN). A payload that is an id, or JSON with an `id`, makes that
one row be read again; any other, all of them.";

    WORKSPACES_POLL = "workspaces.poll", Duration, "\"5s\"",
"How often the query is run whatever was notified: for what no trigger tells.";

    ACCESS_CEILING = "access.ceiling", Text, "\"public\"",
"The most open level a port may be shared at: \"owner\", \"users\", \"authenticated\" or \"public\".
It bounds what was shared before, too.";

    ACCESS_PROTECTED = "access.protected", Integers, "[8080]",
"Ports that only the owner opens, whatever is shared: an IDE gives a shell.";

    ACCESS_DENIED = "access.denied", Integers, "[22]",
"Ports that are never served.";

    ACCESS_EMBED = "access.embed", Texts, "[]",
"Origins whose pages may show ports in frames, such as \"https://ide.example.com\"; the control host's may, and so may
the workspace's own.";

    IDE_PORT = "ide.port", Integer, "8080",
"The port on which workspaces run it.";

    IDE_CARRY = "ide.carry", Flag, "false",
"Whether a port that only listens on 127.0.0.1 inside a workspace is reached through the IDE, where that is code-server.
Who may open the port is decided as ever; nobody needs to be allowed to open the IDE.";

    IDE_PAGE = "ide.page", Text, none("\"/w/{workspace}/\""),
"Where people open the IDE, for the page of a closed port: a path of the control host, or a URL.
Default: the default port of the workspace.";

    SESSIONS_QUERY = "sessions.query", Text, none("\"SELECT user_id AS user, expires_at FROM sessions WHERE id = $1\""),
"A query that gives, for the value of the control plane's session cookie ($1), `user` and `expires_at`, and if it likes
`name` and `groups` (text[] or a JSON array); no row for a session that does not hold. With it the control plane's login is Portway's, and Portway has no users
and passwords of its own.";

    SESSIONS_API = "sessions.api", Text, none("\"/api/v1/session\""),
"Instead of the query: a path of `control_upstream` that is asked with the cookie and answers who is logged in, as JSON;
401, 403 or 404 for nobody. It is stronger than a preset's query.";

    SESSIONS_API_USER = "sessions.api_user", Text, "\"/id\"",
"Where the user's id stands in that answer: a JSON pointer (RFC 6901).";

    SESSIONS_API_NAME = "sessions.api_name", Text, none("\"/username\""),
"Where their name stands.";

    SESSIONS_API_GROUPS = "sessions.api_groups", Text, none("\"/groups\""),
"Where the groups they are in stand: an array of texts.";

    SESSIONS_JWKS = "sessions.jwks", Text, none("\"/.well-known/jwks.json\""),
"Instead of the query or the API, where the session cookie is a signed token (JWT): a path of `control_upstream` that gives
the public keys (RFC 7517). RSA, P-256, P-384 and Ed25519 are known; tokens signed with a shared secret never count. A token
cannot be taken back: it ends at its `exp`, or when its key leaves the set, so keep it short.";

    SESSIONS_JWKS_FILE = "sessions.jwks_file", Text, none("\"/etc/portway/jwks.json\""),
"The same keys in a file, read again every minute. A relative path begins at this file's folder.";

    SESSIONS_JWT_ISSUER = "sessions.jwt_issuer", Text, none("\"https://code-hub.com\""),
"The `iss` that tokens must have.";

    SESSIONS_JWT_AUDIENCE = "sessions.jwt_audience", Text, none("\"portway\""),
"The `aud` that tokens must have. Without it, a token that names an audience is refused: it was made for somebody else.";

    SESSIONS_JWT_USER = "sessions.jwt_user", Text, "\"/sub\"",
"Where the user's id stands in the claims: a JSON pointer.";

    SESSIONS_JWT_NAME = "sessions.jwt_name", Text, none("\"/preferred_username\""),
"Where their name stands.";

    SESSIONS_JWT_GROUPS = "sessions.jwt_groups", Text, none("\"/groups\""),
"Where the groups they are in stand: an array of texts.";

    SESSIONS_URL = "sessions.url", Text, none("\"postgres://portway_sessions@postgres:5432/codehub\""),
"The database for that query, where it has a role of its own. Default: the one under [postgres].";

    SESSIONS_COOKIE = "sessions.cookie", Text, none("\"session\""),
"The name of that cookie.";

    SESSIONS_COOKIE_LENGTH = "sessions.cookie_length", Integer, none("26"),
"The length of its value, all letters and digits. A workspace never gets a cookie of this name and shape.";

    SESSIONS_COOKIE_SAMPLE = "sessions.cookie_sample", Text, none("\"SELECT length(id) AS length, id ~ '^[0-9A-Za-z]+$' AS plain FROM sessions LIMIT 100\""),
"A statement that tells what some values of it look like, and not what they are: `length`, and whether they are `plain`, of
letters and digits alone. `portway check` and the start compare that with the length above.";

    SESSIONS_LOGIN_PAGE = "sessions.login_page", Text, "\"/login\"",
"Where people log in: a path of the control host, or a URL.";

    SESSIONS_RETURN_PARAMETER = "sessions.return_parameter", Text, none("\"next\""),
"The query parameter by which that page takes the address to go on to. Default: it takes none; Portway keeps the visit
and goes on as soon as somebody has logged in.";

    SESSIONS_KEY_FILE = "sessions.key_file", Text, none("\"/run/secrets/portway-seal\""),
"A file of 32 random bytes under which sessions of the control plane are kept. Gateways that share their state share it
too. A relative path begins at this file's folder. Default: seal.key in the data folder, made at the first start.";

    SESSIONS_CHECK = "sessions.check", Duration, "\"2s\"",
"How often the sessions in use are looked up again: one that no longer holds ends what was opened with it. Half of
`postgres.stale` at most.";

    SESSIONS_LOGIN = "sessions.login", Duration, "\"24h\"",
"How long a login lasts.";

    SESSIONS_SESSION = "sessions.session", Duration, "\"8h\"",
"How long a session on one workspace host lasts before it is quietly renewed from the login; 8h at most.";

    POSTGRES_URL = "postgres.url", Text, none("\"postgres://portway@postgres:5432/codehub\""),
"The control plane's database. The environment is the better place for a password.";

    POSTGRES_CONNECTIONS = "postgres.connections", Integer, "5",
"The most connections to it, for each role.";

    POSTGRES_SCHEMA = "postgres.schema", Text, none("\"portway\""),
"A schema of that database for Portway's own state (sessions, tickets, shares, ports, tokens, the audit), which several
gateways then share. `portway migrate` makes it, or the start does where the role may. Default: SQLite in the data folder,
for one gateway.";

    POSTGRES_STALE = "postgres.stale", Duration, "\"30s\"",
"How long what was read last is believed while the database does not answer. After that its workspaces are refused with
503, and their streams cut.";

    POSTGRES_MISMATCH = "postgres.mismatch", Text, "\"refuse\"",
"What to do where a query does not fit the database at start: \"refuse\" to start, or \"serve\" what does fit.";

    REDIS_URL = "redis.url", Text, none("\"redis://redis:6379\""),
"The control plane's Redis, for what is reported there.";

    ACTIVITY_REDIS_KEY = "activity.redis_key", Text, none("\"codehub:activity\""),
"The sorted set that gets the last use of each workspace: its id, and Unix seconds as the score (ZADD … GT).";

    ACTIVITY_QUERY = "activity.query", Text, none("\"UPDATE workspaces SET used_at = to_timestamp(s) FROM unnest($1::text[], $2::bigint[]) AS u (i, s) WHERE id = i\""),
"Instead of Redis: a statement of the database under [postgres] that is told of use, with ids ($1, text[]) and Unix seconds
($2, bigint[]). Let it keep the newer time, since gateways report on their own. It is stronger than a preset's set.";

    ACTIVITY_URL = "activity.url", Text, none("\"postgres://portway_activity@postgres:5432/codehub\""),
"The database for that statement, where it has a role of its own. Default: the one under [postgres].";

    ACTIVITY_WEBHOOK = "activity.webhook", Text, none("\"/internal/activity\""),
"Instead of either: a path of `control_upstream` that is told by POST, with the body
{\"workspaces\": [{\"id\": \"…\", \"used_at\": 1700000000}]}. Any 2xx takes it; anything else is told again.";

    ACTIVITY_WEBHOOK_TOKEN = "activity.webhook_token", Text, none("\"a-long-random-secret\""),
"A secret that goes with it as `Authorization: Bearer`, so that no workspace can report in its place. The environment is
the better place for it.";

    ACTIVITY_FLUSH = "activity.flush", Duration, "\"30s\"",
"How long uses of a workspace are collected before they are reported; the first one is reported at once.";

    ACTIVITY_BACKGROUND = "activity.background", Duration, "\"1h\"",
"For how long after somebody was there what goes on by itself (a page that polls, a stream) counts as use.";

    WAKE_PATH = "wake.path", Text, none("\"/api/v1/workspaces/{workspace}\""),
"The path at `control_upstream` that wakes a workspace, with the session of the visitor. Without it nothing is woken.";

    WAKE_METHOD = "wake.method", Text, "\"PATCH\"",
"The method of that request.";

    WAKE_BODY = "wake.body", Text, "\"\"",
"Its JSON body.";

    WAKE_STOP_BODY = "wake.stop_body", Text, none("'{\"desired_state\": \"STANDBY\"}'"),
"The body of the same request that stops one. With it people can stop what runs from their list, and from the page that
says that they run as many as they may.";

    WAKE_QUERY = "wake.query", Text, none("\"SELECT start_workspace($1) AS outcome\""),
"Instead of the path: a statement that wakes a workspace ($1, its id as text). It gives one row whose `outcome` is \"done\"
or \"limit\": count what its owner runs in the same statement. Those for one owner run one after the other, on all gateways.
It is stronger than a preset's path.";

    WAKE_STOP_QUERY = "wake.stop_query", Text, none("\"SELECT stop_workspace($1) AS outcome\""),
"The statement that stops one, in the same way.";

    WAKE_URL = "wake.url", Text, none("\"postgres://portway_wake@postgres:5432/codehub\""),
"The database for those statements, where they have a role of their own. Default: the one under [postgres].";

    WAKE_BY = "wake.by", Texts, "[\"owner\"]",
"Who wakes a workspace by coming: its \"owner\" always; \"shared\": everybody it is shared with, by opening an address in a
browser, with their own session; \"token\": programs that hold a token, by any request, where there is a `wake.query`.
On a public port its owner alone.";

    WAKE_BUDGET = "wake.budget", Integer, "30",
"Wakes an hour that one person may cause, and that one workspace may have.";

    WAKE_HOLD = "wake.hold", Duration, "\"30s\"",
"How long a request that is no navigation waits for its workspace to start.";

    LIMITS_CONNECTIONS = "limits.connections", Integer, "16384",
"Open connections from visitors; more wait in the listener's backlog.";

    LIMITS_ADDRESS_CONNECTIONS = "limits.address_connections", Integer, "4096",
"Those of one address, or of one IPv6 /64; more are reset. 0 for no limit, here and in the next four.";

    LIMITS_VISITOR_REQUESTS = "limits.visitor_requests", Integer, "1024",
"Requests and streams of one visitor at once, WebSockets among them. A visitor is a user, or the address of those who have
not logged in. More are answered 429.";

    LIMITS_VISITOR_RATE = "limits.visitor_rate", Integer, "1000",
"Requests of one visitor in a second; ten seconds' worth may come at once.";

    LIMITS_WORKSPACE_REQUESTS = "limits.workspace_requests", Integer, "4096",
"Requests and streams to one workspace at once, of all visitors. More are answered 503.";

    LIMITS_WORKSPACE_RATE = "limits.workspace_rate", Integer, "5000",
"Requests to one workspace in a second; ten seconds' worth may come at once.";

    LIMITS_SHARED = "limits.shared", Text, none("\"redis://redis:6379\""),
"A Redis (5 or later) in which several gateways count `visitor_rate` and `workspace_rate` together, about once a second. No
request waits for it; while it is away each gateway counts alone. The environment is the better place for a password.
Default: each gateway counts alone.";

    LIMITS_MEMORY = "limits.memory", Integer, none("536870912"),
"Bytes of memory the gateway may have. From 85 % of it on, until it is below 80 %, new requests are answered 503 and new
connections wait, while what is open goes on. 0 for no limit. Default: that of the control group it runs in, if it has one.";

    LIMITS_TLS_HANDSHAKE = "limits.tls_handshake", Duration, "\"10s\"",
"For a TLS handshake.";

    LIMITS_REQUEST_HEAD = "limits.request_head", Duration, "\"10s\"",
"For a request's head, from its first byte to its last.";

    LIMITS_KEEP_ALIVE = "limits.keep_alive", Duration, "\"60s\"",
"For the next request on an idle connection.";

    LIMITS_BODY_IDLE = "limits.body_idle", Duration, "\"30s\"",
"Without a byte of an HTTP/1.1 request body, before the response has begun.";

    LIMITS_BODY_RATE = "limits.body_rate", Integer, "240",
"The slowest such body, in bytes per second, once `body_idle` has passed; 0 for no floor.";

    LIMITS_CONNECT = "limits.connect", Duration, "\"3s\"",
"For the connection to a dev server.";

    LIMITS_RESPONSE_HEAD = "limits.response_head", Duration, "\"120s\"",
"For a dev server's response head, from the end of the request.";

    LIMITS_STALLED = "limits.stalled", Duration, "\"60s\"",
"While memory is short: for a visitor to take what waits for them, 64 KiB at most. Otherwise nothing limits it.";

    LIMITS_DRAIN = "limits.drain", Duration, "\"30s\"",
"For open requests and streams to end after SIGTERM.";

    LOG_LEVEL = "log.level", Text, "\"info\"",
"\"error\", \"warn\", \"info\", \"debug\" or \"trace\".";

    LOG_FORMAT = "log.format", Text, "\"auto\"",
"\"json\", \"human\", or \"auto\": human on a terminal, JSON elsewhere.";

    LOG_ACCESS = "log.access", Flag, "true",
"Whether each request is logged.";

    LOG_TRACE_HEADER = "log.trace_header", Text, none("\"X-Trace-ID\""),
"The field that carries a request's id: taken from the visitor if it is 8 to 64 letters, digits, `-` and `_`, else made;
logged as `trace_id`, sent to `control_upstream`, and given in answers of Portway's own. Default: requests have no id.";

    TRACES_COLLECTOR = "traces.collector", Text, none("\"http://127.0.0.1:4318\""),
"Where a collector takes OTLP over HTTP. Default: nothing is traced, and trace contexts pass as they come.";

    TRACES_ONE_IN = "traces.one_in", Integer, "100",
"One of so many requests is traced, besides all that a proxy of `proxies.trusted` has begun to trace. The dev server is told
of a traced one in `traceparent`.";

    THREADS = "threads", Integer, none("4"),
"Threads that move bytes. Default: one for each core.";
}

/// Every table, in the order of the reference file.
pub(crate) const TABLES: &[Table] = &[
    Table {
        path: "domains[]",
        commented: true,
        doc: "Several domains, instead of `domain`, `pattern`, `public` and `default_port`. One table for each.",
    },
    Table { path: "proxies", commented: false, doc: "What stands in front of the gateway, if anything." },
    Table { path: "tls", commented: true, doc: "TLS. It is on as soon as there is a certificate." },
    Table {
        path: "tls.certificates[]",
        commented: true,
        doc: "One table for each certificate; a visitor's SNI chooses.",
    },
    Table {
        path: "workspaces",
        commented: false,
        doc: "Workspaces, besides those added with `portway workspace add`.",
    },
    Table { path: "access", commented: false, doc: "The administrator's bounds on what people may share." },
    Table { path: "ide", commented: false, doc: "The IDE in the workspaces." },
    Table { path: "sessions", commented: false, doc: "Who is logged in, and for how long." },
    Table {
        path: "postgres",
        commented: true,
        doc: "The control plane's PostgreSQL, for `workspaces.query` and `sessions.query`.",
    },
    Table { path: "redis", commented: true, doc: "The control plane's Redis." },
    Table {
        path: "activity",
        commented: false,
        doc: "Reports of which workspaces are used, so that the others can be stopped.",
    },
    Table { path: "wake", commented: true, doc: "Waking workspaces that sleep, when somebody comes." },
    Table { path: "limits", commented: false, doc: "Limits. Bodies and streams have no limit in size or total time." },
    Table { path: "log", commented: false, doc: "What is logged, to standard output." },
    Table { path: "traces", commented: true, doc: "Traces of requests, by OpenTelemetry." },
];
