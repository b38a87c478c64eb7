-- Every change of a flow, with its document: the history of each flow, and the feed of all of them.
--
-- Triggers record the changes of every writer, when their transaction commits. An update that leaves the document equal
-- as JSON leaves no record; one that changes what an engine reports and nothing else leaves one of the operation `state`.
--
-- The order of the feed is (log, horizon, number). A transaction takes its place in it when it begins to commit, with
-- all its row locks in hand, and keeps it for all its changes:
--
--   horizon  an id above its own, and above those of all transactions that it has seen the end of. Ids are the server's, of
--            64 bits.
--   number   out of a block of a million from a sequence, so that the changes of one transaction follow each other.
--
-- Nobody is overtaken: a reader takes the records with horizon <= pg_snapshot_xmin(pg_current_snapshot()). Whoever has not
-- committed by then has an id of at least that xmin, hence a horizon above it, and will stand behind all that was read.
-- A number alone, or NOW(), would not do: who draws first may commit last.
--
-- Revisions ascend: who changes a flow after another has waited for the other's commit. He has seen it, so his horizon
-- is no lower, and he draws later, so his number is higher. The transaction id alone would not do: it is given at the
-- first write, perhaps to some other flow, and the one with the lower id may be the second to change this one.
--
-- The price: a transaction anywhere on the server that has written and does not end holds back what follows it. It comes
-- later and in order; the history of a flow does not wait.
--
-- A dump goes into a server that counts transactions anew. A log therefore belongs to a place, a server and a database;
-- in another place another log begins, behind all that the dump has brought along.
--
-- An older Strom saves by `DELETE FROM flows` and an insert of everything. Since deletions are recorded when the
-- transaction commits, a flow that has come back by then was never gone: it keeps `created_at`; where its content is
-- equal also its revision, and nothing is recorded; else the record is an update.
--
-- Retention may delete from `flow_changes` what the feed has shown, except the last record of a flow. `flow_log` notes the
-- last one that went and was no report, and the feed begins behind it: whoever still stands before it is told so.
--
-- Safe because: the given statements work as before; what is there becomes the first record of its flow, so that its first
-- edit loses nothing. That copies every document once, under a lock that lets readers pass; writers wait.

CREATE TABLE flow_changes (
    log BIGINT NOT NULL,
    horizon BIGINT NOT NULL,
    number BIGINT NOT NULL,
    flow_id UUID NOT NULL,
    operation TEXT NOT NULL CHECK (operation IN ('create', 'update', 'delete', 'restore', 'state')),
    revision BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    author TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    name TEXT NOT NULL,
    state TEXT,
    auto_restart BOOLEAN,
    size INTEGER NOT NULL,
    elements INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    links INTEGER NOT NULL,
    document JSONB NOT NULL,
    PRIMARY KEY (log, horizon, number)
);
CREATE UNIQUE INDEX flow_changes_by_revision ON flow_changes (flow_id, revision) WHERE operation <> 'state';
CREATE INDEX flow_changes_by_flow ON flow_changes (flow_id, number);
CREATE INDEX flow_changes_deletions ON flow_changes (flow_id, revision) WHERE operation = 'delete';

CREATE SEQUENCE flow_change_blocks INCREMENT BY 1000000;

CREATE TABLE flow_log (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    log BIGINT NOT NULL,
    place TEXT NOT NULL,
    -- The last record that was deleted and was no report.
    gone_log BIGINT NOT NULL DEFAULT 0,
    gone_horizon BIGINT NOT NULL DEFAULT 0,
    gone_number BIGINT NOT NULL DEFAULT 0
);

-- Whose transaction ids count here. By the owner's rights, so that it is the same for every writer; where even the owner
-- may not ask for the server's identifier, the database alone.
CREATE FUNCTION strom_place() RETURNS TEXT
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
    database TEXT := (SELECT oid::TEXT FROM pg_database WHERE datname = current_database());
BEGIN
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        RETURN (SELECT system_identifier::TEXT FROM pg_control_system()) || '/' || database;
    END IF;
    RETURN '/' || database;
END
$$;

-- The log of this place. Who writes before Strom has noted a new place already writes into the next log, so no record
-- of an old one is ever made here.
CREATE FUNCTION strom_log() RETURNS BIGINT
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN place = strom_place() THEN log ELSE log + 1 END FROM flow_log
$$;

CREATE FUNCTION strom_record() RETURNS TRIGGER
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
    -- What came back, and what was replaced after that, never was.
    SELECT revision, data INTO now_there FROM flows WHERE id = flow.id;
    IF TG_OP = 'DELETE' AND now_there.revision <= flow.revision + 1
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

-- After `strom_before_write`, which has completed the row. A flow whose deletion is not recorded was never gone.
CREATE FUNCTION strom_came_back() RETURNS TRIGGER
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

-- As before, but of the deletions of others alone: one's own is not recorded yet.
CREATE OR REPLACE FUNCTION strom_after_insert() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM flow_changes WHERE flow_id = NEW.id AND operation = 'delete' AND revision >= NEW.revision
    ) THEN
        RAISE EXCEPTION 'the flow % was deleted at this moment; try again', NEW.id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION strom_changes_gone() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE flow_log
    SET gone_log = last.log, gone_horizon = last.horizon, gone_number = last.number
    FROM (
        SELECT log, horizon, number
        FROM gone
        WHERE operation <> 'state'
        ORDER BY log DESC, horizon DESC, number DESC
        LIMIT 1
    ) AS last
    WHERE (last.log, last.horizon, last.number) > (gone_log, gone_horizon, gone_number);
    RETURN NULL;
END
$$;

CREATE TRIGGER strom_changes_gone AFTER DELETE ON flow_changes REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION strom_changes_gone();
CREATE TRIGGER strom_came_back BEFORE INSERT ON flows
FOR EACH ROW EXECUTE FUNCTION strom_came_back();
CREATE CONSTRAINT TRIGGER strom_record AFTER INSERT OR DELETE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION strom_record();
CREATE CONSTRAINT TRIGGER strom_record_update AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.data IS DISTINCT FROM NEW.data) EXECUTE FUNCTION strom_record();

-- The number of a log tells stores apart, so it does not begin at 1.
INSERT INTO flow_log (log, place) VALUES (extract(epoch FROM NOW())::BIGINT, strom_place());

-- Below every horizon to come.
INSERT INTO flow_changes (
    log, horizon, number, flow_id, operation, revision, at, author,
    created_at, name, state, auto_restart, size, elements, blocks, links, document
)
SELECT
    strom_log(), 0, row_number() OVER (ORDER BY updated_at, id), id,
    CASE revision WHEN 1 THEN 'create' ELSE 'update' END, revision, updated_at, author,
    created_at, name, state, auto_restart, size, elements, blocks, links, data
FROM flows;
SELECT setval('flow_change_blocks', 1 + COUNT(*)) FROM flow_changes;
