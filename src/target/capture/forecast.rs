//! What a capture would copy, as far as can be said while the target runs: its pages are counted,
//! not read.

use super::copy::block_end;
use super::plan::{Plan, page_bytes};
use super::{CaptureError, headroom};
use crate::addr::Addr;
use crate::target::maps::MemoryMap;
use crate::target::memory::Memory;
use crate::target::process::Process;

/// How many pages are looked at for the beginning of a big block: 4 GiB of the target, which
/// takes about a second. What lies behind counts as copied.
const LOOKS: u32 = 1 << 20;

/// How much a capture would copy. All numbers are bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forecast {
    /// What is copied in any case.
    pub copied_bytes: u64,
    /// The rest of `malloc`'s big blocks: of these only those are copied that hold references.
    pub block_bytes: u64,
    /// What is in swap, and is read only where something refers to it.
    pub swapped_bytes: u64,
    /// The most that would be copied: half of what the machine, or a container, has left.
    pub limit_bytes: Option<u64>,
}

impl Forecast {
    /// Counts the pages of a process, which is not stopped.
    ///
    /// # Errors
    /// None that are known: without an answer of the kernel every page counts.
    pub fn of(process: &Process, map: &MemoryMap) -> Result<Self, CaptureError> {
        let plan = Plan::new(process, map, &[], None)?;
        let (memory, page_bytes) = (process.memory(), page_bytes());
        let mut forecast = Self {
            swapped_bytes: plan.swapped_bytes,
            limit_bytes: headroom::bytes(process.pid()).map(|bytes| bytes / 2),
            ..Self::default()
        };
        let mut looks = 0;
        // Up to where the last block goes that was met.
        let mut block = Addr(0);
        for copy in plan.segments.iter().flat_map(|segment| &segment.copies) {
            let mapping = copy.blocks.and_then(|index| plan.block_mappings.get(index));
            let (mut at, end) = (copy.range.start, copy.range.end);
            while at < end {
                let next = match mapping {
                    Some(_) if at < block => block.min(end),
                    Some(_) if looks < LOOKS => (at + page_bytes).min(end),
                    _ => end,
                };
                if at < block {
                    forecast.block_bytes += next - at;
                } else {
                    forecast.copied_bytes += next - at;
                }
                if let Some(mapping) = mapping.filter(|_| at >= block && looks < LOOKS) {
                    looks += 1;
                    let head = memory.array::<16>(at).unwrap_or_default();
                    block = block_end(at, &head, mapping.end, page_bytes).unwrap_or(block);
                }
                at = next;
            }
        }
        Ok(forecast)
    }
}
