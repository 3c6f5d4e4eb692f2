-- What people must not see of a definition's payloads: JSON {place: [path, ...]}, empty for nothing. Beside the
-- structure and outside its fingerprint, so that a mark is added without another version of the saga.
ALTER TABLE amends_definitions ADD COLUMN redactions BLOB NOT NULL DEFAULT x'';
