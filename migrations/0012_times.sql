-- Times that no change can have, such as `infinity` or the year 294276, can be corrected.
--
-- A person or a tool can insert such a time, and the store then shows the nearest time that RFC 3339 can write. But
-- `created_at` never changes, and `updated_at` changes with the content only, so the row could not be corrected without
-- deleting it. Now an update of the row may set another time, and every update replaces a time that is still beyond the
-- limits. `strom check --repair` stores the document again, which is such an update. An insert stores what the writer sent,
-- because a silent correction would hide the mistake. A revision below 1 becomes 1 in the same way, also on insert.
--
-- Safe because: a function is replaced, which waits for no writer. Rows with valid times are treated as before.

-- As in 0009, except for the times and the lower bound of revisions.
CREATE OR REPLACE FUNCTION strom_before_write() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    -- An instance passes author and time. Other writers pass neither.
    writer TEXT := strom_author(NEW.id);
    -- Must equal `TIME_LIMITS` in src/repository/time_limits.rs.
    earliest CONSTANT TIMESTAMPTZ := '0001-01-01 00:00:00+00';
    latest CONSTANT TIMESTAMPTZ := '9999-12-31 23:59:59.999999+00';
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
        NEW.revision := greatest(NEW.revision, 1, 1 + (SELECT revision FROM flow_tombstones WHERE id = NEW.id));
        NEW.author := coalesce(writer, NEW.author);
        RETURN NEW;
    END IF;
    IF NEW.data = OLD.data OR strom_content(NEW.data) = strom_content(OLD.data) THEN
        NEW.revision := greatest(OLD.revision, 1);
        -- A time that no change can have does not stay: the writer or the next update of the row corrects it.
        IF OLD.updated_at > earliest AND OLD.updated_at < latest THEN
            NEW.updated_at := OLD.updated_at;
        ELSIF NEW.updated_at <= earliest OR NEW.updated_at >= latest THEN
            NEW.updated_at := NOW();
        END IF;
        NEW.author := OLD.author;
    ELSE
        NEW.revision := greatest(OLD.revision, 0) + 1;
        NEW.author := coalesce(writer, 'sql');
        IF writer IS NULL AND NEW.updated_at = OLD.updated_at THEN
            NEW.updated_at := NOW();
        END IF;
    END IF;
    IF OLD.created_at > earliest AND OLD.created_at < latest THEN
        NEW.created_at := OLD.created_at;
    ELSIF NEW.created_at <= earliest OR NEW.created_at >= latest THEN
        NEW.created_at := least(NEW.updated_at, NOW());
    END IF;
    RETURN NEW;
END
$$;
