//! The growth by lines, and by whole stacks for a flame graph.

use rustc_hash::FxHashMap;

use super::growth::{Grown, Growth};
use super::stacks::{Frame, FrameId, StackId};

/// A line that made memory grow.
#[derive(Debug, Clone, PartialEq)]
pub struct GrownLine {
    /// The line.
    pub frame: Frame,
    /// How much it made memory grow, in bytes, of what is still there: what was seen, and its part of
    /// what no stack was seen for.
    pub bytes: u64,
    /// The part of them for which it was seen.
    pub seen_bytes: u64,
    /// The part of them for which nothing but this line was seen.
    pub sure_bytes: u64,
    /// The part of all growth, from 0 to 1.
    pub share: f64,
    /// What it had made memory grow by when memory was at its peak, in bytes.
    pub peak_bytes: u64,
    /// How often it was seen.
    pub samples: u64,
}

/// All growth of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// The lines, those that grew most first.
    pub lines: Vec<GrownLine>,
    /// All growth that is still there, in bytes.
    pub bytes: u64,
    /// The part of it for which a stack was seen, in bytes.
    pub attributed_bytes: u64,
    /// All growth up to the peak, in bytes.
    pub peak_bytes: u64,
    /// The part of it for which a stack was seen, in bytes.
    pub peak_attributed_bytes: u64,
}

impl Growth {
    /// The growth by lines. A line is where a frame was innermost. What no stack was seen for, since no
    /// Python ran when it was looked, is shared out in proportion to what was seen: a program that
    /// sleeps most of the time grows on the same lines when nobody looks.
    ///
    /// So is what a line was seen for at which threads sleep: they are seen there when they wake up,
    /// and not for what they do then. Unless no other line was seen.
    #[must_use]
    pub fn lines(&self) -> Lines {
        let (now, peak) = (self.awake(self.now()), self.awake(self.at_peak()));
        let sum = |of: &FxHashMap<Option<StackId>, Grown>| {
            let all = of.values().map(|grown| grown.bytes).fold(0, u64::saturating_add);
            (all, all.saturating_sub(of.get(&None).map_or(0, |unknown| unknown.bytes)))
        };
        let (bytes, attributed_bytes) = sum(&now);
        let (peak_all, peak_attributed_bytes) = sum(&peak);
        let mut by_line: FxHashMap<FrameId, (Grown, u64, u64)> = FxHashMap::default();
        for (stack, grown) in now {
            if let Some(line) = stack.and_then(|stack| self.stacks.innermost(stack)) {
                let row = by_line.entry(line).or_default();
                row.0.bytes = row.0.bytes.saturating_add(grown.bytes);
                row.0.sure_bytes = row.0.sure_bytes.saturating_add(grown.sure_bytes);
            }
        }
        for (stack, grown) in peak {
            if let Some(line) = stack.and_then(|stack| self.stacks.innermost(stack)) {
                let row = by_line.entry(line).or_default();
                row.1 = row.1.saturating_add(grown.bytes);
            }
        }
        for stack in (0..self.stacks.len()).filter_map(|nth| u32::try_from(nth).ok()).map(StackId) {
            if let Some(line) = self.stacks.innermost(stack)
                && let Some(row) = by_line.get_mut(&line)
            {
                row.2 = row.2.saturating_add(self.seen(stack));
            }
        }
        let mut lines: Vec<GrownLine> = by_line
            .into_iter()
            .filter_map(|(line, (grown, peak_bytes, samples))| {
                let estimate = scaled(grown.bytes, bytes, attributed_bytes);
                Some(GrownLine {
                    frame: self.stacks.line(line)?.clone(),
                    bytes: estimate,
                    seen_bytes: grown.bytes,
                    sure_bytes: grown.sure_bytes,
                    share: share(estimate, bytes),
                    peak_bytes: scaled(peak_bytes, peak_all, peak_attributed_bytes),
                    samples,
                })
            })
            .collect();
        lines.sort_by(|a, b| {
            let key = |line: &GrownLine| (line.bytes, line.peak_bytes);
            let name = |line: &GrownLine| (line.frame.file.clone(), line.frame.line);
            key(b).cmp(&key(a)).then_with(|| name(a).cmp(&name(b)))
        });
        Lines { lines, bytes, attributed_bytes, peak_bytes: peak_all, peak_attributed_bytes }
    }

    /// The same with what sleepers were seen for as nobody's, if there is anything else.
    fn awake(
        &self,
        mut grown: FxHashMap<Option<StackId>, Grown>,
    ) -> FxHashMap<Option<StackId>, Grown> {
        /// The part of all that others must have been seen for, to speak for the rest: a percent.
        const LEAST: u64 = 100;
        let sleeps = |stack: &Option<StackId>| {
            let line = stack.and_then(|stack| self.stacks.innermost(stack));
            line.is_some_and(|line| self.rests(line))
        };
        let sum = |of: &dyn Fn(&Option<StackId>) -> bool| {
            let some = grown.iter().filter(|(stack, _)| of(stack));
            some.map(|(_, grown)| grown.bytes).fold(0, u64::saturating_add)
        };
        let (all, asleep) = (sum(&|_| true), sum(&sleeps));
        let awake = sum(&|stack| stack.is_some() && !sleeps(stack));
        if awake > all / LEAST && asleep > 0 {
            grown.retain(|stack, _| !sleeps(stack));
            let nobody = grown.entry(None).or_default();
            nobody.bytes = nobody.bytes.saturating_add(asleep);
        }
        grown
    }

    /// The stacks that made memory grow, now or at the peak, each with its bytes: what a flame graph
    /// is drawn of.
    #[must_use]
    pub fn by_stack(&self, at_peak: bool) -> Vec<(Vec<&Frame>, u64)> {
        let grown = if at_peak { self.at_peak() } else { self.now() };
        let mut rows: Vec<(Option<StackId>, u64)> =
            grown.into_iter().map(|(stack, grown)| (stack, grown.bytes)).collect();
        rows.sort_unstable_by_key(|&(stack, _)| stack);
        let known = rows.into_iter().filter_map(|(stack, bytes)| Some((stack?, bytes)));
        known.map(|(stack, bytes)| (self.stacks.frames(stack), bytes)).collect()
    }
}

/// A part of what was seen, as a part of all.
fn scaled(part: u64, all: u64, seen: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(all) / u128::from(seen.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_was_seen_for_is_shared_out_as_what_was_seen() {
        let mut growth = Growth::default();
        let mut stack = |line| {
            let frame = Frame { file: "app.py".into(), line, function: "f".into() };
            let frame = growth.stacks.frame(frame);
            growth.stacks.push(None, frame)
        };
        let (a, b) = (stack(1), stack(2));
        let mut memory = 0;
        let rises = [(0, vec![a]), (30, vec![a]), (0, vec![b]), (10, vec![b]), (0, vec![])];
        for (rise, running) in rises.into_iter().chain(vec![(10, vec![]); 4]) {
            memory += rise;
            growth.look(memory, running);
        }
        let lines = growth.lines();
        assert_eq!((lines.bytes, lines.attributed_bytes), (80, 40));
        let rows = |growth: &Growth| -> Vec<(u32, u64)> {
            growth.lines().lines.iter().map(|line| (line.frame.line, line.bytes)).collect()
        };
        // A line where threads sleep is not believed, unless there is no other.
        let mut asleep = growth.clone();
        let line = |growth: &Growth, stack| growth.stacks.innermost(stack).unwrap();
        asleep.rest(line(&asleep, a));
        assert_eq!(rows(&asleep), [(2, 80)]);
        asleep.rest(line(&asleep, b));
        assert_eq!(rows(&asleep), [(1, 60), (2, 20)]);
        let rows: Vec<_> =
            lines.lines.iter().map(|l| (l.frame.line, l.bytes, l.seen_bytes)).collect();
        assert_eq!(rows, [(1, 60, 30), (2, 20, 10)]);
    }
}
