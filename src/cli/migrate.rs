//! `strom migrate` and `strom migrate status`.

use clap::{Args, Subcommand};
use serde_json::json;
use strom::storage::{Settings, Storage};

use super::output::say;
use super::{Answer, Failure};
use crate::config::Flags;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say which migrations the database has and lacks, and change nothing; ends with 1 when it lacks some
    Status {
        /// For machines
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let storage = flags.storage()?;
    let settings = Settings { migrations: flags.migrations()?, ..Settings::default() };
    if matches!(storage, Storage::Json(_)) && settings.migrations.is_some() {
        return Err(Failure::NoDatabase);
    }
    match arguments.action {
        None => migrate(&storage, &settings).await,
        Some(Action::Status { json }) => status(&storage, json).await,
    }
}

async fn migrate(storage: &Storage, settings: &Settings) -> Result<Answer, Failure> {
    match storage.migrate(settings).await? {
        None => say(&format!("{storage}: a JSON file, nothing to migrate"))?,
        Some(applied) if applied.is_empty() => say(&format!("{storage}: up to date, nothing to migrate"))?,
        Some(applied) => {
            let lines: Vec<_> = applied.iter().map(|migration| format!("applied  {migration}")).collect();
            say(&lines.join("\n"))?;
        }
    }
    Ok(Answer::Done)
}

async fn status(storage: &Storage, for_machines: bool) -> Result<Answer, Failure> {
    let status = storage.migrations().await?;
    let migrations = status.as_ref().map_or(&[][..], |status| &status.migrations);
    let is_up_to_date = status.as_ref().is_none_or(|status| status.is_up_to_date());
    if for_machines {
        let place = storage.to_string();
        say(&json!({ "storage": place, "up_to_date": is_up_to_date, "migrations": migrations }).to_string())?;
    } else if status.is_none() {
        say(&format!("{storage}: a JSON file, nothing to migrate"))?;
    } else {
        let lines: Vec<_> = migrations.iter().map(|migration| format!("{}  {migration}", migration.state)).collect();
        say(&lines.join("\n"))?;
    }
    status.as_ref().map_or(Ok(()), |status| status.verify())?;
    Ok(if is_up_to_date { Answer::Done } else { Answer::No })
}
