//! A slow way to a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// A port that passes on to a server, its answers at 16 kB in so many milliseconds. It works until the process ends.
pub(crate) fn slow(url: &str, milliseconds: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = url.strip_prefix("http://").unwrap().to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&server) else { continue };
            let (back, there) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(client, there, Duration::ZERO));
            std::thread::spawn(move || pass(server, back, Duration::from_millis(milliseconds)));
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream, pause: Duration) {
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
