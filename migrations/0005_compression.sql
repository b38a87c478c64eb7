-- Documents compress by lz4, at several times the speed, where the server has it. A record keeps the compression of the
-- row that it was copied from, so the column of the flows decides.
--
-- Safe because: what is stored stays as it is and is read as before. The locks are held for a moment; one that is not to
-- be had fails the start, and the next one tries again.

DO $$
BEGIN
    ALTER TABLE flows ALTER COLUMN data SET COMPRESSION lz4;
    ALTER TABLE flow_changes ALTER COLUMN document SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
