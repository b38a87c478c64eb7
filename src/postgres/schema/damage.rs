//! Verifies that the objects of the schema exist and work. The table of migrations only proves that they were created once.
//! People and tools can drop, disable or replace them afterwards.

use std::fmt;
use std::sync::LazyLock;

use sqlx::PgConnection;

use super::dump::{Dump, Trigger};
use super::migration::MIGRATIONS;

/// The schema after all migrations, as `pg_dump` prints it.
static SCHEMA: LazyLock<Dump> = LazyLock::new(|| Dump::parse(include_str!("../../../migrations/schema.sql")));

/// Why the schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A table, sequence, column or function is missing.
    Missing(String),
    MissingTrigger(&'static Trigger),
    DisabledTrigger(&'static Trigger),
    /// `flows` has no primary key, or another one.
    NoKey,
    /// The constraint that rejects changes while a trigger is disabled is missing.
    NoConstraint,
    /// Policies hide rows of this table.
    HiddenRows(String),
    /// The user's sessions run without triggers.
    ReplicationRole,
    /// `flow_log` has no row.
    NoLog,
}

impl Damage {
    /// Whether the damage also makes reading impossible.
    pub(crate) fn concerns_reads(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::HiddenRows(_) | Self::NoLog)
    }

    /// Whether changes were possible that the history does not contain.
    pub(crate) fn hides_changes(&self) -> bool {
        !matches!(self, Self::HiddenRows(_))
    }

    /// Returns the statement that repairs it, if one can.
    pub(super) fn repair(&self) -> Option<String> {
        match self {
            Self::MissingTrigger(trigger) => Some(trigger.definition.clone()),
            Self::DisabledTrigger(Trigger { name, table, .. }) => {
                Some(format!("ALTER TABLE {table} ENABLE TRIGGER {name}"))
            }
            Self::NoKey => Some("ALTER TABLE flows ADD PRIMARY KEY (id)".to_owned()),
            Self::NoConstraint => Some(
                "ALTER TABLE flows ADD CONSTRAINT strom_before_write_is_enabled CHECK (revision > 0) NOT VALID"
                    .to_owned(),
            ),
            // The repair then begins a log, which has another number.
            Self::NoLog => Some("INSERT INTO flow_log (log, place) VALUES (0, strom_place())".to_owned()),
            Self::Missing(_) | Self::HiddenRows(_) | Self::ReplicationRole => None,
        }
    }

    /// Returns what an operator can do about it.
    pub(super) fn remedy(&self, user: &str) -> String {
        match self {
            Self::Missing(_) => {
                "Restore the database from a backup. If it contains no flows, drop the table _sqlx_migrations; the next start then \
                 creates the schema."
                    .to_owned()
            }
            Self::HiddenRows(table) => format!(
                "Run `ALTER ROLE \"{user}\" BYPASSRLS` as a superuser, or `ALTER TABLE {table} DISABLE ROW LEVEL SECURITY` as \
                 the owner."
            ),
            Self::ReplicationRole => {
                format!("Run `ALTER ROLE \"{user}\" RESET session_replication_role` as a superuser.")
            }
            _ => "Run `strom check --repair` with the URL of the owner of the tables.".to_owned(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(formatter, "{name} is missing"),
            Self::MissingTrigger(Trigger { name, table, .. }) => {
                write!(formatter, "the trigger {name} of the table {table} is missing")
            }
            Self::DisabledTrigger(Trigger { name, table, .. }) => {
                write!(formatter, "the trigger {name} of the table {table} is disabled")
            }
            Self::NoKey => write!(formatter, "the table flows has no primary key on the column id"),
            Self::NoConstraint => {
                write!(formatter, "the table flows has no constraint strom_before_write_is_enabled")
            }
            Self::HiddenRows(table) => write!(formatter, "row-level security hides rows of the table {table}"),
            Self::ReplicationRole => {
                write!(formatter, "session_replication_role is not \"origin\", so triggers do not run")
            }
            Self::NoLog => write!(formatter, "the table flow_log is empty"),
        }
    }
}

/// Returns a description of the damage, which names at most three objects.
pub(crate) fn describe(damage: &[Damage]) -> String {
    let named = damage.len().min(3);
    let mut description = damage[..named].iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if named < damage.len() {
        description.push_str(&format!("; and {} more", damage.len() - named));
    }
    description
}

/// Returns the damage of a schema to which all migrations were applied. Only reads. Returns none if a newer version has
/// migrated the schema: it may have replaced any object.
pub(crate) async fn find_damage(connection: &mut PgConnection) -> sqlx::Result<Vec<Damage>> {
    let damage = compare(connection).await?;
    if damage.is_empty() || damage.iter().any(|damage| matches!(damage, Damage::HiddenRows(_))) {
        return Ok(damage);
    }
    Ok(if is_newer(connection).await? { Vec::new() } else { damage })
}

/// Whether a newer version has migrated the schema.
async fn is_newer(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let is_recorded =
        sqlx::query_scalar!(r#"SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS "recorded!" -- never NULL"#);
    if !is_recorded.fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max();
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM _sqlx_migrations WHERE version > $1) AS "newer!" -- never NULL"#,
        newest
    )
    .fetch_one(connection)
    .await
}

/// Whether a table `flows` that older versions of Strom may have created has no primary key. Migrations would fail later.
pub(super) async fn lacks_key(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('flows') AND attname = 'data' AND atttypid = 'jsonb'::REGTYPE
        ) AND NOT EXISTS (
            SELECT
            FROM pg_index
            JOIN pg_attribute ON attrelid = indrelid AND attname = 'id'
            WHERE indrelid = to_regclass('flows') AND indisprimary AND indisvalid AND indkey::TEXT = attnum::TEXT
        ) AS "lacks!" -- never NULL
        "#
    )
    .fetch_one(connection)
    .await
}

async fn compare(connection: &mut PgConnection) -> sqlx::Result<Vec<Damage>> {
    let Dump { relations, columns, functions, triggers } = &*SCHEMA;
    let tables_of_triggers: Vec<_> = triggers.iter().map(|trigger| trigger.table.clone()).collect();
    let names_of_triggers: Vec<_> = triggers.iter().map(|trigger| trigger.name.clone()).collect();
    // `!`: arrays and EXISTS are never NULL.
    let found = sqlx::query!(
        r#"
        SELECT
            ARRAY(
                SELECT 'the table or sequence ' || name
                FROM UNNEST($1::TEXT[]) AS relation (name)
                WHERE to_regclass(name) IS NULL
                UNION ALL
                SELECT format('the column %s of the table flows', name)
                FROM UNNEST($2::TEXT[]) AS wanted (name)
                WHERE to_regclass('flows') IS NOT NULL AND NOT EXISTS (
                    SELECT FROM pg_attribute
                    WHERE attrelid = to_regclass('flows') AND attname = name AND NOT attisdropped
                )
                UNION ALL
                SELECT format('the function %s', name)
                FROM UNNEST($3::TEXT[]) AS wanted (name)
                WHERE NOT EXISTS (SELECT FROM pg_proc WHERE proname = name AND pg_function_is_visible(oid))
            ) AS "missing!: Vec<String>",
            ARRAY(
                SELECT coalesce(tgenabled::TEXT, '')
                FROM UNNEST($4::TEXT[], $5::TEXT[]) WITH ORDINALITY AS wanted (on_table, name, position)
                LEFT JOIN pg_trigger ON tgrelid = to_regclass(on_table) AND tgname = name
                ORDER BY position
            ) AS "triggers!: Vec<String>",
            EXISTS (
                SELECT
                FROM pg_index
                JOIN pg_attribute ON attrelid = indrelid AND attname = 'id'
                WHERE indrelid = to_regclass('flows') AND indisprimary AND indisvalid AND indkey::TEXT = attnum::TEXT
            ) AS "has_key!",
            EXISTS (
                SELECT
                FROM pg_constraint
                WHERE conrelid = to_regclass('flows') AND conname = 'strom_before_write_is_enabled'
            ) AS "has_constraint!",
            ARRAY(
                SELECT name FROM UNNEST($1::TEXT[]) AS relation (name) WHERE row_security_active(to_regclass(name))
            ) AS "hidden!: Vec<String>",
            current_setting('session_replication_role') = 'replica' AS "runs_no_triggers!"
        "#,
        relations,
        columns,
        functions,
        &tables_of_triggers,
        &names_of_triggers,
    )
    .fetch_one(&mut *connection)
    .await?;
    let mut damage: Vec<_> = found.missing.into_iter().map(Damage::Missing).collect();
    if !damage.is_empty() {
        return Ok(damage);
    }
    damage.extend(found.hidden.into_iter().map(Damage::HiddenRows));
    damage.extend((!found.has_key).then_some(Damage::NoKey));
    damage.extend((!found.has_constraint).then_some(Damage::NoConstraint));
    damage.extend(found.runs_no_triggers.then_some(Damage::ReplicationRole));
    // `O` and `A`: the trigger runs in ordinary sessions.
    // <https://www.postgresql.org/docs/current/catalog-pg-trigger.html>
    damage.extend(triggers.iter().zip(found.triggers).filter_map(|(trigger, enabled)| match enabled.as_str() {
        "O" | "A" => None,
        "" => Some(Damage::MissingTrigger(trigger)),
        _ => Some(Damage::DisabledTrigger(trigger)),
    }));
    if damage.iter().any(|damage| matches!(damage, Damage::HiddenRows(_))) {
        return Ok(damage);
    }
    let has_log = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM flow_log) AS "exists!" -- never NULL"#);
    damage.extend((!has_log.fetch_one(connection).await?).then_some(Damage::NoLog));
    Ok(damage)
}
