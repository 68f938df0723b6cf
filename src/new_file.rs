//! A file that appears under its name complete and on disk, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc::O_TMPFILE;
use nix::unistd::linkat;

/// What happens to a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and saving fails.
    Keep,
    /// The new one takes its place.
    Replace,
}

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// The name is taken.
    #[error("it exists")]
    Exists,
    /// The name is that of a directory, a device or a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// What the system says.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// A file without a name, where the file system can do that (`O_TMPFILE`): it is gone when this process is, even if
/// that is killed. Elsewhere it has a temporary name in the directory of its final one. Dropped before it is published,
/// it is removed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// Nothing if it has no name yet.
    temporary: Option<Temporary>,
    path: PathBuf,
    existing: Existing,
}

/// A name that is removed when it is dropped.
#[derive(Debug)]
struct Temporary(Option<PathBuf>);

/// The temporary names that are there now.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Temporary {
    /// What it named has its final name.
    fn forget(&mut self) {
        if let Some(path) = self.0.take() {
            unfinished().retain(|name| *name != path);
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let mut unfinished = unfinished();
            // Nothing can be done about a failure here, and the first error counts.
            let _ = fs::remove_file(path);
            unfinished.retain(|name| name != path);
        }
    }
}

/// Keeps new files from being made.
pub struct Abandoned(
    #[expect(dead_code, reason = "held, so that nobody else can")]
    MutexGuard<'static, Vec<PathBuf>>,
);

/// Removes all files that are not finished, when the program is about to end. As long as the result lives, no other is
/// begun.
#[must_use]
pub fn abandon() -> Abandoned {
    let unfinished = unfinished();
    for path in unfinished.iter() {
        // One that was published a moment ago has the name no more.
        let _ = fs::remove_file(path);
    }
    Abandoned(unfinished)
}

impl NewFile {
    /// Creates the file, with mode 0600. Fails at once where publishing would.
    ///
    /// # Errors
    /// The name is taken, or is none of a file, or nothing can be written beside it.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, NewFileError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => {
                if existing == Existing::Keep {
                    return Err(NewFileError::Exists);
                }
            }
            // Renaming onto /dev/null would replace the device.
            Ok(_) => return Err(NewFileError::NotAFile),
            Err(_) => {}
        }
        if path.file_name().is_none() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        let directory = directory(path);
        let (file, temporary) = match create_unnamed(&directory) {
            Some(file) => (file, None),
            None => {
                let named = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
                let (file, temporary) = temporary_name(&directory, |path| named.open(path))?;
                (file, Some(temporary))
            }
        };
        Ok(Self { file, temporary, path: path.to_owned(), existing })
    }

    /// The file, to be written.
    pub const fn as_file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name, when its bytes are on disk.
    ///
    /// # Errors
    /// The name has been taken meanwhile, or the disk is full.
    pub fn publish(mut self) -> Result<(), NewFileError> {
        self.file.sync_all()?;
        self.give_name()?;
        sync(&self.path);
        Ok(())
    }

    /// Gives the file its name, whenever its bytes are on disk: for a file that is written again and
    /// again by somebody who cannot wait.
    ///
    /// # Errors
    /// As [`NewFile::publish`].
    pub fn publish_soon(mut self) -> Result<(), NewFileError> {
        self.give_name()
    }

    fn give_name(&mut self) -> Result<(), NewFileError> {
        self.try_give_name().map_err(|error| match (self.existing, error.kind()) {
            (Existing::Keep, io::ErrorKind::AlreadyExists) => NewFileError::Exists,
            _ => error.into(),
        })
    }

    fn try_give_name(&mut self) -> io::Result<()> {
        let temporary = match (self.temporary.take(), self.existing) {
            (Some(temporary), _) => temporary,
            (None, Existing::Keep) => {
                // Where all is being given up, this waits for the end.
                let _unfinished = unfinished();
                return name(&self.file, &self.path);
            }
            // A link does not replace. What has this name for a moment is whole.
            (None, Existing::Replace) => {
                temporary_name(&directory(&self.path), |path| name(&self.file, path))?.1
            }
        };
        temporary.publish(&self.path, self.existing)
    }
}

impl Temporary {
    /// Gives what has this name its final one.
    fn publish(mut self, path: &Path, existing: Existing) -> io::Result<()> {
        let Some(temporary) = &self.0 else { return Ok(()) };
        match existing {
            Existing::Replace => {
                fs::rename(temporary, path)?;
                self.forget();
            }
            // A link fails if the name is taken, in one step; the temporary name goes on drop.
            Existing::Keep => match fs::hard_link(temporary, path) {
                Err(error) if !has_links(&error) => {
                    rename_onto_reservation(temporary, path)?;
                    self.forget();
                }
                other => other?,
            },
        }
        Ok(())
    }
}

/// Has a new name written to the disk. A directory that cannot be synced (some network file systems) does not make the
/// file worse.
fn sync(path: &Path) {
    let _ = File::open(directory(path)).and_then(|directory| directory.sync_all());
}

/// A file in a directory that has no name there; nothing where there is no such thing, or no way to name it later.
fn create_unnamed(directory: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).mode(0o600).custom_flags(O_TMPFILE).open(directory).ok()?;
    fs::symlink_metadata(descriptor(&file)).ok().map(|_| file)
}

/// What the kernel calls an open file.
fn descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives an open file a name that is not taken.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let flags = AtFlags::AT_SYMLINK_FOLLOW;
    Ok(linkat(AT_FDCWD, &descriptor(file), AT_FDCWD, path, flags)?)
}

/// Whether the file system knows hard links at all (FAT and some network file systems do not).
fn has_links(error: &io::Error) -> bool {
    !matches!(
        error.raw_os_error().map(nix::errno::Errno::from_raw),
        Some(
            nix::errno::Errno::EPERM
                | nix::errno::Errno::EOPNOTSUPP
                | nix::errno::Errno::ENOSYS
                | nix::errno::Errno::EMLINK
        )
    )
}

/// Takes the name with an empty file of our own, which fails if it is taken, and renames onto that.
fn rename_onto_reservation(temporary: &Path, path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut reservation = Temporary(Some(path.to_owned()));
    fs::rename(temporary, path)?;
    reservation.forget();
    Ok(())
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes something under a temporary name.
fn temporary_name<T>(
    directory: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, Temporary)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Short, since the final name may be as long as a name can be.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".pyheap-{}-{number}.tmp", std::process::id()));
        let mut unfinished = unfinished();
        match make(&path) {
            Ok(made) => {
                unfinished.push(path.clone());
                return Ok((made, Temporary(Some(path))));
            }
            // Left by a process that was killed and had our pid: leave it, take the next.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// A file of each kind that this file system has.
    fn each_kind(path: &Path, existing: Existing) -> Vec<NewFile> {
        let file = NewFile::create(path, existing).unwrap();
        let directory = directory(path);
        let make = |path: &Path| File::create_new(path);
        let (named, temporary) = temporary_name(&directory, make).unwrap();
        let (temporary, path) = (Some(temporary), path.to_owned());
        vec![file, NewFile { file: named, temporary, path, existing }]
    }

    #[test]
    fn a_file_that_is_dropped_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for mut file in each_kind(&directory.path().join("a"), Existing::Keep) {
            file.as_file().write_all(b"half").unwrap();
            drop(file);
        }
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_file_has_no_name_before_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = NewFile::create(&directory.path().join("a"), Existing::Replace).unwrap();
        if create_unnamed(directory.path()).is_none() {
            assert!(file.temporary.is_some());
            return;
        }
        file.as_file().write_all(b"half").unwrap();
        // A process that is killed now leaves nothing.
        assert!(names(directory.path()).is_empty());
        file.publish().unwrap();
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn a_published_file_is_private_and_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        for existing in [Existing::Keep, Existing::Replace] {
            for mut file in each_kind(&path, existing) {
                if existing == Existing::Keep {
                    let _ = fs::remove_file(&path);
                }
                file.as_file().write_all(format!("{existing:?}").as_bytes()).unwrap();
                let unnamed = file.temporary.is_none();
                file.publish().unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), format!("{existing:?}"));
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert!(mode == 0o600 || !unnamed, "{mode:o}");
                assert!(names(directory.path()).contains(&"a".to_owned()));
            }
            assert_eq!(names(directory.path()), ["a"]);
        }
    }

    #[test]
    fn a_name_that_is_taken_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let files = each_kind(&path, Existing::Keep);
        fs::write(&path, "theirs").unwrap();
        for file in files {
            assert!(matches!(file.publish(), Err(NewFileError::Exists)));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn without_links_a_taken_name_is_kept_too() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::write(&from, "ours").unwrap();
        rename_onto_reservation(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "ours");
        fs::write(&from, "second").unwrap();
        let error = rename_onto_reservation(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "ours");
    }

    #[test]
    fn directories_and_devices_are_refused_even_by_force() {
        for path in ["/", "/dev/null", "/dev/full"] {
            let refused = NewFile::create(Path::new(path), Existing::Replace);
            assert!(matches!(refused, Err(NewFileError::NotAFile)), "{path}");
        }
    }
}
