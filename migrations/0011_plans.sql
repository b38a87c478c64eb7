-- Statements that are planned anew for the values of each call, while all others keep their plan.
--
-- A statement of ours may name more than one call wants: `$2 IS NULL OR state = $2`. A plan for the values at hand folds
-- that away and uses the index that is left. PostgreSQL makes such plans for the first five calls, and from then on
-- compares what they cost on the average with one plan for all values, which can use no index; after five expensive calls
-- it would stay with that. `plan_cache_mode = force_custom_plan` for the session would forbid it, but then every statement
-- is planned each time, and to look a flow up takes half as long again (34,000 against 23,000 a second by pgbench with 5
-- clients on 2 cores). Source: https://www.postgresql.org/docs/current/sql-prepare.html#SQL-PREPARE-NOTES
--
-- So the statements that need it say `($n OR strom_plan_anew())`, and $n is true. Where the value is known, the function is
-- gone from the plan; in a plan for all values it is there, and so expensive that no such plan is taken.
--
-- Safe because: nothing that is there is touched.

CREATE FUNCTION strom_plan_anew() RETURNS BOOLEAN LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1e12
AS $$ BEGIN RETURN TRUE; END $$;
