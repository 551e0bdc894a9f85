//! The conformance suite: what every store, document store and database must do. Each test is a story that opens a store one
//! or more times and checks its results.
//!
//! ```text
//! mnemon_store::conformance::run(&|name| Box::new(open_my_store(name)));
//! ```
#![expect(clippy::unwrap_used, reason = "a story that can't continue has failed")]

mod collection;
mod database;
mod documents;
mod entities;
mod fixture;
mod provenance;
mod queue;
mod reads;
mod search;
mod writes;

pub use fixture::{DIMS, Open, OpenDatabase, OpenDocumentStore};

use crate::Store;

/// A story of a store. It panics if a result is wrong.
pub type Story = fn(Open<'_>);

/// All stories of stores, by name.
pub const STORIES: &[(&str, Story)] = &[
    ("memories_round_trip_bit_by_bit", reads::memories_round_trip_bit_by_bit),
    ("ids_of_all_kinds", reads::ids_of_all_kinds),
    ("lists_are_paged_newest_first", reads::lists_are_paged_newest_first),
    ("sessions_and_windows", reads::sessions_and_windows),
    ("hashes_are_found_in_the_exact_scope", reads::hashes_are_found_in_the_exact_scope),
    ("history_is_in_order", reads::history_is_in_order),
    ("messages_are_stored_and_deleted", reads::messages_are_stored_and_deleted),
    ("versions_are_found", reads::versions_are_found),
    ("visits_are_complete", reads::visits_are_complete),
    ("summaries_of_scopes", reads::summaries_of_scopes),
    ("owners_are_counted", reads::owners_are_counted),
    ("filters_read_session_and_event_time", provenance::filters_read_session_and_event_time),
    ("change_sets_are_all_or_nothing", writes::change_sets_are_all_or_nothing),
    ("an_outdated_version_is_a_conflict", writes::an_outdated_version_is_a_conflict),
    ("links_are_removed_with_their_memories", writes::links_are_removed_with_their_memories),
    ("remove_matching_removes_all_matches_only", writes::remove_matching_removes_all_matches_only),
    ("entities_are_joined_within_the_exact_scope", entities::joined_within_the_exact_scope),
    ("entities_are_removed_with_their_last_memory", entities::removed_with_their_last_memory),
    ("entities_survive_a_replacement", entities::surviving_a_replacement),
    ("near_entities_are_those_of_the_scope", entities::near_entities_are_those_of_the_scope),
    ("searches_equal_brute_force", search::equal_brute_force),
    ("an_updated_index_equals_a_new_one", search::updated_index_equals_new_one),
    ("scopes_are_isolated", search::scopes_are_isolated),
    ("a_filter_that_pins_no_id_is_refused", search::a_filter_that_pins_no_id_is_refused),
];

/// Stories of stores whose idf never counts removed memories. Qdrant's idf counts them until it optimizes its segments.
pub const EXACT_STORIES: &[(&str, Story)] =
    &[("idf_counts_existing_memories_only", search::idf_counts_existing_memories_only)];

/// Runs all stories; `open` gets the name of a story and opens its store.
pub fn run(open: &dyn Fn(&str) -> Box<dyn Store>) {
    for (name, story) in STORIES {
        story(&|| open(name));
    }
}

/// A story of a document store. It panics if a result is wrong.
pub type DocumentStory = fn(OpenDocumentStore<'_>);

/// All stories of document stores, by name.
pub const DOCUMENT_STORIES: &[(&str, DocumentStory)] = &[
    ("documents_round_trip", documents::documents_round_trip),
    ("a_replaced_document_keeps_its_position", documents::a_replaced_document_keeps_its_position),
    ("put_new_succeeds_once", documents::put_new_succeeds_once),
    ("the_first_of_a_kind_is_written_once", documents::the_first_of_a_kind_is_written_once),
    ("remove_succeeds_once", documents::remove_succeeds_once),
    ("no_change_is_lost", documents::no_change_is_lost),
    ("a_refused_change_writes_nothing", documents::a_refused_change_writes_nothing),
    ("the_longest_due_is_first", documents::the_longest_due_is_first),
    ("one_caller_reschedules_a_due_document", documents::one_caller_reschedules_a_due_document),
    ("documents_of_one_owner_are_deleted", documents::documents_of_one_owner_are_deleted),
    ("trim_keeps_the_newest", documents::trim_keeps_the_newest),
    ("trim_keeps_documents_whose_work_is_not_done", documents::trim_keeps_documents_whose_work_is_not_done),
    ("documents_are_paged_newest_first", documents::paged_newest_first),
    ("unreadable_documents_are_not_written", documents::unreadable_documents_are_not_written),
    ("values_of_a_collection_round_trip", collection::values_of_a_collection_round_trip),
    ("an_unreadable_document_is_an_error", collection::an_unreadable_document_is_an_error),
    ("fields_of_a_newer_version_are_kept", collection::fields_of_a_newer_version_are_kept),
    ("a_job_is_claimed_by_one_worker", queue::a_job_is_claimed_by_one_worker),
    ("a_job_is_due_again_when_its_lease_expires", queue::a_job_is_due_again_when_its_lease_expires),
    ("a_failed_job_is_tried_again", queue::a_failed_job_is_tried_again),
    ("a_job_is_finished_once", queue::a_job_is_finished_once),
    ("an_unreadable_job_does_not_stop_the_queue", queue::an_unreadable_job_does_not_stop_the_queue),
];

/// The schema step for the table of documents.
pub const DOCUMENTS_SCHEMA: &str = crate::documents::DOCUMENTS_SCHEMA;

/// A story of a database. It panics if a result is wrong.
pub type DatabaseStory = fn(OpenDatabase<'_>);

/// All stories of databases, by name.
pub const DATABASE_STORIES: &[(&str, DatabaseStory)] = &[
    ("values_round_trip", database::values_round_trip),
    ("text_compares_by_code_points", database::text_compares_by_code_points),
    ("a_failure_writes_nothing", database::a_failure_writes_nothing),
    ("a_snapshot_does_not_change", database::a_snapshot_does_not_change),
    ("rows_are_locked_until_the_end", database::rows_are_locked_until_the_end),
    ("a_deadlock_is_resolved", database::a_deadlock_is_resolved),
    ("steps_are_applied_once_and_in_order", database::steps_are_applied_once_and_in_order),
    ("concurrent_opens_succeed", database::concurrent_opens_succeed),
    ("locks_on_keys_are_exclusive", database::locks_on_keys_are_exclusive),
    ("a_lock_on_everything_is_exclusive", database::a_lock_on_everything_is_exclusive),
    ("the_holder_of_a_lock_can_write", database::the_holder_of_a_lock_can_write),
    ("locks_of_a_closed_database_are_free", database::locks_of_a_closed_database_are_free),
    ("many_threads_get_locks", database::many_threads_get_locks),
];
