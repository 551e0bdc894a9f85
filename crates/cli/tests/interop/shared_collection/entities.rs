//! Both sides use one point per entity.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Both, USER};

/// An entity in Qdrant: point id, payload without links, links in their order.
#[derive(Clone, Debug, PartialEq)]
struct Entity {
    point: String,
    payload: Value,
    links: Vec<String>,
}

/// All entities by name. Checks that no entity and no link is duplicated.
fn entities(both: &mut Both<'_>) -> BTreeMap<String, Entity> {
    let raw = both.mem0.ask(json!({"op": "raw"}));
    let mut all = BTreeMap::new();
    for point in raw["entities"].as_array().into_iter().flatten() {
        let mut payload = point["payload"].clone();
        let links = payload.as_object_mut().unwrap().remove("linked_memory_ids").unwrap();
        let links: Vec<String> = serde_json::from_value(links).unwrap();
        assert_eq!(links.iter().collect::<BTreeSet<_>>().len(), links.len(), "{point}");
        if payload["user_id"] != USER {
            continue;
        }
        let name = payload["data"].as_str().unwrap().to_owned();
        let entity = Entity { point: point["id"].as_str().unwrap().to_owned(), payload, links };
        if let Some(other) = all.insert(name, entity.clone()) {
            panic!("duplicate: {other:?} and {entity:?}");
        }
    }
    all
}

fn sorted<const N: usize>(ids: [&str; N]) -> Vec<String> {
    let mut ids = ids.map(str::to_owned).to_vec();
    ids.sort();
    ids
}

pub(super) fn both_link_the_same_entities(both: &mut Both<'_>) {
    // In mem0, an add with infer=False links no entities; an update does.
    let theirs = both.mem0.add(USER, "A note.", json!({}));
    both.mem0.ask(json!({"op": "update", "memory_id": theirs, "text": "Maria Silva flew to Thessaloniki."}));
    let made = entities(both)["Thessaloniki"].clone();
    assert_eq!(made.links, [theirs.as_str()]);

    let ours = both.add(USER, "Tom Baker flew to Thessaloniki.", json!({}));
    let now = entities(both);
    let joined = &now["Thessaloniki"];
    assert_eq!((&joined.point, &joined.payload), (&made.point, &made.payload));
    assert_eq!(joined.links, sorted([&theirs, &ours]));
    let baker = now["Tom Baker"].clone();
    assert_eq!(baker.links, [ours.as_str()]);
    both.assert_no_findings();

    // The other way round: mem0 uses the entity that mnemon created.
    let text = "Maria Silva knows Tom Baker.";
    both.mem0.ask(json!({"op": "update", "memory_id": theirs, "text": text}));
    let now = entities(both);
    assert_eq!((&now["Tom Baker"].point, &now["Tom Baker"].payload), (&baker.point, &baker.payload));
    // In the order of the requests: update() appends in both versions, only add(infer=True) sorts.
    assert_eq!(now["Tom Baker"].links, [ours.as_str(), &theirs]);
    assert_eq!(now["Thessaloniki"].links, [ours.as_str()], "this process of mem0 has used entities");
    assert_eq!(now["Thessaloniki"].point, made.point);

    // An entity is deleted with its last mention, whichever side created it.
    both.update(&ours, "Tom Baker stayed at home.");
    let now = entities(both);
    assert!(!now.contains_key("Thessaloniki"), "{now:?}");
    assert_eq!(now["Tom Baker"].links, [ours.as_str(), &theirs], "links that do not change keep their order");
    both.assert_no_findings();

    // mem0 replaces the point of an entity when it updates the only memory with that entity.
    let only = both.add(USER, "I drove to Reykjavik.", json!({}));
    let old = entities(both)["Reykjavik"].point.clone();
    both.mem0.ask(json!({"op": "update", "memory_id": only, "text": "I sailed to Reykjavik."}));
    let new = entities(both)["Reykjavik"].point.clone();
    assert_ne!(new, old);
    let more = both.add(USER, "My cousin lives in Reykjavik.", json!({}));
    let now = entities(both);
    assert_eq!(now["Reykjavik"].point, new);
    assert_eq!(now["Reykjavik"].links, sorted([&only, &more]));

    // Each side removes its links from the other side's entities.
    both.delete(&ours);
    let now = entities(both);
    assert_eq!(now["Tom Baker"].links, [theirs.as_str()]);
    both.mem0.ask(json!({"op": "delete", "memory_id": only}));
    assert_eq!(entities(both)["Reykjavik"].links, [more.as_str()]);
    both.delete(&theirs);
    let now = entities(both);
    assert!(!now.contains_key("Tom Baker") && !now.contains_key("Maria Silva"), "{now:?}");
    both.delete(&more);
    assert!(!entities(both).contains_key("Reykjavik"));
    both.assert_equal_contents();
    both.assert_no_findings();
}

/// In both versions, a process that has not used entities yet does not remove the links of memories that it deletes.
pub(super) fn a_new_process_leaves_links(both: &mut Both<'_>) {
    both.reopen();
    let deleted = both.add(USER, "Tom Baker flew to Thessaloniki.", json!({}));
    let remaining = both.add(USER, "Maria Silva flew to Thessaloniki.", json!({}));
    both.mem0.ask(json!({"op": "delete", "memory_id": deleted}));
    let now = entities(both);
    assert_eq!(now["Tom Baker"].links, [deleted.as_str()]);
    assert_eq!(now["Thessaloniki"].links, sorted([&deleted, &remaining]));
    let checks = |both: &Both<'_>| -> Vec<(&str, usize)> {
        both.engine.store().check().unwrap().iter().map(|finding| (finding.check, finding.count)).collect()
    };
    assert_eq!(checks(both), [("entity_link_to_nothing", 1)]);
    both.assert_equal_contents();
    let mended: Vec<&str> = both.engine.store().repair().unwrap().iter().map(|finding| finding.check).collect();
    assert_eq!(mended, ["entity_link_to_nothing"]);
    let now = entities(both);
    assert!(!now.contains_key("Tom Baker"), "{now:?}");
    assert_eq!(now["Thessaloniki"].links, [remaining.as_str()]);
    both.assert_no_findings();
    both.assert_equal_contents();
}
