-- An instance writes its saves and their records itself, in one statement. Triggers do this work for other writers.
--
-- With triggers, pgbench reached a third of the update rate of the given table. PostgreSQL planned their SQL functions again in every
-- transaction, and the generated columns printed each document. Now:
--
-- 1. The statements of the group commit (src/postgres/flows/direct.rs) set `strom.direct` until the end of their transaction. Five
--    triggers then do not run: `strom_before_write`, `strom_came_back`, `strom_record`, `strom_record_update` and
--    `strom_record_same`. Such a statement writes all columns and the row of `flow_changes`. It skips a flow whose newest record
--    differs from the row. The instance then writes that flow with the triggers.
--    The value of the setting is the number of this migration. A later migration that changes what the five triggers write uses
--    another value: instances of this version then run the triggers, which write the same rows again.
-- 2. Columns that are computed from the document are not generated any more. The triggers compute them for other writers. A row
--    that is written without triggers has their defaults, which `strom check --repair` corrects.
-- 3. `content_hash` is the SHA-256 of the content. It decides without the old document whether a change is a revision. Triggers
--    cannot compute it and clear it. The next change by an instance then compares the documents.
-- 4. The helper functions except `strom_fold` are PL/pgSQL, which keeps their plans.
-- 5. A session determines its place (0004) once. The place of a session on a primary never changes: the identity of the server, the
--    database, and the timeline, which begins at a promotion. Sessions on a standby determine the place each time.
--
-- Safe because: columns become ordinary ones without a rewrite, a column without a value is added, and functions and triggers are
-- replaced. All of that waits for running transactions, and then takes milliseconds. Older versions write with the triggers.

ALTER TABLE flows
    ALTER COLUMN size DROP EXPRESSION,
    ALTER COLUMN elements DROP EXPRESSION,
    ALTER COLUMN blocks DROP EXPRESSION,
    ALTER COLUMN links DROP EXPRESSION,
    ADD COLUMN content_hash BYTEA;
ALTER TABLE flows
    ALTER COLUMN size SET DEFAULT 0,
    ALTER COLUMN elements SET DEFAULT 0,
    ALTER COLUMN blocks SET DEFAULT 0,
    ALTER COLUMN links SET DEFAULT 0;

-- The same mapping as in 0002, which takes 40 microseconds for a name of 20 letters. ASCII needs no table.
CREATE OR REPLACE FUNCTION strom_fold(name TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN octet_length(name) = length(name) THEN lower(name COLLATE "C")
        ELSE translate(
            name,
            'ABCDEFGHIJKLMNOPQRSTUVWXYZÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚ'
            || 'ŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǄǅǇǈǊǋǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǱǲǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚ'
            || 'ȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫϏϘϚϜϞϠϢϤϦϨϪϬϮϴϷϹϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБ'
            || 'ВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲ'
            || 'ӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶḸḺḼḾ'
            || 'ṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲỴỶỸỺỼỾ',
            'abcdefghijklmnopqrstuvwxyzàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĳĵķĺļľŀłńņňŋōŏőœŕŗřś'
            || 'ŝşšţťŧũūŭůűųŵŷÿźżžɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǆǆǉǉǌǌǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǳǳǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșț'
            || 'ȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋϗϙϛϝϟϡϣϥϧϩϫϭϯθϸϲϻͻͼͽѐёђѓєѕіїјљњћќѝўџаб'
            || 'вгдежзийклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳ'
            || 'ӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿ'
            || 'ṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹỻỽỿ'
        )
    END;
END;

-- The functions as in 0002, 0003 and 0009, in PL/pgSQL.
CREATE OR REPLACE FUNCTION strom_state(document JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    reported TEXT := document ->> CASE WHEN document ? 'gst_state' THEN 'gst_state' ELSE 'state' END;
BEGIN
    RETURN CASE WHEN reported IN ('Null', 'Ready', 'Paused', 'Playing') THEN reported ELSE 'Null' END;
END
$$;

CREATE OR REPLACE FUNCTION strom_count(document JSONB, member TEXT) RETURNS INTEGER
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    list JSONB := document -> member;
BEGIN
    RETURN CASE jsonb_typeof(list) WHEN 'array' THEN jsonb_array_length(list) ELSE 0 END;
END
$$;

CREATE OR REPLACE FUNCTION strom_content(document JSONB) RETURNS JSONB
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    content JSONB := document - '{running,gst_state,state,block_health}'::TEXT[];
    properties JSONB := content -> 'properties';
BEGIN
    IF jsonb_typeof(properties) = 'object' THEN
        properties := properties - '{clock_sync_status,ptp_info,ntp_info,thread_priority_status,started_at}'::TEXT[];
        content := CASE properties
            WHEN '{}' THEN content - 'properties'
            ELSE content || jsonb_build_object('properties', properties)
        END;
    END IF;
    -- Most documents have no such block, and stay as they are.
    IF jsonb_typeof(content -> 'blocks') = 'array'
        AND jsonb_path_exists(content, '$.blocks[*] ? (exists(@.runtime_data) || exists(@.computed_external_pads))')
    THEN
        content := content || jsonb_build_object('blocks', (
            SELECT jsonb_agg(
                CASE jsonb_typeof(item.block)
                    WHEN 'object' THEN item.block - '{runtime_data,computed_external_pads}'::TEXT[]
                    ELSE item.block
                END
                ORDER BY item.place
            )
            FROM jsonb_array_elements(content -> 'blocks') WITH ORDINALITY AS item (block, place)
        ));
    END IF;
    RETURN content;
END
$$;

CREATE OR REPLACE FUNCTION strom_author(flow UUID) RETURNS TEXT
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    stamps JSONB := nullif(current_setting('strom.stamps', TRUE), '');
BEGIN
    RETURN coalesce(stamps #>> ARRAY[flow::TEXT, 'author'], nullif(current_setting('strom.author', TRUE), ''));
END
$$;

CREATE OR REPLACE FUNCTION strom_at(flow UUID) RETURNS TIMESTAMPTZ
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    stamps JSONB := nullif(current_setting('strom.stamps', TRUE), '');
BEGIN
    RETURN coalesce(stamps #>> ARRAY[flow::TEXT, 'at'], nullif(current_setting('strom.at', TRUE), ''));
END
$$;

CREATE OR REPLACE FUNCTION strom_log() RETURNS BIGINT
LANGUAGE plpgsql
AS $$
DECLARE
    -- Before the place: a standby may be promoted in the meantime.
    is_standby CONSTANT BOOLEAN := pg_is_in_recovery();
    session_place TEXT := nullif(current_setting('strom.session_place', TRUE), '');
BEGIN
    IF session_place IS NULL THEN
        session_place := strom_place();
        IF NOT is_standby THEN
            PERFORM set_config('strom.session_place', session_place, FALSE);
        END IF;
    END IF;
    RETURN (SELECT CASE WHEN place = session_place THEN log ELSE log + 1 END FROM flow_log);
END
$$;

-- As in 0013, and computes the columns that are not generated any more.
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
    NEW.size := octet_length(NEW.data::TEXT);
    NEW.elements := strom_count(NEW.data, 'elements');
    NEW.blocks := strom_count(NEW.data, 'blocks');
    NEW.links := strom_count(NEW.data, 'links');
    NEW.content_hash := NULL; -- Only an instance computes it.

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

-- Every trigger whose work the statements of an instance do.
DROP TRIGGER strom_before_write ON flows;
CREATE TRIGGER strom_before_write BEFORE INSERT OR UPDATE ON flows
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '14') EXECUTE FUNCTION strom_before_write();
DROP TRIGGER strom_came_back ON flows;
CREATE TRIGGER strom_came_back BEFORE INSERT ON flows
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '14') EXECUTE FUNCTION strom_came_back();
DROP TRIGGER strom_record ON flows;
CREATE CONSTRAINT TRIGGER strom_record AFTER INSERT OR DELETE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '14') EXECUTE FUNCTION strom_record();
DROP TRIGGER strom_record_update ON flows;
CREATE CONSTRAINT TRIGGER strom_record_update AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '14' AND OLD.data IS DISTINCT FROM NEW.data)
EXECUTE FUNCTION strom_record();
DROP TRIGGER strom_record_same ON flows;
CREATE CONSTRAINT TRIGGER strom_record_same AFTER UPDATE ON flows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (coalesce(current_setting('strom.direct', TRUE), '') <> '14' AND OLD.data IS NOT DISTINCT FROM NEW.data)
EXECUTE FUNCTION strom_record();

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
