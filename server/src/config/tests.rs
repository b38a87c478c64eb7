use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::{CommandFactory, Parser};

use strom_store::repository::Retention;

use super::environment::Environment;
use super::error::ConfigError;
use super::file::ConfigFile;
use super::flags::Flags;
use super::server::Server;
use super::table::ALL;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    flags: Flags,
}

fn flags(arguments: &[&str]) -> Flags {
    Command::try_parse_from([&["strom"], arguments].concat()).unwrap().flags
}

fn given(arguments: &[&str], variables: &[(&str, &str)]) -> Flags {
    with_files(arguments, variables, &[]).unwrap()
}

/// Returns the settings with configuration files at these paths.
fn with_files(arguments: &[&str], variables: &[(&str, &str)], paths: &[&Path]) -> Result<Flags, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let mut flags = flags(arguments);
    flags.environment = Environment::of(variables.collect(), paths)?;
    Ok(flags)
}

fn server(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Server, ConfigError> {
    given(arguments, variables).server()
}

fn storage(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    given(arguments, variables).storage().unwrap().to_string()
}

#[test]
fn flags_win_over_variables_and_variables_over_defaults() {
    let port = |arguments: &[&str], variables: &[(&str, &str)]| server(arguments, variables).unwrap().port;
    assert_eq!(port(&["--port", "1"], &[("STROM_PORT", "2"), ("STROM_SERVER_PORT", "3")]), 1);
    assert_eq!(port(&[], &[("STROM_PORT", "2"), ("STROM_SERVER_PORT", "3")]), 2);
    assert_eq!(port(&[], &[("STROM_SERVER_PORT", "3")]), 3);
    assert_eq!(port(&[], &[]), 8080);
}

#[test]
fn address_of_a_kubernetes_service_is_not_a_port() {
    for address in
        ["tcp://10.43.0.7:8080", "tcp://[fd00::7]:80", "udp://10.43.0.7:53", "sctp://10.43.0.7:9", " tcp://x:1\n"]
    {
        for (variables, port, ignored) in [
            (&[("STROM_PORT", address)][..], 8080, 1),
            (&[("STROM_PORT", address), ("STROM_SERVER_PORT", "3")], 3, 1),
            (&[("STROM_PORT", address), ("STROM_SERVER_PORT", address)], 8080, 2),
            (&[("STROM_PORT", "4"), ("STROM_SERVER_PORT", address)], 4, 1),
        ] {
            let flags = given(&[], variables);
            assert_eq!(
                (flags.server().unwrap().port, flags.ignored_variables().len()),
                (port, ignored),
                "{variables:?}"
            );
            assert!(flags.ignored_variables()[0].contains("_PORT is ignored"), "{variables:?}");
        }
    }
    let error = server(&[], &[("STROM_PORT", "http://h:1")]).unwrap_err().to_string();
    assert_eq!(error, "STROM_PORT is not a port\na port is a number from 0 to 65535");
    let error = server(&["--port", "tcp://10.43.0.7:8080"], &[]).unwrap_err().to_string();
    assert_eq!(error, "--port is not a port\na port is a number from 0 to 65535");
}

#[test]
fn a_blank_value_counts_as_not_set() {
    let variables = [
        ("STROM_PORT", " "),
        ("STROM_SERVER_PORT", "3"),
        ("STROM_HOST", ""),
        ("STROM_API_KEY", "\t"),
        ("STROM_API_KEYS_FILE", " "),
        ("STROM_RATE_LIMIT", ""),
        ("STROM_ALLOWED_HOSTS", " "),
    ]
    .as_slice();
    let arguments = ["--port", "", "--host", " ", "--api-key", "", "--allow-anonymous="];
    let server = server(&arguments, variables).unwrap();
    assert_eq!((server.host.as_str(), server.port, server.allow_anonymous), ("127.0.0.1", 3, false));
    assert_eq!((server.rate_limit, server.allowed_hosts), (None, None));
    assert!(server.key.is_none() && server.keys_file.is_none());
    let paths = [("STROM_DATABASE_URL", " "), ("STROM_FLOWS_PATH", ""), ("STROM_STORAGE_DATA_DIR", "d")];
    assert_eq!(storage(&["--data-dir", ""], &paths), "d/flows.json");
}

#[test]
fn flows_path_wins_over_data_dir() {
    assert_eq!(storage(&["--data-dir", "d"], &[("STROM_DATA_DIR", "e")]), "d/flows.json");
    assert_eq!(storage(&["--data-dir", "d"], &[("STROM_STORAGE_FLOWS_PATH", "f")]), "f");
    assert!(storage(&[], &[]).ends_with("strom/flows.json"));
}

#[test]
fn booleans_have_several_spellings() {
    let allowed = |arguments: &[&str], value| {
        server(arguments, &[("STROM_ALLOW_ANONYMOUS", value)]).map(|server| server.allow_anonymous)
    };
    assert_eq!(allowed(&["--allow-anonymous"], "false"), Ok(true));
    assert_eq!(allowed(&["--allow-anonymous=no"], "true"), Ok(false));
    assert_eq!(allowed(&[], "1"), Ok(true));
    assert_eq!(allowed(&[], ""), Ok(false));
    assert_eq!(allowed(&[], "maybe").unwrap_err().to_string(), "STROM_ALLOW_ANONYMOUS is neither true nor false");
    let reads = |arguments: &[&str], value| given(arguments, &[("STROM_READ_ONLY", value)]).read_only();
    assert_eq!((reads(&["--read-only"], ""), reads(&[], "on"), reads(&[], " ")), (Ok(true), Ok(true), Ok(false)));
    assert_eq!(reads(&[], "ro").unwrap_err().to_string(), "STROM_READ_ONLY is neither true nor false");
}

#[test]
fn retention_is_configurable() {
    let kept = |arguments: &[&str], variables: &[(&str, &str)]| given(arguments, variables).retention();
    assert_eq!(kept(&[], &[]), Ok(Retention::default()));
    let kept_longer = kept(&["--history-days", "365"], &[("STROM_HISTORY_REVISIONS", "7")]).unwrap();
    assert_eq!((kept_longer.revisions, kept_longer.age.num_days()), (7, 365));
    let error = kept(&["--history-revisions", "0"], &[]).unwrap_err().to_string();
    assert_eq!(error, "--history-revisions is not a number from 1 to 1000000");
}

#[test]
fn last_known_copy_is_in_the_data_directory_and_0_disables_it() {
    let kept = |arguments: &[&str], variables: &[(&str, &str)]| given(arguments, variables).last_known();
    let settings = kept(&["--last-known-mib", "3"], &[("STROM_DATA_DIR", "d")]).unwrap().unwrap();
    assert_eq!((settings.bytes, settings.directory), (3 << 20, Some("d".into())));
    assert_eq!(kept(&[], &[]).unwrap().unwrap().bytes, 64 << 20);
    assert!(kept(&[], &[("STROM_LAST_KNOWN_MIB", "0")]).unwrap().is_none());
    let error = kept(&["--last-known-mib", "1.5"], &[]).unwrap_err().to_string();
    assert_eq!(error, "--last-known-mib is not a number from 0 to 1000000");
}

#[test]
fn rate_limit_is_a_number() {
    let rate =
        |arguments: &[&str], value| server(arguments, &[("STROM_RATE_LIMIT", value)]).map(|server| server.rate_limit);
    assert_eq!(
        (rate(&["--rate-limit", "5"], "7"), rate(&[], "0"), rate(&[], " ")),
        (Ok(Some(5)), Ok(Some(0)), Ok(None))
    );
    assert_eq!(rate(&[], "-1").unwrap_err().to_string(), "STROM_RATE_LIMIT is not a number from 0 to 1000000");
}

#[test]
fn allowed_hosts_are_names_without_ports() {
    let hosts = |value: &str| server(&["--allowed-hosts", value], &[]).map(|server| server.allowed_hosts.unwrap());
    assert_eq!(hosts("Strom.example.org, 192.168.1.5").unwrap(), ["strom.example.org", "192.168.1.5"]);
    assert_eq!(hosts("[FD00:0::1],müller.example").unwrap(), ["[fd00::1]", "xn--mller-kva.example"]);
    for wrong in ["a:8080", "a,", "http://a", "a b", "fd00::1"] {
        let error = hosts(wrong).unwrap_err().to_string();
        assert!(error.starts_with("--allowed-hosts contains an invalid host name: "), "{wrong}: {error}");
    }
}

#[test]
fn errors_name_the_setting_and_omit_its_value() {
    let error = server(&["--port", "65536"], &[]).unwrap_err().to_string();
    assert_eq!(error, "--port is not a port\na port is a number from 0 to 65535");
    let error = given(&[], &[("STROM_DATABASE_URL", "user:hunter2@host")]).storage().unwrap_err().to_string();
    assert_eq!(error, "STROM_DATABASE_URL is not a URL\nuse a URL such as postgresql://user@host/database");
}

#[test]
fn migrations_use_the_migrate_database_url() {
    let migrations = |arguments: &[&str], variables: &[(&str, &str)]| {
        let url = given(arguments, variables).migrations()?;
        Ok::<_, ConfigError>(url.map(|url| url.to_string()))
    };
    let given = [("STROM_MIGRATE_DATABASE_URL", "postgresql://owner:hunter2@h:1/d")];
    assert_eq!(migrations(&[], &[("STROM_MIGRATE_DATABASE_URL", " ")]), Ok(None));
    assert_eq!(migrations(&[], &given), Ok(Some("postgresql://owner@h:1/d".to_owned())));
    let flag = ["--migrate-database-url", "postgresql://owner@h:2/d"];
    assert_eq!(migrations(&flag, &given), Ok(Some("postgresql://owner@h:2/d".to_owned())));
    let error = migrations(&["--migrate-database-url", "owner:hunter2@h"], &[]).unwrap_err().to_string();
    assert_eq!(error, "--migrate-database-url is not a URL\nuse a URL such as postgresql://user@host/database");
    let error = migrations(&["--migrate-database-url", "mysql://owner:hunter2@h/d"], &[]).unwrap_err().to_string();
    assert!(error.contains("`mysql://` is not a PostgreSQL URL") && !error.contains("hunter2"), "{error}");
}

#[test]
fn secrets_are_not_printed() {
    let url = "postgresql://u:hunter2@h/d";
    let flags = flags(&["--api-key", "hunter2 of an operator", "--database-url", url, "--migrate-database-url", url]);
    let (server, migrations) = (flags.server().unwrap(), flags.migrations().unwrap());
    assert!(!format!("{flags:?}{server:?}{migrations:?}").contains("hunter2"));
}

#[test]
fn the_help_names_every_variable() {
    let help = Command::command().render_long_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in ALL {
        let text = format!("[env: {}]", setting.variables.join(", "));
        assert!(help.contains(&setting.flag()) && help.contains(&text), "{text} in {help}");
    }
}

/// Parses a file with this text.
fn file(text: &str) -> Result<ConfigFile, ConfigError> {
    ConfigFile::parse(Path::new("/etc/x/.strom.toml"), text)
}

#[test]
fn files_follow_flags_and_variables_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (near, far) = (directory.path().join("near.toml"), directory.path().join("far.toml"));
    fs::write(&near, "[server]\nport = 1\n[storage]\nflows_path = 'a/flows.json'\ndata_dir = '/d'").unwrap();
    fs::write(&far, "[server]\nport = 2\n[storage]\ndatabase_url = 'postgresql://u@h/d'").unwrap();
    let port = |arguments: &[&str], variables: &[(&str, &str)], paths: &[&Path]| {
        with_files(arguments, variables, paths).unwrap().server().unwrap().port
    };
    assert_eq!(port(&["--port", "9"], &[("STROM_PORT", "8")], &[&near, &far]), 9);
    assert_eq!(port(&[], &[("STROM_SERVER_PORT", "8")], &[&near, &far]), 8);
    assert_eq!(port(&[], &[("STROM_PORT", " ")], &[&near, &far]), 1);
    assert_eq!(port(&[], &[], &[&far]), 2);
    assert_eq!(port(&[], &[], &[&directory.path().join("none")]), 8080);

    let storage = |arguments: &[&str], variables: &[(&str, &str)], paths: &[&Path]| {
        with_files(arguments, variables, paths).unwrap().storage().unwrap().to_string()
    };
    let in_near = directory.path().join("a/flows.json").display().to_string();
    assert_eq!(storage(&[], &[], &[&near, &far]), in_near, "a path is relative to the file that contains it");
    assert_eq!(storage(&[], &[], &[&far, &near]), "postgresql://u@h:5432/d");
    assert_eq!(storage(&["--flows-path", "x"], &[], &[&far]), "x", "a flag wins over a database in a file");
    assert_eq!(storage(&[], &[("STROM_DATABASE_URL", "postgresql://v@h/d")], &[&near]), "postgresql://v@h:5432/d");
    fs::write(&near, "storage.database_url = 'postgresql://u@h/d'\nstorage.flows_path = 'x'").unwrap();
    assert_eq!(storage(&[], &[], &[&near]), "postgresql://u@h:5432/d");
    fs::write(&near, "storage.data_dir = 'd'").unwrap();
    assert_eq!(storage(&[], &[], &[&near]), directory.path().join("d/flows.json").display().to_string());
}

/// The engine has sections and keys that this program does not read.
#[test]
fn unknown_keys_are_ignored_and_similar_keys_produce_a_warning() {
    let foreign = "[logging]\nlevel = 'debug'\n[server]\nport = 1\ntls_cert = 'x'\n[storage]\nmedia_path = 'm'\nblocks_path = 'b'";
    assert!(file(foreign).unwrap().warnings.is_empty());
    let warnings = file("[storage]\n\ndatabase-url = 'x'\n[Server]\nprot = 3").unwrap().warnings;
    let expected = [
        "/etc/x/.strom.toml, line 5: unknown key `Server.prot`; did you mean `server.port`?",
        "/etc/x/.strom.toml, line 3: unknown key `storage.database-url`; did you mean `storage.database_url`?",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn invalid_files_are_errors_without_secrets() {
    for (text, expected) in [
        ("[server]\nport = 'x'", None),
        ("[server]\nport = [1]", Some("line 2: `server.port` is not a number\na port is a number from 0 to 65535")),
        ("[storage]\nflows_path = 3", Some("line 2: `storage.flows_path` is not a string\nput the value in quotes")),
    ] {
        let error = file(text).err().map(|error| error.to_string());
        assert_eq!(error, expected.map(|expected| format!("/etc/x/.strom.toml, {expected}")), "{text}");
    }
    let torn = file("[storage]\ndatabase_url = 'postgresql://u:hunter2@h/d\n").unwrap_err().to_string();
    assert!(torn.starts_with("/etc/x/.strom.toml, line 2: invalid TOML: ") && !torn.contains("hunter2"), "{torn}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    fs::write(&path, "[server]\nport = '70000'\n[storage]\ndatabase_url = 'user:hunter2@host'").unwrap();
    let flags = with_files(&[], &[], &[&path]).unwrap();
    let expected =
        format!("`server.port` in line 2 of {} is not a port\na port is a number from 0 to 65535", path.display());
    assert_eq!(flags.server().unwrap_err().to_string(), expected);
    let error = flags.storage().unwrap_err().to_string();
    assert!(error.starts_with("`storage.database_url` in line 4 of ") && !error.contains("hunter2"), "{error}");
    assert!(with_files(&[], &[], &[directory.path()]).unwrap_err().to_string().contains("cannot read the file"));
}

#[test]
fn a_password_in_a_readable_file_produces_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    for (text, mode, is_warned) in [
        ("storage.database_url = 'postgresql://u:p@h/d'", 0o644, true),
        ("storage.database_url = 'postgresql://u@h/d?password=p'", 0o640, true),
        ("storage.database_url = 'postgresql://u:p@h/d'", 0o600, false),
        ("storage.database_url = 'postgresql://u@h/d'", 0o644, false),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let file = ConfigFile::read(&path).unwrap().unwrap();
        assert_eq!(!file.warnings.is_empty(), is_warned, "{text} {mode:o} {:?}", file.warnings);
    }
}

#[test]
fn every_setting_has_a_flag_and_variables() {
    let flags: Vec<_> =
        Command::command().get_arguments().filter_map(|flag| flag.get_long().map(|long| format!("--{long}"))).collect();
    assert_eq!(flags, ALL.iter().map(|setting| setting.flag()).collect::<Vec<_>>());
    for setting in ALL {
        let value = format!("{}=7", setting.flag());
        assert!(given(&[&value], &[]).value(setting).is_some_and(|value| value.text == "7"), "{value}");
        for name in setting.variables {
            assert!(given(&[], &[(name, "7")]).value(setting).is_some(), "{name}");
        }
    }
}

/// A default in the table is a text. The program computes with constants.
#[test]
fn defaults_of_the_table_are_those_of_the_program() {
    let default = |name: &str| ALL.iter().find(|setting| setting.name == name).unwrap().default;
    let (server, retention) = (server(&[], &[]).unwrap(), given(&[], &[]).retention().unwrap());
    assert_eq!((default("host"), default("port")), (server.host.as_str(), server.port.to_string().as_str()));
    assert_eq!(default("history-revisions"), retention.revisions.to_string());
    assert_eq!(default("history-days"), retention.age.num_days().to_string());
    assert_eq!(default("last-known-mib"), (given(&[], &[]).last_known().unwrap().unwrap().bytes >> 20).to_string());
}

/// The README has a row `| flag | variables | default |` for every setting.
#[test]
fn the_readme_lists_every_setting() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    for setting in ALL {
        let row = format!("| `{}` | `{}` | ", setting.flag(), setting.variables.join("`, `"));
        assert!(readme.contains(&row), "no row {row}");
    }
}
