-- Reports are state, not history: engines report all day.
--
-- 1. A flow has at most one report in `flow_changes`, as its newest record. The next change of the flow deletes it.
-- 2. A report stores no document, because its document is that of the flow. `document_hash` detects a flow that was changed without
--    triggers since. Another version of PostgreSQL may compute another hash; the next save then runs with the triggers.
-- 3. Retention does not search for reports any more, so their index is removed.
-- 4. The deletion of a report, or of a revision that thins out, does not move the start of the feed. Statements that delete such
--    records only set `strom.direct`, and the trigger for the start of the feed does not run.
--
-- The new value of `strom.direct` is the number of this migration (0014).
--
-- Safe because: all reports except the newest of each flow are deleted, and at most one record per flow is rewritten. Columns are added
-- without a rewrite. Functions, triggers and an index are replaced, which waits for running transactions.

ALTER TABLE flow_changes ALTER COLUMN document DROP NOT NULL, ADD COLUMN document_hash BIGINT;

DELETE FROM flow_changes AS report
WHERE operation = 'state' AND EXISTS (SELECT FROM flow_changes WHERE flow_id = report.flow_id AND number > report.number);

UPDATE flow_changes SET document = NULL, document_hash = jsonb_hash_extended(document, 0) WHERE operation = 'state';

-- NOT VALID: all records have documents.
ALTER TABLE flow_changes ADD CONSTRAINT flow_changes_document_check
CHECK (document IS NOT NULL OR operation = 'state' AND document_hash IS NOT NULL) NOT VALID;

DROP INDEX IF EXISTS flow_changes_reports;

-- As in 0013, except for reports.
CREATE OR REPLACE FUNCTION strom_record() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    flow RECORD;
    now_there RECORD;
    last RECORD;
    made TEXT;
    -- An update of the id deletes a flow, and creates another one.
    is_deletion BOOLEAN := TG_OP = 'DELETE' OR TG_NAME = 'strom_record_moved';
    -- Log, horizon, first number of the block, and the number of used numbers: the same for the whole transaction.
    place BIGINT[] := string_to_array(nullif(current_setting('strom.place', TRUE), ''), ',')::BIGINT[];
BEGIN
    IF is_deletion THEN
        flow := OLD;
    ELSE
        flow := NEW;
    END IF;
    -- Only the outcome of a transaction is recorded, not the states in between.
    SELECT revision, data, generation INTO now_there FROM flows WHERE id = flow.id;
    IF flow.generation
        <> coalesce(now_there.generation, (SELECT generation FROM flow_tombstones WHERE id = flow.id), flow.generation)
        OR is_deletion AND now_there.revision <= strom_next_revision(flow.id, flow.revision)
        OR NOT is_deletion AND now_there.revision < flow.revision
        OR NOT is_deletion AND now_there.revision = flow.revision AND now_there.data <> flow.data
    THEN
        RETURN NULL;
    END IF;

    SELECT change.log, change.horizon, change.number, change.operation, change.revision, change.document, change.document_hash
    INTO last
    FROM flow_changes AS change
    WHERE change.flow_id = flow.id
    ORDER BY change.number DESC
    LIMIT 1;
    IF NOT is_deletion AND last.operation <> 'delete' AND last.revision = flow.revision
        AND (last.document = flow.data OR last.document_hash = jsonb_hash_extended(flow.data, 0))
    THEN
        RETURN NULL;
    END IF;
    made := CASE
        WHEN is_deletion THEN 'delete'
        WHEN coalesce(last.operation, 'delete') = 'delete' THEN 'create'
        WHEN flow.revision = last.revision THEN 'state'
        ELSE 'update'
    END;
    IF made IN ('create', 'update') AND position(flow.id::TEXT IN current_setting('strom.restored', TRUE)) > 0 THEN
        made := 'restore';
    END IF;

    -- `SET CONSTRAINTS … IMMEDIATE` takes the place too early. It is replaced if a change of another writer follows it.
    IF place IS NULL
        OR place[4] = 1000000
        OR (last.log, last.horizon, last.number) >= (place[1], place[2], place[3] + place[4])
    THEN
        place := ARRAY[
            strom_log(),
            -- The xmax of a snapshot follows the last id that has ended, and may be below the id of this transaction.
            greatest(
                pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT,
                pg_current_xact_id()::TEXT::BIGINT + 1
            ),
            nextval('flow_change_blocks'),
            0
        ];
    END IF;
    PERFORM set_config('strom.place', array_to_string(place[1:3] || place[4] + 1, ','), TRUE);

    IF last.operation = 'state' THEN
        DELETE FROM flow_changes AS change
        WHERE (change.log, change.horizon, change.number) = (last.log, last.horizon, last.number);
    END IF;
    INSERT INTO flow_changes (
        log, horizon, number, flow_id, operation, revision, at, author,
        created_at, name, state, auto_restart, size, elements, blocks, links, document, document_hash
    )
    VALUES (
        place[1], place[2], place[3] + place[4], flow.id, made,
        CASE made WHEN 'delete' THEN strom_next_revision(flow.id, flow.revision) ELSE flow.revision END,
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
        flow.size, flow.elements, flow.blocks, flow.links,
        CASE WHEN made <> 'state' THEN flow.data END,
        CASE made WHEN 'state' THEN jsonb_hash_extended(flow.data, 0) END
    );
    RETURN NULL;
END
$$;

-- Every trigger whose work the statements of an instance do.
DROP TRIGGER strom_before_write ON flows;
CREATE TRIGGER strom_before_write BEFORE INSERT OR UPDATE ON flows
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '15') EXECUTE FUNCTION strom_before_write();
DROP TRIGGER strom_came_back ON flows;
CREATE TRIGGER strom_came_back BEFORE INSERT ON flows
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '15') EXECUTE FUNCTION strom_came_back();
DROP TRIGGER strom_record ON flows;
CREATE CONSTRAINT TRIGGER strom_record AFTER INSERT OR DELETE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '15') EXECUTE FUNCTION strom_record();
DROP TRIGGER strom_record_update ON flows;
CREATE CONSTRAINT TRIGGER strom_record_update AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '15' AND OLD.data IS DISTINCT FROM NEW.data)
EXECUTE FUNCTION strom_record();
DROP TRIGGER strom_record_same ON flows;
CREATE CONSTRAINT TRIGGER strom_record_same AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '15' AND OLD.data IS NOT DISTINCT FROM NEW.data)
EXECUTE FUNCTION strom_record();

DROP TRIGGER strom_changes_gone ON flow_changes;
CREATE TRIGGER strom_changes_gone AFTER DELETE ON flow_changes REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '15') EXECUTE FUNCTION strom_changes_gone();

DO $do$
DECLARE
    store CONSTANT NAME := (SELECT relnamespace::REGNAMESPACE::NAME FROM pg_class WHERE oid = 'flows'::REGCLASS);
    function REGPROCEDURE;
BEGIN
    FOR function IN
        SELECT proc.oid
        FROM pg_proc AS proc
        JOIN pg_language AS language ON language.oid = prolang
        WHERE pronamespace::REGNAMESPACE = store::REGNAMESPACE AND proname LIKE 'strom\_%' AND lanname = 'plpgsql'
            AND proconfig IS NULL
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', function, store);
    END LOOP;
END
$do$;
