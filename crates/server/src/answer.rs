//! What the answer to the current request depends on besides its handler: the format of errors, and the names in the
//! request that nothing reads.

use std::cell::RefCell;

tokio::task_local! {
    static ANSWER: Answer;
}

struct Answer {
    format: ErrorFormat,
    ignored: RefCell<Vec<String>>,
}

/// The format of error answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ErrorFormat {
    /// `ErrorBody`, which mem0's clients read.
    #[default]
    Mem0,
    /// `OpenAiErrorBody`, which OpenAI's clients read.
    OpenAi,
}

/// Most names that an answer lists.
pub(crate) const MAX_NAMES: usize = 100;
/// The longest name that an answer shows, in characters.
const MAX_NAME: usize = 80;

/// Runs a future that answers a request.
pub(crate) async fn scope<T>(format: ErrorFormat, work: impl Future<Output = T>) -> T {
    ANSWER.scope(Answer { format, ignored: RefCell::default() }, work).await
}

/// The format of errors of the current request.
pub(crate) fn error_format() -> ErrorFormat {
    ANSWER.try_with(|answer| answer.format).unwrap_or_default()
}

/// Notes that nothing reads this parameter or key of the current request. The answer names it.
pub(crate) fn ignore(name: &str) {
    let name: String = name.chars().take(MAX_NAME).collect();
    // Outside of a request there is no answer.
    let _ = ANSWER.try_with(|answer| {
        let mut names = answer.ignored.borrow_mut();
        if names.len() < MAX_NAMES && !names.contains(&name) {
            names.push(name);
        }
    });
}

/// The names that [`ignore`] was called with.
pub(crate) fn ignored() -> Vec<String> {
    ANSWER.try_with(|answer| answer.ignored.borrow().clone()).unwrap_or_default()
}
