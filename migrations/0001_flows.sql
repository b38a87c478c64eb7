-- The table that every Strom knows: made here, or taken over as it is.
--
-- Databases exist that an older Strom made by `CREATE TABLE IF NOT EXISTS` and that have no migration history. They are
-- adopted in place: no row is touched. A table `flows` that somebody else made is refused before anything is changed.
--
-- Safe because: nothing but `IF NOT EXISTS`; the indexes are built under the lock of a table that is new, or that has
-- them already. A large table that lacks them is locked against writing while they are built.

DO $$
DECLARE
    missing TEXT;
BEGIN
    IF to_regclass('flows') IS NULL THEN
        RETURN;
    END IF;
    SELECT string_agg(format('%I %s', wanted.name, wanted.type), ', ' ORDER BY wanted.name)
    INTO missing
    FROM (VALUES ('id', 'uuid'), ('name', 'text'), ('state', 'text'), ('auto_restart', 'boolean'), ('data', 'jsonb'),
                 ('created_at', 'timestamp with time zone'), ('updated_at', 'timestamp with time zone'))
        AS wanted (name, type)
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute AS found
        WHERE found.attrelid = to_regclass('flows')
          AND found.attname = wanted.name
          AND format_type(found.atttypid, NULL) = wanted.type
          AND NOT found.attisdropped
    );
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'this database has a table "flows" that is not Strom''s: it lacks %', missing
            USING HINT = 'Give Strom a database of its own.';
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS flows (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT,
    auto_restart BOOLEAN DEFAULT FALSE,
    data JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

CREATE INDEX IF NOT EXISTS idx_flows_name ON flows (name);
CREATE INDEX IF NOT EXISTS idx_flows_state ON flows (state);
CREATE INDEX IF NOT EXISTS idx_flows_auto_restart ON flows (auto_restart);
CREATE INDEX IF NOT EXISTS idx_flows_data ON flows USING GIN (data);
