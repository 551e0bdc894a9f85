//! The first admin's key: a terminal shows it, otherwise it is in a file that only this user of the machine can read.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use mnemon_engine::ErrorCode;
use mnemon_server::create_first_key;
use mnemon_store::{DocumentStore, StoreError};

use crate::error::CliError;
use crate::output::Output;
use crate::settings::Settings;

/// Creates the key if the server needs one, and shows it or says where it is.
pub(super) fn create(settings: &Settings, documents: &Arc<dyn DocumentStore>, out: &Output) -> anyhow::Result<()> {
    let file = settings.first_key_file()?;
    let mut temporary = file.clone().into_os_string();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = Path::new(&temporary);
    // The file is written first: what ends this process must not leave a key that nobody has.
    let created = create_first_key(documents, &settings.server.config, |secret| {
        write_private(temporary, secret).map_err(|error| {
            let message = format!(
                "can't write the first admin's key to {}: {error}; name another file with first_key_file, or create a key \
                 with `mnemon keys create --admin`",
                file.display()
            );
            anyhow::Error::from(CliError::failed(ErrorCode::Io, message))
        })
    });
    let is_created = matches!(created, Ok(Some(_)));
    if !is_created {
        let _ = std::fs::remove_file(temporary);
    }
    match created {
        Ok(None) => {}
        Ok(Some(secret)) if out.is_terminal() && out.write(&shown(&secret)).is_ok() => {
            let _ = std::fs::remove_file(temporary);
        }
        Ok(Some(_)) => {
            let file = if std::fs::rename(temporary, &file).is_ok() { &file } else { temporary };
            let file = file.display();
            tracing::warn!(%file, "there was no key yet: an admin's key was created, and is in this file; read it, then delete it");
        }
        Err(error) => match error.downcast_ref::<StoreError>() {
            // It serves all the same: memories can be read.
            Some(StoreError::ReadOnly { .. } | StoreError::Full) => {
                tracing::warn!(%error, "there is no key yet, and none can be created");
            }
            _ => return Err(error),
        },
    }
    Ok(())
}

fn shown(secret: &str) -> String {
    format!("There was no key yet. This is an admin's key; it is shown only now:\n{secret}\n")
}

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
