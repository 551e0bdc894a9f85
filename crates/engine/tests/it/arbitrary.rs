//! No text, question or metadata makes the engine fail.

use std::sync::LazyLock;

use mnemon_engine::{AddRequest, EngineError, Profile, SearchRequest, UpdateRequest};
use proptest::prelude::*;

use crate::fixture::{World, by_user, note, world};

static WORLD: LazyLock<World> = LazyLock::new(world);

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,60}",
        "[ a-zA-Z'\".,;:!?0-9\u{0}\u{301}\u{200d}é我ー🎉ß-]{0,80}",
        "(I|You|Maria's|\"Nori\"|yesterday|2024-05-01|when|did|\\s|[A-Z][a-z]+ ){0,12}",
        prop::collection::vec(any::<char>(), 0..4).prop_map(|chars| chars.into_iter().collect::<String>().repeat(50)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_text_makes_the_engine_fail(content in text(), name in text(), query in text(), key in any::<String>()) {
        let world = &WORLD;
        let mut request = note("ana", &content);
        request.messages[0].name = Some(name);
        request.metadata.insert(key, content.clone().into());
        let added = match world.add(AddRequest { session: Some("s".into()), ..request }) {
            Ok(mut added) => added.remove(0).id,
            Err(EngineError::Invalid(_)) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let stored = world.get(added).unwrap();
        prop_assert_eq!(stored.payload.text(), content.as_str());
        for profile in [Profile::Fusion, Profile::Mem0] {
            for question in [&query, &content] {
                match world.search(&SearchRequest { profile, threshold: Some(0.0), ..SearchRequest::new(question, by_user("ana")) }) {
                    Ok(answer) => prop_assert!(answer.hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score))),
                    Err(EngineError::Invalid(_)) => prop_assert!(question.trim().is_empty()),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        let update = UpdateRequest { text: Some(query.clone()), ..UpdateRequest::default() };
        prop_assert_eq!(world.update(added, &update).is_ok(), !query.trim().is_empty());
        world.delete(added).unwrap();
    }
}
