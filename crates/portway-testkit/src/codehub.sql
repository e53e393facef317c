-- The control plane's tables as far as anybody beside it reads them, and the trigger that tells of changes.
CREATE TABLE users (
    id                    varchar PRIMARY KEY,
    username              varchar NOT NULL UNIQUE,
    password_hash         varchar NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    failed_login_attempts integer NOT NULL DEFAULT 0,
    locked_until          timestamptz
);

CREATE TABLE sessions (
    id         varchar PRIMARY KEY,
    user_id    varchar NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE TABLE workspaces (
    id               varchar PRIMARY KEY,
    owner_user_id    varchar NOT NULL REFERENCES users,
    name             varchar NOT NULL,
    description      varchar,
    memo             varchar,
    instance_backend varchar NOT NULL DEFAULT 'local-docker',
    phase            varchar NOT NULL DEFAULT 'PENDING',
    operation        varchar NOT NULL DEFAULT 'NONE',
    desired_state    varchar NOT NULL DEFAULT 'RUNNING',
    last_access_at   timestamptz,
    error_reason     varchar,
    conditions       jsonb NOT NULL DEFAULT '{}',
    deleted_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    phase_changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_workspace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.phase, NEW.operation, NEW.error_reason, NEW.name, NEW.description, NEW.memo,
                            NEW.desired_state, NEW.deleted_at)
        IS DISTINCT FROM (OLD.phase, OLD.operation, OLD.error_reason, OLD.name, OLD.description, OLD.memo,
                          OLD.desired_state, OLD.deleted_at) THEN
        PERFORM pg_notify('ws_sse', json_build_object('id', NEW.id, 'owner_user_id', NEW.owner_user_id)::text);
    END IF;
    IF TG_OP = 'INSERT' OR NEW.desired_state IS DISTINCT FROM OLD.desired_state THEN
        PERFORM pg_notify('ws_wake', '{}');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER workspaces_notify AFTER INSERT OR UPDATE ON workspaces
    FOR EACH ROW EXECUTE FUNCTION notify_workspace();
