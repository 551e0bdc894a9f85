//! Tests with tables of headers.

use axum::http::{HeaderName, HeaderValue};

use super::*;

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let pair = |&(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in list.iter().map(pair) {
        map.append(name, value);
    }
    map
}

fn client(peer: &str, trusted: &str, list: &[(&str, &str)]) -> Client {
    let all: Vec<(&str, &str)> = [("host", "mem.local:8000")].iter().chain(list).copied().collect();
    let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
    Client::of(Some(peer), &headers(&all), None, &trusted.parse().unwrap())
}

/// The URL as the client of a proxy on this machine sees it.
#[track_caller]
fn check_url(list: &[(&str, &str)], expected: &str) {
    let found = client("127.0.0.1", "loopback", list).base_url;
    assert_eq!(found.as_deref(), Some(expected), "{list:?}");
    let untrusted = client("192.0.2.9", "loopback", list).base_url;
    assert_eq!(untrusted.as_deref(), Some("http://mem.local:8000"), "of a stranger: {list:?}");
}

#[test]
fn schemes_come_from_the_first_proxy() {
    let https = "https://mem.local:8000";
    for value in [
        "https",
        "HTTPS",
        " https ",
        "https,http",
        "https, http",
        "https,https",
        "https , http,http",
        "wss",
        "\"https\"",
    ] {
        check_url(&[("x-forwarded-proto", value)], https);
    }
    check_url(&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], https);
    check_url(&[("x-forwarded-scheme", "https")], https);
    check_url(&[("x-forwarded-ssl", "on")], https);
    for value in
        ["for=192.0.2.1;proto=https", "Proto=\"HTTPS\";For=192.0.2.1", "for=192.0.2.1, for=10.0.0.1;proto=https"]
    {
        check_url(&[("forwarded", value)], https);
    }
    check_url(&[("forwarded", "proto=https"), ("x-forwarded-proto", "http")], https);
    for value in ["http", "http,https", "", ",", "ftp", "https;x", "javascript:"] {
        check_url(&[("x-forwarded-proto", value)], "http://mem.local:8000");
    }
}

#[test]
fn hosts_come_from_the_first_proxy() {
    let with = |value: &'static str| vec![("x-forwarded-proto", "https"), ("x-forwarded-host", value)];
    for (value, expected) in [
        ("api.example.com", "https://api.example.com"),
        ("api.example.com, inner.local", "https://api.example.com"),
        ("api.example.com:8443,inner", "https://api.example.com:8443"),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("[2001:db8::1]", "https://[2001:db8::1]"),
        ("192.0.2.1:81", "https://192.0.2.1:81"),
    ] {
        check_url(&with(value), expected);
    }
    for value in [
        "",
        ",",
        "a b",
        "evil.com/path",
        "user@evil.com",
        "evil.com?x",
        "evil.com#x",
        "[::1",
        "a:b:c",
        "a:99999",
        "a:",
        "[x]:1",
    ] {
        check_url(&with(value), "https://mem.local:8000");
    }
    check_url(&[("forwarded", "host=\"api.example.com:8443\";proto=https")], "https://api.example.com:8443");
    check_url(&[("forwarded", "host=\"[2001:db8::1]:1\", host=inner")], "http://[2001:db8::1]:1");
    check_url(&[("forwarded", "host=\"a, b\"")], "http://mem.local:8000");
    let port = |host: &'static str, port: &'static str| [("x-forwarded-host", host), ("x-forwarded-port", port)];
    check_url(&port("api.example.com", "8080"), "http://api.example.com:8080");
    check_url(&port("api.example.com", "80"), "http://api.example.com");
    check_url(&port("api.example.com:81", "8080"), "http://api.example.com:81");
    check_url(&port("[2001:db8::1]", "8080"), "http://[2001:db8::1]:8080");
    check_url(&[("x-forwarded-port", "8443")], "http://mem.local:8000");
    check_url(&[("x-forwarded-prefix", "/mem/")], "http://mem.local:8000/mem");
    for value in ["mem", "mem/", "/mem"] {
        check_url(&[("x-forwarded-prefix", value)], "http://mem.local:8000/mem");
    }
    for value in ["", "/", "//", "//evil.com", "/a//b", "/a b", "/a?b"] {
        check_url(&[("x-forwarded-prefix", value)], "http://mem.local:8000");
    }
}

#[test]
fn the_client_is_the_last_hop_that_is_not_trusted() {
    let proxies = "loopback, 10.0.0.0/8, 2001:db8:1::/48";
    #[track_caller]
    fn check(proxies: &str, list: &[(&str, &str)], expected: &str) {
        let found = client("127.0.0.1", proxies, list);
        assert_eq!(found.address, Some(expected.parse().unwrap()), "{list:?}");
        let peer = client("192.0.2.99", proxies, list);
        assert_eq!((peer.address, peer.is_forwarded), (Some("192.0.2.99".parse().unwrap()), false), "{list:?}");
    }
    for (value, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5000", "192.0.2.1"),
        ("203.0.113.7, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.7,192.0.2.1,10.1.1.1 , 10.2.2.2", "192.0.2.1"),
        ("127.0.0.1, 192.0.2.1", "192.0.2.1"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:db8::7, 2001:db8:1::1", "2001:db8::7"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1"),
        ("192.0.2.1, unknown", "127.0.0.1"),
        ("192.0.2.1, nonsense, 10.0.0.1", "10.0.0.1"),
        ("192.0.2.1,,", "192.0.2.1"),
        ("", "127.0.0.1"),
    ] {
        check(proxies, &[("x-forwarded-for", value)], expected);
    }
    check(proxies, &[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "10.0.0.1")], "192.0.2.1");
    for (value, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=\"192.0.2.1:4711\";by=10.0.0.1", "192.0.2.1"),
        ("for=\"[2001:db8::7]\"", "2001:db8::7"),
        ("for=\"[2001:db8::7]:4711\";proto=https", "2001:db8::7"),
        ("for=\"[2001:db8::7]:_port\"", "2001:db8::7"),
        ("for=203.0.113.7, for=192.0.2.1;proto=http, for=10.0.0.1", "192.0.2.1"),
        ("for=\"192.0\\.2.1\"", "192.0.2.1"),
        ("by=\"a,b;for=203.0.113.7\";for=192.0.2.1", "192.0.2.1"),
        ("for=192.0.2.1, for=unknown", "127.0.0.1"),
        ("for=192.0.2.1, for=_hidden, for=10.0.0.1", "10.0.0.1"),
        ("for=192.0.2.1, proto=https", "127.0.0.1"),
        ("proto=https", "127.0.0.1"),
        ("for=", "127.0.0.1"),
        ("for=\"", "127.0.0.1"),
    ] {
        check(proxies, &[("forwarded", value)], expected);
    }
    check(proxies, &[("x-real-ip", "192.0.2.1")], "192.0.2.1");
    check(proxies, &[("x-real-ip", "203.0.113.7"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1");
    check(proxies, &[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1");
    // One of them comes from the client.
    check(proxies, &[("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "192.0.2.1")], "127.0.0.1");
    check("none", &[("x-forwarded-for", "192.0.2.1")], "127.0.0.1");
}

#[test]
fn an_invalid_host_is_not_copied_into_urls() {
    let of = |host: &str| Client::of(None, &headers(&[("host", host)]), None, &TrustedProxies::default()).base_url;
    assert_eq!(of("memory.example:8000").as_deref(), Some("http://memory.example:8000"));
    assert_eq!(of("a/b?c"), None);
}

#[test]
fn trusted_proxies_are_addresses_networks_and_names() {
    let trusts =
        |setting: &str, address: &str| setting.parse::<TrustedProxies>().unwrap().trusts(address.parse().unwrap());
    for (setting, address, expected) in [
        ("loopback", "127.0.0.2", true),
        ("loopback", "::1", true),
        ("loopback", "::ffff:127.0.0.1", true),
        ("LOOPBACK", "10.0.0.1", false),
        ("private", "172.31.255.255", true),
        ("private", "172.32.0.1", false),
        ("private", "fd00::1", true),
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.0/31 , 10.0.0.1", "192.0.2.1", true),
        ("192.0.2.0/31,10.0.0.1", "10.0.0.1", true),
        ("0.0.0.0/0", "203.0.113.7", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true),
        ("", "127.0.0.1", false),
        ("none", "127.0.0.1", false),
    ] {
        assert_eq!(trusts(setting, address), expected, "{setting}, {address}");
    }
    for bad in
        ["proxy.local", "10.0.0.0/33", "10.0.0/8", "::1/129", "10.0.0.1/", "/8", "10.0.0.1:80", "*", "10.0.0.0/-1"]
    {
        assert_eq!(bad.parse::<TrustedProxies>(), Err(bad.to_owned()));
    }
}
