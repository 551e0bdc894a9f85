//! Sessions by pause and by name, and contexts after updates and deletions.

use jiff::Timestamp;
use mnemon_engine::{AddRequest, Message, UpdateRequest};
use mnemon_store::{MemoryId, Scope, SessionWindow};

use crate::fixture::{World, add, check_store, note, search, user, user_message, world};

tests!(a_long_pause_starts_a_session, named_sessions_are_separate, contexts_are_recounted_after_updates_and_deletes);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn position(world: &World, id: MemoryId) -> (String, u32) {
    let provenance = world.get(id).unwrap().provenance;
    (provenance.session.unwrap(), provenance.position.unwrap())
}

fn a_long_pause_starts_a_session() {
    let world = world();
    let say = |time: &str| add(&world, AddRequest { timestamp: Some(at(time)), ..note("ana", "Something.") });
    let first = position(&world, say("2024-05-01T10:00:00Z"));
    assert_eq!(first.1, 0);
    assert_eq!(
        position(&world, say("2024-05-01T10:30:00Z")),
        (first.0.clone(), 1),
        "a pause of half an hour continues the session"
    );
    assert_eq!(
        position(&world, say("2024-05-01T10:20:00Z")),
        (first.0.clone(), 2),
        "and so does a slightly earlier time"
    );
    let second = position(&world, say("2024-05-01T10:50:01Z"));
    assert_ne!(second.0, first.0);
    assert_eq!(second.1, 0);
    let other = Scope::new(Some("ana"), Some("coach"), None).unwrap();
    let elsewhere = AddRequest { scope: other, timestamp: Some(at("2024-05-01T10:51:00Z")), ..note("ana", "Else.") };
    assert_eq!(position(&world, add(&world, elsewhere)).1, 0, "each scope has its sessions");
    // One request with a long pause between its messages.
    let message = |time: &str| Message { timestamp: Some(at(time)), ..user_message("In one request.") };
    let messages = ["2024-06-01T10:00:00Z", "2024-06-01T10:10:00Z", "2024-06-01T12:00:00Z"].map(message).to_vec();
    let added = world.add(AddRequest { messages, ..note("ana", "") }).unwrap();
    let positions: Vec<_> = added.iter().map(|added| position(&world, added.id)).collect();
    assert_eq!(positions[0].0, positions[1].0);
    assert_ne!(positions[1].0, positions[2].0);
    assert_eq!(positions.iter().map(|position| position.1).collect::<Vec<_>>(), [0, 1, 0]);
}

fn named_sessions_are_separate() {
    let world = world();
    for (number, session) in ["work", "home", "work", "home"].into_iter().enumerate() {
        let request = AddRequest { session: Some(session.into()), ..note("ana", &format!("Line {number}.")) };
        assert_eq!(position(&world, add(&world, request)), (session.to_owned(), number as u32 / 2));
    }
    let unordered = add(&world, AddRequest { unordered: true, ..note("ana", "A fact.") });
    assert_eq!(world.get(unordered).unwrap().provenance, mnemon_store::Provenance::default());
    let read = world.store().session(&user("ana"), "work", SessionWindow::Last(9)).unwrap();
    assert_eq!(read.iter().map(|memory| memory.payload.text()).collect::<Vec<_>>(), ["Line 0.", "Line 2."]);
}

/// The scores of a changed session equal those of a session that was added in its final form.
fn contexts_are_recounted_after_updates_and_deletes() {
    let lines = [
        "We went to the museum in Porto.",
        "The paintings were from Holland.",
        "Afterwards we had lunch by the river.",
        "I had sardines, and Tom had soup.",
        "Then it rained for hours.",
        "So we took a taxi home.",
        "The driver knew my uncle.",
    ];
    let request = |lines: &[&str]| {
        let message = |(number, line): (usize, &&str)| Message {
            timestamp: Some(at(&format!("2024-05-01T10:0{number}:00Z"))),
            ..user_message(line)
        };
        AddRequest {
            messages: lines.iter().enumerate().map(message).collect(),
            session: Some("trip".into()),
            ..note("ana", "")
        }
    };
    let world = world();
    let ids: Vec<MemoryId> = world.add(request(&lines)).unwrap().into_iter().map(|added| added.id).collect();
    let update = |id, text: &str| {
        world.update(id, &UpdateRequest { text: Some(text.into()), ..UpdateRequest::default() }).unwrap();
    };
    update(ids[1], "The sculptures were from Kenya.");
    world.delete(ids[3]).unwrap();
    update(ids[4], "Then there was thunder.");
    world.delete(ids[6]).unwrap();
    world.delete(ids[0]).unwrap();
    update(ids[5], "So we took a tram home.");
    // Added after the changes, to the same session.
    add(&world, request(&["The tram was crowded."]));
    let last = ["The sculptures were from Kenya.", lines[2], "Then there was thunder.", "So we took a tram home."];
    let fresh = crate::fixture::world();
    fresh.add(request(&[&last[..], &["The tram was crowded."]].concat())).unwrap();
    for question in
        ["Kenya sculptures", "lunch", "What happened after the thunder?", "tram", "sardines", "museum Porto"]
    {
        let scores = |world: &World| -> Vec<(String, f32)> {
            let mut scores: Vec<_> = search(world, "ana", question)
                .into_iter()
                .map(|hit| (hit.memory.payload.text().to_owned(), hit.score))
                .collect();
            scores.sort_by(|a, b| a.0.cmp(&b.0));
            scores
        };
        let (changed, built) = (scores(&world), scores(&fresh));
        assert_eq!(changed.len(), 5);
        for (one, other) in changed.iter().zip(&built) {
            assert_eq!(one.0, other.0);
            assert!((one.1 - other.1).abs() < 1e-5, "{question}: {one:?} and {other:?}");
        }
    }
    check_store(&world);
}
