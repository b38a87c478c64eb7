//! Opens a storage as an `Arc<dyn FlowRepository>`. The only file that names both backends.
//!
//! ```
//! use chrono::{TimeDelta, Utc};
//! use strom_store::repository::Retention;
//! use strom_store::storage::{Settings, Storage};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("flows.json");
//! # let location = path.to_str().unwrap();
//! // For example `postgresql://strom@localhost/strom` or `/srv/strom/flows.json`.
//! let storage = Storage::parse(location)?;
//! let retention = Retention { revisions: 100, age: TimeDelta::days(365) };
//! let flows = storage.open_with(Utc::now(), Settings::default().with_retention(retention)).await?;
//! assert_eq!(flows.health().await.kind, "json");
//! # flows.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
#[cfg(feature = "json")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

#[cfg(feature = "json")]
use crate::json::{self, JsonRepository};
#[cfg(feature = "postgres")]
use crate::postgres::{self, DatabaseUrl, Migration, MigrationStatus, PostgresRepository};
use crate::repository::{FlowRepository, OpenError, Retention};

/// Options for opening a storage. The defaults suit a program that must not start without its storage.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// How much history the storage retains.
    pub retention: Retention,
    /// Whether the storage rejects every change and applies no migrations, as a standby server requires. Opening a JSON
    /// file with this option is an error; see [`Storage::open_read_only`].
    pub read_only: bool,
    /// The URL at which to migrate the database, if it differs from the URL of the database: a pooler that assigns
    /// connections per transaction cannot hold the locks of a migration.
    #[cfg(feature = "postgres")]
    pub migrations: Option<DatabaseUrl>,
    /// Whether [`Storage::open_with`] succeeds while the database server is unreachable or its schema is damaged. Calls fail
    /// until the server answers and the schema is repaired.
    pub open_unreachable: bool,
    /// Whether opening the database repairs a damaged schema: disabled and missing triggers, the primary key, and the row of
    /// `flow_log`. Otherwise that damage is an error.
    pub repair: bool,
    /// The URL at which this process serves the flows. Other processes that want to change the same JSON file name it.
    pub url: Option<String>,
}

impl Settings {
    /// Sets [`retention`](Self::retention).
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// Sets [`migrations`](Self::migrations).
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn with_migrations(self, migrations: Option<DatabaseUrl>) -> Self {
        Self { migrations, ..self }
    }

    /// Sets [`open_unreachable`](Self::open_unreachable).
    #[must_use]
    pub fn with_open_unreachable(self, open_unreachable: bool) -> Self {
        Self { open_unreachable, ..self }
    }

    /// Sets [`repair`](Self::repair).
    #[must_use]
    pub fn with_repair(self, repair: bool) -> Self {
        Self { repair, ..self }
    }

    /// Sets [`url`](Self::url).
    #[must_use]
    pub fn with_url(self, url: Option<String>) -> Self {
        Self { url, ..self }
    }

    #[cfg(feature = "json")]
    fn for_json(&self) -> json::Settings {
        json::Settings { retention: self.retention, url: self.url.clone(), ..json::Settings::default() }
    }

    #[cfg(feature = "postgres")]
    fn for_postgres(&self) -> postgres::Settings {
        postgres::Settings {
            retention: self.retention,
            migrations: self.migrations.clone(),
            read_only: self.read_only,
            open_unreachable: self.open_unreachable,
            repair: self.repair,
        }
    }
}

/// The location of a storage. `Display` and `Debug` hide the password.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Storage {
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(DatabaseUrl),
    /// A JSON file.
    #[cfg(feature = "json")]
    Json(PathBuf),
}

impl Storage {
    /// Parses a PostgreSQL URL or a path.
    ///
    /// # Errors
    /// [`OpenError`] for a URL that is not a PostgreSQL URL or cannot be parsed, and for a storage whose backend is not
    /// a feature of this build.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        if text.contains("://") {
            #[cfg(feature = "postgres")]
            return DatabaseUrl::parse(text).map(Self::Postgres);
            #[cfg(not(feature = "postgres"))]
            return Err(not_built("the database URL", "postgres"));
        }
        #[cfg(feature = "json")]
        return Ok(Self::Json(text.into()));
        #[cfg(not(feature = "json"))]
        Err(not_built(text, "json"))
    }

    /// Opens the storage: migrates a database, or locks and reads a file. `now` becomes the time of edits that are
    /// found in a file.
    ///
    /// # Errors
    /// [`OpenError`] with the problem and a remedy. The storage is unchanged.
    pub async fn open(&self, now: DateTime<Utc>) -> Result<Arc<dyn FlowRepository>, OpenError> {
        self.open_with(now, Settings::default()).await
    }

    /// Opens the storage with these settings.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for a JSON file with [`Settings::read_only`].
    pub async fn open_with(
        &self,
        now: DateTime<Utc>,
        settings: Settings,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        _ = now;
        Ok(match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Arc::new(PostgresRepository::open_with(url, settings.for_postgres()).await?),
            #[cfg(feature = "json")]
            Self::Json(path) if settings.read_only => return Err(read_only_file(path)),
            #[cfg(feature = "json")]
            Self::Json(path) => Arc::new(JsonRepository::open_with(path, now, settings.for_json()).await?),
        })
    }

    /// Opens the storage for reading and writes nothing: no migration, no lock, no recovery of a file. The repository
    /// of a file contains the flows as of this call. Every change is rejected.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_read_only(
        &self,
        now: DateTime<Utc>,
        settings: Settings,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        _ = (now, &settings);
        Ok(match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let settings = settings.with_read_only(true).for_postgres();
                Arc::new(PostgresRepository::open_with(url, settings).await?)
            }
            #[cfg(feature = "json")]
            Self::Json(path) => Arc::new(JsonRepository::open_read_only(path, now).await?),
        })
    }

    /// Returns the paths of the files that a JSON store uses, whether they exist or not. No other program may write them
    /// except `flows.json`. Returns none for a database.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Vec::new(),
            #[cfg(feature = "json")]
            Self::Json(path) => json::files(path),
        }
    }

    /// Returns whether the file exists, or a journal or history from which it can be restored. Always returns true for
    /// a database, which only opening can determine.
    pub fn may_exist(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
            #[cfg(feature = "json")]
            Self::Json(path) => json::may_exist(path),
        }
    }
}

/// Migrations of a database. These methods return `None` for a file, which has no migrations.
#[cfg(feature = "postgres")]
impl Storage {
    /// Returns the applied and the pending migrations. Only reads.
    ///
    /// # Errors
    /// As [`postgres::migrations`].
    pub async fn migrations(&self) -> Result<Option<MigrationStatus>, OpenError> {
        Ok(match self {
            Self::Postgres(url) => Some(postgres::migrations(url).await?),
            #[cfg(feature = "json")]
            Self::Json(_) => None,
        })
    }

    /// Applies the pending migrations, as [`open_with`](Self::open_with) does, and returns them.
    ///
    /// # Errors
    /// As [`postgres::migrate`].
    pub async fn migrate(&self, settings: &Settings) -> Result<Option<Vec<Migration>>, OpenError> {
        Ok(match self {
            Self::Postgres(url) => Some(postgres::migrate(url, settings.migrations.as_ref()).await?),
            #[cfg(feature = "json")]
            Self::Json(_) => None,
        })
    }
}

#[cfg(not(all(feature = "json", feature = "postgres")))]
fn not_built(location: &str, feature: &str) -> OpenError {
    OpenError::new(
        location,
        format!("this program was built without the feature `{feature}` of strom-store"),
        format!("Enable the feature `{feature}` or name another storage."),
    )
}

#[cfg(feature = "json")]
fn read_only_file(path: &Path) -> OpenError {
    OpenError::new(
        path.display().to_string(),
        "a JSON file cannot be opened read-only: opening a file may repair it, and only one instance may use a file",
        "Use the instance that has opened the file, open a copy without `--read-only`, or store the flows in \
         PostgreSQL.",
    )
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => url.fmt(f),
            #[cfg(feature = "json")]
            Self::Json(path) => path.display().fmt(f),
        }
    }
}
