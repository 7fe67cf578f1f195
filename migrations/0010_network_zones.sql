-- DNS zones. Their names are the world's, so no two projects have the same. Entries are a list that is read and written as a
-- whole.

CREATE TABLE network_zones (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL CHECK (json_valid(config))
) STRICT;

CREATE TABLE network_zone_records (
    id INTEGER PRIMARY KEY,
    zone_id INTEGER NOT NULL REFERENCES network_zones (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL CHECK (json_valid(config)),
    entries TEXT NOT NULL CHECK (json_valid(entries)),
    UNIQUE (zone_id, name)
) STRICT;
