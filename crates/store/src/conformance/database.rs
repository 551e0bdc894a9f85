//! Stories of databases: transactions, snapshots, schemas, and locks between processes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::fixture::OpenDatabase;
use crate::database::{Database, Lock, Row, Sql, Value, snapshot, transact};
use crate::{Durability, Result, StoreError};

const TABLE: &str = "CREATE TABLE notes(seq {serial}, name {text} UNIQUE, number BIGINT, data {bytes});
                     CREATE INDEX notes_number ON notes(number);";

/// Long enough for another thread to get a lock if it is free.
const LOCK_WAIT: Duration = Duration::from_millis(150);

/// The longest wait for an event that must happen.
const TIMEOUT: Duration = Duration::from_secs(20);

fn write<T>(database: &dyn Database, work: impl FnMut(&mut dyn Sql) -> Result<T>) -> Result<T> {
    transact(database, Durability::Written, work)
}

fn insert(sql: &mut dyn Sql, name: &str, number: i64) -> Result<u64> {
    sql.execute("INSERT INTO notes(name, number) VALUES($1, $2)", &[name.into(), number.into()])
}

fn names(database: &dyn Database) -> Vec<String> {
    let rows = snapshot(database, |sql| sql.query("SELECT name FROM notes ORDER BY seq", &[])).unwrap();
    rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
}

pub(super) fn values_round_trip(open: OpenDatabase<'_>) {
    // Without an index, because an index of Postgres can't hold a text this long.
    const TABLE: &str = "CREATE TABLE notes(seq {serial}, name {text}, number BIGINT, data {bytes})";
    let database = open(&[TABLE]).unwrap();
    let long = "乌龙茶 👩‍👩‍👧 \u{0}".repeat(20_000);
    let texts = [
        "",
        "a",
        "\u{0}",
        "\u{1}",
        "\u{1}\u{1}",
        "\u{1}\u{2}",
        "\u{0}\u{1}\u{0}",
        "a\u{0}b\u{1}c\u{2}",
        "\\ ' \" $1 %",
        "\u{fdd0}\u{10ffff}\u{e000}",
        "e\u{301} é",
        &long,
    ];
    let numbers = [0, -1, i64::MIN, i64::MAX];
    let bytes: [&[u8]; 4] = [b"", b"\0", b"\\x00 \xff\xfe", &[7; 100_000]];
    let mut expected: Vec<Row> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let number: Value = numbers.get(at).copied().into();
        let data: Value = bytes.get(at).map(|bytes| bytes.to_vec()).into();
        expected.push(Row(vec![(*text).into(), number, data]));
    }
    expected.extend([Row(vec![Value::Null; 3]), Row(vec![Value::Null; 3])]);
    for durability in [Durability::Synced, Durability::Written] {
        transact(&*database, durability, |sql| sql.execute("DELETE FROM notes", &[])).unwrap();
        let written = transact(&*database, durability, |sql| {
            let insert = "INSERT INTO notes(name, number, data) VALUES($1, $2, $3)";
            expected.iter().map(|row| sql.execute(insert, &row.0)).sum::<Result<u64>>()
        });
        assert_eq!(written.unwrap(), expected.len() as u64);
        for database in [&database, &open(&[TABLE]).unwrap()] {
            let found =
                snapshot(&**database, |sql| sql.query("SELECT name, number, data FROM notes ORDER BY seq", &[]));
            assert!(found.unwrap() == expected);
        }
    }
    for row in &expected[..texts.len()] {
        let query = "SELECT name, number, data FROM notes WHERE name = $1 AND length($1) >= $2";
        let found = snapshot(&*database, |sql| sql.query(query, &[row.0[0].clone(), 0.into()])).unwrap();
        assert!(found == std::slice::from_ref(row));
    }
    // Counts, sums, booleans, and rows of a statement that writes.
    let query = "SELECT count(*), CAST(sum(number) AS BIGINT), max(number), count(data) FROM notes WHERE number > $1";
    let row = &snapshot(&*database, |sql| sql.query(query, &[(-2).into()])).unwrap()[0];
    assert_eq!(row, &Row(vec![3.into(), (i64::MAX - 1).into(), i64::MAX.into(), 3.into()]));
    let query = "SELECT EXISTS(SELECT 1 FROM notes WHERE number = $1), number = 0 FROM notes WHERE number = $2";
    let row = &snapshot(&*database, |sql| sql.query(query, &[9.into(), 0.into()])).unwrap()[0];
    assert_eq!(row, &Row(vec![0.into(), 1.into()]));
    let delete = "DELETE FROM notes WHERE number = $1 RETURNING name, data";
    let deleted = write(&*database, |sql| sql.query(delete, &[i64::MIN.into()])).unwrap();
    assert_eq!(deleted, [Row(vec!["\u{0}".into(), bytes[2].to_vec().into()])]);
    let changed = write(&*database, |sql| sql.execute("UPDATE notes SET number = $1", &[5.into()])).unwrap();
    assert_eq!(changed, expected.len() as u64 - 1);
    assert!(database.bytes() > 100_000);
    assert!(!database.location().is_empty());
}

pub(super) fn text_compares_by_code_points(open: OpenDatabase<'_>) {
    let database = open(&[TABLE]).unwrap();
    let mut texts = vec![
        "",
        "\u{0}",
        "\u{0}\u{0}",
        "\u{0}a",
        "\u{1}",
        "\u{1}\u{0}",
        "\u{1}\u{1}",
        "\u{1}\u{2}",
        "\u{2}",
        " a",
        "A",
        "B",
        "_",
        "a",
        "a\u{0}",
        "a\u{1}",
        "a ",
        "aB",
        "ab",
        "a-b",
        "e\u{301}",
        "z",
        "é",
        "\u{ff5e}",
        "\u{e000}",
        "😀",
        "乌",
    ];
    write(&*database, |sql| texts.iter().map(|text| insert(sql, text, 1)).sum::<Result<u64>>()).unwrap();
    texts.sort_unstable();
    let sorted = |sql: &str| -> Vec<String> {
        let rows = snapshot(&*database, |read| read.query(sql, &[])).unwrap();
        rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
    };
    assert_eq!(sorted("SELECT name FROM notes ORDER BY name"), texts);
    for text in &texts {
        let query = "SELECT count(*) FROM notes WHERE name < $1";
        let below = snapshot(&*database, |sql| sql.query(query, &[(*text).into()])).unwrap()[0].int(0).unwrap();
        assert_eq!(below, texts.iter().filter(|other| *other < text).count() as i64, "{text:?}");
    }
}

pub(super) fn a_failure_writes_nothing(open: OpenDatabase<'_>) {
    let database = open(&[TABLE]).unwrap();
    write(&*database, |sql| insert(sql, "a", 1)).unwrap();
    let refused = write(&*database, |sql| -> Result<()> {
        insert(sql, "b", 2)?;
        Err(StoreError::Conflict)
    });
    assert!(matches!(refused, Err(StoreError::Conflict)));
    let twice = write(&*database, |sql| {
        insert(sql, "c", 3)?;
        insert(sql, "a", 4)
    });
    assert!(matches!(twice, Err(StoreError::Database(_))), "{twice:?}");
    // The same if the work ignores the failure.
    let ignored = write(&*database, |sql| {
        insert(sql, "d", 3)?;
        let _ = insert(sql, "a", 4);
        Ok(())
    });
    assert!(matches!(ignored, Err(StoreError::Database(_))), "{ignored:?}");
    let invalid = write(&*database, |sql| {
        insert(sql, "e", 3)?;
        sql.execute("NONSENSE", &[])
    });
    assert!(invalid.is_err());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        write(&*database, |sql| -> Result<()> {
            insert(sql, "f", 3)?;
            std::panic::resume_unwind(Box::new("a panic"))
        })
    }));
    assert!(panicked.is_err());
    let in_snapshot = snapshot(&*database, |sql| insert(sql, "g", 3));
    assert!(in_snapshot.is_err());
    assert_eq!(names(&*database), ["a"]);
    write(&*database, |sql| insert(sql, "h", 1)).unwrap();
    assert_eq!(names(&*open(&[TABLE]).unwrap()), ["a", "h"]);
}

pub(super) fn a_snapshot_does_not_change(open: OpenDatabase<'_>) {
    let [database, other] = [open(&[TABLE]).unwrap(), open(&[TABLE]).unwrap()];
    write(&*database, |sql| insert(sql, "a", 1)).unwrap();
    let counts = snapshot(&*database, |sql| {
        let mut count = || sql.query("SELECT count(*) FROM notes", &[]).unwrap()[0].int(0).unwrap();
        let before = count();
        write(&*other, |sql| insert(sql, "b", 1)).unwrap();
        write(&*database, |sql| insert(sql, "c", 1)).unwrap();
        Ok((before, count()))
    });
    assert_eq!(counts.unwrap(), (1, 1));
    assert_eq!(names(&*database), ["a", "b", "c"]);
}

pub(super) fn rows_are_locked_until_the_end(open: OpenDatabase<'_>) {
    const THREADS: i64 = 4;
    const EACH: i64 = 25;
    let databases = [open(&[TABLE]).unwrap(), open(&[TABLE]).unwrap()];
    write(&*databases[0], |sql| insert(sql, "count", 0)).unwrap();
    std::thread::scope(|threads| {
        for number in 0..THREADS {
            let database = &databases[number as usize % 2];
            threads.spawn(move || {
                for _ in 0..EACH {
                    write(&**database, |sql| {
                        let query = "SELECT number FROM notes WHERE name = $1 {for_update}";
                        let number = sql.query(query, &["count".into()])?[0].int(0)?;
                        sql.execute("UPDATE notes SET number = $1", &[(number + 1).into()])
                    })
                    .unwrap();
                }
            });
        }
    });
    let rows = snapshot(&*databases[0], |sql| sql.query("SELECT number FROM notes", &[])).unwrap();
    assert_eq!(rows[0].int(0).unwrap(), THREADS * EACH);
}

pub(super) fn a_deadlock_is_resolved(open: OpenDatabase<'_>) {
    let databases = [open(&[TABLE]).unwrap(), open(&[TABLE]).unwrap()];
    write(&*databases[0], |sql| Ok(insert(sql, "0", 0)? + insert(sql, "1", 0)?)).unwrap();
    let started = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for (number, database) in databases.iter().enumerate() {
            let started = &started;
            threads.spawn(move || {
                write(&**database, |sql| {
                    let update = "UPDATE notes SET number = number + 1 WHERE name = $1";
                    sql.execute(update, &[number.to_string().into()])?;
                    started.fetch_add(1, Ordering::SeqCst);
                    // Until the other transaction has its first row, or waits for this one.
                    let mut polls = 100;
                    while started.load(Ordering::SeqCst) < 2 && polls > 0 {
                        std::thread::sleep(Duration::from_millis(1));
                        polls -= 1;
                    }
                    sql.execute(update, &[(1 - number).to_string().into()])
                })
                .unwrap();
            });
        }
    });
    let rows = snapshot(&*databases[0], |sql| sql.query("SELECT number FROM notes", &[])).unwrap();
    assert_eq!(rows, [Row(vec![2.into()]), Row(vec![2.into()])]);
}

pub(super) fn steps_are_applied_once_and_in_order(open: OpenDatabase<'_>) {
    const MORE: &str = "ALTER TABLE notes ADD COLUMN mood {text}; INSERT INTO notes(name, mood) VALUES('b', 'good');";
    const BROKEN: &str = "CREATE TABLE other(a BIGINT); NONSENSE;";
    let database = open(&[TABLE]).unwrap();
    write(&*database, |sql| insert(sql, "a", 1)).unwrap();
    assert!(open(&[TABLE, MORE, BROKEN]).is_err());
    assert_eq!(names(&*open(&[TABLE]).unwrap()), ["a"], "all steps or none");
    let newer = open(&[TABLE, MORE]).unwrap();
    assert_eq!(names(&*newer), ["a", "b"]);
    assert_eq!(names(&*open(&[TABLE, MORE]).unwrap()), ["a", "b"]);
    // A process that has opened it before continues; a process with the old steps can't open it any more.
    write(&*database, |sql| insert(sql, "c", 1)).unwrap();
    assert_eq!(names(&*newer), ["a", "b", "c"]);
    let refused = open(&[TABLE]).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 2, known: 1, .. }), "{refused}");
}

pub(super) fn concurrent_opens_succeed(open: OpenDatabase<'_>) {
    std::thread::scope(|threads| {
        let threads: Vec<_> = (0..6)
            .map(|number: i64| {
                threads.spawn(move || {
                    let database = open(&[TABLE, "CREATE TABLE more(a BIGINT)"]).unwrap();
                    write(&*database, |sql| insert(sql, &number.to_string(), 1)).unwrap();
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(names(&*open(&[TABLE, "CREATE TABLE more(a BIGINT)"]).unwrap()).len(), 6);
}

/// Whether a second lock waits for the first one. If it does, checks that it is granted after the release.
fn waits(first: &dyn Database, held: &Lock, second: &dyn Database, wanted: &Lock) -> bool {
    std::thread::scope(|threads| {
        let (sender, receiver) = mpsc::channel();
        let guard = first.lock(held).unwrap();
        threads.spawn(move || {
            drop(second.lock(wanted).unwrap());
            sender.send(()).unwrap();
        });
        let waited = receiver.recv_timeout(LOCK_WAIT).is_err();
        drop(guard);
        if waited {
            receiver.recv_timeout(TIMEOUT).unwrap();
        }
        waited
    })
}

pub(super) fn locks_on_keys_are_exclusive(open: OpenDatabase<'_>) {
    let [here, there] = [open(&[]).unwrap(), open(&[]).unwrap()];
    let keys = |keys: &[i64]| Lock::Keys(keys.to_vec());
    for other in [&here, &there] {
        assert!(waits(&*here, &keys(&[7]), &**other, &keys(&[7])));
        assert!(waits(&*here, &keys(&[i64::MAX, i64::MIN, 1, 1]), &**other, &keys(&[0, i64::MIN])));
        assert!(waits(&*here, &keys(&[1, 2, 3]), &**other, &keys(&[3, 4])));
    }
    assert!(!waits(&*here, &keys(&[7]), &*here, &keys(&[8])));
    assert!(!waits(&*here, &keys(&[]), &*here, &keys(&[7])));
}

pub(super) fn a_lock_on_everything_is_exclusive(open: OpenDatabase<'_>) {
    let [here, there] = [open(&[]).unwrap(), open(&[]).unwrap()];
    for other in [&here, &there] {
        for keys in [vec![], vec![7], vec![1, 2]] {
            assert!(waits(&*here, &Lock::Everything, &**other, &Lock::Keys(keys.clone())));
            assert!(waits(&**other, &Lock::Keys(keys), &*here, &Lock::Everything));
        }
        assert!(waits(&*here, &Lock::Everything, &**other, &Lock::Everything));
    }
}

pub(super) fn the_holder_of_a_lock_can_write(open: OpenDatabase<'_>) {
    let database = open(&[TABLE]).unwrap();
    for lock in [Lock::Keys(vec![1, 2]), Lock::Everything] {
        let guard = database.lock(&lock).unwrap();
        write(&*database, |sql| sql.execute("INSERT INTO notes(number) VALUES(1)", &[])).unwrap();
        write(&*open(&[TABLE]).unwrap(), |sql| sql.execute("DELETE FROM notes", &[])).unwrap();
        drop(guard);
    }
}

pub(super) fn locks_of_a_closed_database_are_free(open: OpenDatabase<'_>) {
    let closed = open(&[]).unwrap();
    let guard = closed.lock(&Lock::Everything).unwrap();
    drop(guard);
    drop(closed);
    drop(open(&[]).unwrap().lock(&Lock::Keys(vec![1])).unwrap());
}

pub(super) fn many_threads_get_locks(open: OpenDatabase<'_>) {
    const THREADS: usize = 24;
    const EACH: usize = 15;
    let databases = [open(&[]).unwrap(), open(&[]).unwrap()];
    let locked: Vec<AtomicBool> = (0..8).map(|_| AtomicBool::new(false)).collect();
    std::thread::scope(|threads| {
        for number in 0..THREADS {
            let (databases, locked) = (&databases, &locked);
            threads.spawn(move || {
                for round in 0..EACH {
                    let mut keys = vec![(number + round) % 8, (number * 3 + round * 5) % 8];
                    let all = (number + round) % 20 == 0;
                    if all {
                        keys = (0..8).collect();
                    }
                    keys.dedup();
                    let lock =
                        if all { Lock::Everything } else { Lock::Keys(keys.iter().map(|&key| key as i64).collect()) };
                    let guard = databases[number % 2].lock(&lock).unwrap();
                    for &key in &keys {
                        assert!(!locked[key].swap(true, Ordering::SeqCst), "locked twice");
                    }
                    std::thread::yield_now();
                    keys.iter().for_each(|&key| locked[key].store(false, Ordering::SeqCst));
                    drop(guard);
                }
            });
        }
    });
}
