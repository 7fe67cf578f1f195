-- Custom volumes. The id names one on disk, so it is never used twice.
CREATE TABLE storage_volumes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pool_id INTEGER NOT NULL REFERENCES storage_pools (id),
    project_id INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    UNIQUE (pool_id, project_id, name)
) STRICT;

CREATE TABLE storage_volume_config (
    volume_id INTEGER NOT NULL REFERENCES storage_volumes (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (volume_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE storage_volume_snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    volume_id INTEGER NOT NULL REFERENCES storage_volumes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    expires_at TEXT,
    config TEXT NOT NULL CHECK (json_valid(config)),
    UNIQUE (volume_id, name)
) STRICT;

-- One row: when it was last looked whether a scheduled snapshot is due.
CREATE TABLE scheduled (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    looked_at TEXT NOT NULL
) STRICT;
