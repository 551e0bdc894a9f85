//! Whether the request that is being answered is an admin's, who may see the messages of models' services.

tokio::task_local! {
    static IS_ADMIN: bool;
}

/// Whether the request that is being answered is an admin's; false outside of one.
pub(crate) fn is_current() -> bool {
    IS_ADMIN.try_with(|is_admin| *is_admin).unwrap_or(false)
}

/// Runs a future as part of a request that is an admin's or not.
pub(crate) async fn scope<T>(is_admin: bool, work: impl Future<Output = T>) -> T {
    IS_ADMIN.scope(is_admin, work).await
}
