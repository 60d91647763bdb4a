//! Locks between processes, so that two of `cargo xtask` at once do not install or write the same thing.

use std::fs::{File, TryLockError, create_dir_all};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process;

const POLL: Duration = Duration::from_millis(200);

/// Waits until nobody else holds the lock of this file. It is held until the value is dropped, or the process has ended.
pub fn hold(file: &Path) -> Result<File> {
    create_dir_all(file.parent().context("a lock lies in a folder")?)?;
    let lock = File::create(file).with_context(|| format!("creating {}", file.display()))?;
    let mut is_told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", file.display()));
            }
            Err(TryLockError::WouldBlock) if is_told => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("Waiting for another cargo xtask to let go of {} …", file.display());
                is_told = true;
            }
        }
        process::pause(POLL)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_again_when_its_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/lock");
        let held = hold(&file).unwrap();
        assert!(File::create(&file).unwrap().try_lock().is_err());
        drop(held);
        hold(&file).unwrap();
    }
}
