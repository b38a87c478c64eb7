-- A save of what is there already records it, where its history lacks it.
--
-- Records are made by triggers, and whoever writes without them (logical replication, a restore of the data alone, a session
-- with session_replication_role = replica) leaves a flow whose history does not end with what it is. Its next change would
-- have been the end of that. Now storing the same once more, as `strom check --repair` does, makes the record: with the
-- revision, the time and the author that the flow has. Where it is recorded nothing happens, as before.
--
-- Safe because: the trigger fires for updates alone that leave the document as it is, which are rare; its creation waits for
-- the writers of a moment.

CREATE CONSTRAINT TRIGGER strom_record_same AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.data IS NOT DISTINCT FROM NEW.data) EXECUTE FUNCTION strom_record();
