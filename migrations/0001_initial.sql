-- The first inventory. Times are RFC 3339 in UTC with six fractional digits, so that text order is time order.
-- Configuration keys and devices are rows: (owner, key, value) and (owner, device, key, value).

CREATE TABLE config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE project_config (
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (project_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE profiles (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    UNIQUE (project_id, name)
) STRICT;

CREATE TABLE profile_config (
    profile_id INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (profile_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE profile_devices (
    profile_id INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    device TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (profile_id, device, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE storage_pools (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    driver TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE storage_pool_config (
    pool_id INTEGER NOT NULL REFERENCES storage_pools (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (pool_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE networks (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    UNIQUE (project_id, name)
) STRICT;

CREATE TABLE network_config (
    network_id INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (network_id, key)
) STRICT, WITHOUT ROWID;

-- `idmap_base` is the first host id of the instance's own range: unique, so that no two ranges meet.
CREATE TABLE instances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    architecture TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    ephemeral INTEGER NOT NULL DEFAULT 0,
    pool_id INTEGER NOT NULL REFERENCES storage_pools (id),
    idmap_base INTEGER UNIQUE,
    created_at TEXT NOT NULL,
    last_used_at TEXT,
    UNIQUE (project_id, name)
) STRICT;

CREATE TABLE instance_config (
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (instance_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_devices (
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    device TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (instance_id, device, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_profiles (
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    profile_id INTEGER NOT NULL REFERENCES profiles (id),
    PRIMARY KEY (instance_id, position)
) STRICT, WITHOUT ROWID;

-- A snapshot keeps what the instance was, so its profiles are names and not references.
CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    ephemeral INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    config TEXT NOT NULL CHECK (json_valid(config)),
    devices TEXT NOT NULL CHECK (json_valid(devices)),
    profiles TEXT NOT NULL CHECK (json_valid(profiles)),
    UNIQUE (instance_id, name)
) STRICT;

CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    fingerprint TEXT NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER NOT NULL,
    split INTEGER NOT NULL DEFAULT 0,
    public INTEGER NOT NULL DEFAULT 0,
    cached INTEGER NOT NULL DEFAULT 0,
    auto_update INTEGER NOT NULL DEFAULT 0,
    architecture TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    uploaded_at TEXT NOT NULL,
    last_used_at TEXT,
    UNIQUE (project_id, fingerprint)
) STRICT;

CREATE TABLE image_properties (
    image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (image_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE image_aliases (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    UNIQUE (project_id, name)
) STRICT;

-- Where an image came from, for updates and for the cache.
CREATE TABLE image_sources (
    image_id INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    protocol TEXT NOT NULL,
    server TEXT NOT NULL,
    alias TEXT NOT NULL
) STRICT;

-- Images that are unpacked on a pool.
CREATE TABLE pool_images (
    pool_id INTEGER NOT NULL REFERENCES storage_pools (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (pool_id, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    class TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    resources TEXT NOT NULL CHECK (json_valid(resources)),
    metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    error TEXT NOT NULL DEFAULT '',
    requestor TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_by_time ON operations (updated_at);

-- What an operation is about to do, written before it does it. What is left here after a crash is undone.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation_id TEXT NOT NULL,
    entry TEXT NOT NULL CHECK (json_valid(entry))
) STRICT;

CREATE TABLE warnings (
    uuid TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    type TEXT NOT NULL,
    severity TEXT NOT NULL,
    status TEXT NOT NULL,
    entity_url TEXT NOT NULL,
    message TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    UNIQUE (project, type, entity_url)
) STRICT;

INSERT INTO projects (id, name, description) VALUES (1, 'default', 'Default rlxc project');
INSERT INTO project_config (project_id, key, value) VALUES
    (1, 'features.images', 'true'),
    (1, 'features.networks', 'true'),
    (1, 'features.networks.zones', 'true'),
    (1, 'features.profiles', 'true'),
    (1, 'features.storage.buckets', 'true'),
    (1, 'features.storage.volumes', 'true');
INSERT INTO profiles (id, project_id, name, description) VALUES (1, 1, 'default', 'Default rlxc profile');
