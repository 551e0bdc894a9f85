//! Searching: invalid requests, the consistency of answers, and filters.

use mnemon_engine::{AddRequest, EngineError, ListRequest, Message, Profile, SearchRequest};
use mnemon_store::{MemoryId, Scope};
use serde_json::json;

use crate::fixture::{add, by_user, filter, note, search, world};

tests!(
    invalid_searches_are_rejected,
    a_contradictory_filter_finds_nothing,
    a_filter_with_two_owners_at_once_is_refused,
    memories_named_by_id_are_found_at_any_rank,
    answers_are_consistent,
    filters_narrow_a_search
);

fn invalid_searches_are_rejected() {
    let world = world();
    add(&world, note("ana", "Something."));
    let good = || SearchRequest::new("something", by_user("ana"));
    let cases = [
        SearchRequest { query: String::new(), ..good() },
        SearchRequest { query: " \n\u{a0}".into(), ..good() },
        SearchRequest { top_k: 0, ..good() },
        SearchRequest { top_k: 1001, ..good() },
        SearchRequest { threshold: Some(-0.1), ..good() },
        SearchRequest { threshold: Some(1.1), ..good() },
        SearchRequest { threshold: Some(f32::NAN), ..good() },
        SearchRequest { filter: filter(json!({"topic": "x"})), ..good() },
        SearchRequest { filter: filter(json!({"user_id": ["ana", "ben"]})), ..good() },
        SearchRequest { filter: filter(json!({"OR": [{"user_id": "ana"}, {"user_id": "ben"}]})), ..good() },
        SearchRequest { filter: filter(json!({"OR": [{"user_id": "ana"}, {"topic": "x"}]})), ..good() },
        SearchRequest { filter: filter(json!({"NOT": [{"user_id": "ben"}]})), ..good() },
    ];
    for request in cases {
        let error = world.search(&request).unwrap_err();
        assert!(matches!(error, EngineError::Invalid(_)), "{request:?}: {error}");
    }
    assert_eq!(world.search(&good()).unwrap().hits.len(), 1);
}

fn a_contradictory_filter_finds_nothing() {
    let world = world();
    add(&world, note("ana", "Something."));
    add(&world, note("ben", "Something."));
    for value in [
        json!({"AND": [{"user_id": "ana"}, {"user_id": {"ne": "ana"}}]}),
        json!({"user_id": "ana", "NOT": [{"user_id": ["ana", "ben"]}]}),
    ] {
        for profile in [Profile::Fusion, Profile::Mem0] {
            let request = SearchRequest {
                profile,
                threshold: Some(0.0),
                ..SearchRequest::new("something", filter(value.clone()))
            };
            assert!(world.search(&request).unwrap().hits.is_empty(), "{value}");
        }
    }
}

fn a_filter_with_two_owners_at_once_is_refused() {
    let world = world();
    add(&world, note("ana", "Something."));
    for key in ["user_id", "agent_id", "run_id"] {
        for value in [
            json!({"AND": [{key: "ana"}, {key: "ben"}]}),
            json!({key: "ana", "AND": [{key: "ben"}, {"x": 1}]}),
            json!({key: "ana", "AND": [{"AND": [{key: ["ben", "cleo"]}]}]}),
            json!({key: {"eq": "ana", "in": ["ben"]}}),
        ] {
            let filter = filter(value.clone());
            let list = ListRequest { filter: Some(filter.clone()), limit: 9, ..ListRequest::default() };
            for error in [
                world.search(&SearchRequest::new("something", filter.clone())).unwrap_err(),
                world.list(&list).unwrap_err(),
                world.delete_matching(&filter).unwrap_err(),
            ] {
                let text = error.to_string();
                assert!([key, "`ana`", "ben"].iter().all(|word| text.contains(word)), "{value}: {text}");
            }
        }
    }
    assert_eq!(search(&world, "ana", "something").len(), 1);
}

/// The wanted memory has no word and nothing of the meaning of the question, which 1,500 others have.
fn memories_named_by_id_are_found_at_any_rank() {
    let world = world();
    let wanted = add(&world, note("ana", "Zephyr plays the oboe."));
    let texts = |from: usize| (from..from + 500).map(|n| format!("Green tea number {n} is in the kitchen."));
    for from in [0, 500, 1000] {
        let messages = texts(from).map(|content| Message { content, ..Message::default() }).collect();
        add(&world, AddRequest { messages, ..note("ana", "") });
    }
    let other = search(&world, "ana", "green tea")[0].memory.id;
    let foreign = add(&world, note("ben", "Green tea of Ben."));
    for profile in [Profile::Fusion, Profile::Mem0] {
        let request = |ids: &[MemoryId]| SearchRequest {
            profile,
            ids: Some(ids.to_vec()),
            ..SearchRequest::new("which green tea is in the kitchen?", by_user("ana"))
        };
        let found = |request: &SearchRequest| -> Vec<MemoryId> {
            world.search(request).unwrap().hits.iter().map(|hit| hit.memory.id).collect()
        };
        assert_eq!(found(&request(&[wanted])), [wanted], "{profile:?}");
        assert_eq!(found(&request(&[wanted, other])), [other, wanted], "{profile:?}: best first");
        assert_eq!(found(&SearchRequest { top_k: 1, ..request(&[wanted, other]) }), [other]);
        assert_eq!(found(&SearchRequest { threshold: Some(0.9), ..request(&[wanted]) }), []);
        assert_eq!(found(&SearchRequest { rerank: true, latest_only: true, ..request(&[wanted]) }), [wanted]);
        assert_eq!(found(&request(&[])), []);
        assert_eq!(found(&request(&[foreign])), [], "another's memory");
        let explained = world.search(&SearchRequest { explain: true, ..request(&[wanted]) }).unwrap();
        assert!(explained.hits[0].explanation.is_some());
        let narrowed = |condition: serde_json::Value| {
            let filter = filter(json!({"AND": [{"user_id": "ana"}, condition]}));
            found(&SearchRequest { filter, ..request(&[wanted, other]) })
        };
        assert_eq!(narrowed(json!({"data": {"contains": "oboe"}})), [wanted]);
        assert_eq!(narrowed(json!({"NOT": [{"data": {"icontains": "GREEN"}}]})), [wanted]);
        assert_eq!(narrowed(json!({"NOT": [{"data": {"contains": "oboe"}}]})), [other]);
    }
}

fn answers_are_consistent() {
    let world = world();
    for number in 0..40 {
        let text = format!(
            "Note {number}: the {} in Lisbon is open on day {}.",
            ["café", "museum", "zoo"][number % 3],
            number % 7
        );
        add(&world, AddRequest { unordered: number % 2 == 0, ..note(["ana", "ben"][number % 2], &text) });
    }
    for user in ["ana", "ben"] {
        for profile in [Profile::Fusion, Profile::Mem0] {
            for query in ["Which museum in Lisbon?", "zoo", "What did I say about the café?", "xyzzy", "Note 7"] {
                let request = |top_k, threshold: f32| SearchRequest {
                    top_k,
                    threshold: Some(threshold),
                    profile,
                    explain: true,
                    ..SearchRequest::new(query, by_user(user))
                };
                let all = world.search(&request(1000, 0.0)).unwrap().hits;
                assert!(all.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
                assert!(all.is_sorted_by(|a, b| a.score >= b.score), "{query}");
                assert!(all.iter().all(|hit| hit.memory.payload.str("user_id") == Some(user)));
                let ids = |hits: &[mnemon_engine::SearchHit]| hits.iter().map(|hit| hit.memory.id).collect::<Vec<_>>();
                for top_k in [1, 3] {
                    let top = world.search(&request(top_k, 0.0)).unwrap().hits;
                    assert_eq!(top.len(), top_k.min(all.len()));
                    assert_eq!(
                        ids(&top),
                        ids(&world.search(&request(top_k, 0.0)).unwrap().hits),
                        "the order is stable"
                    );
                    if profile == Profile::Fusion {
                        assert_eq!(ids(&top), ids(&all)[..top_k], "{query}");
                    }
                }
                let threshold = 0.4;
                let good = world.search(&request(1000, threshold)).unwrap().hits;
                if profile == Profile::Fusion {
                    let above: Vec<_> = all.iter().filter(|hit| hit.score >= threshold).cloned().collect();
                    assert_eq!(ids(&good), ids(&above), "{query}");
                }
                for hit in &all {
                    let explanation = hit.explanation.as_ref().unwrap();
                    let sum: f32 = explanation.signals.iter().map(|signal| signal.weight * signal.value).sum();
                    let expected = match profile {
                        Profile::Fusion => sum.max(0.0) / (1.0 + sum.max(0.0)),
                        Profile::Mem0 => sum.clamp(0.0, 1.0),
                    };
                    assert!((hit.score - expected).abs() < 1e-4, "{query}: {} explained as {expected}", hit.score);
                }
            }
        }
    }
    assert!(search(&world, "nobody", "museum").is_empty());
}

fn filters_narrow_a_search() {
    let world = world();
    for (number, (agent, topic)) in [("a", "food"), ("a", "work"), ("b", "food")].into_iter().enumerate() {
        add(
            &world,
            AddRequest {
                scope: Scope::new(Some("ana"), Some(agent), None).unwrap(),
                metadata: json!({"topic": topic, "n": number}).as_object().unwrap().clone(),
                ..note("ana", "Something to eat.")
            },
        );
    }
    for (value, expected) in [
        (json!({"user_id": "ana"}), vec![0, 1, 2]),
        (json!({"user_id": "ana", "agent_id": "a"}), vec![0, 1]),
        (json!({"agent_id": "b"}), vec![2]),
        (json!({"user_id": "ana", "topic": "food"}), vec![0, 2]),
        (json!({"user_id": "ana", "NOT": [{"topic": "food"}]}), vec![1]),
        (json!({"user_id": "ana", "n": {"gte": 1}, "OR": [{"agent_id": "b"}, {"topic": "work"}]}), vec![1, 2]),
        (json!({"user_id": "ana", "topic": "music"}), vec![]),
    ] {
        for profile in [Profile::Fusion, Profile::Mem0] {
            let request =
                SearchRequest { threshold: Some(0.0), profile, ..SearchRequest::new("eat", filter(value.clone())) };
            let mut found: Vec<u64> = world
                .search(&request)
                .unwrap()
                .hits
                .iter()
                .map(|hit| hit.memory.payload.as_map()["n"].as_u64().unwrap())
                .collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{value}");
        }
    }
}
