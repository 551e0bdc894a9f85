//! Arbitrary bytes in the authentication headers: every request must be refused with 401.
#![no_main]

mod world;

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut request = Request::get("/memories?user_id=bob").body(Body::empty()).unwrap();
    // The first byte chooses the header for each line.
    let Some((choice, rest)) = data.split_first() else { return };
    for (number, line) in rest.split(|&byte| byte == b'\n').take(4).enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        let name = if choice >> number & 1 == 0 { "authorization" } else { "x-api-key" };
        request.headers_mut().append(name, value);
    }
    let (status, body) = world::answer(request);
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
});
