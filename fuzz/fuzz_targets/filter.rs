//! Arbitrary bytes as the filter of a search or a list, with ana's key: no response may contain another user's memory or
//! be a server error.
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
        // The bytes may close the filter; the rest is then further keys of the body.
        let body = [before, data, after].concat();
        // An error may quote text of the request.
        if body.windows(world::MARK.len()).any(|window| window == world::MARK.as_bytes()) {
            return;
        }
        let request = Request::post(path).header("x-api-key", world::ANA).body(Body::from(body)).unwrap();
        world::answer(request);
    }
});
