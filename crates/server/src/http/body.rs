//! The bytes of a request's body, unpacked and limited.

use std::io::{Error, ErrorKind, Write};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt;

use crate::error::Problem;

/// Most encodings of one body.
const MAX_ENCODINGS: usize = 3;

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
/// 413 for more than `limit` bytes, packed or unpacked; 415 for an unknown encoding; 400 for a body that is incomplete or
/// not packed as it says.
pub(super) async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let encodings = encodings(request.headers())?;
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(Problem::too_large(limit));
    }
    let body = request.into_body();
    if encodings.is_empty() {
        return axum::body::to_bytes(body, limit).await.map_err(|error| {
            let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            if text.contains("limit") { Problem::too_large(limit) } else { incomplete() }
        });
    }
    unpack(body, &encodings, limit).await.map(Bytes::from)
}

fn incomplete() -> Problem {
    Problem::bad_request("the request body is incomplete")
}

/// The encodings of a body, in the order in which they were applied.
fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, Problem> {
    let mut encodings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let names = value.to_str().map_err(|_| Problem::unsupported_encoding("a name that is not ASCII"))?;
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name.to_ascii_lowercase().as_str() {
                "identity" => {}
                "gzip" | "x-gzip" => encodings.push(Encoding::Gzip),
                "deflate" => encodings.push(Encoding::Deflate),
                _ => return Err(Problem::unsupported_encoding(name)),
            }
        }
    }
    if encodings.len() > MAX_ENCODINGS {
        return Err(Problem::bad_request(format!("the request body is packed more than {MAX_ENCODINGS} times")));
    }
    Ok(encodings)
}

async fn unpack(body: Body, encodings: &[Encoding], limit: usize) -> Result<Vec<u8>, Problem> {
    let mut unpacker = Unpacker::Plain(Limited { bytes: Vec::new(), limit });
    for encoding in encodings {
        // The last encoding that was applied is the first to be removed.
        unpacker = match encoding {
            Encoding::Gzip => Unpacker::Gzip(Box::new(MultiGzDecoder::new(unpacker))),
            Encoding::Deflate => Unpacker::Deflate(Box::new(ZlibDecoder::new(unpacker))),
        };
    }
    let mut packed = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| incomplete())?;
        packed += chunk.len();
        if packed > limit {
            return Err(Problem::too_large(limit));
        }
        unpacker.write_all(&chunk).map_err(|error| refused(&error, limit))?;
    }
    if packed == 0 {
        return Ok(Vec::new());
    }
    unpacker.finish().map_err(|error| refused(&error, limit))
}

fn refused(error: &Error, limit: usize) -> Problem {
    match error.kind() {
        ErrorKind::FileTooLarge => Problem::too_large(limit),
        _ => Problem::bad_request(format!("the request body is not packed as its Content-Encoding says: {error}")),
    }
}

/// Bytes up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

/// A chain of decoders.
enum Unpacker {
    Plain(Limited),
    Gzip(Box<MultiGzDecoder<Self>>),
    Deflate(Box<ZlibDecoder<Self>>),
}

impl Unpacker {
    /// The unpacked bytes, after all packed ones were written.
    fn finish(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain(limited) => Ok(limited.bytes),
            Self::Gzip(decoder) => decoder.finish()?.finish(),
            Self::Deflate(decoder) => decoder.finish()?.finish(),
        }
    }
}

impl Write for Unpacker {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        match self {
            Self::Plain(limited) if limited.bytes.len() + bytes.len() > limited.limit => {
                Err(ErrorKind::FileTooLarge.into())
            }
            Self::Plain(limited) => limited.bytes.write(bytes),
            Self::Gzip(decoder) => decoder.write(bytes),
            Self::Deflate(decoder) => decoder.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.flush(),
            Self::Deflate(decoder) => decoder.flush(),
        }
    }
}
