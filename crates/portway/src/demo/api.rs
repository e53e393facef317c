//! The API server: notes, kept in memory, that a page on another port puts here.
//!
//! It answers no preflight and sends no CORS field, as most APIs that begin on somebody's own machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// Notes that are kept; more would only fill memory.
const NOTES: usize = 100;
/// The longest name and the longest text, in bytes.
const LONGEST: usize = 1000;

/// Everything the API knows.
#[derive(Clone, Debug, Default, Serialize)]
struct Notes {
    /// How often a note was put here since the start.
    count: u64,
    notes: BTreeMap<String, String>,
}

type Shared = Arc<Mutex<Notes>>;

#[derive(Deserialize)]
struct Note {
    text: String,
}

/// The answer to a note.
#[derive(Serialize)]
struct Kept {
    name: String,
    text: String,
    count: u64,
}

/// Everything on the API's port.
pub(super) fn routes() -> Router {
    Router::new().route("/", get(list)).route("/notes/{name}", put(keep)).with_state(Shared::default())
}

async fn list(State(notes): State<Shared>) -> Json<Notes> {
    Json(lock(&notes).clone())
}

async fn keep(
    State(notes): State<Shared>,
    Path(name): Path<String>,
    Json(Note { text }): Json<Note>,
) -> Result<Json<Kept>, StatusCode> {
    if name.len() > LONGEST || text.len() > LONGEST {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut notes = lock(&notes);
    if notes.notes.len() >= NOTES && !notes.notes.contains_key(&name) {
        return Err(StatusCode::INSUFFICIENT_STORAGE);
    }
    notes.count = notes.count.saturating_add(1);
    notes.notes.insert(name.clone(), text.clone());
    Ok(Json(Kept { name, text, count: notes.count }))
}

/// Notes are whole after every step, also after one that panicked.
fn lock(notes: &Shared) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}
