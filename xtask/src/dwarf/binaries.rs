//! The files that an interpreter consists of, and what they hold besides debug information.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol};

use crate::support::pythons::Python;

/// Asked of an interpreter: its files, one a line.
const PROBE: &str = "
import glob, os, sys, sysconfig
var = sysconfig.get_config_var
print(os.path.realpath(sys.executable))
print(os.path.join(var('LIBDIR') or '', var('INSTSONAME') or ''))
for folder in sys.path:
    if folder.endswith('lib-dynload'):
        print(*sorted(glob.glob(os.path.join(glob.escape(folder), '*' + var('EXT_SUFFIX')))), sep='\\n')
";

/// What an interpreter was made of.
#[derive(Debug)]
pub(crate) struct Binaries {
    /// The executable, the library if there is one, and the extension modules.
    pub(crate) files: Vec<PathBuf>,
    /// The files with the debug information of those that have none themselves.
    pub(crate) debug_files: Vec<PathBuf>,
}

/// The runtime's state as the file holds it before the program starts.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// The size of the symbol `_PyRuntime`, in bytes.
    pub(crate) size: u64,
    /// Its bytes; none if it starts as zeros.
    pub(crate) bytes: Vec<u8>,
}

impl Binaries {
    /// Asks an interpreter for its files.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn of(python: &Python) -> Result<Self> {
        let output = python.command().args(["-I", "-c", PROBE]).output()?;
        if !output.status.success() {
            bail!("{}: {}", python.label(), String::from_utf8_lossy(&output.stderr).trim());
        }
        let root = python.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        let inside = |path: &str| root.join(path.trim_start_matches('/'));
        let files: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| !line.is_empty())
            .map(inside)
            .filter(|path| path.is_file())
            .collect();
        let mut debug_files = Vec::new();
        for file in &files {
            debug_files.extend(debug_file(file, &root)?);
        }
        Ok(Self { files, debug_files })
    }

    /// The runtime's state, from the file that defines it.
    ///
    /// # Errors
    /// A file cannot be read, or none defines it.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        for path in &self.files {
            let data = std::fs::read(path)?;
            let file = object::File::parse(&*data).with_context(|| path.display().to_string())?;
            let Some(symbol) = file
                .dynamic_symbols()
                .find(|symbol| symbol.name() == Ok("_PyRuntime") && symbol.is_definition())
            else {
                continue;
            };
            let bytes = file
                .sections()
                .find_map(|section| section.data_range(symbol.address(), symbol.size()).ok()?)
                .unwrap_or_default();
            return Ok(Runtime { size: symbol.size(), bytes: bytes.to_vec() });
        }
        bail!("no file defines _PyRuntime");
    }
}

/// The separate file with a file's debug information, found by its build id.
fn debug_file(path: &Path, root: &Path) -> Result<Option<PathBuf>> {
    let data = std::fs::read(path)?;
    let file = object::File::parse(&*data).with_context(|| path.display().to_string())?;
    let Some(id) = file.build_id()? else { return Ok(None) };
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let Some((folder, name)) = hex.split_at_checked(2) else { return Ok(None) };
    let path = root.join("usr/lib/debug/.build-id").join(folder).join(format!("{name}.debug"));
    Ok(path.is_file().then_some(path))
}
