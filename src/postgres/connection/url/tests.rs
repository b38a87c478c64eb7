use std::collections::HashMap;
use std::time::Duration;

use super::{DatabaseUrl, TargetSessionAttrs};

/// Parses a URL with exactly these environment variables.
fn parse(text: &str, variables: &[(&str, &str)]) -> Result<DatabaseUrl, String> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    DatabaseUrl::parse_parts(text, &variable).map_err(|error| error.problem)
}

fn shown(text: &str) -> String {
    parse(text, &[]).unwrap_or_else(|problem| panic!("{text}: {problem}")).to_string()
}

fn problem(text: &str) -> String {
    parse(text, &[]).expect_err(text)
}

#[test]
fn authority_or_parameters_name_several_servers() {
    for (text, expected) in [
        ("postgresql://strom@a,b/flows", "postgresql://strom@a:5432,b:5432/flows"),
        ("postgresql://strom:x,y@a:1,[::1]:2/flows?sslmode=disable", "postgresql://strom@a:1,[::1]:2/flows"),
        ("postgresql://strom@/flows?host=a,b&port=1,2", "postgresql://strom@a:1,b:2/flows"),
        ("postgresql://strom@/flows?host=a,b&port=7", "postgresql://strom@a:7,b:7/flows"),
        ("postgresql://strom@a,b/flows?port=7", "postgresql://strom@a:7,b:7/flows"),
        ("postgresql://strom@/flows?host=%2Frun,b", "postgresql://strom@/run:5432,b:5432/flows"),
        ("postgresql://strom@%2Frun:7,b/flows", "postgresql://strom@/run:7,b:5432/flows"),
        ("postgresql://strom@a:1/flows?hostaddr=10.0.0.1", "postgresql://strom@10.0.0.1:1/flows"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
    assert_eq!(problem("postgresql://a,b/flows?host=c"), "the URL contains hosts in two places");
    assert_eq!(problem("postgresql:///flows?host=a,b,c&port=1,2"), "the URL contains 3 hosts and 2 ports");
    assert_eq!(problem("postgresql://a,b/flows?hostaddr=10.0.0.1"), "the URL contains 2 hosts and 1 addresses");
    assert!(problem("postgresql://a/flows?hostaddr=10.0.0.1&sslmode=verify-full").contains("`hostaddr`"));
    assert_eq!(problem("postgresql://a/flows?hostaddr=name"), "`hostaddr` is not an IP address");
}

#[test]
fn sqlx_receives_ipv6_addresses_without_brackets() {
    for (text, host, display) in [
        ("postgresql://u@[::1]/d", "::1", "postgresql://u@[::1]:5432/d"),
        ("postgresql://u:p@[2001:db8::7]:6543/d", "2001:db8::7", "postgresql://u@[2001:db8::7]:6543/d"),
        ("postgresql://u@[fe80::1%25eth0]:1/d", "fe80::1%eth0", "postgresql://u@[fe80::1%eth0]:1/d"),
        ("postgresql://u@[::ffff:10.0.0.1]/d", "::ffff:10.0.0.1", "postgresql://u@[::ffff:10.0.0.1]:5432/d"),
        ("postgresql://u@/d?host=::1&port=7", "::1", "postgresql://u@[::1]:7/d"),
        ("postgresql://u@/d?host=[::1]", "::1", "postgresql://u@[::1]:5432/d"),
        ("postgresql://u@/d?hostaddr=::1", "::1", "postgresql://u@[::1]:5432/d"),
    ] {
        let url = parse(text, &[]).unwrap_or_else(|problem| panic!("{text}: {problem}"));
        assert_eq!((url.servers()[0].get_host(), url.to_string().as_str()), (host, display), "{text}");
    }
    for text in [
        "postgresql://u@::1/d",
        "postgresql://u@::1:5432/d",
        "postgresql://u@[::1/d",
        "postgresql://u@[::1]x/d",
        "postgresql://u@[a]/d",
        "postgresql://u@[::1]:0/d",
        "postgresql://u@a:b:1/d",
        "postgresql://u@a:70000/d",
        "postgresql://u@/d?host=a:1",
    ] {
        problem(text);
    }
}

#[test]
fn default_user_is_the_user_of_the_operating_system() {
    let user = whoami::username().unwrap();
    assert_ne!(user, "anonymous");
    for text in ["postgresql://h/d", "postgresql://:s3cret@h/d", "postgresql://@h/d", "postgresql:///d?host=h"] {
        assert_eq!(shown(text), format!("postgresql://{user}@h:5432/d"), "{text}");
    }
    let variables = [("PGUSER", "env"), ("PGDATABASE", "base"), ("PGPORT", "7"), ("PGHOST", "x,y")];
    let shown = |text| parse(text, &variables).unwrap().to_string();
    assert_eq!(shown("postgresql://h/d"), "postgresql://env@h:7/d");
    assert_eq!(shown("postgresql://u@h:1"), "postgresql://u@h:1/base");
    assert_eq!(shown("postgresql://u@h?user=v&dbname=e"), "postgresql://v@h:7/e");
    assert_eq!(shown("postgresql://"), "postgresql://env@x:7,y:7/base");
    assert_eq!(parse("postgresql://h/d", &[("PGUSER", "")]).unwrap().user(), user);
}

#[test]
fn target_session_attrs_has_the_values_of_libpq() {
    let target = |text: &str| parse(text, &[]).unwrap().target;
    assert_eq!(target("postgresql://a,b/flows"), None);
    assert_eq!(
        target("postgresql://a,b/flows?target_session_attrs=prefer-standby"),
        Some(TargetSessionAttrs::PreferStandby)
    );
    assert!(problem("postgresql://a/flows?target_session_attrs=leader").contains("`read-write`"));
}

#[test]
fn pgbouncer_and_connect_timeout_are_parsed_here() {
    let url = parse("postgresql://a/flows?pgbouncer=true&connect_timeout=3", &[]).unwrap();
    assert_eq!((url.is_behind_pooler, url.connect_timeout), (true, Duration::from_secs(3)));
    assert_eq!(problem("postgresql://a/flows?pgbouncer=maybe"), "`pgbouncer` must be `true` or `false`");
    assert!(problem("postgresql://a/flows?connect_timeout=0").contains("from 1 to 600"));
}

#[test]
fn every_other_parameter_is_an_error_that_names_it_without_its_value() {
    for name in [
        "sslpassword",
        "sslmod",
        "SSLMODE",
        "ssl_mode",
        "passfile",
        "service",
        "servicefile",
        "sslcrl",
        "sslcrldir",
        "require_auth",
        "requirepeer",
        "requiressl",
        "tcp_user_timeout",
        "keepalives_idle",
        "krbsrvname",
        "schema",
        "search_path",
        "replication",
        "sslnegotiation",
        "channel_binding",
        "gssencmode",
        "ssl",
        "sslmode",
        "sslsni",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "target_session_attrs",
        "connect_timeout",
        "pgbouncer",
        "port",
        "hostaddr",
        "statement-cache-capacity",
        "ssl_max_protocol_version",
        "client_encoding",
        "options[x",
        "load_balance_hosts",
    ] {
        let error =
            DatabaseUrl::parse(&format!("postgresql://u:hidden@h/d?{name}=s3cret")).expect_err(name).to_string();
        assert!(error.contains(name), "{name}: {error}");
        assert!(!error.contains("s3cret") && !error.contains("hidden"), "{name}: {error}");
    }
    let twice = problem("postgresql://h/d?sslmode=verify-full&sslmode=disable");
    assert_eq!(twice, "`sslmode` is in the URL twice");
    let rest = problem("postgresql://h/d?password=a&s3cret!=b");
    assert!(!rest.contains("s3cret"), "{rest}");
}

#[test]
fn supported_parameters_take_effect() {
    let url = "postgresql://u@h/d?application_name=a&options=-c%20work_mem%3D64MB&options[jit]=off&gssencmode=disable\
               &channel_binding=prefer&client_encoding=utf8&statement-cache-capacity=7&user=v&password=p&dbname=e";
    let url = parse(url, &[]).unwrap();
    let server = &url.servers()[0];
    assert_eq!(server.get_application_name(), Some("a"));
    assert_eq!(server.get_options(), Some("-c work_mem=64MB -c jit=off"));
    assert_eq!((server.get_username(), server.get_database()), ("v", Some("e")));
    let fallback = parse("postgresql://u@h/d?fallback_application_name=f", &[]).unwrap();
    assert_eq!(fallback.servers()[0].get_application_name(), Some("f"));
}

#[test]
fn sslmode_and_ssl_decide_about_encryption() {
    let mode = |query: &str, variables: &[(&str, &str)]| {
        let url = parse(&format!("postgresql://u@h/d?{query}"), variables)?;
        Ok::<_, String>(format!("{:?}", url.servers()[0].get_ssl_mode()))
    };
    let root = "sslrootcert=-----BEGIN CERTIFICATE-----";
    for (query, expected) in [
        ("", "Prefer"),
        ("sslmode=disable", "Disable"),
        ("sslmode=allow", "Prefer"),
        ("ssl=true", "Require"),
        ("ssl=true&sslmode=verify-full", "VerifyFull"),
        ("ssl-mode=require", "Require"),
        ("sslrootcert=system", "VerifyFull"),
        (&format!("sslmode=require&{root}"), "VerifyCa"),
        (&format!("sslmode=verify-full&{root}"), "VerifyFull"),
    ] {
        assert_eq!(mode(query, &[]).as_deref(), Ok(expected), "{query}");
    }
    for query in
        ["ssl=false", "ssl=1", "ssl=true&sslmode=disable", "sslmode=", "sslrootcert=system&sslmode=require", root]
    {
        assert!(mode(query, &[]).unwrap_err().contains("ssl"), "{query}");
    }
    assert_eq!(mode("", &[("PGSSLMODE", "verify-full")]).as_deref(), Ok("VerifyFull"));
    assert_eq!(mode("sslmode=disable", &[("PGSSLMODE", "verify-full")]).as_deref(), Ok("Disable"));
}

#[test]
fn variables_are_checked_like_parameters() {
    for (name, value) in [
        ("PGSSLMODE", "verify_full"),
        ("PGPORT", "s3cret"),
        ("PGSERVICE", "s3cret"),
        ("PGREQUIREAUTH", "s3cret"),
        ("PGCHANNELBINDING", "require"),
        ("PGCONNECT_TIMEOUT", "0"),
        ("PGTARGETSESSIONATTRS", "s3cret"),
        ("PGSSLROOTCERT", "/nonexistent/s3cret"),
    ] {
        let error = parse("postgresql://h/d", &[(name, value)]).expect_err(name);
        assert!(error.contains(name) && !error.contains("s3cret"), "{name}: {error}");
    }
}

#[test]
fn error_names_a_missing_certificate_file() {
    let problem = problem("postgresql://a/flows?sslmode=verify-full&sslrootcert=/nonexistent/root.pem");
    assert!(problem.starts_with("cannot read the file of `sslrootcert`: "), "{problem}");
}

#[test]
fn display_debug_and_errors_hide_the_password() {
    for text in ["postgresql://strom:s3cret@db:5433/flows", "postgres://strom@db:5433/flows?password=s3cret"] {
        let url = parse(text, &[]).unwrap();
        assert_eq!(url.to_string(), "postgresql://strom@db:5433/flows");
        assert_eq!(format!("{url:?}"), r#"DatabaseUrl("postgresql://strom@db:5433/flows")"#);
    }
    for broken in [
        "mysql://strom:s3cret@db/flows",
        "s3cret@db://strom",
        "postgresql://strom:s3cret@db:port/flows",
        "postgresql://strom:12/s3cret@db/flows",
        "postgresql://strom:s3cret#x@db/flows",
        "postgresql://strom:a?s3cret@db/flows",
        "postgresql://strom:s3cret@db/flows#x",
        "postgresql://strom:s3cret@db/flows?application_name=a%00b",
        "postgresql://strom:s3cret:1@[::1/flows",
        "postgresql://strom:s3cret:1/flows",
    ] {
        let error = DatabaseUrl::parse(broken).expect_err(broken).to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
