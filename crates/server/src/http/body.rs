//! The bytes of a request's body, unpacked and limited.

use std::io::{Error, ErrorKind, Write};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt;

use crate::error::Problem;

/// Packed bytes that are unpacked at once. Other requests get their turn in between.
const STEP: usize = 16 << 10;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
}

/// The body of a request. A packed one is unpacked as it arrives, so that no more than `limit` bytes are held, packed or
/// not.
///
/// # Errors
/// 413 for more than `limit` bytes, packed or unpacked; 415 for an unknown encoding, and for more than one: each layer
/// multiplies the work by a thousand; 400 for a body that is incomplete or not packed as it says.
pub(super) async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let encoding = encoding(request.headers())?;
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(Problem::too_large(limit));
    }
    let body = request.into_body();
    match encoding {
        Some(encoding) => unpack(body, encoding, limit).await.map(Bytes::from),
        None => axum::body::to_bytes(body, limit).await.map_err(|error| {
            let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            if text.contains("limit") { Problem::too_large(limit) } else { incomplete() }
        }),
    }
}

fn incomplete() -> Problem {
    Problem::bad_request("the request body is incomplete")
}

/// The encoding of a body; `None` if it is sent plain.
fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Problem> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        let names = value.to_str().map_err(|_| Problem::unsupported_encoding("a name that is not ASCII"))?;
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let encoding = match name.to_ascii_lowercase().as_str() {
                "identity" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                _ => return Err(Problem::unsupported_encoding(name)),
            };
            if found.replace(encoding).is_some() {
                return Err(Problem::packed_twice());
            }
        }
    }
    Ok(found)
}

async fn unpack(body: Body, encoding: Encoding, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut start = Vec::new();
    let mut unpacker = None;
    let mut packed = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let mut chunk = chunk.map_err(|_| incomplete())?;
        packed += chunk.len();
        if packed > limit {
            return Err(Problem::too_large(limit));
        }
        if unpacker.is_none() {
            start.extend_from_slice(&chunk);
            if start.len() < 2 {
                continue;
            }
            chunk = Bytes::from(std::mem::take(&mut start));
        }
        let unpacker = unpacker.get_or_insert_with(|| Unpacker::new(encoding, &chunk, limit));
        for step in chunk.chunks(STEP) {
            unpacker.write_all(step).map_err(|error| refused(&error, limit))?;
            tokio::task::yield_now().await;
        }
    }
    match unpacker {
        Some(unpacker) => unpacker.finish().map_err(|error| refused(&error, limit)),
        None if packed == 0 => Ok(Vec::new()),
        None => Err(incomplete()),
    }
}

fn refused(error: &Error, limit: usize) -> Problem {
    match error.kind() {
        ErrorKind::FileTooLarge => Problem::too_large(limit),
        ErrorKind::WriteZero => Problem::bad_request("the request body goes on after the end of its packed data"),
        _ => Problem::bad_request(format!("the request body is not packed as its Content-Encoding says: {error}")),
    }
}

/// Bytes up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// A decoder, and the bytes that it has unpacked.
enum Unpacker {
    Gzip(Box<MultiGzDecoder<Limited>>),
    Zlib(Box<ZlibDecoder<Limited>>),
    Deflate(Box<DeflateDecoder<Limited>>),
}

impl Unpacker {
    /// A decoder for a body that begins with these bytes, at least two. `deflate` means the format of zlib, but some
    /// clients send its data without the header.
    fn new(encoding: Encoding, start: &[u8], limit: usize) -> Self {
        let limited = Limited { bytes: Vec::new(), limit };
        let has_zlib_header = start[0] & 0x0f == 8 && u16::from_be_bytes([start[0], start[1]]).is_multiple_of(31);
        match encoding {
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(limited))),
            Encoding::Deflate if has_zlib_header => Self::Zlib(Box::new(ZlibDecoder::new(limited))),
            Encoding::Deflate => Self::Deflate(Box::new(DeflateDecoder::new(limited))),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Gzip(decoder) => decoder.write_all(bytes),
            Self::Zlib(decoder) => decoder.write_all(bytes),
            Self::Deflate(decoder) => decoder.write_all(bytes),
        }
    }

    /// The unpacked bytes, after all packed ones were written.
    fn finish(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zlib(decoder) => decoder.finish(),
            Self::Deflate(decoder) => decoder.finish(),
        }
        .map(|limited| limited.bytes)
    }
}
