//! Reads text files line by line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::error::{EngineError, Result};
use crate::message::after_bom;

/// Calls `each` with the number and the text of every line that is not blank. A line that is not valid UTF-8 comes as
/// `Err`.
pub(super) fn for_each_line(
    path: &Path,
    mut each: impl FnMut(usize, Result<&str, &'static str>) -> Result<()>,
) -> Result<()> {
    let mut file = BufReader::new(File::open(path).map_err(io_error(path))?);
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        if file.read_until(b'\n', &mut bytes).map_err(io_error(path))? == 0 {
            return Ok(());
        }
        number += 1;
        // Joined files may have a mark at any line.
        match std::str::from_utf8(&bytes).map(after_bom) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => each(number, Ok(line.trim_end_matches(['\r', '\n'])))?,
            Err(_) => each(number, Err("not valid UTF-8"))?,
        }
    }
}

/// Adds the file's path to an I/O error.
pub(super) fn io_error(path: &Path) -> impl Fn(std::io::Error) -> EngineError {
    let what = path.display().to_string();
    move |source| EngineError::Io { what: what.clone(), source }
}
