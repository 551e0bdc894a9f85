//! Requests through proxies: the URLs in answers, and the limits of logins.

use mnemon_server::{AuthMode, Config, TrustedProxies};
use serde_json::json;

use crate::server::{ANA, TestServer, config};

/// The URL of the second page of a list, as the server writes it.
async fn next_page(server: &TestServer, headers: &[(&str, &str)]) -> String {
    let mut request = server.request("GET", "/v1/memories/?user_id=ana&page=1&page_size=1").header("x-api-key", ANA);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let page = TestServer::answer(request).await.expect(200);
    page["next"].as_str().unwrap_or_else(|| panic!("{page}")).split('?').next().unwrap().to_owned()
}

async fn with_two_memories(trusted: &str) -> TestServer {
    let server = TestServer::with(Config { trusted_proxies: trusted.parse().unwrap(), ..config() }).await;
    server.remember(ANA, "Ana lives in Linz.").await;
    server.remember(ANA, "Ana has a boat.").await;
    server
}

#[tokio::test]
async fn pages_have_the_url_that_the_client_called() {
    let server = with_two_memories("loopback").await;
    for headers in [
        &[("x-forwarded-proto", "https,http"), ("x-forwarded-host", "mem.example.com, inner")][..],
        &[("x-forwarded-proto", "https, http"), ("host", "mem.example.com")],
        &[("forwarded", "for=192.0.2.1;host=mem.example.com;proto=https, for=10.0.0.1;proto=http")],
    ] {
        assert_eq!(next_page(&server, headers).await, "https://mem.example.com/v1/memories/", "{headers:?}");
    }
    let stranger = with_two_memories("192.0.2.0/24").await;
    let spoofed = [("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example.com")];
    assert_eq!(next_page(&stranger, &spoofed).await, format!("{}/v1/memories/", stranger.url));
}

/// The statuses of logins, each with its headers.
async fn log_in(server: &TestServer, headers: &[&[(&str, &str)]]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for headers in headers {
        let body = json!({"email": "a@b.c", "password": "x"}).to_string();
        let mut request = server.request("POST", "/auth/login").header("content-type", "application/json").body(body);
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        statuses.push(TestServer::answer(request).await.status);
    }
    statuses
}

#[tokio::test]
async fn logins_are_counted_by_client() {
    let server = TestServer::start().await;
    let ana: &[(&str, &str)] = &[("x-forwarded-for", "192.0.2.1")];
    assert_eq!(log_in(&server, &[ana; 11]).await[9..], [401, 429]);
    for other in
        [&[("x-forwarded-for", "192.0.2.2")][..], &[("forwarded", "for=192.0.2.3")], &[("x-real-ip", "192.0.2.4")], &[]]
    {
        assert_eq!(log_in(&server, &[other]).await, [401], "{other:?}");
    }
    // What a client writes before the proxy adds its address is not believed.
    let spoofed: Vec<String> = (0..3).map(|number| format!("203.0.113.{number}, 192.0.2.1")).collect();
    for value in &spoofed {
        assert_eq!(log_in(&server, &[&[("x-forwarded-for", value)]]).await, [429], "{value}");
    }
    let without = Config { trusted_proxies: TrustedProxies::default(), ..config() };
    let server = TestServer::with(without).await;
    let addresses: Vec<String> = (0..11).map(|number| format!("192.0.2.{number}")).collect();
    let headers: Vec<[(&str, &str); 1]> =
        addresses.iter().map(|address| [("x-forwarded-for", address.as_str())]).collect();
    let headers: Vec<&[(&str, &str)]> = headers.iter().map(<[_; 1]>::as_slice).collect();
    assert_eq!(log_in(&server, &headers).await[9..], [401, 429], "a stranger's headers do not count");
}

#[tokio::test]
async fn with_auth_off_a_page_of_the_site_that_the_proxy_serves_may_call() {
    let search = |server: &TestServer, headers: &[(&str, &str)]| {
        let request = server.request("POST", "/search").body(r#"{"query": "tea", "user_id": "ana"}"#);
        TestServer::answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    };
    let site = "https://mem.example.com";
    let proxied = [("x-forwarded-host", "mem.example.com"), ("x-forwarded-proto", "https")];
    let standard = [("forwarded", "for=192.0.2.1;host=mem.example.com;proto=https")];
    let off = Config { auth: AuthMode::Off, ..Config::default() };
    let server = TestServer::with(off.clone()).await;
    for (headers, origin, status) in [
        (&proxied[..], site, 200),
        (&standard, site, 200),
        (&[("x-forwarded-host", "mem.example.com:8443")], "https://mem.example.com:8443", 200),
        (&proxied, "https://evil.example.com", 403),
        (&standard, "null", 403),
        (&[], site, 403),
        // A page that has pointed its name at this machine can send any header.
        (&[("host", "evil.example.com"), ("x-forwarded-host", "evil.example.com")], "https://evil.example.com", 403),
        (&[("host", "evil.example.com"), ("x-forwarded-for", "192.0.2.1")], "https://evil.example.com", 403),
    ] {
        let headers = [headers, &[("origin", origin)]].concat();
        assert_eq!(search(&server, &headers).await.status, status, "{headers:?}");
    }
    let stranger = TestServer::with(Config { trusted_proxies: TrustedProxies::default(), ..off }).await;
    assert_eq!(search(&stranger, &[&proxied[..], &[("origin", site)]].concat()).await.status, 403);
}
