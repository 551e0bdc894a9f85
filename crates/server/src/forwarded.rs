//! Who calls, and by which URL, if the request came through proxies.
//!
//! Proxies report this in headers that any client can send as well. They count only if the peer of the connection is a
//! trusted proxy, and an address only if trusted proxies reported every hop after it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, header};

/// The proxies whose headers count: networks, each an address with the length of its prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<(IpAddr, u8)>);

/// Networks that have a name in the setting.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
const PRIVATE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

impl TrustedProxies {
    /// The proxies of this machine.
    pub fn loopback() -> Self {
        Self(LOOPBACK.iter().filter_map(|network| parse_network(network)).collect())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|&(network, length)| match (address, network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let shift = 32 - u32::from(length);
                address.to_bits().checked_shr(shift) == network.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let shift = 128 - u32::from(length);
                address.to_bits().checked_shr(shift) == network.to_bits().checked_shr(shift)
            }
            _ => false,
        })
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    /// Parses addresses, networks such as `10.0.0.0/8`, `loopback` and `private`, separated by commas or spaces; `none` or
    /// an empty text for none. The error is the part that is not valid.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut networks = Vec::new();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            let named: &[&str] = match part.to_ascii_lowercase().as_str() {
                "none" => &[],
                "loopback" => &LOOPBACK,
                "private" => &PRIVATE,
                _ => &[part],
            };
            for network in named {
                networks.push(parse_network(network).ok_or_else(|| part.to_owned())?);
            }
        }
        Ok(Self(networks))
    }
}

fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse::<IpAddr>().ok()?, Some(length.parse::<u8>().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    // An IPv4 address that is written as IPv6 is compared as IPv4.
    let canonical = address.to_canonical();
    let bits = if canonical.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => bits,
        Some(length) if address != canonical => length.checked_sub(96)?,
        Some(length) => length,
    };
    (length <= bits).then_some((canonical, length))
}

/// Who calls, and by which URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address of the client, or of the last proxy that is known if the one before it does not say; `None` if the
    /// connection has no address.
    pub(crate) address: Option<IpAddr>,
    /// Whether a proxy reported the address.
    pub(crate) is_forwarded: bool,
    /// Scheme, host and path before the server's own paths, as in `https://example.com/mem`; `None` if the request has no
    /// valid host.
    pub(crate) base_url: Option<String>,
}

impl Client {
    /// The host in the URL, perhaps with a port.
    pub(crate) fn host(&self) -> Option<&str> {
        self.base_url.as_deref()?.split_once("://")?.1.split('/').next()
    }

    /// Reads the headers of a request from this peer. `authority` is the host in the request's own URL.
    pub(crate) fn of(
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
        authority: Option<&str>,
        trusted: &TrustedProxies,
    ) -> Self {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(authority);
        let own = Forwarded { host: host.and_then(valid_host), ..Forwarded::default() };
        let Some(proxy) = peer.filter(|peer| trusted.trusts(*peer)) else {
            return Self { address: peer, is_forwarded: false, base_url: own.url() };
        };
        let forwarded = Forwarded::of(headers);
        let address = client_address(proxy, &forwarded.hops, trusted);
        Self {
            address: Some(address),
            is_forwarded: address != proxy,
            base_url: Forwarded { host: forwarded.host.clone().or(own.host), ..forwarded }.url(),
        }
    }
}

/// The address before the first hop from the server that is not a trusted proxy, as far as the hops are known.
fn client_address(proxy: IpAddr, hops: &[Option<IpAddr>], trusted: &TrustedProxies) -> IpAddr {
    let mut client = proxy;
    for hop in hops.iter().rev() {
        match hop {
            _ if !trusted.trusts(client) => break,
            Some(hop) => client = *hop,
            None => break,
        }
    }
    client
}

/// What proxies report.
#[derive(Default)]
struct Forwarded {
    /// From the client to the last proxy before the peer; `None` for one that hides its address.
    hops: Vec<Option<IpAddr>>,
    is_https: bool,
    host: Option<String>,
    /// Starts with a slash, or is empty.
    prefix: String,
}

impl Forwarded {
    fn of(headers: &HeaderMap) -> Self {
        let standard = parse_forwarded(&lines(headers, "forwarded"));
        let list = |name: &str| -> Vec<String> {
            let text = lines(headers, name);
            text.split(',').map(|item| unquoted(item).to_owned()).filter(|item| !item.is_empty()).collect()
        };
        let first = |name: &str| list(name).into_iter().next();
        let of_standard = |wanted: &str| {
            let mut pairs = standard.iter().flatten();
            pairs.find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.clone())
        };
        let hops = |list: Vec<String>| list.iter().map(|hop| parse_node(hop)).collect::<Vec<_>>();
        // An element without `for` is a hop that hides its address.
        let node = |element: &Vec<(String, String)>| {
            element.iter().find(|(name, _)| name == "for").and_then(|(_, node)| parse_node(node))
        };
        let has_for = standard.iter().flatten().any(|(name, _)| name == "for");
        let standard_hops: Vec<_> = if has_for { standard.iter().map(node).collect() } else { Vec::new() };
        let mut found = match (hops(list("x-forwarded-for")), standard_hops) {
            (hops, standard) if standard.is_empty() => hops,
            (hops, standard) if hops.is_empty() || hops == standard => standard,
            // The proxy wrote one header and passed the other one through, perhaps from a client that lies.
            _ => vec![None],
        };
        if found.is_empty() {
            found = hops(list("x-real-ip"));
        }
        let is_https = |scheme: &str| match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" | "on" => Some(true),
            "http" | "ws" | "off" => Some(false),
            _ => None,
        };
        let scheme = of_standard("proto").and_then(|scheme| is_https(&scheme));
        let schemes = ["x-forwarded-proto", "x-forwarded-scheme", "x-forwarded-ssl"];
        let scheme = scheme.or_else(|| schemes.iter().find_map(|name| is_https(&first(name)?))).unwrap_or(false);
        let host = of_standard("host").and_then(|host| valid_host(&host));
        let host = host.or_else(|| {
            // A line that is not ASCII is not a host, and neither is the word in place of it.
            let line = headers.get("x-forwarded-host").filter(|line| line.to_str().is_ok());
            let host = line.and_then(|_| first("x-forwarded-host")).and_then(|host| valid_host(&host))?;
            let port = first("x-forwarded-port").and_then(|port| port.parse::<u16>().ok());
            let port = port.filter(|&port| port != if scheme { 443 } else { 80 });
            Some(match port {
                Some(port) if !has_port(&host) => format!("{host}:{port}"),
                _ => host,
            })
        });
        let prefix = first("x-forwarded-prefix").and_then(|prefix| valid_prefix(&prefix)).unwrap_or_default();
        Self { hops: found, is_https: scheme, host, prefix }
    }

    fn url(self) -> Option<String> {
        let scheme = if self.is_https { "https" } else { "http" };
        Some(format!("{scheme}://{}{}", self.host?, self.prefix))
    }
}

/// All lines of a header, joined as one list.
fn lines(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unknown")).collect::<Vec<_>>().join(",")
}

/// The elements of `Forwarded` headers (RFC 7239), each with the names of its parameters in lower case. Values are without
/// their quotes.
fn parse_forwarded(text: &str) -> Vec<Vec<(String, String)>> {
    split_outside_quotes(text, ',')
        .into_iter()
        .filter(|element| !element.trim().is_empty())
        .map(|element| {
            let pairs = split_outside_quotes(&element, ';');
            let pair = |pair: String| {
                let (name, value) = pair.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), unescaped(unquoted(value))))
            };
            pairs.into_iter().filter_map(pair).collect()
        })
        .collect()
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in text.chars() {
        let ends = c == separator && !quoted;
        if ends {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
    }
    parts
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim()
}

fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// The address of a hop: IPv4 or IPv6, the latter perhaps in brackets, perhaps with a port. `None` for `unknown` and names that
/// hide it.
fn parse_node(node: &str) -> Option<IpAddr> {
    let whole = |text: &str| text.parse::<IpAddr>().ok();
    let address = whole(node).or_else(|| match node.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then(|| whole(address))?
        }
        None => {
            let (address, port) = node.split_once(':')?;
            is_port(port).then(|| whole(address))?
        }
    });
    address.map(|address| address.to_canonical())
}

/// A port, or a name that hides it.
fn is_port(text: &str) -> bool {
    text.starts_with('_') || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(before, port)| is_port(port) && (before.ends_with(']') || !before.contains(':')))
}

/// A host name or address, perhaps with a port, without anything that has a meaning elsewhere in a URL.
fn valid_host(host: &str) -> Option<String> {
    let host = host.trim();
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':').or_else(|| port.is_empty().then_some("0")))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("0")),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let is_valid =
        !name.is_empty() && name.bytes().all(is_name) && port.is_some_and(|port| port.parse::<u16>().is_ok());
    is_valid.then(|| host.to_owned())
}

/// A path that starts with a slash and does not end with one, or is empty. Some proxies leave the first slash out.
fn valid_prefix(prefix: &str) -> Option<String> {
    let prefix = prefix.strip_prefix('/').unwrap_or(prefix).trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte);
    if prefix.is_empty() {
        return Some(String::new());
    }
    (!prefix.starts_with('/') && !prefix.contains("//") && prefix.bytes().all(is_plain)).then(|| format!("/{prefix}"))
}

#[cfg(test)]
mod tests;
