//! What probes of the server find. Anybody may probe, so the cost is bounded: there is one look at a time, and all who waited
//! for it share it.

use std::sync::Arc;
use std::time::Instant;

use mnemon_engine::{Engine, EngineError, PendingJobs};
use mnemon_store::{MemoryId, StoreWarning};
use tokio::sync::Mutex;

use crate::error::Problem;

/// What a look found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The warnings of the store.
    pub(crate) warnings: Vec<String>,
    /// The requests that wait for a model.
    pub(crate) pending: PendingJobs,
}

/// The last look at the store.
#[derive(Clone, Default)]
pub(crate) struct Probes {
    last: Arc<Mutex<Option<Look>>>,
}

struct Look {
    found: Result<Arc<Found>, Problem>,
    started: Instant,
}

impl Probes {
    /// Checks that the store answers, by reading a memory that need not exist. Runs outside of all pools, so that a probe is
    /// answered however busy the server is.
    pub(crate) async fn look(
        &self,
        engine: &Arc<Engine>,
        describe: fn(&StoreWarning) -> String,
    ) -> Result<Arc<Found>, Problem> {
        let (last, engine, arrived) = (self.last.clone(), engine.clone(), Instant::now());
        // A separate task: a caller who leaves must not let the next one look again.
        let shared = tokio::spawn(async move {
            let mut last = last.lock().await;
            if let Some(look) = last.as_ref().filter(|look| look.started >= arrived) {
                return look.found.clone();
            }
            let started = Instant::now();
            let looked = tokio::task::spawn_blocking(move || look(&engine, describe)).await;
            let found = match looked {
                Ok(found) => found.map(Arc::new).map_err(Problem::from),
                Err(_) => Err(Problem::internal()),
            };
            *last = Some(Look { found: found.clone(), started });
            found
        });
        shared.await.map_err(|_| Problem::internal())?
    }
}

fn look(engine: &Engine, describe: fn(&StoreWarning) -> String) -> Result<Found, EngineError> {
    engine.store().get(&[MemoryId::Number(0)])?;
    let warnings = engine.store().warnings().iter().map(describe).collect();
    Ok(Found { warnings, pending: engine.pending_jobs()? })
}
