-- Certificates of clients that are trusted, and tokens that let one in. `certificate` is PEM; `fingerprint` is the SHA-256 of
-- its DER in hexadecimal.
CREATE TABLE certificates (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    restricted INTEGER NOT NULL DEFAULT 0,
    certificate TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE certificate_projects (
    certificate_id INTEGER NOT NULL REFERENCES certificates (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    PRIMARY KEY (certificate_id, project_id)
) STRICT, WITHOUT ROWID;

-- A token is used by deleting it. `operation` is the operation that clients list and cancel; `projects` is a JSON list of names.
CREATE TABLE join_tokens (
    operation TEXT PRIMARY KEY,
    secret TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    restricted INTEGER NOT NULL DEFAULT 0,
    projects TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL,
    expires_at TEXT
) STRICT, WITHOUT ROWID;
