//! Texts in many scripts are found by their words.

use std::collections::BTreeMap;

use mnemon_engine::{AddRequest, SearchRequest};
use serde_json::Value;

use crate::fixture::{World, add, by_user, fixture_lines, note, search, world};

tests!(
    texts_in_all_scripts_are_found,
    a_single_fact_is_found,
    questions_in_twenty_languages_find_their_memory,
    a_lone_rare_word_ranks_its_memory_first
);

fn texts_in_all_scripts_are_found() {
    let world = world();
    for number in 0..50 {
        add(
            &world,
            note("ana", &format!("Distractor number {number} about meetings, budgets and plan {}.", number * 7)),
        );
    }
    let texts = [
        ("我喜欢在周末喝乌龙茶。", "乌龙茶"),
        ("私の妹は京都で着物を売っています。", "京都の着物"),
        ("أحب القهوة بدون سكر.", "القهوة بدون سكر"),
        ("Моя кошка Мурка боится грозы.", "кошка боится грозы"),
        ("ฉันชอบกินข้าวเหนียวมะม่วง", "ข้าวเหนียวมะม่วง"),
        ("Party on Friday 🎉🦄", "🦄"),
        ("Ich habe einen Termin beim Zahnarzt in Zürich.", "Zahnarzt Zürich"),
        ("Η γιαγιά μου μένει στη Θεσσαλονίκη.", "γιαγιά Θεσσαλονίκη"),
        ("나는 매일 아침 김치찌개를 먹는다.", "김치찌개"),
        ("אני אוהבת לרוץ בחוף של חיפה.", "לרוץ בחוף"),
        ("मुझे सुबह मसाला चाय पसंद है।", "मसाला चाय"),
    ];
    let ids = texts.map(|(text, _)| add(&world, note("ana", text)));
    let missed: Vec<&str> = texts
        .iter()
        .zip(ids)
        .filter(|((_, query), id)| search(&world, "ana", query).first().is_none_or(|hit| hit.memory.id != *id))
        .map(|((_, query), _)| *query)
        .collect();
    assert_eq!(missed, [""; 0]);
    for ((text, _), id) in texts.iter().zip(ids) {
        assert_eq!(world.get(id).unwrap().payload.text(), *text);
    }
}

fn a_single_fact_is_found() {
    for (text, query) in [("我喜欢喝绿茶", "绿茶"), ("party 🎉", "🎉"), ("zorgblat flimsy", "zorgblat")] {
        let world = world();
        let id = add(&world, AddRequest { unordered: true, ..note("ana", text) });
        let hits = world.search(&SearchRequest::new(query, by_user("ana"))).unwrap().hits;
        assert_eq!(hits.first().map(|hit| hit.memory.id), Some(id), "{query}");
    }
}

/// Number of the pairs of a language whose memory is among the three best hits: of those that the analysis was tuned with,
/// and of the others.
#[derive(Default)]
struct Found {
    tuned: usize,
    unseen: usize,
    missed: Vec<String>,
}

/// Adds the memories of each language as one session of a user, and asks each memory's question.
fn found_by_language(world: &World, unordered: bool) -> BTreeMap<String, Found> {
    let lines = fixture_lines("languages.jsonl");
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let added: Vec<_> = lines
        .iter()
        .map(|line| add(world, AddRequest { unordered, ..note(&text(line, "language"), &text(line, "memory")) }))
        .collect();
    let mut languages: BTreeMap<String, Found> = BTreeMap::new();
    for (line, id) in lines.iter().zip(added).filter(|(line, _)| !line["question"].is_null()) {
        let (language, question) = (text(line, "language"), text(line, "question"));
        let hits = search(world, &language, &question);
        let found = languages.entry(language).or_default();
        let count = if line["unseen"] == true { &mut found.unseen } else { &mut found.tuned };
        if hits.iter().take(3).any(|hit| hit.memory.id == id) {
            *count += 1;
        } else {
            found.missed.push(question);
        }
    }
    languages
}

fn questions_in_twenty_languages_find_their_memory() {
    for unordered in [false, true] {
        let languages = found_by_language(&world(), unordered);
        for (language, Found { tuned, unseen, missed }) in &languages {
            println!("{language} unordered={unordered}: hit@3 {tuned}/5 tuned, {unseen}/5 unseen; missed {missed:?}");
        }
        assert_eq!(languages.len(), 20);
        let below: Vec<_> = languages.iter().filter(|(_, found)| found.tuned + found.unseen < 9).collect();
        let below: Vec<_> = below.iter().map(|(language, found)| (language, &found.missed)).collect();
        assert!(below.is_empty(), "hit@3 below 0.9, unordered={unordered}: {below:?}");
    }
}

fn a_lone_rare_word_ranks_its_memory_first() {
    // A question, and a session whose first memory is the answer; the others are stored before and after it.
    let sessions = [
        ("Köln", "Ich wohne seit drei Jahren in Köln.", ["Mein Bruder spielt Gitarre.", "Morgen kommt der Zahnarzt."]),
        ("猫", "我的猫叫米索", ["我喜欢喝茶", "昨天下雨了"]),
        ("鍵はどこ", "鍵は台所の引き出しにあります。", ["病院はどこですか", "私は犬が好きです"]),
        ("кошку", "Моя кошка боится грозы.", ["Сегодня опять были пробки.", "Мы едем в Казань."]),
        ("Łódź", "Mój brat mieszka w Łodzi i pracuje w banku.", ["Kupiliśmy rower.", "Wczoraj padało."]),
        ("물", "저는 매일 물을 마셔요.", ["우리 고양이는 귀여워요.", "어제는 비가 왔어요."]),
    ];
    for (question, answer, [first, last]) in sessions {
        for texts in [[answer, first, last], [first, answer, last], [first, last, answer]] {
            let world = world();
            for text in texts {
                add(&world, note("ana", text));
            }
            assert_eq!(search(&world, "ana", question)[0].memory.payload.text(), answer, "{question} in {texts:?}");
        }
    }
}
