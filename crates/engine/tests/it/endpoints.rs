//! Models behind endpoints of every kind.

mod table;
mod world;

use mnemon_engine::UpdateRequest;
use mnemon_testbed::{Behaviour, FakeEndpoint, Reply};
use serde_json::{Value, json};

use crate::fixture::{note, search};
use world::{LIMIT, REFUSED, World};

tests!(
    FILE_TESTS = [
        no_endpoint_takes_the_memory_from_anybody,
        a_long_text_is_found_by_its_words_and_its_meaning,
        the_record_of_the_pieces_follows_the_text,
        a_chat_leaves_out_memories_that_make_its_prompt_too_long
    ]
);

fn no_endpoint_takes_the_memory_from_anybody() {
    table::check();
}

fn world(endpoint: &FakeEndpoint) -> World {
    World::new(endpoint, &FakeEndpoint::start(Vec::new()))
}

fn a_chat_leaves_out_memories_that_make_its_prompt_too_long() {
    let embedder = FakeEndpoint::start(Vec::new());
    for (name, reply) in [
        ("named", Reply::refusal("400 Bad Request", "This model's maximum context length is 512 tokens")),
        ("wordless", Reply { status: "500 Internal Server Error", headers: "", body: String::new() }),
        ("wordless", Reply::refusal("400 Bad Request", "Bad Request")),
    ] {
        // Room for the instruction, the question and about one memory.
        let llm = FakeEndpoint::start(vec![Behaviour::TextLimit(2600, reply)]);
        let world = World::new(&embedder, &llm);
        for number in 0..20 {
            let text = format!("Note {number} about the garden: {}", "it is green and large. ".repeat(20));
            world.add(note("ana", &text)).unwrap();
        }
        let mut context = world.chat_context(&world::turn("ana", "How is the garden?")).unwrap();
        let before = context.memories.len();
        let answer = world.reply(&mut context, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.text, "Yes.");
        let kept = context.memories.len();
        assert!((1..before).contains(&kept), "{name}: {kept} of {before} memories are used");
        let requests = llm.requests();
        let prompt = requests.last().unwrap().all_texts().join("");
        assert_eq!(prompt.matches("\"id\":\"m").count(), kept, "{name}: the memories are those of the prompt");
    }
}

fn a_long_text_is_found_by_its_words_and_its_meaning() {
    let reply = Reply::refusal("500 Internal Server Error", "input is too large to process");
    let endpoint = FakeEndpoint::start(vec![Behaviour::TextLimit(LIMIT, reply)]);
    let world = world(&endpoint);
    let long = format!("{}Our boat is called Amaryllis and lies in Setubal.", "We walked along the river. ".repeat(60));
    world.add(note("ana", &long)).unwrap();
    for question in ["where is the boat Amaryllis", "walks by the river", &long] {
        assert_eq!(search(&world, "ana", question)[0].memory.payload.text(), long, "{question}");
    }
}

fn the_record_of_the_pieces_follows_the_text() {
    let reply = Reply::refusal("400 Bad Request", "the input length exceeds the context length");
    let endpoint =
        FakeEndpoint::start(vec![Behaviour::TextLimit(LIMIT, reply.clone()), Behaviour::RefusedWord(REFUSED, reply)]);
    let world = world(&endpoint);
    let pieces = |id| {
        let payload = world.get(id).unwrap().payload;
        let number = |key: &str| payload.as_map().get(key).and_then(Value::as_u64);
        (number("vector_pieces"), number("vector_left_out"))
    };
    let change = |id, text: &str| {
        world.update(id, &UpdateRequest { text: Some(text.to_owned()), ..UpdateRequest::default() }).unwrap();
    };
    let id = world.add(note("ana", &"We walked along the river. ".repeat(60))).unwrap()[0].id;
    assert!(pieces(id).0 > Some(1) && pieces(id).1.is_none());
    let counts = || {
        let counts = world.embedding_counts().unwrap();
        (counts.in_pieces, counts.incomplete, counts.without_vector)
    };
    assert_eq!(counts(), (1, 0, 0));
    change(id, "We walked.");
    assert_eq!((pieces(id), counts()), ((None, None), (0, 0, 0)));
    change(id, &format!("a {REFUSED} word"));
    assert_eq!((pieces(id), counts()), ((Some(0), Some(1)), (0, 1, 1)));
    let metadata = json!({"colour": "red"}).as_object().cloned();
    world.update(id, &UpdateRequest { metadata, ..UpdateRequest::default() }).unwrap();
    assert_eq!(pieces(id), (Some(0), Some(1)), "a change of the metadata keeps the record");
    assert_eq!(search(&world, "ana", "word").len(), 1);
}
