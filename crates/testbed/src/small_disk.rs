//! A disk that can be full, or only be read.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small tmpfs, unmounted when it is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk of this many kilobytes in a folder, which is created; `None` if the machine does not allow that.
    pub fn mount(folder: &Path, kilobytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).ok()?;
        let mount = ["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    /// Whether disks can be mounted here.
    pub fn can_be_made() -> bool {
        tempfile::tempdir().is_ok_and(|folder| Self::mount(&folder.path().join("disk"), 1024).is_some())
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it larger, and writable.
    pub fn grow(&self, kilobytes: u32) {
        self.remount(&format!("remount,rw,size={kilobytes}k"));
    }

    /// Makes it a disk that can only be read. No file may be open for writing.
    pub fn make_read_only(&self) {
        self.remount("remount,ro");
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} can't be remounted", self.0.display());
    }

    /// Fills it with a file, which is returned: its removal frees the space.
    pub fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = File::create(&filler).unwrap_or_else(|error| panic!("{}: {error}", filler.display()));
        while file.write(&[0; 4096]).is_ok() {}
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}
