-- Several callers in one statement, each with his own name and time.
--
-- Saves that wait for a connection go to the server together (src/postgres/together.rs). A statement that carries several
-- says in `strom.stamps` who has made which change, and when: `{"<id>": {"at": …, "author": …}}`. It does so for saves alone;
-- whoever deletes has a statement to himself.
--
-- Safe because: functions are replaced, which waits for nobody. Where `strom.stamps` is not set, as by an older Strom, psql
-- and pg_restore, they do what they did.

CREATE FUNCTION strom_author(flow UUID) RETURNS TEXT
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(
        nullif(current_setting('strom.stamps', TRUE), '')::JSONB #>> ARRAY[flow::TEXT, 'author'],
        nullif(current_setting('strom.author', TRUE), '')
    )
$$;

CREATE FUNCTION strom_at(flow UUID) RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(
        nullif(current_setting('strom.stamps', TRUE), '')::JSONB #>> ARRAY[flow::TEXT, 'at'],
        nullif(current_setting('strom.at', TRUE), '')
    )::TIMESTAMPTZ
$$;

-- As in 0003, and asks these.
CREATE OR REPLACE FUNCTION strom_before_write() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    -- Strom names the author and brings the time; whoever else writes does neither.
    writer TEXT := strom_author(NEW.id);
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

-- As in 0008, and asks these.
CREATE OR REPLACE FUNCTION strom_record() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    flow RECORD;
    now_there RECORD;
    last RECORD;
    made TEXT;
    -- Log, horizon, first number of the block, numbers used: the same for all of a transaction.
    place BIGINT[] := string_to_array(nullif(current_setting('strom.place', TRUE), ''), ',')::BIGINT[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        flow := OLD;
    ELSE
        flow := NEW;
    END IF;
    -- What was before the last return never was; nor was what has come back, or was replaced after that.
    SELECT revision, data, generation INTO now_there FROM flows WHERE id = flow.id;
    IF flow.generation
        <> coalesce(now_there.generation, (SELECT generation FROM flow_tombstones WHERE id = flow.id), flow.generation)
        OR TG_OP = 'DELETE' AND now_there.revision <= flow.revision + 1
        OR TG_OP <> 'DELETE' AND now_there.revision < flow.revision
        OR TG_OP <> 'DELETE' AND now_there.revision = flow.revision AND now_there.data <> flow.data
    THEN
        RETURN NULL;
    END IF;

    SELECT change.log, change.horizon, change.number, change.operation, change.revision, change.document
    INTO last
    FROM flow_changes AS change
    WHERE change.flow_id = flow.id
    ORDER BY change.number DESC
    LIMIT 1;
    IF TG_OP <> 'DELETE'
        AND last.operation <> 'delete' AND last.revision = flow.revision AND last.document = flow.data
    THEN
        RETURN NULL;
    END IF;
    made := CASE
        WHEN TG_OP = 'DELETE' THEN 'delete'
        WHEN coalesce(last.operation, 'delete') = 'delete' THEN 'create'
        WHEN flow.revision = last.revision THEN 'state'
        ELSE 'update'
    END;
    IF made IN ('create', 'update') AND position(flow.id::TEXT IN current_setting('strom.restored', TRUE)) > 0 THEN
        made := 'restore';
    END IF;

    -- `SET CONSTRAINTS … IMMEDIATE` takes a place too early; it is given up where another one's change came in between.
    IF place IS NULL
        OR place[4] = 1000000
        OR (last.log, last.horizon, last.number) >= (place[1], place[2], place[3] + place[4])
    THEN
        place := ARRAY[
            strom_log(),
            -- A snapshot's xmax follows the last id that has ended, and may be below our own.
            greatest(
                pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT,
                pg_current_xact_id()::TEXT::BIGINT + 1
            ),
            nextval('flow_change_blocks'),
            0
        ];
    END IF;
    PERFORM set_config('strom.place', array_to_string(place[1:3] || place[4] + 1, ','), TRUE);

    INSERT INTO flow_changes (
        log, horizon, number, flow_id, operation, revision, at, author,
        created_at, name, state, auto_restart, size, elements, blocks, links, document
    )
    VALUES (
        place[1], place[2], place[3] + place[4], flow.id, made,
        CASE made WHEN 'delete' THEN flow.revision + 1 ELSE flow.revision END,
        CASE
            WHEN made IN ('delete', 'state')
                THEN coalesce(strom_at(flow.id), NOW())
            ELSE flow.updated_at
        END,
        CASE
            WHEN made IN ('delete', 'state') THEN coalesce(strom_author(flow.id), 'sql')
            ELSE flow.author
        END,
        flow.created_at, flow.name, flow.state, flow.auto_restart,
        flow.size, flow.elements, flow.blocks, flow.links, flow.data
    );
    RETURN NULL;
END
$$;
