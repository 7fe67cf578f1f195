-- Backups of custom volumes beside those of instances, in one table: each row has one owner. The id names a file, so it is
-- never used twice.
CREATE TABLE backups_of_both (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER REFERENCES instances (id) ON DELETE CASCADE,
    volume_id INTEGER REFERENCES storage_volumes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    without_snapshots INTEGER NOT NULL DEFAULT 0,
    optimized INTEGER NOT NULL DEFAULT 0,
    UNIQUE (instance_id, name),
    UNIQUE (volume_id, name),
    CHECK ((instance_id IS NULL) <> (volume_id IS NULL))
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'backups_of_both', seq FROM sqlite_sequence WHERE name = 'backups';
INSERT INTO backups_of_both (id, instance_id, name, created_at, expires_at, without_snapshots)
    SELECT id, instance_id, name, created_at, expires_at, instance_only FROM backups;
DROP TABLE backups;
ALTER TABLE backups_of_both RENAME TO backups;
