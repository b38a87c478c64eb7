//! `strom config`, `strom man`, and `.strom.toml`.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::document;
use crate::serve::{Running, directory, outcome, strom};

/// Runs a command in this directory, with its subdirectory `home` as the user's configuration directory.
fn run(path: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let user = format!("{path}/home");
    let variables = [&[("XDG_CONFIG_HOME", user.as_str()), ("XDG_DATA_HOME", "/data")], variables].concat();
    outcome(&strom(arguments, &variables).current_dir(path).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn config_prints_every_setting_with_its_source() {
    let (_directory, path) = directory();
    fs::create_dir_all(format!("{path}/home/strom")).unwrap();
    fs::write(format!("{path}/.strom.toml"), "[server]\nport = 8095\n\n[storage]\nflows_path = 'flows.json'\n")
        .unwrap();
    fs::write(format!("{path}/home/strom/config.toml"), "[storage]\ndata_dir = '/srv/strom'\n").unwrap();
    let (code, stdout, stderr) = run(&path, &["config", "--host", "::1"], &[("STROM_API_KEY", "s3cret-s3cret-s3cret")]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let width = "1000; 0 (unlimited) on loopback without a key".len();
    let flows = format!("{path}/flows.json");
    let width = width.max(flows.len()).min(60);
    let row = |name: &str, value: &str, from: &str| format!("{name:21} {value:width$}  {from}\n");
    let default = |name: &str, value: &str| row(name, value, "default");
    let expected = [
        format!("storage  {flows}\n"),
        format!("file     {path}/.strom.toml\nfile     {path}/home/strom/config.toml\n"),
        format!("file     {path}/home/strom/.strom.toml (not found)\n\n"),
        default("database-url", "none: a JSON file"),
        default("migrate-database-url", "the database URL"),
        row("flows-path", &flows, &format!("`storage.flows_path` in line 5 of {path}/.strom.toml")),
        row("data-dir", "/srv/strom", &format!("`storage.data_dir` in line 2 of {path}/home/strom/config.toml")),
        default("history-revisions", "50"),
        default("history-days", "90"),
        default("read-only", "false"),
        default("last-known-mib", "64"),
        row("host", "::1", "--host"),
        row("port", "8095", &format!("`server.port` in line 2 of {path}/.strom.toml")),
        row("api-key", "(set)", "STROM_API_KEY"),
        default("api-keys-file", "none"),
        default("allowed-hosts", "loopback names without a key, otherwise any"),
        default("cors-origins", "none"),
        default("trusted-proxies", "none"),
        default("rate-limit", "1000; 0 (unlimited) on loopback without a key"),
        default("allow-anonymous", "false"),
    ];
    assert_eq!(stdout, expected.concat());

    let (code, stdout, _) =
        run(&path, &["config", "--json", "--database-url", "postgresql://u:s3cret-s3cret-s3cret@h/d"], &[]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &shown["storage"]), (Some(0), &json!("postgresql://u@h:5432/d")));
    let url = json!({ "name": "database-url", "value": "postgresql://u@h:5432/d", "from": "--database-url" });
    assert_eq!((&shown["settings"][0], shown["settings"].as_array().unwrap().len()), (&url, 17));
    assert_eq!(shown["files"][2]["found"], json!(false));
    assert!(!stdout.contains("s3cret-s3cret-s3cret"));
}

#[test]
fn port_variables_of_kubernetes_produce_a_warning() {
    let (_directory, path) = directory();
    let variables = [("STROM_PORT", "tcp://10.43.0.7:8080"), ("STROM_PORT_8080_TCP_PORT", "8080")];
    let (code, stdout, stderr) = run(&path, &["config", "--flows-path", "flows.json"], &variables);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("warning: STROM_PORT is ignored") && !stderr.contains("10.43.0.7"), "{stderr}");
    assert!(stdout.lines().any(|line| line.starts_with("port ") && line.ends_with("default")), "{stdout}");
    let flows = format!("{path}/flows.json");
    let mut server = Running::start(&["serve", "--flows-path", &flows, "--port", "0"], &variables);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.stderr().contains("warning: STROM_PORT is ignored"));
}

#[test]
fn rejected_parameters_of_a_database_url_do_not_appear_in_the_log() {
    let (_directory, path) = directory();
    for (name, query) in [
        ("`sslpassword`", "sslpassword=s3cret-s3cret-s3cret"),
        ("`sslmdoe`", "sslmdoe=s3cret-s3cret-s3cret"),
        ("`ssl`", "ssl=s3cret-s3cret-s3cret"),
        ("`service`", "service=s3cret-s3cret-s3cret"),
        ("`passfile`", "passfile=/s3cret-s3cret-s3cret"),
        ("`keepalives_idle`", "sslmode=require&keepalives_idle=s3cret-s3cret-s3cret"),
        ("`sslkey`", "sslcert=s3cret-s3cret-s3cret&sslkey=s3cret-s3cret-s3cret&sslmode=require"),
    ] {
        let url = format!("postgresql://u:hunter2@127.0.0.1:1/d?{query}");
        for arguments in [&["list"][..], &["serve", "--port", "0"], &["migrate"], &["config"]] {
            let variables = [("STROM_DATABASE_URL", url.as_str()), ("RUST_LOG", "trace")];
            let (code, stdout, stderr) = run(&path, arguments, &variables);
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?} {query}: {stderr}");
            assert!(stderr.contains(name) || name == "`sslkey`" && stderr.contains("`sslcert`"), "{stderr}");
            assert!(!stderr.contains("s3cret-s3cret-s3cret") && !stderr.contains("hunter2"), "{stderr}");
        }
    }
}

#[test]
fn commands_use_the_storage_of_the_configuration_file() {
    let (_directory, path) = directory();
    fs::write(format!("{path}/.strom.toml"), "[storage]\nflows_path = 'here/flows.json'\nflow_path = 'x'\n").unwrap();
    fs::write(format!("{path}/a.json"), document(1, "a")).unwrap();
    let warning = format!(
        "warning: {path}/.strom.toml, line 3: unknown key `storage.flow_path`; did you mean `storage.flows_path`?\n"
    );
    let (code, _, stderr) = run(&path, &["put", "a.json"], &[]);
    assert_eq!((code, stderr), (Some(0), warning));
    assert!(fs::read_to_string(format!("{path}/here/flows.json")).unwrap().contains("\"a\""));

    fs::write(format!("{path}/.strom.toml"), "[storage\n").unwrap();
    let (code, stdout, stderr) = run(&path, &["list"], &[]);
    let refused = format!("error: {path}/.strom.toml, line 1: invalid TOML: ");
    assert!(code == Some(2) && stdout.is_empty() && stderr.starts_with(&refused), "{stderr}");
    assert_eq!(
        run(&path, &["completions", "bash"], &[]).0,
        Some(0),
        "commands without settings ignore an invalid file"
    );
}

#[test]
fn man_prints_and_writes_manual_pages() {
    let (_directory, path) = directory();
    let (code, page, stderr) = run(&path, &["man"], &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(page.contains(".TH strom 1") && page.contains("\\fBstrom\\fR") && page.contains("switch"), "{page}");
    assert_eq!(run(&path, &["man", "--dir", "pages"], &[]), (Some(0), String::new(), String::new()));
    let mut pages: Vec<_> = fs::read_dir(format!("{path}/pages"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert!(pages.contains(&"strom.1".to_owned()) && pages.contains(&"strom-switch.1".to_owned()), "{pages:?}");
    // If groff is installed, it must not print a warning.
    for page in pages {
        let page = format!("{path}/pages/{page}");
        let Ok(groff) = Command::new("groff").args(["-ww", "-man", "-Tutf8", "-z", &page]).output() else { continue };
        let warnings = String::from_utf8_lossy(&groff.stderr).into_owned();
        assert!(groff.status.success() && warnings.is_empty(), "{page}: {warnings}");
    }
    let (code, stdout, stderr) = run(&path, &["man", "--dir", "/dev/null/pages"], &[]);
    let expected = "error: cannot write the manual pages to /dev/null/pages: Not a directory (os error 20)\nuse \
                    another directory with --dir\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(2), "", expected));
}
