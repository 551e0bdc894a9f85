//! Checks the two addresses of a Qdrant, and finds out why one does not answer as it should.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::state::{Route, SourceSpec};

/// The longest wait for a connection, and for the first byte of a response.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a port understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// TLS, and a protocol above it.
    Tls,
    /// HTTP/1, as the REST port.
    Http1,
    /// HTTP/2 only, as the gRPC port.
    Http2,
}

/// Checks that the addresses of the source's Qdrant answer, and accept the API key. Does nothing for a snapshot file.
///
/// # Errors
/// [`MigrateError::WrongAddress`] if a port speaks another protocol; otherwise the error of the port.
pub(crate) fn check_addresses(route: &Route, context: &MigrationContext<'_>, needs_grpc: bool) -> Result<()> {
    let SourceSpec::Collection { grpc, rest, name } = &route.source else { return Ok(()) };
    let by_grpc = || -> Result<()> { Ok(context.connect(grpc)?.describe(name).map(drop)?) };
    let by_rest = || route.rest(context)?.map_or(Ok(()), |rest| rest.collection(name).map(drop));
    let result = if needs_grpc { by_grpc().and_then(|()| by_rest()) } else { by_rest() };
    let Err(error) = result else { return Ok(()) };
    let grpc = grpc.iter().filter(|_| needs_grpc).map(|address| (address.as_str(), Protocol::Http2));
    let faults: Vec<String> = grpc.chain([(rest.as_str(), Protocol::Http1)]).filter_map(fault_of).collect();
    if faults.is_empty() {
        return Err(error);
    }
    Err(MigrateError::WrongAddress(faults.join("; ")))
}

/// The fault of an address that should speak a protocol; `None` if it does, or if it does not answer.
fn fault_of((address, expected): (&str, Protocol)) -> Option<String> {
    let (scheme, host) = address.split_once("://")?;
    let found = protocol_of(host)?;
    Some(match (scheme, found, expected) {
        ("http", Protocol::Tls, _) => format!("{address} answers with TLS: its address begins with https://"),
        ("https", Protocol::Http1 | Protocol::Http2, _) => {
            format!("{address} answers without TLS: its address begins with http://")
        }
        (_, Protocol::Http1, Protocol::Http2) => format!("{address} answers REST, not gRPC"),
        (_, Protocol::Http2, Protocol::Http1) => format!("{address} answers gRPC, not REST"),
        _ => return None,
    })
}

/// What the port of `host:port` understands.
fn protocol_of(host: &str) -> Option<Protocol> {
    // A ClientHello of TLS 1.2 with one cipher. A server answers with a record of TLS, be it an alert.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([0; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    if let Some([0x15 | 0x16, 3, ..]) = first_bytes(host, &hello) {
        return Some(Protocol::Tls);
    }
    match first_bytes(host, format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())? {
        [b'H', b'T', b'T', b'P', ..] => Some(Protocol::Http1),
        // The first frame: its length in three bytes, then its type: settings, or the end of the connection.
        [0, 0, _, 4 | 7, ..] => Some(Protocol::Http2),
        _ => None,
    }
}

/// The first bytes of the response to a request; `None` if the port does not answer.
fn first_bytes(host: &str, request: &[u8]) -> Option<[u8; 8]> {
    let address = host.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(request).ok()?;
    let mut bytes = [0; 8];
    let read = stream.read(&mut bytes).ok()?;
    (read > 0).then_some(bytes)
}
