//! `strom migrate`: migrates the database, or prints the status of its migrations.

use clap::{Args, Subcommand};
use serde_json::json;
use strom_store::storage::{Settings, Storage};

use super::answer::Answer;
use super::failure::Failure;
use super::output::print;
use super::signals::{Stop, unless_requested};
use crate::config::Flags;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List applied and pending migrations. Exits with 1 if some are pending
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let storage = flags.storage()?;
    let settings = Settings::default().with_migrations(flags.migrations()?);
    if matches!(storage, Storage::Json(_)) && settings.migrations.is_some() {
        return Err(Failure::NoDatabase);
    }
    match arguments.action {
        None => {
            let mut stop = Some(Stop::on_signal()?);
            unless_requested(&mut stop, migrate(&storage, &settings)).await
        }
        Some(Action::Status { json }) => status(&storage, json).await,
    }
}

async fn migrate(storage: &Storage, settings: &Settings) -> Result<Answer, Failure> {
    match storage.migrate(settings).await? {
        None => print(&format!("{storage}: a JSON file, nothing to migrate"))?,
        Some(applied) if applied.is_empty() => print(&format!("{storage}: up to date, nothing to migrate"))?,
        Some(applied) => {
            let lines: Vec<_> = applied.iter().map(|migration| format!("applied  {migration}")).collect();
            print(&lines.join("\n"))?;
        }
    }
    Ok(Answer::Done)
}

async fn status(storage: &Storage, is_json: bool) -> Result<Answer, Failure> {
    let status = storage.migrations().await?;
    let migrations = status.as_ref().map_or(&[][..], |status| &status.migrations);
    let is_up_to_date = status.as_ref().is_none_or(|status| status.is_up_to_date());
    if is_json {
        let storage = storage.to_string();
        print(&json!({ "storage": storage, "up_to_date": is_up_to_date, "migrations": migrations }).to_string())?;
    } else if status.is_none() {
        print(&format!("{storage}: a JSON file, nothing to migrate"))?;
    } else {
        let lines: Vec<_> = migrations.iter().map(|migration| format!("{}  {migration}", migration.state)).collect();
        print(&lines.join("\n"))?;
    }
    status.as_ref().map_or(Ok(()), |status| status.verify())?;
    Ok(if is_up_to_date { Answer::Done } else { Answer::No })
}
