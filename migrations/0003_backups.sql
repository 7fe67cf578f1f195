-- Backups of instances that wait to be fetched: each is a file in a directory of its instance.

CREATE TABLE backups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    instance_only INTEGER NOT NULL DEFAULT 0,
    UNIQUE (instance_id, name)
) STRICT;
