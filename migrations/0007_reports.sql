-- no-transaction
--
-- Reports by their flow: how retention finds those that may go without reading the whole history.
--
-- A report may go as soon as its flow has changed again, so of each flow at most the last one stays, and this index stays
-- about as small as the table of flows. Saves that are no reports never touch it. Retention needs no index over the time:
-- it goes from flow to flow and looks at the oldest revision of each (src/postgres/retention.rs).
--
-- Safe because: built while others read and write. What a build leaves that was broken off is dropped by the next start,
-- which begins again (src/postgres/indexes.rs).

CREATE INDEX CONCURRENTLY IF NOT EXISTS flow_changes_reports ON flow_changes (flow_id, number) WHERE operation = 'state';
