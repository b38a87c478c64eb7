//! Names a storage and opens it. The only file that knows both backends.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::json::{JsonRepository, Settings};
use crate::postgres::{DatabaseUrl, PostgresRepository};
use crate::repository::{FlowRepository, OpenError, Retention};

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
        self.open_keeping(now, Retention::default()).await
    }

    /// As [`open`](Self::open), and keeps so much history in a file. A database keeps all of it.
    ///
    /// # Errors
    /// [`OpenError`] says what was found and what to do; the storage is as it was.
    pub async fn open_keeping(
        &self,
        now: DateTime<Utc>,
        retention: Retention,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        let settings = Settings { retention, ..Settings::default() };
        Ok(match self {
            Self::Postgres(url) => Arc::new(PostgresRepository::open(url).await?),
            Self::Json(path) => Arc::new(JsonRepository::open_with(path, now, settings).await?),
        })
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
