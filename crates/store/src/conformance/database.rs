//! Databases: transactions, snapshots, schemas, and what is held apart between processes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::OpenDatabase;
use crate::database::{Database, Lock, Row, Sql, Value, snapshot, transact};
use crate::{Durability, Result, StoreError};

const TABLE: &str = "CREATE TABLE notes(seq {serial}, name {text} UNIQUE, number BIGINT, data {bytes});
                     CREATE INDEX notes_number ON notes(number);";

/// Long enough for another thread to do what it must not.
const A_WHILE: Duration = Duration::from_millis(150);

const SOON: Duration = Duration::from_secs(20);

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

pub(super) fn values_come_back(open: OpenDatabase<'_>) {
    // Nothing this long goes into an index of Postgres.
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
    // Counts, sums, truths, and rows of a statement that writes.
    let query = "SELECT count(*), CAST(sum(number) AS BIGINT), max(number), count(data) FROM notes WHERE number > $1";
    let row = &snapshot(&*database, |sql| sql.query(query, &[(-2).into()])).unwrap()[0];
    assert_eq!(row, &Row(vec![3.into(), (i64::MAX - 1).into(), i64::MAX.into(), 3.into()]));
    let query = "SELECT EXISTS(SELECT 1 FROM notes WHERE number = $1), number = 0 FROM notes WHERE number = $2";
    let row = &snapshot(&*database, |sql| sql.query(query, &[9.into(), 0.into()])).unwrap()[0];
    assert_eq!(row, &Row(vec![0.into(), 1.into()]));
    let delete = "DELETE FROM notes WHERE number = $1 RETURNING name, data";
    let gone = write(&*database, |sql| sql.query(delete, &[i64::MIN.into()])).unwrap();
    assert_eq!(gone, [Row(vec!["\u{0}".into(), bytes[2].to_vec().into()])]);
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

pub(super) fn what_fails_writes_nothing(open: OpenDatabase<'_>) {
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
    // Nor if the work goes on as if nothing had happened.
    let ignored = write(&*database, |sql| {
        insert(sql, "d", 3)?;
        let _ = insert(sql, "a", 4);
        Ok(())
    });
    assert!(matches!(ignored, Err(StoreError::Database(_))), "{ignored:?}");
    let nonsense = write(&*database, |sql| {
        insert(sql, "e", 3)?;
        sql.execute("NONSENSE", &[])
    });
    assert!(nonsense.is_err());
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

pub(super) fn a_snapshot_stays_as_it_was(open: OpenDatabase<'_>) {
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

pub(super) fn rows_are_kept_from_others(open: OpenDatabase<'_>) {
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

pub(super) fn a_deadlock_ends(open: OpenDatabase<'_>) {
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
                    // Until the other has its first row, or is seen to wait for this transaction.
                    let mut patience = 100;
                    while started.load(Ordering::SeqCst) < 2 && patience > 0 {
                        std::thread::sleep(Duration::from_millis(1));
                        patience -= 1;
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

pub(super) fn steps_are_applied_once(open: OpenDatabase<'_>) {
    const MORE: &str = "ALTER TABLE notes ADD COLUMN mood {text}; INSERT INTO notes(name, mood) VALUES('b', 'good');";
    const BROKEN: &str = "CREATE TABLE other(a BIGINT); NONSENSE;";
    let database = open(&[TABLE]).unwrap();
    write(&*database, |sql| insert(sql, "a", 1)).unwrap();
    assert!(open(&[TABLE, MORE, BROKEN]).is_err());
    assert_eq!(names(&*open(&[TABLE]).unwrap()), ["a"], "all steps or none");
    let newer = open(&[TABLE, MORE]).unwrap();
    assert_eq!(names(&*newer), ["a", "b"]);
    assert_eq!(names(&*open(&[TABLE, MORE]).unwrap()), ["a", "b"]);
    // A process that has it open goes on; one that opens it now would not know what it does.
    write(&*database, |sql| insert(sql, "c", 1)).unwrap();
    assert_eq!(names(&*newer), ["a", "b", "c"]);
    let refused = open(&[TABLE]).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 2, known: 1, .. }), "{refused}");
}

pub(super) fn several_may_open_it_at_once(open: OpenDatabase<'_>) {
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

/// Whether another thread gets hold of something while the caller holds what it does; it gets it when that is let go.
fn waits(first: &dyn Database, held: &Lock, second: &dyn Database, wanted: &Lock) -> bool {
    std::thread::scope(|threads| {
        let (tell, told) = mpsc::channel();
        let holding = first.lock(held).unwrap();
        threads.spawn(move || {
            drop(second.lock(wanted).unwrap());
            tell.send(()).unwrap();
        });
        let waited = told.recv_timeout(A_WHILE).is_err();
        drop(holding);
        if waited {
            told.recv_timeout(SOON).unwrap();
        }
        waited
    })
}

pub(super) fn keys_are_held_by_one(open: OpenDatabase<'_>) {
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

pub(super) fn everything_is_held_by_one(open: OpenDatabase<'_>) {
    let [here, there] = [open(&[]).unwrap(), open(&[]).unwrap()];
    for other in [&here, &there] {
        for keys in [vec![], vec![7], vec![1, 2]] {
            assert!(waits(&*here, &Lock::Everything, &**other, &Lock::Keys(keys.clone())));
            assert!(waits(&**other, &Lock::Keys(keys), &*here, &Lock::Everything));
        }
        assert!(waits(&*here, &Lock::Everything, &**other, &Lock::Everything));
    }
}

pub(super) fn who_holds_something_may_write(open: OpenDatabase<'_>) {
    let database = open(&[TABLE]).unwrap();
    for what in [Lock::Keys(vec![1, 2]), Lock::Everything] {
        let held = database.lock(&what).unwrap();
        write(&*database, |sql| sql.execute("INSERT INTO notes(number) VALUES(1)", &[])).unwrap();
        write(&*open(&[TABLE]).unwrap(), |sql| sql.execute("DELETE FROM notes", &[])).unwrap();
        drop(held);
    }
}

pub(super) fn what_a_dead_process_held_is_free(open: OpenDatabase<'_>) {
    let dead = open(&[]).unwrap();
    let held = dead.lock(&Lock::Everything).unwrap();
    drop(held);
    drop(dead);
    drop(open(&[]).unwrap().lock(&Lock::Keys(vec![1])).unwrap());
}

pub(super) fn many_holders_come_through(open: OpenDatabase<'_>) {
    const THREADS: usize = 24;
    const EACH: usize = 15;
    let databases = [open(&[]).unwrap(), open(&[]).unwrap()];
    let held: Vec<AtomicBool> = (0..8).map(|_| AtomicBool::new(false)).collect();
    std::thread::scope(|threads| {
        for number in 0..THREADS {
            let (databases, held) = (&databases, &held);
            threads.spawn(move || {
                for round in 0..EACH {
                    let mut keys = vec![(number + round) % 8, (number * 3 + round * 5) % 8];
                    let all = (number + round) % 20 == 0;
                    if all {
                        keys = (0..8).collect();
                    }
                    keys.dedup();
                    let what = match all {
                        true => Lock::Everything,
                        false => Lock::Keys(keys.iter().map(|&key| key as i64).collect()),
                    };
                    let holding = databases[number % 2].lock(&what).unwrap();
                    for &key in &keys {
                        assert!(!held[key].swap(true, Ordering::SeqCst), "held twice");
                    }
                    std::thread::yield_now();
                    keys.iter().for_each(|&key| held[key].store(false, Ordering::SeqCst));
                    drop(holding);
                }
            });
        }
    });
}
