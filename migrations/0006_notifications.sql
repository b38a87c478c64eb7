-- Wakes who waits for changes when somebody else than Strom has made one: psql, an older Strom, pg_restore.
--
-- A transaction that notifies commits under one lock for the whole server and keeps it until its commit is on the disk, so
-- such commits no longer share a sync. Measured with PostgreSQL 15, fsync on, two cores, updates of random flows of 2 kB;
-- commits per second, median of three; on the right with 2 ms more for each sync (commit_delay), as of a slower disk:
--
--   clients                                       5     16     32          5    16    32
--   no notification                           1,754  1,766  1,678        336   647   757
--   each transaction notifies                 1,659  1,126  1,191        112   103   107
--   only those that name no author (this)     1,970  1,778  1,636        436   551   812
--
-- So the transactions of a Strom, which name their author, do not notify. A Strom does so by itself after its commits, once
-- for many of them (src/postgres/notifications.rs).
--
-- A notification only wakes. Whoever hears none, for the sake of a pooler or of a lost connection, looks at the table once
-- a second.
--
-- Safe because: the trigger changes nothing; its creation waits for the writers of a moment. PostgreSQL refuses
-- PREPARE TRANSACTION to a transaction that notifies; whoever needs it for flows sets `strom.author` in it.

CREATE FUNCTION strom_notify() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('strom_changes', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER strom_notify AFTER INSERT ON flow_changes
FOR EACH STATEMENT WHEN (coalesce(current_setting('strom.author', TRUE), '') = '') EXECUTE FUNCTION strom_notify();
