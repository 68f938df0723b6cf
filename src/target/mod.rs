//! The bytes of a process, and what the kernel says about it. Knows nothing of Python.

pub mod cache;
pub mod capture;
pub mod cgroup;
pub mod core;
pub mod cow;
pub mod elf;
mod groups;
pub mod held;
pub mod live;
pub mod mapped_files;
pub mod maps;
pub mod memory;
mod namespace;
mod native;
pub mod pause;
pub mod permission;
pub mod process;
#[cfg(test)]
pub(crate) mod program;
pub mod residency;
mod sharing;
pub mod smaps;
mod stat;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only a fork in the target needs it, which is of x86_64")
)]
mod sys;
pub mod threads;
mod tracer;
pub mod usage;

pub use self::core::{BinaryState, CoreError, CoreFile, CoreMemory, CoreOptions};
pub use cache::PageCache;
pub use capture::{CaptureError, CaptureLimits, CapturedMemory, DeferredBlock, Forecast};
pub use cow::{CowError, FrozenChild, Refusal};
pub use elf::{Image, ImageError, Placement};
pub use live::LiveMemory;
pub use mapped_files::MappedFiles;
pub use maps::{Mapping, MemoryMap};
pub use memory::{Memory, ReadError, ReadErrorKind};
pub use namespace::called_inside;
pub use native::Natives;
pub use pause::{PauseError, Paused};
pub use permission::Finding;
pub use process::{AttachError, Process};
pub use residency::Residency;
pub use sharing::sharing;
pub use smaps::Smaps;

/// What a failure of this layer means to the person who gave the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is nothing there that could be a Python process.
    NotPython,
    /// The kernel, or another tracer, does not let us.
    Permission,
    /// The target ended, or became another program.
    Gone,
    /// Going on would harm the target or the machine, or take longer than allowed.
    Refused,
    /// Anything else.
    Other,
}
