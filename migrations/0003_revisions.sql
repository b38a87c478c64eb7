-- Revisions, and columns that agree with the document, whoever writes: Strom, an older Strom, psql, pg_restore.
--
-- A revision counts the changes to what people wrote; what a running engine reports makes none. The id of a deleted flow
-- leaves a tombstone, so that its revisions go on when it comes back.
--
-- Safe because: a column with a constant default is added without a rewrite; the triggers accept the given inserts and
-- updates and only fill in what they leave out. The last statement touches just the rows whose columns say something
-- else than their document, and not their times.

ALTER TABLE flows
    ADD COLUMN revision BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN author TEXT NOT NULL DEFAULT 'sql';

CREATE TABLE flow_tombstones (
    id UUID PRIMARY KEY,
    revision BIGINT NOT NULL,
    deleted_at TIMESTAMPTZ NOT NULL,
    author TEXT NOT NULL
);

-- The document without the members that a running engine reports; src/flow/runtime.rs does the same.
CREATE FUNCTION strom_content(document JSONB) RETURNS JSONB
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN content -> 'properties' = '{}' THEN content - 'properties' ELSE content END
    FROM (
        SELECT
            document - '{running,gst_state,state,block_health}'::TEXT[]
            || CASE jsonb_typeof(document -> 'properties') WHEN 'object' THEN jsonb_build_object(
                'properties',
                (document -> 'properties')
                    - '{clock_sync_status,ptp_info,ntp_info,thread_priority_status,started_at}'::TEXT[]
            ) ELSE '{}' END
            || CASE jsonb_typeof(document -> 'blocks') WHEN 'array' THEN jsonb_build_object(
                'blocks',
                (
                    SELECT coalesce(jsonb_agg(
                        CASE jsonb_typeof(block)
                            WHEN 'object' THEN block - '{runtime_data,computed_external_pads}'::TEXT[]
                            ELSE block
                        END
                        ORDER BY place
                    ), '[]')
                    FROM jsonb_array_elements(document -> 'blocks') WITH ORDINALITY AS item (block, place)
                )
            ) ELSE '{}' END
            AS content
    ) AS stripped
$$;

-- The state that a document reports, under its name of today or that before 2026-03-19.
CREATE FUNCTION strom_state(document JSONB) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN reported IN ('Null', 'Ready', 'Paused', 'Playing') THEN reported ELSE 'Null' END
    FROM (
        SELECT CASE WHEN document ? 'gst_state' THEN document ->> 'gst_state' ELSE document ->> 'state' END AS reported
    ) AS state
$$;

-- `SET search_path FROM CURRENT`: a data-only pg_restore fires triggers with an empty search path.
CREATE FUNCTION strom_before_write() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    -- Strom names the author and brings the time; whoever else writes does neither.
    writer TEXT := nullif(current_setting('strom.author', TRUE), '');
BEGIN
    IF jsonb_typeof(NEW.data) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a flow is a JSON object' USING ERRCODE = 'check_violation';
    END IF;

    -- A column that was changed while the document still says the same was changed by hand: it flows into the document.
    IF TG_OP = 'UPDATE' THEN
        IF NEW.name IS DISTINCT FROM OLD.name AND NEW.data -> 'name' = OLD.data -> 'name' THEN
            NEW.data := jsonb_set(NEW.data, '{name}', to_jsonb(NEW.name));
        END IF;
        IF NEW.state IS DISTINCT FROM OLD.state AND strom_state(NEW.data) = strom_state(OLD.data) THEN
            NEW.data := jsonb_set(
                NEW.data,
                CASE WHEN NEW.data ? 'state' AND NOT NEW.data ? 'gst_state' THEN '{state}' ELSE '{gst_state}' END::TEXT[],
                coalesce(to_jsonb(NEW.state), 'null')
            );
        END IF;
        IF NEW.auto_restart IS DISTINCT FROM OLD.auto_restart
            AND NEW.data #> '{properties,auto_restart}' IS NOT DISTINCT FROM OLD.data #> '{properties,auto_restart}'
            AND coalesce(jsonb_typeof(NEW.data -> 'properties'), 'object') = 'object'
        THEN
            NEW.data := NEW.data || jsonb_build_object(
                'properties',
                coalesce(NEW.data -> 'properties', '{}')
                    || jsonb_build_object('auto_restart', coalesce(NEW.auto_restart, FALSE))
            );
        END IF;
    END IF;

    -- The document is complete and the columns repeat it.
    IF NEW.data ->> 'id' IS DISTINCT FROM NEW.id::TEXT THEN
        NEW.data := jsonb_set(NEW.data, '{id}', to_jsonb(NEW.id::TEXT));
    END IF;
    IF jsonb_typeof(NEW.data -> 'name') IS DISTINCT FROM 'string' THEN
        NEW.data := jsonb_set(NEW.data, '{name}', coalesce(to_jsonb(NEW.name), 'null'));
    END IF;
    NEW.name := NEW.data ->> 'name';
    NEW.state := strom_state(NEW.data);
    NEW.auto_restart := coalesce(NEW.data #> '{properties,auto_restart}' = 'true', FALSE);

    IF TG_OP = 'INSERT' THEN
        -- A restored dump brings revision and author along.
        NEW.revision := greatest(NEW.revision, 1 + (SELECT revision FROM flow_tombstones WHERE id = NEW.id));
        NEW.author := coalesce(writer, NEW.author);
        RETURN NEW;
    END IF;
    NEW.created_at := OLD.created_at;
    IF NEW.data = OLD.data OR strom_content(NEW.data) = strom_content(OLD.data) THEN
        NEW.revision := OLD.revision;
        NEW.updated_at := OLD.updated_at;
        NEW.author := OLD.author;
    ELSE
        NEW.revision := OLD.revision + 1;
        NEW.author := coalesce(writer, 'sql');
        IF writer IS NULL AND NEW.updated_at = OLD.updated_at THEN
            NEW.updated_at := NOW();
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- An insert that had to wait for the deletion of the same flow computed its revision too early. To fail is safe: nothing
-- is written, and Strom tries again by itself.
CREATE FUNCTION strom_after_insert() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (SELECT FROM flow_tombstones WHERE id = NEW.id AND revision >= NEW.revision) THEN
        RAISE EXCEPTION 'the flow % was deleted at this moment; try again', NEW.id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION strom_after_delete() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO flow_tombstones (id, revision, deleted_at, author)
    VALUES (
        OLD.id,
        OLD.revision + 1,
        coalesce(nullif(current_setting('strom.at', TRUE), '')::TIMESTAMPTZ, NOW()),
        coalesce(nullif(current_setting('strom.author', TRUE), ''), 'sql')
    )
    ON CONFLICT (id) DO UPDATE
    SET revision = excluded.revision, deleted_at = excluded.deleted_at, author = excluded.author;
    RETURN NULL;
END
$$;

UPDATE flows
SET
    data = CASE jsonb_typeof(data -> 'name') WHEN 'string' THEN data ELSE data || jsonb_build_object('name', name) END
        || jsonb_build_object('id', id),
    name = CASE jsonb_typeof(data -> 'name') WHEN 'string' THEN data ->> 'name' ELSE name END,
    state = strom_state(data),
    auto_restart = coalesce(data #> '{properties,auto_restart}' = 'true', FALSE)
WHERE jsonb_typeof(data) = 'object'
  AND (
    data ->> 'id' IS DISTINCT FROM id::TEXT
    OR data -> 'name' IS DISTINCT FROM to_jsonb(name)
    OR state IS DISTINCT FROM strom_state(data)
    OR auto_restart IS DISTINCT FROM coalesce(data #> '{properties,auto_restart}' = 'true', FALSE)
  );

CREATE TRIGGER strom_before_write BEFORE INSERT OR UPDATE ON flows
FOR EACH ROW EXECUTE FUNCTION strom_before_write();
CREATE TRIGGER strom_after_insert AFTER INSERT ON flows
FOR EACH ROW EXECUTE FUNCTION strom_after_insert();
CREATE TRIGGER strom_after_delete AFTER DELETE ON flows
FOR EACH ROW EXECUTE FUNCTION strom_after_delete();
