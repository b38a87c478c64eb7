-- What a transaction did to a flow before it deleted it and made it anew is not recorded, however much that was.
--
-- The revisions of a flow that comes back go on from its last record (0004), so they may be the same as those that the
-- transaction gave out before the deletion. Which of the two a record was of was told by the revision, and wrongly as soon
-- as the flow was edited once more after its return: the deletion, or an edit before it, was recorded and stood in the
-- place of what really was; the commit of `DELETE; INSERT; UPDATE` was refused.
--
-- Now each return begins a generation, and a record is made of the last one alone.
--
-- Safe because: columns with a constant default are added without a rewrite, under a lock of a moment; functions are
-- replaced, which waits for nobody. The given inserts and updates do not name the new columns.

ALTER TABLE flows ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE flow_tombstones ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;

-- As in 0003, and notes the generation.
CREATE OR REPLACE FUNCTION strom_after_delete() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO flow_tombstones (id, revision, deleted_at, author, generation)
    VALUES (
        OLD.id,
        OLD.revision + 1,
        coalesce(nullif(current_setting('strom.at', TRUE), '')::TIMESTAMPTZ, NOW()),
        coalesce(nullif(current_setting('strom.author', TRUE), ''), 'sql'),
        OLD.generation
    )
    ON CONFLICT (id) DO UPDATE
    SET revision = excluded.revision, deleted_at = excluded.deleted_at, author = excluded.author,
        generation = excluded.generation;
    RETURN NULL;
END
$$;

-- As in 0004, and begins one.
CREATE OR REPLACE FUNCTION strom_came_back() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    last RECORD;
BEGIN
    SELECT change.operation, change.revision, change.at, change.author, change.created_at, change.document
    INTO last
    FROM flow_changes AS change
    WHERE change.flow_id = NEW.id AND change.operation <> 'state'
    ORDER BY change.revision DESC
    LIMIT 1;
    IF coalesce(last.operation, 'delete') = 'delete' THEN
        RETURN NEW;
    END IF;
    NEW.created_at := last.created_at;
    NEW.generation := nextval('flow_change_blocks'); -- Unique is all it has to be.
    IF strom_content(NEW.data) = strom_content(last.document) THEN
        NEW.revision := last.revision;
        NEW.updated_at := last.at;
        NEW.author := last.author;
    ELSE
        NEW.revision := last.revision + 1; -- Whatever else the transaction did to it before.
    END IF;
    RETURN NEW;
END
$$;

-- As in 0004, of the last one alone.
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
                THEN coalesce(nullif(current_setting('strom.at', TRUE), '')::TIMESTAMPTZ, NOW())
            ELSE flow.updated_at
        END,
        CASE
            WHEN made IN ('delete', 'state') THEN coalesce(nullif(current_setting('strom.author', TRUE), ''), 'sql')
            ELSE flow.author
        END,
        flow.created_at, flow.name, flow.state, flow.auto_restart,
        flow.size, flow.elements, flow.blocks, flow.links, flow.data
    );
    RETURN NULL;
END
$$;
