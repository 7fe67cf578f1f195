-- Beside the data of each instance and each custom volume lies a description of it, `backup.yaml`, so that it can be found
-- again without this inventory. Here is which of them are older than the inventory; the triggers note it in the transaction
-- of the change. A version is never used twice: whoever wrote a description takes out the version that was read, and nothing
-- that came after it. No trigger says INSERT OR REPLACE: the statement that fires it has the last word on conflicts.
CREATE TABLE stale_descriptions (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('container', 'custom')),
    id INTEGER NOT NULL,
    UNIQUE (kind, id)
) STRICT;

-- Instances. What only says how one runs at the moment is in no description.
CREATE TRIGGER stale_instance_insert AFTER INSERT ON instances
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.id; END;
CREATE TRIGGER stale_instance_update AFTER UPDATE OF project_id, name, architecture, description, ephemeral, pool_id, idmap_base, idmap_size ON instances
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.id; END;
CREATE TRIGGER stale_instance_config_insert AFTER INSERT ON instance_config
WHEN NEW.key NOT GLOB 'volatile.last_state.*' AND NEW.key NOT GLOB 'volatile.*.host_name'
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_instance_config_update AFTER UPDATE ON instance_config
WHEN NEW.key NOT GLOB 'volatile.last_state.*' AND NEW.key NOT GLOB 'volatile.*.host_name'
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_instance_config_delete AFTER DELETE ON instance_config
WHEN OLD.key NOT GLOB 'volatile.last_state.*' AND OLD.key NOT GLOB 'volatile.*.host_name'
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT OLD.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', OLD.instance_id; END;
CREATE TRIGGER stale_instance_devices_insert AFTER INSERT ON instance_devices
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_instance_devices_update AFTER UPDATE ON instance_devices
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_instance_devices_delete AFTER DELETE ON instance_devices
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT OLD.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', OLD.instance_id; END;
CREATE TRIGGER stale_instance_profiles_insert AFTER INSERT ON instance_profiles
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_instance_profiles_update AFTER UPDATE ON instance_profiles
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_instance_profiles_delete AFTER DELETE ON instance_profiles
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT OLD.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', OLD.instance_id; END;
CREATE TRIGGER stale_snapshots_insert AFTER INSERT ON snapshots
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_snapshots_update AFTER UPDATE ON snapshots
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT NEW.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', NEW.instance_id; END;
CREATE TRIGGER stale_snapshots_delete AFTER DELETE ON snapshots
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT OLD.instance_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', OLD.instance_id; END;

-- Profiles, for all instances that have them.
CREATE TRIGGER stale_profile_update AFTER UPDATE OF name, description ON profiles
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = NEW.id; END;
CREATE TRIGGER stale_profile_config_insert AFTER INSERT ON profile_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id; END;
CREATE TRIGGER stale_profile_config_update AFTER UPDATE ON profile_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id; END;
CREATE TRIGGER stale_profile_config_delete AFTER DELETE ON profile_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = OLD.profile_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = OLD.profile_id; END;
CREATE TRIGGER stale_profile_devices_insert AFTER INSERT ON profile_devices
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id; END;
CREATE TRIGGER stale_profile_devices_update AFTER UPDATE ON profile_devices
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = NEW.profile_id; END;
CREATE TRIGGER stale_profile_devices_delete AFTER DELETE ON profile_devices
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT instance_id FROM instance_profiles WHERE profile_id = OLD.profile_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', instance_id FROM instance_profiles WHERE profile_id = OLD.profile_id; END;

-- Custom volumes.
CREATE TRIGGER stale_volume_insert AFTER INSERT ON storage_volumes
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', NEW.id; END;
CREATE TRIGGER stale_volume_update AFTER UPDATE ON storage_volumes
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', NEW.id; END;
CREATE TRIGGER stale_volume_config_insert AFTER INSERT ON storage_volume_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT NEW.volume_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', NEW.volume_id; END;
CREATE TRIGGER stale_volume_config_update AFTER UPDATE ON storage_volume_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT NEW.volume_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', NEW.volume_id; END;
CREATE TRIGGER stale_volume_config_delete AFTER DELETE ON storage_volume_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT OLD.volume_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', OLD.volume_id; END;
CREATE TRIGGER stale_volume_snapshots_insert AFTER INSERT ON storage_volume_snapshots
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT NEW.volume_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', NEW.volume_id; END;
CREATE TRIGGER stale_volume_snapshots_update AFTER UPDATE ON storage_volume_snapshots
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT NEW.volume_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', NEW.volume_id; END;
CREATE TRIGGER stale_volume_snapshots_delete AFTER DELETE ON storage_volume_snapshots
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT OLD.volume_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', OLD.volume_id; END;

-- Pools and projects, for all that is in them.
CREATE TRIGGER stale_pool_update_container AFTER UPDATE OF name, description ON storage_pools
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT id FROM instances WHERE pool_id = NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', id FROM instances WHERE pool_id = NEW.id; END;
CREATE TRIGGER stale_pool_config_container_insert AFTER INSERT ON storage_pool_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT id FROM instances WHERE pool_id = NEW.pool_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', id FROM instances WHERE pool_id = NEW.pool_id; END;
CREATE TRIGGER stale_pool_config_container_update AFTER UPDATE ON storage_pool_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT id FROM instances WHERE pool_id = NEW.pool_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', id FROM instances WHERE pool_id = NEW.pool_id; END;
CREATE TRIGGER stale_pool_config_container_delete AFTER DELETE ON storage_pool_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT id FROM instances WHERE pool_id = OLD.pool_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', id FROM instances WHERE pool_id = OLD.pool_id; END;
CREATE TRIGGER stale_project_update_container AFTER UPDATE OF name ON projects
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT id FROM instances WHERE project_id = NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', id FROM instances WHERE project_id = NEW.id; END;
CREATE TRIGGER stale_pool_update_custom AFTER UPDATE OF name, description ON storage_pools
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT id FROM storage_volumes WHERE pool_id = NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', id FROM storage_volumes WHERE pool_id = NEW.id; END;
CREATE TRIGGER stale_pool_config_custom_insert AFTER INSERT ON storage_pool_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT id FROM storage_volumes WHERE pool_id = NEW.pool_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', id FROM storage_volumes WHERE pool_id = NEW.pool_id; END;
CREATE TRIGGER stale_pool_config_custom_update AFTER UPDATE ON storage_pool_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT id FROM storage_volumes WHERE pool_id = NEW.pool_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', id FROM storage_volumes WHERE pool_id = NEW.pool_id; END;
CREATE TRIGGER stale_pool_config_custom_delete AFTER DELETE ON storage_pool_config
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT id FROM storage_volumes WHERE pool_id = OLD.pool_id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', id FROM storage_volumes WHERE pool_id = OLD.pool_id; END;
CREATE TRIGGER stale_project_update_custom AFTER UPDATE OF name ON projects
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT id FROM storage_volumes WHERE project_id = NEW.id);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', id FROM storage_volumes WHERE project_id = NEW.id; END;

-- What is made, or put back to a snapshot, has its description in place when its entry leaves the journal at the earliest.
CREATE TRIGGER stale_journal_container AFTER DELETE ON journal
BEGIN DELETE FROM stale_descriptions WHERE kind = 'container' AND id IN (SELECT value FROM (SELECT coalesce(
    json_extract(OLD.entry, '$.volume.id'), json_extract(OLD.entry, '$.restore.instance'),
    json_extract(OLD.entry, '$.rebuild.instance')) AS value) WHERE value IS NOT NULL);
    INSERT INTO stale_descriptions (kind, id) SELECT 'container', value FROM (SELECT coalesce(
    json_extract(OLD.entry, '$.volume.id'), json_extract(OLD.entry, '$.restore.instance'),
    json_extract(OLD.entry, '$.rebuild.instance')) AS value) WHERE value IS NOT NULL; END;
CREATE TRIGGER stale_journal_custom AFTER DELETE ON journal
BEGIN DELETE FROM stale_descriptions WHERE kind = 'custom' AND id IN (SELECT value FROM (SELECT coalesce(
    json_extract(OLD.entry, '$.custom-volume.id'), json_extract(OLD.entry, '$.custom-restore.volume')) AS value)
    WHERE value IS NOT NULL);
    INSERT INTO stale_descriptions (kind, id) SELECT 'custom', value FROM (SELECT coalesce(
    json_extract(OLD.entry, '$.custom-volume.id'), json_extract(OLD.entry, '$.custom-restore.volume')) AS value)
    WHERE value IS NOT NULL; END;

-- Those that were made before there were descriptions.
INSERT INTO stale_descriptions (kind, id) SELECT 'container', id FROM instances;
INSERT INTO stale_descriptions (kind, id) SELECT 'custom', id FROM storage_volumes;
