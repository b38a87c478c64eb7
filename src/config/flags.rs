//! The flags, and what clap says of them in the help.

use std::ffi::OsString;
use std::fmt;

use super::around::Around;

const STORAGE: &str = "Storage";
const SERVER: &str = "Server";

/// The flags that every command takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Keep the flows in this PostgreSQL database; wins over --flows-path [env: STROM_DATABASE_URL,
    /// STROM_STORAGE_DATABASE_URL]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "URL")]
    pub(super) database_url: Option<Secret>,

    /// Migrate the database by this URL: past a pooler, or as the owner of the tables [env: STROM_MIGRATE_DATABASE_URL]
    /// [default: the database URL]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "URL")]
    pub(super) migrate_database_url: Option<Secret>,

    /// Keep the flows in this JSON file [env: STROM_FLOWS_PATH, STROM_STORAGE_FLOWS_PATH] [default: flows.json in the
    /// data directory]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "FILE")]
    pub(super) flows_path: Option<OsString>,

    /// The data directory [env: STROM_DATA_DIR, STROM_STORAGE_DATA_DIR] [default: the platform's, and in it `strom`]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<OsString>,

    /// Keep at least so many of the last revisions of every flow [env: STROM_HISTORY_REVISIONS] [default: 50]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "NUMBER")]
    pub(super) history_revisions: Option<String>,

    /// Keep all changes for at least so many days [env: STROM_HISTORY_DAYS] [default: 90]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "DAYS")]
    pub(super) history_days: Option<String>,

    /// Only read a database, which may be a standby, and refuse every change; the schema must be there. For instances beside
    /// one that writes; not for a JSON file [env: STROM_READ_ONLY] [default: false]
    #[arg(
        long, help_heading = STORAGE,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(super) read_only: Option<String>,

    /// Keep the flows of the database in memory and in the data directory up to so many MiB, besides all that start by
    /// themselves, and serve them while it is away; 0 keeps none [env: STROM_LAST_KNOWN_MIB] [default: 64]
    #[arg(long, help_heading = SERVER, global = true, value_name = "MIB")]
    pub(super) last_known_mib: Option<String>,

    /// The address or host name to listen on [env: STROM_HOST] [default: 127.0.0.1]
    #[arg(long, help_heading = SERVER, global = true, value_name = "HOST")]
    pub(super) host: Option<String>,

    /// The port to listen on; 0 takes a free one [env: STROM_PORT, STROM_SERVER_PORT] [default: 8080]
    #[arg(long, help_heading = SERVER, global = true, value_name = "PORT")]
    pub(super) port: Option<String>,

    /// Serve only those who send this key; in the environment it is hidden from other users of the machine [env:
    /// STROM_API_KEY]
    #[arg(long, help_heading = SERVER, global = true, value_name = "KEY")]
    pub(super) api_key: Option<Secret>,

    /// Serve those as well who send one of the keys in this file: TOML, for each key a table of its name with `secret` or
    /// `sha256`, and `read-only = true` if it only reads; read again when it changes [env: STROM_API_KEYS_FILE]
    #[arg(long, help_heading = SERVER, global = true, value_name = "FILE")]
    pub(super) api_keys_file: Option<OsString>,

    /// Answer to these names alone, and to those of this machine; several with commas between, a port is none of them [env:
    /// STROM_ALLOWED_HOSTS] [default: those of this machine on a loopback address without a key, else any]
    #[arg(long, help_heading = SERVER, global = true, value_name = "NAMES")]
    pub(super) allowed_hosts: Option<String>,

    /// Take so many requests a second from one client, known by its key, else by its address; 0 takes any number [env:
    /// STROM_RATE_LIMIT] [default: 1000; any number where only this machine is served without a key]
    #[arg(long, help_heading = SERVER, global = true, value_name = "REQUESTS")]
    pub(super) rate_limit: Option<String>,

    /// Without a key, listen on other addresses than loopback all the same [env: STROM_ALLOW_ANONYMOUS] [default: false]
    #[arg(
        long, help_heading = SERVER,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(super) allow_anonymous: Option<String>,

    #[arg(skip)]
    pub(super) around: Around,
}

/// A value that is not printed.
#[derive(Clone)]
pub(super) struct Secret(pub(super) OsString);

impl From<OsString> for Secret {
    fn from(value: OsString) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
