//! A wall clock that a test sets, for a program that it starts: libfaketime, loaded before it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::servers::variable;

/// The clock of one program. Only the wall clock is set: the time that passes is the real one.
pub struct SetClock {
    library: PathBuf,
    file: PathBuf,
}

impl SetClock {
    /// A clock that is right so far, with its file in this folder. Where libfaketime is missing it prints
    /// so, and panics if `CI` is set: a gate must not skip silently.
    pub fn new(folder: &Path) -> Option<Self> {
        let Some(library) = library() else {
            assert!(
                variable("CI").is_none(),
                "libfaketime is needed, and is not on this machine"
            );
            println!("left out: no libfaketime on this machine; install libfaketime");
            return None;
        };
        let file = folder.join("faketime");
        let clock = Self { library, file };
        clock.set(0);
        Some(clock)
    }

    /// What the program is to be started with.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }

    /// Sets it to so many seconds after the right time, at once.
    pub fn set(&self, ahead: i64) {
        // Never half a file: it is read at every look at the clock.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{ahead:+}\n")).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }
}

/// Where Debian puts it, for whatever processor.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    places.find(|place| place.is_file())
}
