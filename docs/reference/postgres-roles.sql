-- Roles for Portway beside code-hub's database, for an administrator to run once: psql -d codehub -f postgres-roles.sql
--
-- Two of them, so that what reads workspaces cannot read sessions. Set passwords with \password, or map the roles in
-- pg_hba.conf. The database's own default lets every role connect; where that was taken back, grant CONNECT as well.

CREATE ROLE portway LOGIN CONNECTION LIMIT 10;
GRANT SELECT (id, owner_user_id, name, phase, operation, desired_state, deleted_at, phase_changed_at)
    ON workspaces TO portway;

CREATE ROLE portway_sessions LOGIN CONNECTION LIMIT 10;
GRANT SELECT (id, user_id, expires_at, revoked_at) ON sessions TO portway_sessions;
GRANT SELECT (id, username) ON users TO portway_sessions;

-- Only for several gateways on one state (postgres.schema = "portway"): a schema of Portway's own. It makes its tables
-- there itself, at its start or by `portway migrate`. One of them is called `workspaces` too, and PostgreSQL looks into a
-- schema named like the role first: queries of code-hub's tables must not.
CREATE SCHEMA portway AUTHORIZATION portway;
ALTER ROLE portway SET search_path = public;
