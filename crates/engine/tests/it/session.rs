//! Sessions by gap and by name, and contexts that stay right when what was said before changes.

use jiff::Timestamp;
use mnemon_engine::{AddRequest, Message, UpdateRequest};
use mnemon_store::{MemoryId, Scope, SessionWindow};

use crate::fixture::{World, add, note, says, search, user, whole, world};

tests!(a_long_silence_begins_a_session, named_sessions_are_kept_apart, contexts_follow_updates_and_deletions);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn place(world: &World, id: MemoryId) -> (String, u32) {
    let provenance = world.get(id).unwrap().provenance;
    (provenance.session.unwrap(), provenance.position.unwrap())
}

fn a_long_silence_begins_a_session() {
    let world = world();
    let say = |time: &str| add(&world, AddRequest { timestamp: Some(at(time)), ..note("ana", "Something.") });
    let first = place(&world, say("2024-05-01T10:00:00Z"));
    assert_eq!(first.1, 0);
    assert_eq!(place(&world, say("2024-05-01T10:30:00Z")), (first.0.clone(), 1), "half an hour is not long");
    assert_eq!(place(&world, say("2024-05-01T10:20:00Z")), (first.0.clone(), 2), "nor is a little earlier");
    let second = place(&world, say("2024-05-01T10:50:01Z"));
    assert_ne!(second.0, first.0);
    assert_eq!(second.1, 0);
    let other = Scope::new(Some("ana"), Some("coach"), None).unwrap();
    let elsewhere = AddRequest { scope: other, timestamp: Some(at("2024-05-01T10:51:00Z")), ..note("ana", "Else.") };
    assert_eq!(place(&world, add(&world, elsewhere)).1, 0, "another scope has sessions of its own");
    // One request over a long time.
    let message = |time: &str| Message { timestamp: Some(at(time)), ..says("In one request.") };
    let messages = ["2024-06-01T10:00:00Z", "2024-06-01T10:10:00Z", "2024-06-01T12:00:00Z"].map(message).to_vec();
    let added = world.add(AddRequest { messages, ..note("ana", "") }).unwrap();
    let places: Vec<_> = added.iter().map(|added| place(&world, added.id)).collect();
    assert_eq!(places[0].0, places[1].0);
    assert_ne!(places[1].0, places[2].0);
    assert_eq!(places.iter().map(|place| place.1).collect::<Vec<_>>(), [0, 1, 0]);
}

fn named_sessions_are_kept_apart() {
    let world = world();
    for (number, session) in ["work", "home", "work", "home"].into_iter().enumerate() {
        let request = AddRequest { session: Some(session.into()), ..note("ana", &format!("Line {number}.")) };
        assert_eq!(place(&world, add(&world, request)), (session.to_owned(), number as u32 / 2));
    }
    let unordered = add(&world, AddRequest { unordered: true, ..note("ana", "A fact.") });
    assert_eq!(world.get(unordered).unwrap().provenance, mnemon_store::Provenance::default());
    let read = world.store().session(&user("ana"), "work", SessionWindow::Last(9)).unwrap();
    assert_eq!(read.iter().map(|memory| memory.payload.text()).collect::<Vec<_>>(), ["Line 0.", "Line 2."]);
}

/// The scores of a store that was changed equal those of one that was never anything else.
fn contexts_follow_updates_and_deletions() {
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
            ..says(line)
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
    // Said after all that, in the same session.
    add(&world, request(&["The tram was crowded."]));
    let last = ["The sculptures were from Kenya.", lines[2], "Then there was thunder.", "So we took a tram home."];
    let fresh = crate::fixture::world();
    fresh.add(request(&[&last[..], &["The tram was crowded."]].concat())).unwrap();
    for question in
        ["Kenya sculptures", "lunch", "What happened after the thunder?", "tram", "sardines", "museum Porto"]
    {
        let told = |world: &World| -> Vec<(String, f32)> {
            let mut told: Vec<_> = search(world, "ana", question)
                .into_iter()
                .map(|hit| (hit.memory.payload.text().to_owned(), hit.score))
                .collect();
            told.sort_by(|a, b| a.0.cmp(&b.0));
            told
        };
        let (changed, built) = (told(&world), told(&fresh));
        assert_eq!(changed.len(), 5);
        for (one, other) in changed.iter().zip(&built) {
            assert_eq!(one.0, other.0);
            assert!((one.1 - other.1).abs() < 1e-5, "{question}: {one:?} and {other:?}");
        }
    }
    whole(&world);
}
