use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{Overwrite, StoreError};

/// A folder that holds a file for each stored request.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Writes beside the place and then moves: what is there is always whole.
    pub(super) fn put(&self, key: &str, bytes: &[u8], overwrite: Overwrite) -> Result<(), StoreError> {
        let path = self.path(key)?;
        if overwrite == Overwrite::Never && path.exists() {
            return Ok(());
        }
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let write = || -> io::Result<()> {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = fs::File::create(&beside)?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| {
            // What is half written takes the room that may be all there is.
            let _ = fs::remove_file(&beside);
            failure(&path, &error)
        })
    }

    pub(super) fn list(&self, prefix: &str, after: &str, max: usize) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        // A prefix may end in the middle of a name.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.walk(&self.path(folder)?, &mut keys)?;
        keys.retain(|key| key.starts_with(prefix) && key.as_str() > after);
        keys.sort_unstable();
        keys.truncate(max);
        Ok(keys)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(key)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure(&path, &error)),
        }
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failure(&path, &error)),
            _ => Ok(()),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        !self.root.exists()
    }

    fn walk(&self, folder: &Path, keys: &mut Vec<String>) -> Result<(), StoreError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failure(folder, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failure(folder, &error))?;
            let path = entry.path();
            // A link to a folder isn't followed: it may lead back to where it is.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.walk(&path, keys)?;
            } else if path.extension().is_some_and(|extension| extension == "json")
                && let Ok(key) = path.strip_prefix(&self.root)
            {
                keys.push(key.to_string_lossy().into_owned());
            }
        }
        Ok(())
    }

    /// A key never leads out of the folder.
    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        if key.split('/').any(|part| matches!(part, ".." | ".")) {
            return Err(StoreError::Folder { path: key.to_owned(), cause: "not a key of ours".to_owned() });
        }
        Ok(self.root.join(key.trim_start_matches('/')))
    }
}

fn failure(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Folder { path: path.display().to_string(), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let root = std::env::temp_dir().join(format!("logferry-folder-{}", std::process::id()));
        fs::create_dir_all(root.join("pending/a.json/in the way")).unwrap();
        let put = Folder::new(root.clone()).put("pending/a.json", b"{}", Overwrite::Always);
        let left = fs::read_dir(root.join("pending")).unwrap().count();
        fs::remove_dir_all(root).unwrap();
        assert!(matches!(put, Err(StoreError::Folder { .. })), "{put:?}");
        assert_eq!(left, 1);
    }
}
