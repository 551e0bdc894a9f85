//! Texts in many scripts are found by their words.

use mnemon_engine::{AddRequest, SearchRequest};

use crate::fixture::{add, by_user, note, search, world};

tests!(texts_in_all_scripts_are_found, a_single_fact_is_found);

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
