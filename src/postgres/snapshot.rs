//! Every flow as of one moment, streamed.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;

use super::error::{self, Error};
use super::pool::Pool;
use super::row::FlowRow;
use super::session;
use crate::flow::Flow;
use crate::repository::{Result, Stored};

/// How many flows wait for a slow reader; the rest waits in the server.
const BUFFER: usize = 32;

/// One statement sees one moment. It holds one of the five connections until the stream ends or is dropped.
pub(super) fn stream(pool: Arc<Pool>) -> BoxStream<'static, Result<Stored<Flow>>> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        let sent = pool.stream(|connection| send_all(connection, sender.clone()).boxed()).await;
        if let Err(error) = sent {
            // Nobody is left to hear of it when this fails.
            let _ = sender.send(Err(error.into())).await;
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

async fn send_all(connection: &mut PgConnection, sender: mpsc::Sender<Result<Stored<Flow>>>) -> error::Result<()> {
    let mut transaction = connection.begin().await?;
    session::wait_for_the_reader(&mut transaction).await?;
    {
        let mut rows = sqlx::query_as!(
            FlowRow,
            r#"
            SELECT id, name, state, auto_restart, size, elements, blocks, links, revision, created_at, updated_at,
                author, data AS "data: Json<Box<RawValue>>"
            FROM flows
            ORDER BY name COLLATE "C", id
            "#,
        )
        .fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            sender.send(row.try_into()).await.map_err(|_| Error::ReaderLeft)?;
        }
    }
    Ok(transaction.commit().await?)
}
