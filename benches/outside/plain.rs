//! The plain service that Strom is compared with: the given table, its indexes and one statement per request. It has no history, no
//! revisions, no checks and no feed.

use std::net::Ipv4Addr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use sqlx::{Executor, PgPool, Postgres};
use uuid::Uuid;

pub(crate) const TABLE: &str = "
    CREATE TABLE flows (
        id UUID PRIMARY KEY, name TEXT NOT NULL, state TEXT, auto_restart BOOLEAN DEFAULT FALSE, data JSONB NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
    );
    CREATE INDEX idx_flows_name ON flows (name);
    CREATE INDEX idx_flows_state ON flows (state);
    CREATE INDEX idx_flows_auto_restart ON flows (auto_restart);
    CREATE INDEX idx_flows_data ON flows USING GIN (data)";

const UPSERT: &str = "
    INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6)
    ON CONFLICT (id) DO UPDATE
    SET name = excluded.name, state = excluded.state, auto_restart = excluded.auto_restart, data = excluded.data,
        updated_at = excluded.updated_at";

#[derive(Deserialize)]
struct Head {
    id: Uuid,
    name: String,
    gst_state: Option<String>,
}

#[derive(Serialize, sqlx::FromRow)]
struct Summary {
    id: Uuid,
    name: String,
    state: Option<String>,
    elements: i32,
}

#[derive(Deserialize)]
struct Import {
    flows: Vec<Box<RawValue>>,
}

/// Serves the database until the process ends. Prints its address like the program does.
pub(crate) async fn serve(url: &str) {
    let pool = PgPoolOptions::new().max_connections(5).connect(url).await.unwrap();
    let app = Router::new()
        .route("/api/flows/{id}", put(save).get(read))
        .route("/api/flows", get(all))
        .route("/api/summaries", get(page))
        .route("/api/flows/import", post(import))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

type Answer = Result<String, (StatusCode, String)>;

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn upsert(executor: impl Executor<'_, Database = Postgres>, document: &RawValue) -> Result<(), String> {
    let head: Head = serde_json::from_str(document.get()).map_err(|error| error.to_string())?;
    let upsert = sqlx::query(UPSERT).bind(head.id).bind(head.name).bind(head.gst_state).bind(false);
    let done = upsert.bind(Json(document)).bind(strom_server::clock::now()).execute(executor).await;
    done.map(drop).map_err(|error| error.to_string())
}

async fn save(State(pool): State<PgPool>, body: Bytes) -> Answer {
    let document: &RawValue = serde_json::from_slice(&body).map_err(failed)?;
    upsert(&pool, document).await.map_err(failed)?;
    Ok(document.get().to_owned())
}

async fn read(State(pool): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    let found = sqlx::query_scalar::<_, Json<Box<RawValue>>>("SELECT data FROM flows WHERE id = $1").bind(id);
    Ok(found.fetch_one(&pool).await.map_err(failed)?.0.get().to_owned())
}

async fn all(State(pool): State<PgPool>) -> Answer {
    let flows = sqlx::query_scalar::<_, Json<Box<RawValue>>>("SELECT data FROM flows ORDER BY name, id");
    serde_json::to_string(&flows.fetch_all(&pool).await.map_err(failed)?).map_err(failed)
}

async fn page(State(pool): State<PgPool>) -> Answer {
    let summaries = sqlx::query_as::<_, Summary>(
        "SELECT id, name, state, jsonb_array_length(data -> 'elements') AS elements FROM flows ORDER BY name, id LIMIT 50",
    );
    serde_json::to_string(&summaries.fetch_all(&pool).await.map_err(failed)?).map_err(failed)
}

async fn import(State(pool): State<PgPool>, body: Bytes) -> Answer {
    let import: Import = serde_json::from_slice(&body).map_err(failed)?;
    let mut transaction = pool.begin().await.map_err(failed)?;
    for document in &import.flows {
        upsert(&mut *transaction, document).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(String::new())
}
