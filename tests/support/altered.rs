//! Interpreters that describe themselves wrongly: a copy of one, with other bytes in its `_Py_DebugOffsets`. The interpreter
//! itself does not look there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::pythons::{self, Python};
use super::run::Target;

/// The description, as bytes of a file.
pub(crate) struct Says<'a>(&'a mut [u8]);

impl Says<'_> {
    fn set(self, at: usize, value: u64) -> Self {
        if let Some(word) = self.0.get_mut(at..at + 8) {
            word.copy_from_slice(&value.to_le_bytes());
        }
        self
    }

    /// Another `PY_VERSION_HEX`.
    pub(crate) fn version(self, hex: u64) -> Self {
        self.set(8, hex)
    }

    /// Whether it runs without the GIL.
    pub(crate) fn free_threaded(self, is: bool) -> Self {
        self.set(16, is.into())
    }
}

/// An interpreter that can be altered.
pub(crate) struct Altered {
    pub(crate) python: Python,
    binary: PathBuf,
    is_library: bool,
}

impl Altered {
    /// The newest installed interpreter that describes itself; nothing if there is none.
    ///
    /// # Errors
    /// If the interpreters cannot be asked.
    pub(crate) fn find() -> Result<Option<Self>> {
        let found = pythons::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
        let describes = |python: &Python| {
            python.root.is_none() && !python.debug && python.version >= (3, 13, 0)
        };
        let Some(python) = found.into_iter().rfind(describes) else {
            println!("no installed interpreter describes itself");
            return Ok(None);
        };
        let code = "import sysconfig as s; g = s.get_config_var; \
                    print(g('LIBDIR') + '/' + g('INSTSONAME') if g('Py_ENABLE_SHARED') else '')";
        let output = python.command().args(["-c", code]).output()?;
        let library = String::from_utf8(output.stdout)?.trim().to_owned();
        let is_library = !library.is_empty();
        let binary = match is_library {
            true => PathBuf::from(library),
            false => python.executable.canonicalize()?,
        };
        Ok(Some(Self { python, binary, is_library }))
    }

    /// Starts a copy with other bytes, and waits until it says something.
    ///
    /// # Errors
    /// If it cannot be copied or started.
    pub(crate) fn start(
        &self,
        code: &str,
        alter: impl FnOnce(Says<'_>) -> Says<'_>,
    ) -> Result<Target> {
        const COOKIE: &[u8] = b"xdebugpy";
        let mut bytes = std::fs::read(&self.binary)?;
        let (major, minor, micro) = self.python.version;
        let hex = u64::from(major << 24 | minor << 16 | micro << 8 | 0xF0).to_le_bytes();
        let head = [COOKIE, &hex].concat();
        let at = bytes.windows(head.len()).position(|window| window == head);
        let at = at.context("the binary does not describe itself")?;
        let end = bytes.len().min(at + 1024);
        let _ = alter(Says(&mut bytes[at..end]));
        let folder = tempfile::tempdir()?;
        let copy = folder.path().join(self.binary.file_name().context("no name")?);
        std::fs::write(&copy, bytes)?;
        std::fs::set_permissions(&copy, std::fs::metadata(&self.binary)?.permissions())?;
        let mut command = self.python.command();
        if self.is_library {
            // The loader takes what has the name already.
            command.env("LD_PRELOAD", &copy);
        } else {
            let home = self.python.executable.canonicalize()?;
            let home = home.parent().and_then(Path::parent).context("no prefix")?;
            command = std::process::Command::new(&copy);
            command.env("PYTHONHOME", home);
        }
        let target = Target::ready(command.args(["-c", code]))?;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", target.pid()))?;
        ensure!(maps.contains(&copy.display().to_string()), "the copy does not run");
        Ok(target)
    }
}
