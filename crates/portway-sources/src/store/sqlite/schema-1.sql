-- Portway's own state. Secrets are SHA-256 hashes; times are Unix seconds by this database's clock.
-- A row may name a workspace that another source has, so workspace columns outside `workspaces` are no foreign keys.

CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    password   TEXT,
    suspended  INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    created_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;

CREATE TABLE login_links (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user       TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_links_by_user ON login_links (user);

CREATE TABLE logins (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user       TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at INTEGER NOT NULL DEFAULT (unixepoch()),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_user ON logins (user);

-- A session ends with the login it was made from.
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user       TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    login      BLOB NOT NULL REFERENCES logins ON DELETE CASCADE,
    host       TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_login ON sessions (login);
CREATE INDEX sessions_by_user ON sessions (user);

-- A used ticket is kept while the session it made lives, so that a second use can end that session.
CREATE TABLE tickets (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32),
    host       TEXT NOT NULL,
    challenge  BLOB NOT NULL CHECK (length(challenge) = 32),
    user       TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    login      BLOB NOT NULL REFERENCES logins ON DELETE CASCADE,
    return_to  TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0 CHECK (used IN (0, 1)),
    session    BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_by_login ON tickets (login);
CREATE INDEX tickets_by_user ON tickets (user);

CREATE TABLE consents (
    user       TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    workspace  TEXT NOT NULL,
    port       INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (unixepoch()),
    PRIMARY KEY (user, workspace, port)
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    key        TEXT PRIMARY KEY CHECK (key = lower(id)),
    id         TEXT NOT NULL,
    owner      TEXT REFERENCES users,
    address    TEXT NOT NULL,
    running    INTEGER NOT NULL DEFAULT 1 CHECK (running IN (0, 1)),
    generation TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;
CREATE INDEX workspaces_by_owner ON workspaces (owner);

CREATE TABLE ports (
    workspace TEXT NOT NULL,
    port      INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    level     TEXT NOT NULL DEFAULT 'owner' CHECK (level IN ('owner', 'users', 'authenticated', 'public')),
    profile   TEXT CHECK (profile IN ('localhost', 'public')),
    scheme    TEXT CHECK (scheme IN ('http', 'https')),
    PRIMARY KEY (workspace, port)
) STRICT, WITHOUT ROWID;

CREATE TABLE shares (
    workspace TEXT NOT NULL,
    port      INTEGER NOT NULL,
    user      TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (workspace, port, user),
    FOREIGN KEY (workspace, port) REFERENCES ports ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX shares_by_user ON shares (user);

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    user       TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    workspace  TEXT NOT NULL,
    port       INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    label      TEXT,
    created_at INTEGER NOT NULL DEFAULT (unixepoch()),
    expires_at INTEGER NOT NULL,
    last_used  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user);

CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL DEFAULT (unixepoch()),
    event  TEXT NOT NULL,
    user   TEXT,
    host   TEXT,
    peer   TEXT,
    detail TEXT NOT NULL
) STRICT;

PRAGMA user_version = 1;
