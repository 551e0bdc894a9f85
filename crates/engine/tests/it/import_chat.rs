//! Import of chat and plain text.

use mnemon_engine::{ImportFormat, ImportOptions, ImportReport};

use crate::fixture::{World, check_store, import, user, world};

tests!(all_chat_formats_are_imported, an_invalid_line_does_not_affect_others, each_line_of_text_becomes_a_memory);
tests!(FILE_TESTS = [a_store_file_is_rejected]);

fn take(world: &World, bytes: &[u8], options: &ImportOptions) -> mnemon_engine::Result<ImportReport> {
    let path = world.folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    world.import(&path, options, &mut |_| {})
}

fn all_chat_formats_are_imported() {
    let options = ImportOptions { scope: Some(user("ana")), ..ImportOptions::default() };
    for text in [
        r#"[{"role": "user", "content": "One."}, {"role": "assistant", "content": "Two."}]"#,
        "[\n  {\"role\": \"user\", \"content\": \"One.\"},\n  {\"content\": [{\"type\": \"text\", \"text\": \"Two.\"}]}\n]",
        "{\"role\": \"user\", \"content\": \"One.\"}\n{\"role\": \"user\", \"content\": \"Two.\"}\n",
        r#"{"messages": [{"content": "One."}, {"content": "Two."}], "user_id": "ana", "session": "s"}"#,
        "\u{feff}{\"content\": \"One.\"}\r\n\r\n{\"content\": \"Two.\", \"timestamp\": 1700000000}\r\n",
        "\u{feff}[{\"content\": \"One.\"}, {\"content\": \"Two.\"}]",
        r#"["One.", {"content": "Two."}]"#,
        "{\"messages\": \"One.\"}\n\"Two.\"\n",
        "{\"messages\": [\"One.\", \"Two.\"], \"user_id\": \"ana\"}\n",
    ] {
        let world = world();
        let imported = take(&world, text.as_bytes(), &options).unwrap();
        assert_eq!((imported.format, imported.stored.memories), (ImportFormat::Chat, 2), "{text}");
        assert_eq!(imported.refused, [], "{text}");
        assert_eq!(world.stats(&user("ana")).unwrap().memories, 2);
        check_store(&world);
    }
}

fn an_invalid_line_does_not_affect_others() {
    let options = ImportOptions { scope: Some(user("ana")), ..ImportOptions::default() };
    let world = world();
    let long = "x".repeat((1 << 20) + 1);
    let text = format!(
        "{}\n{}\n{{\"content\": \"{long}\"}}\n{}\n{}\n{}\n{}\n{}\n{}\n",
        r#"{"content": "One."}"#,
        r#"{"content": " "}"#,
        r#"{"content": "Two."}"#,
        r#"{"content": "No role.", "role": ""}"#,
        "no JSON",
        r#"{"content": "Three.", "user_id": "b b"}"#,
        r#"{"content": "Four."}"#,
        r#"{"messages": ["Five.", {"content": 5}]}"#,
    );
    let imported = take(&world, text.as_bytes(), &options).unwrap();
    assert_eq!(imported.stored.memories, 3, "{:?}", imported.refused);
    let mut lines: Vec<usize> = imported.refused.iter().map(|refused| refused.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 3, 5, 6, 7, 9]);
    let mut reasons = imported.refused.iter().map(|refused| refused.reason.to_string());
    assert!(reasons.any(|reason| reason.starts_with("messages[1].content: ")), "{:?}", imported.refused);
    assert_eq!(world.stats(&user("ana")).unwrap().memories, 3);
}

fn each_line_of_text_becomes_a_memory() {
    let options = ImportOptions { scope: Some(user("ana")), ..ImportOptions::default() };
    let world = world();
    let imported = take(&world, "I like tea.\n\n  Nori is my dog.  \r\n我喜欢乌龙茶。".as_bytes(), &options).unwrap();
    assert_eq!((imported.format, imported.stored.memories), (ImportFormat::Text, 3));
    assert!(take(&world, b"Whose is it?\n", &ImportOptions::default()).is_err());
    assert!(take(&world, b" \n\n", &options).is_err());
    assert!(take(&world, b"", &options).is_err());
    assert!(take(&world, b"\xff\xfe\x00", &options).is_err());
    assert_eq!(world.store().info().unwrap().memories, 3);
}

fn a_store_file_is_rejected() {
    let (one, other) = (world(), world());
    crate::fixture::add(&one, crate::fixture::note("ana", "Something."));
    let path = one.folder.path().join("store");
    drop(one.engine);
    let error = import(&other, &path).unwrap_err();
    assert!(error.to_string().contains("export"), "{error}");
    assert_eq!(other.store().info().unwrap().history, 0);
}
