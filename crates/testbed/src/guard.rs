//! Child processes that do not outlive us, however we end.

use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A child process and a second one that watches over it: when ours is gone, drop or no drop, the shell reads the end of
/// its input, kills the child and removes the folder.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    watcher: Child,
}

impl Guarded {
    /// Starts a command; `folder` is removed by the watcher alone.
    ///
    /// # Panics
    /// The command does not start.
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

    /// Its stdout, once, if that was to be piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    pub(crate) fn stop(mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if asked.is_ok_and(|status| status.success()) {
            let _ = self.child.wait();
        }
    }
}

/// SIGKILL. The watcher goes first: it must not kill whoever has the child's number next.
impl Drop for Guarded {
    fn drop(&mut self) {
        for child in [&mut self.watcher, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
