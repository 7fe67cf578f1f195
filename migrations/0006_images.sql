-- What is needed to look again where an image came from: the server's certificate (PEM) and the project there.
ALTER TABLE image_sources ADD COLUMN certificate TEXT NOT NULL DEFAULT '';
ALTER TABLE image_sources ADD COLUMN project TEXT NOT NULL DEFAULT '';

-- Profiles of instances that are made of an image and name none themselves.
CREATE TABLE image_profiles (
    image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    profile_id INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    PRIMARY KEY (image_id, profile_id)
) STRICT, WITHOUT ROWID;
INSERT INTO image_profiles (image_id, profile_id, position)
    SELECT m.id, p.id, 0 FROM images m JOIN profiles p ON p.name = 'default' AND p.project_id = CASE WHEN EXISTS
        (SELECT 1 FROM project_config WHERE project_id = m.project_id AND key = 'features.profiles' AND value = 'true')
        THEN m.project_id ELSE 1 END;
