-- The groups that a control plane says somebody is in, as a JSON array of their names.

ALTER TABLE users ADD COLUMN member_of TEXT NOT NULL DEFAULT '[]';

UPDATE meta SET steps = 2;
