-- The guarantees hold for every writer: at every isolation level, with every search_path and role, and for rows that were
-- written without triggers.
--
-- 1. Names. PostgreSQL searches `pg_temp` first unless a search_path lists it. With a temporary view `pg_database`, any role
--    could make `strom_place`, which runs with the rights of its owner, call a function of that role. A temporary table
--    `flows`, or a schema named like the role (`"$user"`), diverted the triggers. Now each PL/pgSQL function searches the
--    schema of the store and `pg_temp`, in this order, and the bodies of SQL functions refer to objects instead of names.
--    <https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY>
-- 2. Isolation. A transaction at REPEATABLE READ that inserts a flow, whose deletion is not in its snapshot, sees two rows
--    with one id. The triggers recorded the wrong one as deleted. Now the insert fails with 40001, and the writer retries.
-- 3. Rows that contradict their history, for example after a data-only restore. The next change took a recorded revision again
--    and failed, every time. Now revisions follow the history.
-- 4. `TRUNCATE flows` and `UPDATE flows SET id = …` delete flows, and are recorded as deletions.
-- 5. Revisions that a JSON number cannot represent, and times that no change can have, are not stored. Existing ones are
--    replaced by the next change. Before, an insert could store such a time.
-- 6. Disabled triggers. While one of them is disabled, another one rejects every change, because the history would lack it. While
--    all are disabled, a constraint rejects the changes of instances: they write the revision 0, which a trigger replaces.
-- 7. A database that went back in time: a standby that lagged was promoted, or the server was recovered to a point in time.
--    Both begin a timeline. Its number is now part of the place (0004), so a log begins with each timeline, and cursors of
--    changes that were lost are unknown. The first change of a flow in a log skips 1000 revisions, so that no ETag of a lost
--    change fits a later one. <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>
--
-- Safe because: functions are replaced, and triggers and a constraint are added, which waits for running transactions for a
-- moment only. The constraint is not checked for existing rows. Valid rows and their history are not changed. Damaged rows
-- stay as they are until the next change or `strom check --repair`. The current log continues.

SELECT set_config('strom.old_place', strom_place(), TRUE);

-- As in 0004, with qualified names and the timeline. A standby does not know its timeline, and only follows its primary.
CREATE OR REPLACE FUNCTION strom_place() RETURNS TEXT
LANGUAGE plpgsql STABLE SECURITY DEFINER
AS $$
DECLARE
    server TEXT := '';
    database TEXT := (
        SELECT oid::TEXT FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
    );
    timeline TEXT := '';
BEGIN
    IF pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
        server := (SELECT system_identifier::TEXT FROM pg_catalog.pg_control_system());
    END IF;
    IF pg_catalog.pg_is_in_recovery() THEN
        RETURN (
            SELECT CASE WHEN pg_catalog.starts_with(place, server || '/' || database || '/') THEN place ELSE '' END
            FROM flow_log
        );
    END IF;
    IF pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_lsn()', 'EXECUTE')
        AND pg_catalog.has_function_privilege('pg_catalog.pg_walfile_name(pg_catalog.pg_lsn)', 'EXECUTE')
    THEN
        timeline := pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8);
    END IF;
    RETURN server || '/' || database || '/' || timeline;
END
$$;
UPDATE flow_log SET place = strom_place() WHERE place = current_setting('strom.old_place');

-- Returns the revision after both the current and the recorded one.
CREATE FUNCTION strom_next_revision(flow UUID, current BIGINT) RETURNS BIGINT
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    revision_limit CONSTANT BIGINT := 9007199254740992;
    last RECORD;
BEGIN
    SELECT change.revision, change.log
    INTO last
    FROM flow_changes AS change
    WHERE change.flow_id = flow AND change.operation <> 'state' AND change.revision < revision_limit
    ORDER BY change.revision DESC
    LIMIT 1;
    RETURN 1 + greatest(CASE WHEN current < revision_limit THEN current END, last.revision, 0)
        + CASE WHEN last.revision >= coalesce(current, 0) AND last.log < strom_log() THEN 1000 ELSE 0 END;
END
$$;

-- As in 0012, except for the revision.
CREATE OR REPLACE FUNCTION strom_before_write() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    -- An instance passes author and time. Other writers pass neither.
    writer TEXT := strom_author(NEW.id);
    -- Must equal `TIME_LIMITS` in src/repository/time_limits.rs.
    earliest CONSTANT TIMESTAMPTZ := '0001-01-01 00:00:00+00';
    latest CONSTANT TIMESTAMPTZ := '9999-12-31 23:59:59.999999+00';
    -- Above this, a JSON number is not exact (RFC 8259, section 6).
    revision_limit CONSTANT BIGINT := 9007199254740992;
    last RECORD;
    is_behind BOOLEAN := FALSE;
BEGIN
    IF jsonb_typeof(NEW.data) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a flow is a JSON object' USING ERRCODE = 'check_violation';
    END IF;

    -- A column that changed, while its value in the document did not, was changed by SQL: the value moves into the document.
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

    -- The document is complete, and the columns repeat its values.
    IF NEW.data ->> 'id' IS DISTINCT FROM NEW.id::TEXT THEN
        NEW.data := jsonb_set(NEW.data, '{id}', to_jsonb(NEW.id::TEXT));
    END IF;
    IF jsonb_typeof(NEW.data -> 'name') IS DISTINCT FROM 'string' THEN
        NEW.data := jsonb_set(NEW.data, '{name}', coalesce(to_jsonb(NEW.name), 'null'));
    END IF;
    NEW.name := NEW.data ->> 'name';
    NEW.state := strom_state(NEW.data);
    NEW.auto_restart := coalesce(NEW.data #> '{properties,auto_restart}' = 'true', FALSE);

    -- A time that no change can have, such as `infinity`, becomes the current time.
    IF NEW.updated_at <= earliest OR NEW.updated_at >= latest THEN
        NEW.updated_at := NOW();
    END IF;

    SELECT change.revision, change.operation, change.log, change.document
    INTO last
    FROM flow_changes AS change
    WHERE change.flow_id = NEW.id AND change.operation <> 'state' AND change.revision < revision_limit
    ORDER BY change.revision DESC
    LIMIT 1;
    IF TG_OP = 'INSERT' THEN
        -- A restored dump contains revision and author.
        NEW.revision := greatest(
            CASE WHEN NEW.revision < revision_limit THEN NEW.revision END,
            1,
            1 + (SELECT revision FROM flow_tombstones WHERE id = NEW.id AND revision < revision_limit),
            CASE last.operation WHEN 'delete' THEN strom_next_revision(NEW.id, last.revision) END
        );
        NEW.author := coalesce(writer, NEW.author);
        IF NEW.created_at <= earliest OR NEW.created_at >= latest THEN
            NEW.created_at := least(NEW.updated_at, NOW());
        END IF;
        RETURN NEW;
    END IF;
    -- Rows that were written without triggers may be behind the history, or have a revision that no change can have.
    IF OLD.revision < 1 OR OLD.revision >= revision_limit OR last.revision > OLD.revision
        OR last.revision = OLD.revision AND last.operation = 'delete'
        -- Only a write that changes nothing, such as that of `strom check --repair`, compares the documents.
        OR last.revision = OLD.revision AND NEW.data = OLD.data
            AND strom_content(last.document) <> strom_content(OLD.data)
    THEN
        OLD.revision := greatest(last.revision, 0);
        is_behind := TRUE;
    END IF;
    IF NEW.data = OLD.data OR strom_content(NEW.data) = strom_content(OLD.data) THEN
        NEW.revision := OLD.revision + is_behind::INTEGER;
        IF OLD.updated_at > earliest AND OLD.updated_at < latest THEN
            NEW.updated_at := OLD.updated_at;
        END IF;
        NEW.author := OLD.author;
    ELSE
        NEW.revision := OLD.revision + 1
            + CASE WHEN last.revision >= OLD.revision AND last.log < strom_log() THEN 1000 ELSE 0 END;
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

-- As in 0008, except for the revision.
CREATE OR REPLACE FUNCTION strom_came_back() RETURNS TRIGGER
LANGUAGE plpgsql
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
    NEW.generation := nextval('flow_change_blocks'); -- A generation only has to be unique.
    IF strom_content(NEW.data) = strom_content(last.document) THEN
        NEW.revision := last.revision;
        NEW.updated_at := last.at;
        NEW.author := last.author;
    ELSE
        -- This replaces all earlier changes of the transaction.
        NEW.revision := strom_next_revision(NEW.id, last.revision);
    END IF;
    RETURN NEW;
END
$$;

-- As in 0004, except for rows that are older than the snapshot.
CREATE OR REPLACE FUNCTION strom_after_insert() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM flow_changes
        WHERE flow_id = NEW.id AND operation = 'delete' AND revision >= NEW.revision AND revision < 9007199254740992
    )
        OR (SELECT COUNT(*) FROM flows WHERE id = NEW.id) > 1
    THEN
        RAISE EXCEPTION 'the flow % was deleted concurrently; try again', NEW.id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;

-- As in 0008, except for the revision.
CREATE OR REPLACE FUNCTION strom_after_delete() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO flow_tombstones (id, revision, deleted_at, author, generation)
    VALUES (
        OLD.id,
        strom_next_revision(OLD.id, OLD.revision),
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

-- As in 0009, except for changed ids and the revision of deletions.
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

    SELECT change.log, change.horizon, change.number, change.operation, change.revision, change.document
    INTO last
    FROM flow_changes AS change
    WHERE change.flow_id = flow.id
    ORDER BY change.number DESC
    LIMIT 1;
    IF NOT is_deletion
        AND last.operation <> 'delete' AND last.revision = flow.revision AND last.document = flow.data
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

    INSERT INTO flow_changes (
        log, horizon, number, flow_id, operation, revision, at, author,
        created_at, name, state, auto_restart, size, elements, blocks, links, document
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
        flow.size, flow.elements, flow.blocks, flow.links, flow.data
    );
    RETURN NULL;
END
$$;

-- A flow with a new id. The trigger functions run for the old id.
CREATE TRIGGER strom_after_move AFTER UPDATE OF id ON flows
FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id) EXECUTE FUNCTION strom_after_delete();
CREATE CONSTRAINT TRIGGER strom_record_moved AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id) EXECUTE FUNCTION strom_record();

-- Deletes the rows, so that the other triggers run. A row does not exist any more at the end of the transaction, so it is
-- recorded now.
CREATE FUNCTION strom_before_truncate() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM flows;
    SET CONSTRAINTS strom_record IMMEDIATE;
    SET CONSTRAINTS strom_record DEFERRED;
    RETURN NULL;
END
$$;
CREATE TRIGGER strom_before_truncate BEFORE TRUNCATE ON flows
FOR EACH STATEMENT EXECUTE FUNCTION strom_before_truncate();

-- Rejects changes while another trigger is missing or disabled: the history would lack them.
CREATE FUNCTION strom_verify() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF 11 > (
        SELECT COUNT(*) FROM pg_trigger
        WHERE tgrelid = TG_RELID AND tgname LIKE 'strom\_%' AND tgenabled IN ('O', 'A')
    ) THEN
        RAISE EXCEPTION 'triggers of the table flows are missing or disabled'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'strom_verify',
                HINT = 'Run `strom check --repair` as the owner of the table.';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER strom_verify BEFORE INSERT OR UPDATE OR DELETE ON flows
FOR EACH STATEMENT EXECUTE FUNCTION strom_verify();

-- Instances write 0, which the trigger replaces.
ALTER TABLE flows ADD CONSTRAINT strom_before_write_is_enabled CHECK (revision > 0) NOT VALID;

DO $do$
DECLARE
    store CONSTANT NAME := (SELECT relnamespace::REGNAMESPACE::NAME FROM pg_class WHERE oid = 'flows'::REGCLASS);
    path CONSTANT TEXT := current_setting('search_path');
    function RECORD;
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', store), TRUE);
    FOR function IN
        SELECT proc.*, proc.oid::REGPROCEDURE AS signature, lanname = 'sql' AS is_sql
        FROM pg_proc AS proc
        JOIN pg_language AS language ON language.oid = prolang
        WHERE pronamespace::REGNAMESPACE = store::REGNAMESPACE AND proname LIKE 'strom\_%' AND prokind = 'f'
    LOOP
        IF function.is_sql AND function.prosqlbody IS NULL THEN
            -- PostgreSQL parses such a body now instead of in each call.
            EXECUTE format(
                'CREATE OR REPLACE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE sql %s %s PARALLEL %s BEGIN ATOMIC %s; END',
                store, function.proname, pg_get_function_arguments(function.oid), pg_get_function_result(function.oid),
                CASE function.provolatile WHEN 'i' THEN 'IMMUTABLE' ELSE 'STABLE' END,
                CASE WHEN function.proisstrict THEN 'STRICT' ELSE 'CALLED ON NULL INPUT' END,
                CASE function.proparallel WHEN 's' THEN 'SAFE' ELSE 'UNSAFE' END,
                function.prosrc
            );
        ELSIF NOT function.is_sql THEN
            EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', function.signature, store);
        END IF;
        -- A trigger runs its function without this privilege.
        IF function.prorettype = 'pg_catalog.trigger'::REGTYPE THEN
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function.signature);
        END IF;
    END LOOP;
    PERFORM set_config('search_path', path, TRUE);
END
$do$;
