-- How many ids an instance has: `security.idmap.size`.
ALTER TABLE instances ADD COLUMN idmap_size INTEGER NOT NULL DEFAULT 65536;
