//! Collections from snapshots that another Qdrant wrote.

use std::path::Path;

use crate::rest;

/// Creates a collection from the file of a snapshot, on the server with this HTTP URL.
pub fn restore_snapshot(http_url: &str, file: &Path, collection: &str) {
    const BOUNDARY: &str = "a-line-that-no-snapshot-holds";
    let snapshot = std::fs::read(file).expect("a snapshot");
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"snapshot\"; filename=\"s.snapshot\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend(snapshot);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
    let url = format!("{http_url}/collections/{collection}/snapshots/upload?priority=snapshot&wait=true");
    rest::request("POST", &url, &format!("multipart/form-data; boundary={BOUNDARY}"), &body)
        .expect("the snapshot is restored");
}
