//! Blocking work, on threads that serve no connections.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::Problem;
use crate::request_id;

/// Runs blocking work with a limited concurrency; further calls wait.
#[derive(Clone)]
pub(crate) struct BlockingPool {
    permits: Arc<Semaphore>,
}

impl BlockingPool {
    /// A pool with this concurrency.
    pub(crate) fn new(size: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(size)) }
    }

    /// Runs blocking work as part of the current request. Once started, it runs to its end, even if the caller is
    /// dropped.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
        let request = request_id::current();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            request_id::sync_scope(request, work)
        });
        task.await.map_err(|error| {
            tracing::error!(%error, "a worker panicked");
            Problem::internal()
        })
    }
}
