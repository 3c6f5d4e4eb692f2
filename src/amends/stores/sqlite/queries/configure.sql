-- WAL and FULL: with NORMAL, a power cut loses every commit since the last checkpoint.
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
-- A checkpoint follows this many pages (16 MiB); fewer cost a second fsync more often.
PRAGMA wal_autocheckpoint = 4000;
PRAGMA temp_store = MEMORY;
