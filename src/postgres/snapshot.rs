//! What is streamed: flows, all as of one moment or those with some ids, and histories.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::error::{self, Error};
use super::pool::Pool;
use super::row::FlowRow;
use super::session;
use super::{get, history};
use crate::flow::{Flow, FlowId};
use crate::repository::{Record, RepositoryError, Result, Stored};

/// How many flows or records wait for a slow reader; the rest waits in the server.
const BUFFER: usize = 32;

/// One statement sees one moment. It holds one of the five connections until the stream ends or is dropped.
pub(super) fn all(pool: Arc<Pool>) -> BoxStream<'static, Result<Stored<Flow>>> {
    stream(pool, |connection, sender| send_all(connection, sender).boxed())
}

/// Those of these flows that exist. Holds a connection as [`all`] does.
pub(super) fn some(pool: Arc<Pool>, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
    let ids: Arc<[Uuid]> = ids.into_iter().map(FlowId::as_uuid).collect();
    stream(pool, move |connection, sender| send_some(connection, Arc::clone(&ids), sender).boxed())
}

/// Every revision of every flow. Holds a connection as [`all`] does.
pub(super) fn histories(pool: Arc<Pool>) -> BoxStream<'static, Result<Record<Flow>>> {
    stream(pool, |connection, sender| send_histories(connection, sender).boxed())
}

type Sender<T> = mpsc::Sender<Result<T>>;

fn stream<T: Send + 'static>(
    pool: Arc<Pool>,
    send: impl for<'c> Fn(&'c mut PgConnection, Sender<T>) -> BoxFuture<'c, error::Result<()>> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T>> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        let sent = pool.stream(|connection| send(connection, sender.clone())).await;
        if let Err(error) = sent {
            // Nobody is left to hear of it when this fails.
            let _ = sender.send(Err(error.into())).await;
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

async fn send_all(connection: &mut PgConnection, sender: Sender<Stored<Flow>>) -> error::Result<()> {
    let mut transaction = connection.begin().await?;
    session::wait_for_the_reader(&mut transaction).await?;
    {
        let rows = sqlx::query_as!(
            FlowRow,
            r#"
            SELECT id, name, state, auto_restart, size, elements, blocks, links, revision, created_at, updated_at,
                author, data AS "data: Json<Box<RawValue>>"
            FROM flows
            ORDER BY name COLLATE "C", id
            "#,
        )
        .fetch(&mut *transaction);
        pass_on(rows, &sender).await?;
    }
    Ok(transaction.commit().await?)
}

async fn send_histories(connection: &mut PgConnection, sender: Sender<Record<Flow>>) -> error::Result<()> {
    let mut transaction = connection.begin().await?;
    session::wait_for_the_reader(&mut transaction).await?;
    pass_on(history::all(&mut transaction), &sender).await?;
    Ok(transaction.commit().await?)
}

async fn send_some(connection: &mut PgConnection, ids: Arc<[Uuid]>, sender: Sender<Stored<Flow>>) -> error::Result<()> {
    let mut transaction = connection.begin().await?;
    session::wait_for_the_reader(&mut transaction).await?;
    pass_on(get::rows(&mut transaction, &ids), &sender).await?;
    Ok(transaction.commit().await?)
}

async fn pass_on<R, T>(mut rows: BoxStream<'_, sqlx::Result<R>>, sender: &Sender<T>) -> error::Result<()>
where
    R: TryInto<T, Error = RepositoryError>,
{
    while let Some(row) = rows.try_next().await? {
        sender.send(row.try_into()).await.map_err(|_| Error::ReaderLeft)?;
    }
    Ok(())
}
