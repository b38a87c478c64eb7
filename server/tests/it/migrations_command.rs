//! `strom migrate`, `strom migrate status`, and several processes that start on one database.

use std::process::Stdio;

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use url::Url;

use crate::serve::{Running, outcome, strom};
use strom_test_support::given_table::{GIVEN_TABLE, LOCKS, fill_given_table};
use strom_test_support::postgres::{Database, count, run, wait_for_count};

const MIGRATIONS: [&str; 15] = [
    "0001 flows",
    "0002 lists",
    "0003 revisions",
    "0004 history",
    "0005 compression",
    "0006 notifications",
    "0007 reports",
    "0008 generations",
    "0009 stamps",
    "0010 same",
    "0011 plans",
    "0012 times",
    "0013 guards",
    "0014 direct",
    "0015 state",
];

/// Runs `strom migrate`. Returns exit code, stdout and stderr.
fn migrate(database: &Database, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = database.url();
    let arguments = [&["migrate", "--database-url", &url], arguments].concat();
    outcome(&strom(&arguments, &[("RUST_LOG", "off")]).output().unwrap())
}

/// Returns the URL of the database as Strom prints it.
fn shown(database: &Database) -> String {
    let url = Url::parse(&database.url()).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    format!("postgresql://{}@{host}:{port}/{}", url.username(), database.name())
}

fn lines(state: &str, migrations: &[&str]) -> String {
    migrations.iter().map(|migration| format!("{state}  {migration}\n")).collect()
}

#[tokio::test]
async fn migrate_and_status_print_every_migration() {
    let database = Database::empty().await;
    let done = |stdout: String| (Some(0), stdout, String::new());
    let pending = (Some(1), lines("pending", &MIGRATIONS), String::new());
    assert_eq!(migrate(&database, &["status"]), pending);
    assert_eq!(migrate(&database, &["status"]), pending, "`status` changes nothing");
    assert_eq!(migrate(&database, &[]), done(lines("applied", &MIGRATIONS)));
    assert_eq!(migrate(&database, &["status"]), done(lines("applied", &MIGRATIONS)));
    assert_eq!(migrate(&database, &[]), done(format!("{}: up to date, nothing to migrate\n", shown(&database))));
    database.repository().await.close().await.unwrap();
}

#[tokio::test]
async fn missing_migrations_are_applied() {
    let database = Database::empty().await;
    assert_eq!(migrate(&database, &[]).0, Some(0));
    let mut connection = database.connect().await;
    run(&mut connection, "DELETE FROM _sqlx_migrations WHERE version = 7").await;
    let status =
        lines("applied", &MIGRATIONS[..6]) + &lines("pending", &MIGRATIONS[6..7]) + &lines("applied", &MIGRATIONS[7..]);
    assert_eq!(migrate(&database, &["status"]), (Some(1), status, String::new()));
    assert_eq!(migrate(&database, &[]), (Some(0), lines("applied", &MIGRATIONS[6..7]), String::new()));
}

#[tokio::test]
async fn status_prints_json() {
    let database = Database::empty().await;
    let status = |expected| {
        let (code, stdout, stderr) = migrate(&database, &["status", "--json"]);
        assert_eq!((code, stderr.as_str()), (Some(expected), ""));
        serde_json::from_str::<Value>(&stdout).unwrap()
    };
    let expected = |state: &str, applied_at: &[Value]| {
        let migrations: Vec<_> = (MIGRATIONS.iter().zip(applied_at).zip(1..))
            .map(|((name, at), number)| {
                json!({ "number": number, "description": &name[5..], "state": state, "applied_at": at })
            })
            .collect();
        json!({ "storage": shown(&database), "up_to_date": state == "applied", "migrations": migrations })
    };
    assert_eq!(status(1), expected("pending", &[const { Value::Null }; MIGRATIONS.len()]));
    migrate(&database, &[]);
    let applied = "SELECT installed_on FROM _sqlx_migrations ORDER BY version";
    let mut connection = database.connect().await;
    let applied: Vec<DateTime<Utc>> = sqlx::query_scalar(applied).fetch_all(&mut connection).await.unwrap();
    let applied: Vec<_> = applied.into_iter().map(|at| json!(at)).collect();
    assert_eq!(status(0), expected("applied", &applied));
}

#[tokio::test]
async fn newer_migrations_are_accepted_and_changed_ones_are_rejected() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'from the future', TRUE, '\\x00', 1)";
    run(&mut connection, newer).await;
    let status_with_unknown = lines("applied", &MIGRATIONS) + &lines("unknown", &["9999 from the future"]);
    assert_eq!(migrate(&database, &["status"]), (Some(0), status_with_unknown, String::new()));

    let url = database.url();
    let mut server = Running::start(&["--database-url", &url, "--port", "0"], &[]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    let warning =
        "a newer version has migrated this database; this version can use it migrations=\"9999 from the future\"";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert_eq!(log.lines().filter(|line| line.contains("WARN")).count(), 1, "{log}");

    run(&mut connection, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2").await;
    let shown = shown(&database);
    let error = format!(
        "error: cannot open {shown}: migration 0002 lists was applied with different content than in this version\nA \
         different build migrated this database. Start that build, or use another database.\n"
    );
    let status = lines("applied", &MIGRATIONS[..1])
        + &lines("changed", &MIGRATIONS[1..2])
        + &lines("applied", &MIGRATIONS[2..])
        + &lines("unknown", &["9999 from the future"]);
    assert_eq!(migrate(&database, &["status"]), (Some(2), status, error.clone()));
    assert_eq!(migrate(&database, &[]), (Some(2), String::new(), error));
}

#[test]
fn a_json_file_has_no_migrations() {
    let run = |arguments: &[&str]| outcome(&strom(arguments, &[]).output().unwrap());
    let answer = (Some(0), "f.json: a JSON file, nothing to migrate\n".to_owned(), String::new());
    assert_eq!(run(&["migrate", "--flows-path", "f.json"]), answer);
    assert_eq!(run(&["migrate", "status", "--flows-path", "f.json"]), answer);
    let (code, stdout, stderr) = run(&["migrate", "status", "--json", "--flows-path", "f.json"]);
    let expected = json!({ "storage": "f.json", "up_to_date": true, "migrations": [] });
    assert_eq!((code, serde_json::from_str::<Value>(&stdout).unwrap(), stderr.as_str()), (Some(0), expected, ""));

    let error = "error: no database to migrate\nset --database-url or STROM_DATABASE_URL as well\n";
    let url = "postgresql://owner:hunter2@127.0.0.1:1/flows";
    assert_eq!(run(&["migrate", "--migrate-database-url", url]), (Some(2), String::new(), error.to_owned()));
}

#[test]
fn an_unreachable_database_exits_with_2() {
    let url = "postgresql://strom:hunter2@127.0.0.1:1/flows";
    for arguments in [&["migrate"][..], &["migrate", "status"], &["migrate", "status", "--json"]] {
        let output = strom(arguments, &[("STROM_DATABASE_URL", url)]).output().unwrap();
        let (code, stdout, stderr) = outcome(&output);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let (first, remedy) = stderr.split_once('\n').unwrap();
        assert!(first.starts_with("error: cannot open postgresql://strom@127.0.0.1:1/flows: "), "{stderr}");
        assert_eq!(remedy, "Check host and port in the URL, and that PostgreSQL is running there.\n");
    }
}

#[tokio::test]
async fn eight_servers_start_concurrently_on_a_table_of_an_older_version() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    fill_given_table(&mut connection, 500).await;
    let url = database.url();
    let start = || Running::start(&["--database-url", &url, "--port", "0"], &[]);
    let servers: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|starting| starting.join().unwrap()).collect()
    });
    for server in &servers {
        let list: Value = reqwest::get(server.url("/api/flows?view=summary")).await.unwrap().json().await.unwrap();
        assert_eq!(list["flows"].as_array().unwrap().len(), 500);
    }
    assert_eq!(count(&mut connection, "SELECT COUNT(*) FROM flow_changes").await, 500);
}

#[tokio::test]
async fn migrate_completes_after_a_killed_process() {
    let database = Database::empty().await;
    let (mut reader, mut connection) = (database.connect().await, database.connect().await);
    run(&mut connection, GIVEN_TABLE).await;
    fill_given_table(&mut connection, 10).await;
    // An open reader blocks the statement that rewrites the table.
    run(&mut reader, "BEGIN; SELECT FROM flows").await;
    let url = database.url();
    let mut command = strom(&["migrate", "--database-url", &url], &[]);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waiting = "SELECT COUNT(*) FROM pg_locks JOIN pg_database AS here ON here.oid = pg_locks.database
                   WHERE here.datname = current_database() AND relation = 'flows'::regclass AND NOT granted";
    wait_for_count(&mut connection, waiting, 1).await;
    process.kill().unwrap();
    process.wait().unwrap();
    wait_for_count(&mut connection, LOCKS, 0).await;

    run(&mut reader, "COMMIT").await;
    assert_eq!(migrate(&database, &[]).1, lines("applied", &MIGRATIONS[1..]));
    assert_eq!(count(&mut connection, "SELECT COUNT(*) FROM flow_changes").await, 10);
}
