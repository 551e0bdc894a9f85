//! `mnemon migrate` on a real Qdrant: killed at random moments, with a full disk, and with concurrent writes. No memory may be
//! lost or duplicated. A test that needs something the machine lacks is reported as ignored, not as passed.
//!
//! `MNEMON_TEST_KILLS` is the number of kills of each phase (3). `MNEMON_TEST_SEED` repeats the random moments of a failed test,
//! though not the scheduling of the machine.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod concurrent_writes;
mod full_disk;
mod kills;
#[path = "../shared/listening.rs"]
mod listening;
mod lost_sources;
mod other_models;
mod parts;
mod refusals;
mod resumption;
mod slow_proxy;
mod stack;
mod start;
mod switch;

use mnemon_testbed::SmallDisk;
use mnemon_testbed::trials::{Trials, without_qdrant_binary};
use rand::SeedableRng;
use rand::rngs::StdRng;

macro_rules! add_tests {
    ($trials:ident, $missing:expr; $($module:ident::$name:ident),* $(,)?) => {
        $($trials.add_seeded(
            concat!(stringify!($module), "::", stringify!($name)),
            $missing,
            |seed| $module::$name(&mut StdRng::seed_from_u64(seed)),
        );)*
    };
}

fn main() {
    let no_binary = without_qdrant_binary();
    let no_small_disk = || "tests with a full disk: a small one (tmpfs) can't be mounted here";
    let no_small_disk = (!SmallDisk::can_be_made()).then(no_small_disk);
    let mut trials = Trials::one_at_a_time();
    add_tests![
        trials, no_binary.as_deref();
        kills::of_rebuild_to_a_new_collection,
        kills::of_rebuild_in_place,
        kills::of_rebuild_to_a_file,
        kills::of_backup,
        kills::of_cutover,
        kills::of_rollback,
        kills::of_qdrant,
        concurrent_writes::writes_during_the_copy_are_copied,
        switch::cutover_rollback_and_second_cutover,
        refusals::dangerous_calls_are_refused,
        start::a_history_that_can_not_be_read_is_refused_at_the_start,
        start::wrong_addresses_are_explained,
        start::unusable_targets_and_folders_are_refused_at_the_start,
        start::files_that_are_no_snapshots_are_refused_at_the_start,
        start::files_and_names_of_every_phase_are_checked_at_the_start,
        start::retire_deletes_the_backup_only,
        parts::a_migration_without_a_fitting_embedder_is_not_done,
        parts::each_part_fails_and_is_resumed_by_the_same_command,
        parts::what_the_target_lacks_is_found_and_repaired,
        parts::a_store_without_entities_says_so_until_it_has_them,
        parts::writes_while_entities_are_added_are_kept,
        parts::entities_that_are_not_wanted_need_no_embedder,
        other_models::an_embedder_of_another_model_is_refused_as_none_is,
        lost_sources::a_history_that_is_lost_is_never_green,
        lost_sources::a_collection_that_is_lost_is_never_green,
        resumption::a_kill_in_each_part_is_resumed,
        resumption::damaged_and_foreign_files_of_a_migration_are_refused_and_repaired,
    ];
    add_tests![
        trials, no_small_disk.or(no_binary.as_deref());
        full_disk::a_full_disk_of_the_store_is_reported_and_resumed,
        full_disk::a_full_disk_of_the_backup_is_reported_and_resumed,
        full_disk::a_disk_that_is_too_small_is_refused_at_the_start,
        full_disk::a_setting_on_a_read_only_disk_is_refused_at_the_start,
    ];
    trials.run();
}
