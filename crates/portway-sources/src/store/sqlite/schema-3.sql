-- Logins of a control plane's, taken over: what people call a user, and the control plane's own session, sealed by whoever
-- runs the gateway.

ALTER TABLE users ADD COLUMN name TEXT;
ALTER TABLE logins ADD COLUMN sealed BLOB;

PRAGMA user_version = 3;
