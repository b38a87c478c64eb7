//! Names a storage and opens it. The only file that knows both backends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::json::{self, JsonRepository};
use crate::postgres::{self, DatabaseUrl, Migration, MigrationStatus, PostgresRepository};
use crate::repository::{FlowRepository, OpenError};

/// How a storage is opened. What is about servers says nothing to a file, but a file is refused to who only reads.
pub use crate::postgres::Settings;

/// Where flows are kept. Prints without the password.
#[derive(Debug, Clone)]
pub enum Storage {
    /// A PostgreSQL database.
    Postgres(DatabaseUrl),
    /// A JSON file.
    Json(PathBuf),
}

impl Storage {
    /// The storage that a text names: a PostgreSQL URL, else a path.
    ///
    /// # Errors
    /// [`OpenError`] for a URL that is none of PostgreSQL's or cannot be read.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        if text.contains("://") { DatabaseUrl::parse(text).map(Self::Postgres) } else { Ok(Self::Json(text.into())) }
    }

    /// Opens it: migrates a database, locks and reads a file. `now` is the time of what is found changed in a file.
    ///
    /// # Errors
    /// [`OpenError`] says what was found and what to do; the storage is as it was.
    pub async fn open(&self, now: DateTime<Utc>) -> Result<Arc<dyn FlowRepository>, OpenError> {
        self.open_with(now, Settings::default()).await
    }

    /// As [`open`](Self::open), with other settings than the default.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for a JSON file that is to be read only: see [`Settings::read_only`].
    pub async fn open_with(
        &self,
        now: DateTime<Utc>,
        settings: Settings,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        Ok(match self {
            Self::Postgres(url) => Arc::new(PostgresRepository::open_with(url, settings).await?),
            Self::Json(path) if settings.read_only => return Err(written_by_its_reader(path)),
            Self::Json(path) => {
                let settings = json::Settings { retention: settings.retention, ..json::Settings::default() };
                Arc::new(JsonRepository::open_with(path, now, settings).await?)
            }
        })
    }
}

/// Those who only look.
impl Storage {
    /// Opens it to look at it, and writes nothing: neither a migration nor, of a file, what a start would set right. Every
    /// change is refused.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn look(&self, now: DateTime<Utc>, settings: Settings) -> Result<Arc<dyn FlowRepository>, OpenError> {
        Ok(match self {
            Self::Postgres(url) => {
                Arc::new(PostgresRepository::open_with(url, Settings { read_only: true, ..settings }).await?)
            }
            Self::Json(path) => Arc::new(JsonRepository::look(path, now).await?),
        })
    }
}

/// What concerns files alone.
impl Storage {
    /// Whether there is a file, or what a file can be put together from. Of a database it is true: whoever opens it is told.
    pub fn may_exist(&self) -> bool {
        match self {
            Self::Postgres(_) => true,
            Self::Json(path) => json::may_exist(path),
        }
    }
}

/// What concerns databases alone. To a file it is `None`.
impl Storage {
    /// Which migrations the database has and which it lacks. Only reads.
    ///
    /// # Errors
    /// As of [`postgres::migrations`].
    pub async fn migrations(&self) -> Result<Option<MigrationStatus>, OpenError> {
        Ok(match self {
            Self::Postgres(url) => Some(postgres::migrations(url).await?),
            Self::Json(_) => None,
        })
    }

    /// Brings the schema of the database up to date, as [`open_with`](Self::open_with) does, and says what was applied.
    ///
    /// # Errors
    /// As of [`postgres::migrate`].
    pub async fn migrate(&self, settings: &Settings) -> Result<Option<Vec<Migration>>, OpenError> {
        Ok(match self {
            Self::Postgres(url) => Some(postgres::migrate(url, settings.migrations.as_ref()).await?),
            Self::Json(_) => None,
        })
    }
}

fn written_by_its_reader(path: &Path) -> OpenError {
    OpenError {
        location: path.display().to_string(),
        problem: "a JSON file cannot be opened read-only: opening it sets it right, and one instance alone has it"
            .to_owned(),
        remedy: "Ask the instance that has it, open a copy of the file without `--read-only`, or keep the flows in \
                 PostgreSQL."
            .to_owned(),
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(url) => url.fmt(f),
            Self::Json(path) => path.display().fmt(f),
        }
    }
}
