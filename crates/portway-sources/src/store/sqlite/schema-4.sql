-- The same names as in PostgreSQL, where `user` is a word of the language.

ALTER TABLE login_links RENAME COLUMN user TO user_id;
ALTER TABLE logins RENAME COLUMN user TO user_id;
ALTER TABLE sessions RENAME COLUMN user TO user_id;
ALTER TABLE tickets RENAME COLUMN user TO user_id;
ALTER TABLE consents RENAME COLUMN user TO user_id;
ALTER TABLE shares RENAME COLUMN user TO user_id;
ALTER TABLE tokens RENAME COLUMN user TO user_id;
ALTER TABLE audit RENAME COLUMN user TO user_id;

PRAGMA user_version = 4;
