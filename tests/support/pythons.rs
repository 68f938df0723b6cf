//! The interpreters of this machine: `PYHEAP_PYTHONS`, the private roots of `cargo xtask pythons`, pyenv, uv and PATH.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The minor versions of CPython 3 that pyheap reads.
pub(crate) const SUPPORTED: std::ops::RangeInclusive<u32> = 8..=15;

/// Asked of every candidate: one line of facts.
const PROBE: &str = "import sys, sysconfig; print(*sys.version_info[:3], int(hasattr(sys, 'gettotalrefcount')), \
                     int(sysconfig.get_config_var('Py_GIL_DISABLED') or 0), sys.implementation.name, sys.executable)";

/// Version, debug, in a private root: one interpreter of each is enough.
type Build = ((u32, u32, u32), bool, bool);

/// One interpreter: where it is, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    /// The private root it runs in (by `chroot`), if it is not installed on this machine.
    pub(crate) root: Option<PathBuf>,
    /// The executable, as seen inside the root.
    pub(crate) executable: PathBuf,
    /// Major, minor and micro version.
    pub(crate) version: (u32, u32, u32),
    /// Whether it is a `--with-pydebug` build.
    pub(crate) debug: bool,
    /// Whether it is a free-threaded build.
    pub(crate) free_threaded: bool,
}

impl Python {
    /// Runs a candidate and asks what it is. `ROOT/./usr/bin/python3.14` means: inside ROOT.
    ///
    /// # Errors
    /// If it does not run, or is not CPython.
    pub(crate) fn probe(path: &Path) -> Result<Self> {
        let text = path.to_string_lossy();
        let (root, executable) = match text.split_once("/./") {
            Some((root, inside)) => {
                (Some(PathBuf::from(root)), PathBuf::from(format!("/{inside}")))
            }
            None => (None, path.to_path_buf()),
        };
        let mut python =
            Self { root, executable, version: (0, 0, 0), debug: false, free_threaded: false };
        let output = python.command().args(["-I", "-S", "-c", PROBE]).output()?;
        if !output.status.success() {
            bail!("{text}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [major, minor, micro, debug, free_threaded, implementation, ..] = words[..] else {
            bail!("{text}: unexpected answer {line:?}");
        };
        if implementation != "cpython" {
            bail!("{text}: {implementation}, not CPython");
        }
        python.version = (major.parse()?, minor.parse()?, micro.parse()?);
        python.debug = debug == "1";
        python.free_threaded = free_threaded == "1";
        Ok(python)
    }

    /// A command that runs it, in its root if it has one. Without privileges the root is entered in a user namespace.
    pub(crate) fn command(&self) -> Command {
        let Some(root) = &self.root else { return Command::new(&self.executable) };
        let mut command = if is_root() {
            Command::new("chroot")
        } else {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "chroot"]);
            command
        };
        command.arg(root).arg(&self.executable);
        command
    }

    /// `3.14`: the version that people ask for.
    pub(crate) fn minor(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// `3.14.10`, `3.14.10-dbg`: what tells it from the others.
    pub(crate) fn label(&self) -> String {
        let (major, minor, micro) = self.version;
        let debug = if self.debug { "-dbg" } else { "" };
        let free_threaded = if self.free_threaded { "t" } else { "" };
        format!("{major}.{minor}.{micro}{free_threaded}{debug}")
    }

    /// Whether pyheap promises to read it.
    pub(crate) fn is_supported(&self) -> bool {
        self.version.0 == 3 && SUPPORTED.contains(&self.version.1) && !self.free_threaded
    }
}

/// Whether we may chroot.
fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// The build folder of a workspace.
pub(crate) fn target_dir(workspace: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

/// Every supported interpreter that can be found, one of each version and build, oldest first.
///
/// # Errors
/// If one that `PYHEAP_PYTHONS` names does not run.
pub(crate) fn find(workspace: &Path) -> Result<Vec<Python>> {
    let mut found: BTreeMap<Build, Python> = BTreeMap::new();
    let mut add = |python: Python| {
        if python.is_supported() {
            found.entry((python.version, python.debug, python.root.is_some())).or_insert(python);
        }
    };
    if let Some(named) = std::env::var_os("PYHEAP_PYTHONS") {
        for path in std::env::split_paths(&named) {
            add(Python::probe(&path)
                .with_context(|| format!("PYHEAP_PYTHONS: {}", path.display()))?);
        }
        return Ok(found.into_values().collect());
    }
    for candidate in candidates(workspace) {
        if let Ok(python) = Python::probe(&candidate) {
            add(python);
        }
    }
    Ok(found.into_values().collect())
}

/// Asks something of each of some interpreters, and tells all that failed.
///
/// # Errors
/// If one of them failed.
pub(crate) fn each(
    pythons: impl IntoIterator<Item = Python>,
    check: impl Fn(&Python) -> Result<()>,
) -> Result<()> {
    let failed = |python: Python| {
        let error = check(&python).err()?;
        Some(format!("{}: {error:#}", python.label()))
    };
    let failures: Vec<String> = pythons.into_iter().filter_map(failed).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// The environments that `cargo xtask apps` made for a real program, oldest interpreter first.
///
/// # Errors
/// If there are none where interpreters are required.
pub(crate) fn environments(workspace: &Path, app: &str) -> Result<Vec<Python>> {
    let folder = target_dir(workspace).join("venvs");
    let paths = SUPPORTED.map(|minor| folder.join(format!("{app}-3.{minor}/bin/python")));
    let paths = paths.filter(|path| path.is_file());
    let found: Vec<Python> = paths.map(|path| Python::probe(&path)).collect::<Result<_>>()?;
    let required = std::env::var_os("PYHEAP_REQUIRE_PYTHONS").is_some();
    ensure!(!required || !found.is_empty(), "no {app}: `cargo xtask apps` makes environments");
    Ok(found)
}

/// All paths where an interpreter may be.
fn candidates(workspace: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let uv = std::env::var_os("UV_PYTHON_INSTALL_DIR")
        .map_or_else(|| home.join(".local/share/uv/python"), PathBuf::from);
    for folder in [pyenv.join("versions"), uv] {
        paths.extend(children(&folder).into_iter().map(|child| child.join("bin/python3")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path).filter(|folder| !folder.ends_with("shims")) {
        for minor in SUPPORTED {
            paths.push(folder.join(format!("python3.{minor}")));
            paths.push(folder.join(format!("python3.{minor}-dbg")));
        }
    }
    for root in children(&target_dir(workspace).join("pythons")) {
        for minor in SUPPORTED {
            for build in ["", "-dbg"] {
                let inside = format!("usr/bin/python3.{minor}{build}");
                if root.join(&inside).symlink_metadata().is_ok() {
                    paths.push(PathBuf::from(format!("{}/./{inside}", root.display())));
                }
            }
        }
    }
    paths.retain(|path| path.to_string_lossy().contains("/./") || path.exists());
    paths
}

/// The entries of a folder, sorted; none if it cannot be read.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// The versions that `PYHEAP_REQUIRE_PYTHONS` names (all supported ones where `CI` is set) and `found` lacks.
pub(crate) fn missing(found: &[Python]) -> Vec<String> {
    let required: Vec<String> = match std::env::var("PYHEAP_REQUIRE_PYTHONS") {
        Ok(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        Err(_) if std::env::var_os("CI").is_some() => {
            SUPPORTED.map(|minor| format!("3.{minor}")).collect()
        }
        Err(_) => Vec::new(),
    };
    let has = |name: &String| {
        found.iter().any(|python| python.minor() == *name || python.label() == *name)
    };
    required.into_iter().filter(|name| !name.is_empty() && !has(name)).collect()
}
