//! Any text, question and metadata is either accepted or rejected as invalid.

use mnemon_engine::{AddRequest, EngineError, Profile, SearchRequest, UpdateRequest};
use mnemon_store::is_blank;
use proptest::prelude::*;

use crate::fixture::{by_user, note, world};

tests!(any_text_is_accepted_or_rejected);

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,60}",
        "[ a-zA-Z'\".,;:!?0-9\u{0}\u{301}\u{200d}é我ー🎉ß-]{0,80}",
        "(I|You|Maria's|\"Nori\"|yesterday|2024-05-01|when|did|\\s|[A-Z][a-z]+ ){0,12}",
        prop::collection::vec(any::<char>(), 0..4).prop_map(|chars| chars.into_iter().collect::<String>().repeat(50)),
    ]
}

fn any_text_is_accepted_or_rejected() {
    let world = world();
    let all = (text(), text(), text(), any::<String>());
    proptest!(ProptestConfig::with_cases(96), |((content, name, query, key) in all)| {
        let mut request = note("ana", &content);
        request.messages[0].name = Some(name);
        request.metadata.insert(key, content.clone().into());
        let added = match world.add(AddRequest { session: Some("s".into()), ..request }) {
            Ok(mut added) => added.remove(0).id,
            Err(EngineError::Invalid(_)) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let stored = world.get(added).unwrap();
        prop_assert_eq!(stored.payload.text(), content.replace('\u{feff}', ""));
        for profile in [Profile::Fusion, Profile::Mem0] {
            for question in [&query, &content] {
                let asked = SearchRequest::new(question, by_user("ana"));
                match world.search(&SearchRequest { profile, threshold: Some(0.0), ..asked }) {
                    Ok(answer) => prop_assert!(answer.hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score))),
                    Err(EngineError::Invalid(_)) => prop_assert!(is_blank(question)),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        let update = UpdateRequest { text: Some(query.clone()), ..UpdateRequest::default() };
        prop_assert_eq!(world.update(added, &update).is_ok(), !is_blank(&query));
        world.delete(added).unwrap();
    });
}
