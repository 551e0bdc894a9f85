//! The terms of texts, and whether questions have them.

use super::*;
use crate::tokenize::{stem, term_id};

fn ids(terms: &[&str]) -> Vec<u32> {
    terms.iter().map(|term| term_id(term)).collect()
}

/// Whether a word of the question is found in the text, in a scope whose memories are in the language of the text.
fn finds(question: &str, text: &str) -> bool {
    let terms = index_terms(text);
    let languages: Vec<Language> =
        Language::all().filter(|language| terms.parts.contains(&language.marker())).collect();
    let words = query_words(question, &languages);
    let has = |term: &u32| terms.words.contains(term) || terms.parts.contains(term);
    words.iter().any(|word| word.forms.iter().chain(&word.parts).any(has))
}

#[test]
fn english_terms_are_those_of_fastembed() {
    for text in ["The cats are running in Paris.", "", "snake_case 3.5 kg _ x", "No pun intended: café society"] {
        let expected: Vec<u32> = crate::terms(text).iter().map(|term| term_id(&fold::without_accents(term))).collect();
        assert_eq!(index_terms(text), IndexTerms { words: expected, parts: Vec::new() }, "{text:?}");
    }
    assert_eq!(query_words("Where are the cats?", &[])[0].forms, [term_id(&stem("cats"))]);
}

#[test]
fn single_han_characters_are_parts() {
    let terms = index_terms("我的猫叫米索");
    assert_eq!(terms.words, ids(&["猫叫", "叫米", "米索"]));
    assert!(ids(&["猫", "叫", "米", "索"]).iter().all(|term| terms.parts.contains(term)));
    assert_eq!(query_words("猫", &[]), [QueryWord { forms: ids(&["猫"]), parts: Vec::new() }]);
    assert_eq!(query_words("猫在哪里？", &[])[0].forms, ids(&["猫"]));
}

#[test]
fn particles_and_question_words_are_dropped() {
    assert_eq!(query_words("鍵はどこ", &[]), [QueryWord { forms: ids(&["鍵"]), parts: Vec::new() }]);
    assert_eq!(index_terms("鍵は台所の引き出しにあります。").words, ids(&["鍵", "台所", "引き", "き出", "出し"]));
    assert_eq!(query_words("고양이는 어디에 있어요?", &[])[0].forms, ids(&["고양"]));
    assert_eq!(query_words("¿Dónde está?", &[]), []);
}

#[test]
fn words_are_found_in_other_forms() {
    for (question, text) in [
        ("猫", "我的猫叫米索"),
        ("猫", "うちの猫はミソです"),
        ("ﾈｺ", "ネコが好き"),
        ("고양이를", "우리 고양이가 창문을 좋아해요."),
        ("집은 어디예요?", "우리 집에 강아지가 있어요."),
        ("물", "나는 매일 물을 두 잔 마셔요."),
        ("หมา", "หมาของฉันชื่อโบโบ้"),
        ("Koln", "Ich wohne in Köln."),
        ("KÖLN", "Ich wohne in Ko\u{308}ln."),
        ("ﬁets", "Mijn fiets is rood en hij staat in de schuur."),
        ("Zahnarzt", "Am Freitag ist der Zahnarzttermin meiner Tochter."),
        ("Zahnarzttermin", "Ich muss am Montag zum Zahnarzt."),
        ("Zahnärzte", "Mein Zahnarzt ist sehr nett."),
        ("Geburtstagskuchen", "Der Geburtstag meiner Mutter ist im Mai."),
        ("кошку", "Моя кошка боится грозы."),
        ("елка", "Мы поставили ёлку."),
        ("кішка", "Моя кішка любить рибу."),
        ("θάλασσα", "Μένω κοντά στη ΘΑΛΑΣΣΑ."),
        ("كتابي", "اشتريت الكتاب أمس"),
        ("کتاب", "این كتاب را خواندم"),
        ("הכלב", "יש לי כלב קטן"),
        ("किताबें", "मेरी किताब मेज पर है"),
        ("ISPARTA", "Babam Isparta'da doğdu ve orada bir evi var."),
        ("dişçi", "Yarın bir dişçiye gideceğim, çok kötü."),
        ("ca phe", "Tôi thích uống cà phê sữa đá."),
        ("kot", "Mój kot śpi na kanapie, a pies jest w ogrodzie."),
        ("kota", "Mój kot śpi na kanapie, a pies jest w ogrodzie."),
        ("Helsinki", "Minä asuin Helsingissä, mutta hän on Helsinkiin menossa."),
        ("talo", "Meidän talossa on kolme kerrosta."),
        ("🦄", "Party 🎉🦄"),
        ("2024年", "2024年3月"),
    ] {
        assert!(finds(question, text), "{question} in {text}: {:?}", query_words(question, &[]));
    }
}

#[test]
fn other_words_are_not_found() {
    for (question, text) in [
        ("狗在哪里", "我的猫在哪里睡觉"),
        ("鍵はどこ", "病院はどこですか"),
        ("Hund", "Ich wohne in Köln."),
        ("Who was here?", "Ich wohne in Köln."),
        ("собака", "Моя кошка боится грозы."),
    ] {
        assert!(!finds(question, text), "{question} in {text}");
    }
}

#[test]
fn forms_of_a_word_are_one_word_of_the_question() {
    let german: Vec<Language> = Language::all().filter(|language| language.code() == "de").collect();
    let words = query_words("Zahnärzte", &german);
    assert_eq!(words.len(), 1);
    assert!(words[0].forms.contains(&term_id("zahnarzt")));
    assert!(words[0].parts.contains(&term_id("arzt")));
}

#[test]
fn the_work_grows_with_the_length_of_a_text_only() {
    // A cubic search for particles took minutes for each of these, a quadratic one for words of no known language.
    let unknown: String = (0..50_000).map(|at| format!("xq{at} ")).collect();
    for text in ["は", "しています", "ア", "요", "습니다", "가", "的", "猫は", "ไหม", "ที่", "ဘာ", "a", "ß", "कर", "🎉"]
        .map(|piece| format!("猫{}", piece.repeat(200_000 / piece.len())))
        .iter()
        .chain([&unknown])
    {
        let start = std::time::Instant::now();
        index_terms(text);
        query_words(text, &Language::all().collect::<Vec<_>>());
        assert!(
            start.elapsed().as_secs() < 60,
            "{:?}: {:?}",
            text.chars().take(5).collect::<String>(),
            start.elapsed()
        );
    }
}
