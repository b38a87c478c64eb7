//! The table of all settings. Flags, variables, file keys, help and `strom config` derive from it.

use super::setting::{Group, HelpDefault, Kind, Setting};

/// Defines one constant per setting, and `ALL` with every setting in the order of the help.
macro_rules! settings {
    ($($constant:ident: $setting:expr;)*) => {
        $(pub(super) static $constant: Setting = $setting;)*
        pub(super) static ALL: &[&Setting] = &[$(&$constant),*];
    };
}

settings! {
    DATABASE_URL: Setting {
        name: "database-url",
        variables: &["STROM_DATABASE_URL", "STROM_STORAGE_DATABASE_URL"],
        file_key: Some("storage.database_url"),
        kind: Kind::DatabaseUrl,
        value_name: "URL",
        group: Group::Storage,
        help: "Store flows in this PostgreSQL database (precedes --flows-path)",
        default: "none: a JSON file",
        help_default: HelpDefault::Hidden,
    };
    MIGRATE_DATABASE_URL: Setting {
        name: "migrate-database-url",
        variables: &["STROM_MIGRATE_DATABASE_URL"],
        file_key: None,
        kind: Kind::DatabaseUrl,
        value_name: "URL",
        group: Group::Storage,
        help: "Run migrations at this URL: as table owner or bypassing a pooler",
        default: "the database URL",
        help_default: HelpDefault::Same,
    };
    FLOWS_PATH: Setting {
        name: "flows-path",
        variables: &["STROM_FLOWS_PATH", "STROM_STORAGE_FLOWS_PATH"],
        file_key: Some("storage.flows_path"),
        kind: Kind::Path,
        value_name: "FILE",
        group: Group::Storage,
        help: "Store flows in this JSON file",
        default: "flows.json in the data directory",
        help_default: HelpDefault::Worded("<data dir>/flows.json"),
    };
    DATA_DIR: Setting {
        name: "data-dir",
        variables: &["STROM_DATA_DIR", "STROM_STORAGE_DATA_DIR"],
        file_key: Some("storage.data_dir"),
        kind: Kind::Path,
        value_name: "DIR",
        group: Group::Storage,
        help: "Data directory",
        default: "STATE_DIRECTORY of systemd, or platform data directory + strom",
        help_default: HelpDefault::Same,
    };
    HISTORY_REVISIONS: Setting {
        name: "history-revisions",
        variables: &["STROM_HISTORY_REVISIONS"],
        file_key: None,
        kind: Kind::Number(1),
        value_name: "NUMBER",
        group: Group::Storage,
        help: "Minimum number of revisions to retain per flow",
        default: "50",
        help_default: HelpDefault::Same,
    };
    HISTORY_DAYS: Setting {
        name: "history-days",
        variables: &["STROM_HISTORY_DAYS"],
        file_key: None,
        kind: Kind::Number(1),
        value_name: "DAYS",
        group: Group::Storage,
        help: "Number of days to retain revisions, after an hour one per minute, after a day one per hour",
        default: "90",
        help_default: HelpDefault::Same,
    };
    READ_ONLY: Setting {
        name: "read-only",
        variables: &["STROM_READ_ONLY"],
        file_key: None,
        kind: Kind::Boolean,
        value_name: "BOOL",
        group: Group::Storage,
        help: "Reject all changes and apply no migrations, as for a standby (PostgreSQL only)",
        default: "false",
        help_default: HelpDefault::Same,
    };
    LAST_KNOWN_MIB: Setting {
        name: "last-known-mib",
        variables: &["STROM_LAST_KNOWN_MIB"],
        file_key: None,
        kind: Kind::Number(0),
        value_name: "MIB",
        group: Group::Server,
        help: "Maximum size of the copy that serves reads in an outage; 0: none",
        default: "64",
        help_default: HelpDefault::Same,
    };
    HOST: Setting {
        name: "host",
        variables: &["STROM_HOST"],
        file_key: None,
        kind: Kind::Text,
        value_name: "HOST",
        group: Group::Server,
        help: "Address or host name to listen on",
        default: "127.0.0.1",
        help_default: HelpDefault::Same,
    };
    PORT: Setting {
        name: "port",
        variables: &["STROM_PORT", "STROM_SERVER_PORT"],
        file_key: Some("server.port"),
        kind: Kind::Port,
        value_name: "PORT",
        group: Group::Server,
        help: "Port to listen on (0: any free port)",
        default: "8080",
        help_default: HelpDefault::Same,
    };
    API_KEY: Setting {
        name: "api-key",
        variables: &["STROM_API_KEY"],
        file_key: None,
        kind: Kind::Secret,
        value_name: "KEY",
        group: Group::Server,
        help: "Require this API key (prefer the variable: other users can see arguments)",
        default: "none",
        help_default: HelpDefault::Hidden,
    };
    API_KEYS_FILE: Setting {
        name: "api-keys-file",
        variables: &["STROM_API_KEYS_FILE"],
        file_key: None,
        kind: Kind::Path,
        value_name: "FILE",
        group: Group::Server,
        help: "Accept the API keys in this TOML file, reloaded on change. Format: docs/access.md",
        default: "none",
        help_default: HelpDefault::Hidden,
    };
    ALLOWED_HOSTS: Setting {
        name: "allowed-hosts",
        variables: &["STROM_ALLOWED_HOSTS"],
        file_key: None,
        kind: Kind::Hosts,
        value_name: "NAMES",
        group: Group::Server,
        help: "Host names to accept, comma-separated",
        default: "loopback names without a key, otherwise any",
        help_default: HelpDefault::Same,
    };
    CORS_ORIGINS: Setting {
        name: "cors-origins",
        variables: &["STROM_CORS_ORIGINS"],
        file_key: None,
        kind: Kind::Text,
        value_name: "ORIGINS",
        group: Group::Server,
        help: "Origins whose pages may use the API, comma-separated",
        default: "none",
        help_default: HelpDefault::Hidden,
    };
    TRUSTED_PROXIES: Setting {
        name: "trusted-proxies",
        variables: &["STROM_TRUSTED_PROXIES"],
        file_key: None,
        kind: Kind::Text,
        value_name: "NETWORKS",
        group: Group::Server,
        help: "Proxies whose X-Forwarded-For names the client, comma-separated",
        default: "none",
        help_default: HelpDefault::Hidden,
    };
    RATE_LIMIT: Setting {
        name: "rate-limit",
        variables: &["STROM_RATE_LIMIT"],
        file_key: None,
        kind: Kind::Number(0),
        value_name: "REQUESTS",
        group: Group::Server,
        help: "Maximum requests/s per client (API key or address); 0: unlimited",
        default: "1000; 0 (unlimited) on loopback without a key",
        help_default: HelpDefault::Worded("1000; without a key 0"),
    };
    ALLOW_ANONYMOUS: Setting {
        name: "allow-anonymous",
        variables: &["STROM_ALLOW_ANONYMOUS"],
        file_key: None,
        kind: Kind::Boolean,
        value_name: "BOOL",
        group: Group::Server,
        help: "Allow addresses other than loopback without an API key",
        default: "false",
        help_default: HelpDefault::Same,
    };
}
