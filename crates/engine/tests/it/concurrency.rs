//! Concurrent writers to one scope.

use std::collections::BTreeSet;

use mnemon_engine::AddRequest;
use mnemon_store::{ExportRecord, MemoryId, Scope, SessionWindow};

use crate::fixture::{add, all_records, check_store, note, user, world};

tests!(
    concurrent_writers_get_unique_positions_and_keep_links,
    of_concurrent_duplicates_one_is_stored,
    concurrent_deletes_leave_no_dangling_links
);

const THREADS: usize = 8;
const EACH: usize = 8;

fn concurrent_writers_get_unique_positions_and_keep_links() {
    let world = world();
    let other = world.another();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let engine = if thread % 2 == 0 { &world.engine } else { &other };
            threads.spawn(move || {
                for number in 0..EACH {
                    let text = format!("Captain Haddock told story {number} of thread {thread}.");
                    add(engine, AddRequest { session: Some("s".into()), ..note("ana", &text) });
                }
            });
        }
    });
    let read = world.store().session(&user("ana"), "s", SessionWindow::Last(1000)).unwrap();
    let positions: Vec<u32> = read.iter().filter_map(|memory| memory.provenance.position).collect();
    assert_eq!(positions, (0..(THREADS * EACH) as u32).collect::<Vec<_>>());
    let entities = all_records(&world).into_iter().filter_map(|record| match record {
        ExportRecord::Entity(entity) => Some(*entity),
        _ => None,
    });
    let entities: Vec<_> = entities.collect();
    let haddock: Vec<_> = entities.iter().filter(|entity| entity.text().contains("Haddock")).collect();
    assert_eq!(haddock.len(), 1, "{:?}", haddock.iter().map(|entity| entity.text()).collect::<Vec<_>>());
    let named: BTreeSet<MemoryId> = haddock[0].memories.iter().copied().collect();
    assert_eq!(named, read.iter().map(|memory| memory.id).collect());
    assert_eq!(world.store().info().unwrap().history, THREADS * EACH);
    check_store(&world);
}

fn of_concurrent_duplicates_one_is_stored() {
    let world = world();
    let added: usize = std::thread::scope(|threads| {
        let add = || world.add(AddRequest { skip_duplicates: true, ..note("ana", "I like tea.") }).unwrap().len();
        let threads: Vec<_> = (0..THREADS).map(|_| threads.spawn(add)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(added, 1);
    assert_eq!(world.store().info().unwrap().memories, 1);
}

fn concurrent_deletes_leave_no_dangling_links() {
    let world = world();
    for number in 0..20 {
        let target = add(&world, note("ana", &format!("Target {number}.")));
        std::thread::scope(|threads| {
            threads.spawn(|| world.delete(target).unwrap());
            threads.spawn(|| {
                let coach = Scope::new(Some("ana"), None, None).unwrap();
                let links = vec![(target, "related".into())];
                let _ = world.add(AddRequest { scope: coach, links, ..note("ana", "It leads there.") });
            });
        });
    }
    check_store(&world);
}
