//! A slow connection to a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// Starts a proxy that forwards responses at 16 kB per this many milliseconds, and returns its port. It runs until the process
/// ends.
pub(crate) fn start(url: &str, milliseconds: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = url.strip_prefix("http://").unwrap().to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&server) else { continue };
            let (back, there) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || forward(client, there, Duration::ZERO));
            std::thread::spawn(move || forward(server, back, Duration::from_millis(milliseconds)));
        }
    });
    port
}

fn forward(mut from: TcpStream, mut to: TcpStream, pause: Duration) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        std::thread::sleep(pause);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
