//! Child processes that end with this process, however it ends.

use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A child process and a shell that watches this process. When this process ends, even without a drop, the shell reads the
/// end of its input, kills the child and removes the folder.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
    watcher: Child,
}

impl ChildGuard {
    /// Starts a command. Only the watcher removes `folder`.
    ///
    /// # Panics
    /// If the command does not start.
    pub fn start(command: &mut Command, folder: &Path) -> Self {
        let child = command.spawn().expect("the server starts");
        let watcher = Command::new("sh")
            .args(["-c", r#"read _; kill -9 "$1"; sleep 0.2; rm -rf -- "$2""#, "watcher"])
            .arg(child.id().to_string())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { child, watcher }
    }

    /// Takes its stdout, if that was piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM to the process and waits for its end.
    pub(crate) fn stop(mut self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        if sent.is_ok_and(|status| status.success()) {
            let _ = self.child.wait();
        }
    }
}

/// Kills both with SIGKILL. The watcher is killed first, because it must not kill another process that gets the child's id.
impl Drop for ChildGuard {
    fn drop(&mut self) {
        for child in [&mut self.watcher, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
