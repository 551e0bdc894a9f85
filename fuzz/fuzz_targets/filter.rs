//! Any bytes as the filter of a search or a list, with ana's key: never another's memory, never a fault of ours.
#![no_main]

mod world;

use axum::body::Body;
use axum::http::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for (path, before, after) in [
        ("/search", &br#"{"query":"who likes tea?","filters":"#[..], &b"}"[..]),
        ("/v3/memories/search", br#"{"query":"who likes tea?","filters":"#, b"}"),
        ("/v3/memories", br#"{"filters":"#, b"}"),
    ] {
        // The bytes may close the filter and go on: then they are further keys of the body.
        let body = [before, data, after].concat();
        // What is written as text may be shown again in an error.
        if body.windows(world::MARK.len()).any(|window| window == world::MARK.as_bytes()) {
            return;
        }
        let request = Request::post(path).header("x-api-key", world::ANA).body(Body::from(body)).unwrap();
        world::answer(request);
    }
});
