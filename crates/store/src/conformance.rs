//! What every store must do, told as stories: same story, same answers.
//!
//! ```text
//! mnemon_store::conformance::run(&|name| Box::new(open_my_store(name)));
//! ```
#![expect(clippy::unwrap_used, reason = "a story that can't go on has failed")]

mod database;
mod entities;
mod ledger;
mod reads;
mod search;
mod world;
mod writes;

use crate::database::Database;
use crate::{DocumentStore, Result, Store};

/// Dims of the vectors in all stories.
pub const DIMS: usize = 8;

/// Opens the store of a story: the first time an empty one, then the same again with all it holds.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// A story: panics where the store tells it otherwise.
pub type Story = fn(Open<'_>);

/// All stories by name.
pub const STORIES: &[(&str, Story)] = &[
    ("memories_come_back_bit_by_bit", reads::memories_come_back_bit_by_bit),
    ("odd_ids", reads::odd_ids),
    ("lists_are_paged_newest_first", reads::lists_are_paged_newest_first),
    ("sessions_and_windows", reads::sessions_and_windows),
    ("hashes_are_found_in_the_exact_scope", reads::hashes_are_found_in_the_exact_scope),
    ("history_is_in_order", reads::history_is_in_order),
    ("messages_are_kept_and_forgotten", reads::messages_are_kept_and_forgotten),
    ("successors_are_found", reads::successors_are_found),
    ("scans_are_complete", reads::scans_are_complete),
    ("summaries_of_scopes", reads::summaries_of_scopes),
    ("owners_are_counted", reads::owners_are_counted),
    ("change_sets_are_all_or_nothing", writes::change_sets_are_all_or_nothing),
    ("a_passed_version_is_a_conflict", writes::a_passed_version_is_a_conflict),
    ("links_go_with_their_memories", writes::links_go_with_their_memories),
    ("what_matches_is_removed_whole_and_alone", writes::what_matches_is_removed_whole_and_alone),
    ("entities_are_joined_within_the_exact_scope", entities::joined_within_the_exact_scope),
    ("entities_go_with_their_last_memory", entities::gone_with_their_last_memory),
    ("entities_survive_a_replacement", entities::surviving_a_replacement),
    ("near_entities_are_those_of_the_scope", entities::near_are_those_of_the_scope),
    ("searches_equal_brute_force", search::equal_brute_force),
    ("an_index_kept_current_equals_a_fresh_one", search::kept_current_equals_fresh),
    ("nobody_sees_another", search::nobody_sees_another),
    ("a_filter_that_pins_nothing_is_refused", search::pinning_nothing_is_refused),
];

/// Stories of stores whose idf counts no memory that is gone, not even for a while as Qdrant's does.
pub const EXACT_STORIES: &[(&str, Story)] = &[("idf_counts_the_living_alone", search::idf_counts_the_living_alone)];

/// Tells all stories; `open` gets the name of a story and opens its store.
pub fn run(open: &dyn Fn(&str) -> Box<dyn Store>) {
    for (name, story) in STORIES {
        story(&|| open(name));
    }
}

/// Opens the ledger of a story: the first time an empty one, then the same again with all it holds.
pub type OpenDocumentStore<'a> = &'a dyn Fn() -> Box<dyn DocumentStore>;

/// A story of documents.
pub type DocumentStory = fn(OpenDocumentStore<'_>);

/// All stories of ledgers by name.
pub const DOCUMENT_STORIES: &[(&str, DocumentStory)] = &[
    ("what_is_put_comes_back", ledger::what_is_put_comes_back),
    ("what_is_replaced_keeps_its_place", ledger::what_is_replaced_keeps_its_place),
    ("a_name_is_taken_once", ledger::a_name_is_taken_once),
    ("a_document_is_handed_to_one", ledger::a_document_is_handed_to_one),
    ("no_change_is_lost", ledger::no_change_is_lost),
    ("a_change_refused_writes_nothing", ledger::a_change_refused_writes_nothing),
    ("the_longest_due_comes_first", ledger::the_longest_due_comes_first),
    ("only_the_owners_is_forgotten", ledger::only_the_owners_is_forgotten),
    ("the_newest_are_kept", ledger::the_newest_are_kept),
    ("documents_are_paged_newest_first", ledger::paged_newest_first),
    ("what_cannot_be_read_is_not_written", ledger::what_cannot_be_read_is_not_written),
];

/// The schema step that makes a database a ledger.
pub const DOCUMENTS: &str = crate::ledger::DOCUMENTS;

/// Opens the database of a story with steps of a schema: the first time an empty one, then the same again with all it
/// holds, as another process would.
pub type OpenDatabase<'a> = &'a (dyn Fn(&[&str]) -> Result<Box<dyn Database>> + Sync);

/// A story of a database.
pub type DatabaseStory = fn(OpenDatabase<'_>);

/// All stories of databases by name.
pub const DATABASE_STORIES: &[(&str, DatabaseStory)] = &[
    ("values_come_back", database::values_come_back),
    ("text_compares_by_code_points", database::text_compares_by_code_points),
    ("what_fails_writes_nothing", database::what_fails_writes_nothing),
    ("a_snapshot_stays_as_it_was", database::a_snapshot_stays_as_it_was),
    ("rows_are_kept_from_others_until_the_end", database::rows_are_kept_from_others),
    ("a_deadlock_ends", database::a_deadlock_ends),
    ("steps_are_applied_once_and_in_order", database::steps_are_applied_once),
    ("several_may_open_it_at_once", database::several_may_open_it_at_once),
    ("keys_are_held_by_one", database::keys_are_held_by_one),
    ("everything_is_held_by_one", database::everything_is_held_by_one),
    ("who_holds_something_may_write", database::who_holds_something_may_write),
    ("what_a_dead_process_held_is_free", database::what_a_dead_process_held_is_free),
    ("many_holders_come_through", database::many_holders_come_through),
];
