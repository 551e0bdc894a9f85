//! The table of error codes: the stable name, HTTP status, exit code and hint of every error of the product.

/// The exit codes of every command. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did its work.
    Ok = 0,
    /// The command failed, or did only a part of its work.
    Failed = 1,
    /// The arguments or settings are wrong; the message says what to change.
    Usage = 2,
    /// A check or comparison found problems.
    Differences = 3,
    /// The command was refused because it could destroy data.
    Refused = 4,
}

/// One row of the table.
struct Row {
    name: &'static str,
    status: Option<u16>,
    exit: Exit,
    meaning: &'static str,
    hint: Option<&'static str>,
}

/// Declares [`ErrorCode`] and its table. A row: what the code means, then variant, name, HTTP status (`cli` for a code
/// that is never sent over HTTP), exit code and, if there is one, the hint.
macro_rules! error_codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident $name:literal $status:tt $exit:ident $($hint:literal)?;)+) => {
        /// The stable code of an error. REST and the command line report the same code for the same error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $meaning])+ $variant,)+
        }

        /// In the order of the variants.
        const TABLE: &[Row] = &[$(Row {
            name: $name,
            status: error_codes!(@status $status),
            exit: Exit::$exit,
            meaning: concat!($($meaning),+),
            hint: error_codes!(@hint $($hint)?),
        }),+];

        impl ErrorCode {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
    (@status cli) => { None };
    (@status $status:literal) => { Some($status) };
    (@hint) => { None };
    (@hint $hint:literal) => { Some($hint) };
}

error_codes! {
    /// The request, an argument or a value is not valid; the message says what to change.
    InvalidRequest "invalid_request" 400 Usage;
    /// The filter is not valid.
    InvalidFilter "invalid_filter" 400 Usage;
    /// An id of the scope is not valid.
    InvalidScope "invalid_scope" 400 Usage;
    /// The cursor is not one of this store.
    InvalidCursor "invalid_cursor" 400 Usage;
    /// The messages are too long for the language model.
    LlmInputTooLong "llm_input_too_long" 400 Failed
        "Send fewer or shorter messages, or use a language model with a larger context.";
    /// The language model, or a filter before it, refuses the content of the messages.
    LlmContentRefused "llm_content_refused" 400 Failed
        "Send other messages. The server's log has the reason under this request_id.";
    /// The request deletes all memories and was not confirmed.
    ConfirmationRequired "confirmation_required" 400 Refused
        "Send {\"confirm\": \"reset\"}. To delete the memories of one user, use DELETE /memories.";
    /// The store's vectors were made by another embedder than the one in the request.
    EmbedderFixed "embedder_fixed" 400 Usage
        "To use another embedder, all memories must be embedded again: ask the operator to move the store to it.";
    /// This server has no client for the provider.
    ProviderNotBundled "provider_not_bundled" 400 Usage
        "GET /configure/providers lists the supported providers.";
    /// The request has no key and no token.
    NotAuthenticated "not_authenticated" 401 Failed
        "Send your key in the header X-API-Key, or as Authorization: Token KEY or Authorization: Bearer KEY.";
    /// The key, token or password is not valid.
    InvalidCredentials "invalid_credentials" 401 Failed;
    /// The key belongs to another user than the one in the request.
    NotYourUser "not_your_user" 403 Failed
        "Omit user_id, or use the key of that user or an admin key.";
    /// The request needs a key of role admin.
    AdminRequired "admin_required" 403 Failed
        "Use a key of role admin.";
    /// The key lacks a scope that the request needs.
    MissingScope "missing_scope" 403 Failed;
    /// An account exists already, and only one can be registered.
    RegistrationClosed "registration_closed" 403 Failed;
    /// The request has no key, and comes from a page of another site or in the content type of a form.
    CrossSite "cross_site" 403 Failed
        "Call the server at 127.0.0.1 or localhost and add the page's origin to cors_origins, or turn on \
         authentication and send an API key.";
    /// Nothing has this id, name or path. An id that is not a UUID counts as unknown.
    NotFound "not_found" 404 Usage;
    /// The route does not support this method.
    MethodNotAllowed "method_not_allowed" 405 Usage;
    /// Another request changed or deleted the data during this one.
    Conflict "conflict" 409 Failed;
    /// The id is already used.
    Exists "exists" 409 Usage;
    /// The body of the request is too large.
    BodyTooLarge "body_too_large" 413 Usage
        "Split it into several requests, or raise max_body_mb.";
    /// The body of the request is packed in a way that is not supported.
    UnsupportedEncoding "unsupported_encoding" 415 Usage;
    /// The caller has sent too many requests in the last minute.
    RateLimited "rate_limited" 429 Failed
        "Wait for the number of seconds in Retry-After.";
    /// A fault of the server. Its log has the reason.
    Internal "internal" 500 Failed
        "The server's log has the reason under this request_id.";
    /// A stored document that the request needs is damaged, or a newer version of Mnemon wrote it.
    UnreadableDocument "unreadable_document" 500 Failed
        "The server's log names the document under this request_id.";
    /// The feature is not implemented yet.
    NotImplemented "not_implemented" 501 Failed;
    /// The embedder or the reranker does not work with its current settings.
    EmbedderFailed "embedder_failed" 502 Failed
        "Nothing was stored. The server's log has the reason under this request_id. Check embedder, embedder_url, \
         embedder_dims and the API key of the embedder.";
    /// The language model does not work with its current settings.
    LlmFailed "llm_failed" 502 Failed
        "Nothing was stored. The server's log has the reason under this request_id. Check llm, llm_url, \
         llm_max_tokens and the API key of the language model.";
    /// The language model's answer has no facts that can be read.
    LlmAnswer "llm_answer" 502 Failed
        "Nothing was stored. Try again.";
    /// Another process or another writer has locked the store or changed it at the same time.
    Busy "busy" 503 Failed
        "Nothing was stored. Try again.";
    /// The request took longer than request_timeout.
    Timeout "timeout" 503 Failed
        "Try again. A write may have been stored all the same: check before you repeat it.";
    /// A server that the store needs is unavailable.
    DatastoreUnavailable "datastore_unavailable" 503 Failed
        "Try again. The server reconnects by itself.";
    /// The connection was lost during a commit.
    OutcomeUnknown "outcome_unknown" 503 Failed
        "The write may have been stored: check before you repeat it.";
    /// The request needs a language model, and none is configured.
    LlmNotConfigured "llm_not_configured" 503 Failed
        "Set llm, for example to openai:gpt-4o-mini or ollama:qwen3. Other features do not need it.";
    /// The language model is unavailable.
    LlmUnavailable "llm_unavailable" 503 Failed
        "Nothing was stored. The server's log has the reason under this request_id.";
    /// The embedder or the reranker is unavailable.
    EmbedderUnavailable "embedder_unavailable" 503 Failed
        "Nothing was stored. The server's log has the reason under this request_id.";
    /// The store's vectors were made by another embedder than the configured one.
    EmbedderMismatch "embedder_mismatch" 503 Failed
        "The store now uses another embedder. Restart the server with the new embedder setting.";
    /// The store can only be read: its disk, its file or its folder can't be written.
    ReadOnly "read_only" 503 Failed
        "Nothing was stored. Reads and searches go on. Make the file, its folder and its disk writable; the server needs no restart.";
    /// The disk is full, or the store reached its size limit.
    Full "full" 507 Failed
        "Free some space on the server's disk.";
    /// The arguments or settings are wrong.
    Usage "usage" cli Usage;
    /// The command could destroy data; the message says what to do first.
    Refused "refused" cli Refused;
    /// A failure that has no more specific code.
    Failed "failed" cli Failed;
    /// A file could not be read or written.
    Io "io" cli Failed;
    /// There is no store at this place, or it is empty.
    NoStore "no_store" cli Failed;
    /// The file is not a store.
    NotAStore "not_a_store" cli Failed;
    /// The file is not a ledger.
    NotALedger "not_a_ledger" cli Failed;
    /// The file is damaged.
    Damaged "damaged" cli Failed;
    /// A newer version of Mnemon wrote the file.
    NewerSchema "newer_schema" cli Failed;
    /// The contents of the database contradict each other.
    Corrupt "corrupt" cli Failed;
    /// The database reported an error.
    Database "database" cli Failed;
    /// A vector has the wrong length.
    Dims "dims" cli Failed;
    /// A server or collection that the store needs is not set up as required.
    DatastoreMisconfigured "datastore_misconfigured" cli Failed;
    /// Moving the store to another embedder can't continue.
    Reembedding "reembedding" cli Failed;
    /// The new embedder returns another vector for a text than before.
    EmbedderChanged "embedder_changed" cli Failed;
    /// A model could not be downloaded.
    Download "download" cli Failed;
    /// A downloaded model can't be used.
    Model "model" cli Failed;
    /// The server does not answer.
    Unreachable "unreachable" cli Failed;
    /// The file is not a snapshot of a Qdrant collection.
    NotASnapshot "not_a_snapshot" cli Failed;
    /// A download does not have the checksum that the server reported.
    Checksum "checksum" cli Failed;
    /// mem0's history database can't be copied.
    History "history" cli Failed;
    /// The source or a file of the migration is not valid.
    InvalidMigration "invalid_migration" cli Failed;
    /// Switching to the other store failed.
    SwitchFailed "switch_failed" cli Failed;
    /// No migration was started in the folder.
    NoMigration "no_migration" cli Failed;
    /// Points of the source are missing in the target.
    PointsMissing "points_missing" cli Failed;
    /// The legacy backend does not report its counts.
    LegacyBackend "legacy_backend" cli Failed;
}

impl ErrorCode {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status. `None`: the code is not sent over HTTP, where such an error is a fault of the server (500).
    pub fn status(self) -> Option<u16> {
        self.row().status
    }

    /// The exit code of a command that fails with this error.
    pub fn exit(self) -> Exit {
        self.row().exit
    }

    /// What the code means, in a sentence.
    pub fn meaning(self) -> &'static str {
        self.row().meaning.trim()
    }

    /// What a caller over HTTP or the operator of the server can do. Settings are named by their key.
    pub fn hint(self) -> Option<&'static str> {
        self.row().hint
    }
}

#[cfg(test)]
mod tests;
