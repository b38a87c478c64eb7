//! Streams the rows of a statement to a reader.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;

use super::pool::Pool;
use super::session;
use crate::postgres::error::{self, Error, of_read};
use crate::repository::{RepositoryError, Result, produce};

/// How many items wait for a slow reader. The rest waits in the server.
const BUFFER: usize = 32;

/// Streams the rows of one statement, which sees the table as of one moment. Holds one of the five connections until
/// the stream ends or drops.
pub(crate) fn stream_rows<R, T>(
    pool: Arc<Pool>,
    query: impl for<'c> Fn(&'c mut PgConnection) -> BoxStream<'c, sqlx::Result<R>> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T>>
where
    R: TryInto<T, Error = RepositoryError> + Send + 'static,
    T: Send + 'static,
{
    let query = Arc::new(query);
    let rows = produce(BUFFER, async move |sender: mpsc::Sender<Result<T>>| {
        pool.run_unlimited(|connection| send_rows(connection, Arc::clone(&query), sender.clone()).boxed())
            .await
            .map_err(of_read)
    });
    rows.map(|row| row.and_then(|row| row)).boxed()
}

async fn send_rows<R, T>(
    connection: &mut PgConnection,
    query: Arc<impl for<'c> Fn(&'c mut PgConnection) -> BoxStream<'c, sqlx::Result<R>>>,
    sender: mpsc::Sender<Result<T>>,
) -> error::Result<()>
where
    R: TryInto<T, Error = RepositoryError>,
{
    let mut transaction = connection.begin().await?;
    session::disable_statement_timeout(&mut transaction).await?;
    {
        let mut rows = query(&mut transaction);
        while let Some(row) = rows.try_next().await? {
            sender.send(row.try_into()).await.map_err(|_| Error::ReaderLeft)?;
        }
    }
    Ok(transaction.commit().await?)
}
