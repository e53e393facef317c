-- Portway's own state, for gateways that share it. As in SQLite: secrets are SHA-256 hashes, times are Unix seconds by
-- this database's clock, yes and no are 1 and 0, workspace columns outside `workspaces` are no foreign keys.
-- Runs with the schema as the search path.

-- The statement's time, not the transaction's: a change that had to wait for its turn judges expiry when it has it.
CREATE FUNCTION unixepoch() RETURNS BIGINT LANGUAGE sql STABLE
    AS 'SELECT floor(extract(epoch FROM statement_timestamp()))::bigint';

-- One row. Whoever changes something locks it first, so that changes come one after the other, as in SQLite; `changes`
-- counts those that other gateways must see. `seal_check` is something sealed under the key that gateways share, so that
-- one with another key is told so at its start.
CREATE TABLE meta (
    one        BIGINT PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    steps      BIGINT NOT NULL,
    changes    BIGINT NOT NULL DEFAULT 0,
    seal_check BYTEA
);
INSERT INTO meta (steps) VALUES (0);

CREATE TABLE users (
    id         TEXT COLLATE "C" PRIMARY KEY,
    password   TEXT,
    suspended  BIGINT NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    created_at BIGINT NOT NULL DEFAULT unixepoch(),
    name       TEXT
);

CREATE TABLE login_links (
    hash       BYTEA PRIMARY KEY CHECK (length(hash) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_links_by_user ON login_links (user_id);

CREATE TABLE logins (
    hash       BYTEA PRIMARY KEY CHECK (length(hash) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at BIGINT NOT NULL DEFAULT unixepoch(),
    expires_at BIGINT NOT NULL,
    sealed     BYTEA
);
CREATE INDEX logins_by_user ON logins (user_id);

CREATE TABLE sessions (
    hash       BYTEA PRIMARY KEY CHECK (length(hash) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    login      BYTEA NOT NULL REFERENCES logins ON DELETE CASCADE,
    host       TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_login ON sessions (login);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tickets (
    hash       BYTEA PRIMARY KEY CHECK (length(hash) = 32),
    host       TEXT NOT NULL,
    challenge  BYTEA NOT NULL CHECK (length(challenge) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    login      BYTEA NOT NULL REFERENCES logins ON DELETE CASCADE,
    return_to  TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used       BIGINT NOT NULL DEFAULT 0 CHECK (used IN (0, 1)),
    session    BYTEA
);
CREATE INDEX tickets_by_login ON tickets (login);
CREATE INDEX tickets_by_user ON tickets (user_id);

CREATE TABLE consents (
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    workspace  TEXT COLLATE "C" NOT NULL,
    port       BIGINT NOT NULL,
    created_at BIGINT NOT NULL DEFAULT unixepoch(),
    PRIMARY KEY (user_id, workspace, port)
);

CREATE TABLE workspaces (
    key        TEXT COLLATE "C" PRIMARY KEY CHECK (key = lower(id)),
    id         TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" REFERENCES users,
    address    TEXT NOT NULL,
    running    BIGINT NOT NULL DEFAULT 1 CHECK (running IN (0, 1)),
    generation TEXT NOT NULL,
    created_at BIGINT NOT NULL DEFAULT unixepoch()
);
CREATE INDEX workspaces_by_owner ON workspaces (owner);

CREATE TABLE ports (
    workspace TEXT COLLATE "C" NOT NULL,
    port      BIGINT NOT NULL CHECK (port BETWEEN 1 AND 65535),
    level     TEXT NOT NULL DEFAULT 'owner' CHECK (level IN ('owner', 'users', 'authenticated', 'public')),
    profile   TEXT CHECK (profile IN ('localhost', 'public')),
    scheme    TEXT CHECK (scheme IN ('http', 'https')),
    cors      TEXT CHECK (cors IN ('gateway', 'passthrough')),
    PRIMARY KEY (workspace, port)
);

CREATE TABLE shares (
    workspace TEXT COLLATE "C" NOT NULL,
    port      BIGINT NOT NULL,
    user_id   TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (workspace, port, user_id),
    FOREIGN KEY (workspace, port) REFERENCES ports ON DELETE CASCADE
);
CREATE INDEX shares_by_user ON shares (user_id);

CREATE TABLE tokens (
    id         TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    workspace  TEXT COLLATE "C" NOT NULL,
    port       BIGINT NOT NULL CHECK (port BETWEEN 1 AND 65535),
    label      TEXT,
    created_at BIGINT NOT NULL DEFAULT unixepoch(),
    expires_at BIGINT NOT NULL,
    last_used  BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_id);

CREATE TABLE audit (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL DEFAULT unixepoch(),
    event   TEXT NOT NULL,
    user_id TEXT,
    host    TEXT,
    peer    TEXT,
    detail  TEXT NOT NULL
);

UPDATE meta SET steps = 1;
