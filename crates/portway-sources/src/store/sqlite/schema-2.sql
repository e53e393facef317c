-- Who answers for a port's CORS towards its siblings; NULL is the gateway.

ALTER TABLE ports ADD COLUMN cors TEXT CHECK (cors IN ('gateway', 'passthrough'));

PRAGMA user_version = 2;
