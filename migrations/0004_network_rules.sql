-- Access control lists and forwards. Rules and ports are lists that are read and written as a whole.

CREATE TABLE network_acls (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    ingress TEXT NOT NULL CHECK (json_valid(ingress)),
    egress TEXT NOT NULL CHECK (json_valid(egress)),
    config TEXT NOT NULL CHECK (json_valid(config)),
    UNIQUE (project_id, name)
) STRICT;

CREATE TABLE network_forwards (
    id INTEGER PRIMARY KEY,
    network_id INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    listen_address TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL CHECK (json_valid(config)),
    ports TEXT NOT NULL CHECK (json_valid(ports)),
    UNIQUE (network_id, listen_address)
) STRICT;
