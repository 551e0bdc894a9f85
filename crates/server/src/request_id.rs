//! The id of the request that is being answered: in its answer, in the log and in errors.

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that is being answered; empty outside of one.
pub(crate) fn current() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Runs a future as part of the request with this id.
pub(crate) async fn scope<T>(id: String, work: impl Future<Output = T>) -> T {
    REQUEST_ID.scope(id, work).await
}

/// Runs blocking work, on a separate thread, as part of the request with this id.
pub(crate) fn sync_scope<T>(id: String, work: impl FnOnce() -> T) -> T {
    REQUEST_ID.sync_scope(id, work)
}
