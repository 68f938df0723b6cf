//! Who made memory grow: each rise between two looks goes to the stacks that were seen at its ends.
//!
//! Memory is thought of as a pile of layers. A rise lays one on top, with the stack that was seen; a
//! fall takes layers away from the top, for what was allocated last is freed first more often than
//! not. So at every moment the pile says who last raised memory above each level, and what was only
//! there for a while is gone from it. The pile at the peak is kept apart.
//!
//! A fall may hide a rise: between two looks a line gives back much, and another takes a little. What
//! then seems to be left of the first is not its own, if it is known to keep nothing: it is nobody's.

use rustc_hash::{FxHashMap, FxHashSet};

use super::stacks::{FrameId, StackId, Stacks};

/// The most layers before old ones are joined.
const MOST_LAYERS: usize = 8192;

/// A piece of growth that has not gone away again.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layer {
    /// The stack that was seen; nothing where none was.
    stack: Option<StackId>,
    bytes: u64,
    /// Whether both ends of the rise were on the same line.
    sure: bool,
}

/// How a line behaved so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Behaviour {
    /// In how many intervals it was at an end.
    seen: f64,
    /// The bytes that were put down to it.
    grown: f64,
    /// The bytes that were taken from it again.
    lost: f64,
    /// How often memory stopped to fall in what it had.
    falls: u32,
}

impl Behaviour {
    /// Whether the line takes memory for a while only: what it had was taken from it again and again,
    /// nearly all of it.
    fn only_passes(self) -> bool {
        /// The part of what a line has grown that it keeps if it keeps any on purpose.
        const KEPT: f64 = 0.15;
        /// So often is no coincidence.
        const OFTEN: u32 = 3;
        self.falls >= OFTEN && self.lost > self.grown * (1.0 - KEPT)
    }
}

/// Bytes of one stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grown {
    /// All of them.
    pub bytes: u64,
    /// The part for which both ends of the interval were on the same line.
    pub sure_bytes: u64,
}

/// The growth of a recording by stacks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Growth {
    /// The stacks that were seen.
    pub stacks: Stacks,
    /// How often each stack was seen.
    seen: FxHashMap<StackId, u64>,
    behaviour: FxHashMap<FrameId, Behaviour>,
    /// The lines at which threads were seen to sleep.
    resting: FxHashSet<FrameId>,
    layers: Vec<Layer>,
    total: u64,
    peak: FxHashMap<Option<StackId>, Grown>,
    peak_total: u64,
    at_peak: bool,
    is_falling: bool,
    last: Option<(u64, Vec<StackId>)>,
}

impl Growth {
    /// A look at the process: its private bytes, and the stacks of the threads that ran.
    pub fn look(&mut self, private_bytes: u64, running: Vec<StackId>) {
        for &stack in &running {
            *self.seen.entry(stack).or_default() += 1;
        }
        let Some((before, earlier)) = self.last.take() else {
            self.last = Some((private_bytes, running));
            return;
        };
        if private_bytes >= before && std::mem::take(&mut self.is_falling) {
            self.landed();
        }
        let rise = private_bytes.saturating_sub(before);
        self.put_down(rise, &earlier, &running);
        if private_bytes < before {
            self.fall(before - private_bytes);
        }
        self.last = Some((private_bytes, running));
    }

    /// A thread was seen to sleep at a line. It is seen there when it wakes up, too, however little
    /// that line does.
    pub fn rest(&mut self, line: FrameId) {
        self.resting.insert(line);
    }

    /// Whether threads were seen to sleep at a line.
    #[must_use]
    pub fn rests(&self, line: FrameId) -> bool {
        self.resting.contains(&line)
    }

    /// Forgets the last look: what happens until the next one is nobody's. For pauses of the
    /// recording.
    pub fn interrupt(&mut self) {
        if let Some((_, running)) = &mut self.last {
            running.clear();
        }
    }

    /// Puts a rise down to the stacks at its two ends. Where they differ, a line that was often there
    /// when memory grew gets more of it than one that was often there when it did not.
    fn put_down(&mut self, rise: u64, earlier: &[StackId], later: &[StackId]) {
        let mut ends: Vec<(StackId, Option<FrameId>, f64)> = Vec::new();
        for &stack in earlier.iter().chain(later) {
            match ends.iter_mut().find(|end| end.0 == stack) {
                Some(end) => end.2 += 1.0,
                None => ends.push((stack, self.stacks.innermost(stack), 1.0)),
            }
        }
        let line = ends.first().and_then(|end| end.1);
        let sure = !earlier.is_empty()
            && !later.is_empty()
            && line.is_some()
            && ends.iter().all(|end| end.1 == line);
        let weights: Vec<f64> = ends.iter().map(|end| end.2 * self.rate(end.1)).collect();
        let all: f64 = weights.iter().sum();
        if rise > 0 && ends.is_empty() {
            self.rise(None, rise, false);
        }
        let mut left = rise;
        for (nth, (&(stack, line, presence), weight)) in ends.iter().zip(&weights).enumerate() {
            // The last one gets what rounding left over.
            let part = match nth + 1 == ends.len() {
                true => left,
                false => part_of(rise, weight / all).min(left),
            };
            left -= part;
            if let Some(line) = line {
                let behaviour = self.behaviour.entry(line).or_default();
                behaviour.seen += presence / 2.0;
                behaviour.grown += float(part);
            }
            self.rise(Some(stack), part, sure);
        }
    }

    /// How much a line grew each time it was seen, in bytes; never nothing.
    fn rate(&self, line: Option<FrameId>) -> f64 {
        /// What a line is believed to grow by before it was seen: a page.
        const UNKNOWN: f64 = 4096.0;
        let known = line.and_then(|line| self.behaviour.get(&line)).copied().unwrap_or_default();
        (known.grown + UNKNOWN) / (known.seen + 1.0)
    }

    fn rise(&mut self, stack: Option<StackId>, bytes: u64, sure: bool) {
        if bytes == 0 {
            return;
        }
        self.total = self.total.saturating_add(bytes);
        if self.total > self.peak_total {
            self.peak_total = self.total;
            self.at_peak = true;
        }
        match self.layers.last_mut() {
            Some(top) if top.stack == stack && top.sure == sure => {
                top.bytes = top.bytes.saturating_add(bytes);
            }
            _ => self.layers.push(Layer { stack, bytes, sure }),
        }
        if self.layers.len() > MOST_LAYERS {
            self.join();
        }
    }

    /// A fall is over: what it has left of a line that keeps nothing is not that line's.
    fn landed(&mut self) {
        let Some(top) = self.layers.last_mut() else { return };
        let line = top.stack.and_then(|stack| self.stacks.innermost(stack));
        if let Some(behaviour) = line.and_then(|line| self.behaviour.get_mut(&line)) {
            behaviour.falls += 1;
            if behaviour.only_passes() {
                (top.stack, top.sure) = (None, false);
            }
        }
    }

    fn fall(&mut self, bytes: u64) {
        self.is_falling = true;
        if self.at_peak {
            self.peak = self.sums();
            self.at_peak = false;
        }
        let mut left = bytes;
        while left > 0
            && let Some(top) = self.layers.last_mut()
        {
            let taken = top.bytes.min(left);
            top.bytes -= taken;
            left -= taken;
            self.total = self.total.saturating_sub(taken);
            let line = top.stack.and_then(|stack| self.stacks.innermost(stack));
            let behaviour = line.and_then(|line| self.behaviour.get_mut(&line));
            if let Some(behaviour) = behaviour {
                behaviour.lost += float(taken);
            }
            if top.bytes == 0 {
                self.layers.pop();
            }
        }
        // What falls below the first look lowers the ground: the peak is that much higher above it.
        self.peak_total = self.peak_total.max(self.total);
    }

    /// Joins the older half of the layers by stacks: what is deep down is not freed soon.
    fn join(&mut self) {
        let upper = self.layers.split_off(self.layers.len() / 2);
        let mut order: Vec<(Option<StackId>, bool)> = Vec::new();
        let mut sums: FxHashMap<(Option<StackId>, bool), u64> = FxHashMap::default();
        for layer in self.layers.drain(..) {
            let key = (layer.stack, layer.sure);
            let sum = sums.entry(key).or_insert_with(|| {
                order.push(key);
                0
            });
            *sum = sum.saturating_add(layer.bytes);
        }
        // Of too many stacks the smallest become unknown: they are little, and the bound holds.
        if order.len() > MOST_LAYERS / 4 {
            order.sort_by_key(|key| std::cmp::Reverse(sums.get(key).copied().unwrap_or(0)));
            let small = order.split_off(MOST_LAYERS / 4);
            let bytes =
                small.iter().filter_map(|key| sums.remove(key)).fold(0, u64::saturating_add);
            let unknown = (None, false);
            if !order.contains(&unknown) {
                order.push(unknown);
            }
            let sum = sums.entry(unknown).or_default();
            *sum = sum.saturating_add(bytes);
        }
        let joined = order.into_iter().map(|(stack, sure)| {
            let bytes = sums.get(&(stack, sure)).copied().unwrap_or(0);
            Layer { stack, bytes, sure }
        });
        self.layers = joined.chain(upper).collect();
    }

    /// The pile by stacks.
    fn sums(&self) -> FxHashMap<Option<StackId>, Grown> {
        let mut sums: FxHashMap<Option<StackId>, Grown> = FxHashMap::default();
        for layer in &self.layers {
            let sum = sums.entry(layer.stack).or_default();
            sum.bytes = sum.bytes.saturating_add(layer.bytes);
            if layer.sure {
                sum.sure_bytes = sum.sure_bytes.saturating_add(layer.bytes);
            }
        }
        sums
    }

    /// What has grown and is still there, by stacks; under nothing what no stack was seen for.
    #[must_use]
    pub fn now(&self) -> FxHashMap<Option<StackId>, Grown> {
        self.sums()
    }

    /// The same at the peak.
    #[must_use]
    pub fn at_peak(&self) -> FxHashMap<Option<StackId>, Grown> {
        if self.at_peak { self.sums() } else { self.peak.clone() }
    }

    /// How often a stack was seen.
    #[must_use]
    pub fn seen(&self, stack: StackId) -> u64 {
        self.seen.get(&stack).copied().unwrap_or(0)
    }

    /// Puts back what was read from a file: stacks with what each has now, had at the peak, and how
    /// often it was seen. The order of layers is lost with a file.
    pub(super) fn restore(&mut self, stack: Option<StackId>, now: Grown, peak: Grown, seen: u64) {
        let sure_bytes = now.sure_bytes.min(now.bytes);
        self.rise(stack, sure_bytes, true);
        self.rise(stack, now.bytes - sure_bytes, false);
        self.at_peak = false;
        if peak.bytes > 0 {
            self.peak.insert(stack, peak);
        }
        self.peak_total = self
            .peak
            .values()
            .map(|grown| grown.bytes)
            .fold(0, u64::saturating_add)
            .max(self.total);
        if let Some(stack) = stack
            && seen > 0
        {
            self.seen.insert(stack, seen);
            if let Some(line) = self.stacks.innermost(stack) {
                let behaviour = self.behaviour.entry(line).or_default();
                behaviour.seen += float(seen);
                behaviour.grown += float(now.bytes);
            }
        }
    }
}

/// A share of some bytes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn part_of(bytes: u64, share: f64) -> u64 {
    (float(bytes) * share) as u64
}

#[allow(clippy::cast_precision_loss)]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::stacks::Frame;

    fn stack(growth: &mut Growth, line: u32) -> StackId {
        let frame = Frame { file: "app.py".into(), line, function: "f".into() };
        let frame = growth.stacks.frame(frame);
        growth.stacks.push(None, frame)
    }

    fn bytes(growth: &Growth, stack: StackId) -> u64 {
        growth.now().get(&Some(stack)).map_or(0, |grown| grown.bytes)
    }

    #[test]
    fn a_rise_between_two_looks_at_one_line_is_that_lines() {
        let mut growth = Growth::default();
        let a = stack(&mut growth, 1);
        growth.look(1000, vec![a]);
        growth.look(5000, vec![a]);
        assert_eq!(growth.now()[&Some(a)], Grown { bytes: 4000, sure_bytes: 4000 });
    }

    #[test]
    fn what_is_freed_again_is_no_growth_but_was_at_the_peak() {
        let mut growth = Growth::default();
        let (a, b) = (stack(&mut growth, 1), stack(&mut growth, 2));
        growth.look(0, vec![a]);
        growth.look(1 << 20, vec![a]);
        growth.look(1 << 20, vec![b]);
        growth.look(9 << 20, vec![b]);
        growth.look(1 << 20, vec![b]);
        assert_eq!((bytes(&growth, a), bytes(&growth, b)), (1 << 20, 0));
        assert_eq!(growth.at_peak()[&Some(b)].bytes, 8 << 20);
        assert_eq!(growth.at_peak()[&Some(a)].bytes, 1 << 20);
    }

    #[test]
    fn a_line_that_never_grows_is_not_blamed_for_its_neighbour() {
        let mut growth = Growth::default();
        let (grows, idles) = (stack(&mut growth, 1), stack(&mut growth, 2));
        let mut memory = 0;
        for _ in 0..50 {
            for _ in 0..9 {
                growth.look(memory, vec![idles]);
            }
            // Seen once while it works: half of the rise is before that look, half after.
            memory += 1 << 20;
            growth.look(memory, vec![grows]);
            memory += 1 << 20;
        }
        let (guilty, innocent) = (bytes(&growth, grows), bytes(&growth, idles));
        assert!(guilty > 20 * innocent, "{guilty} {innocent}");
    }

    #[test]
    fn a_line_that_keeps_nothing_is_not_blamed_for_a_rise_that_its_fall_has_hidden() {
        let mut growth = Growth::default();
        let (passes, leaks) = (stack(&mut growth, 1), stack(&mut growth, 2));
        let mut memory = 0;
        for _ in 0..100 {
            growth.look(memory, vec![passes]);
            memory += 40 << 20;
            growth.look(memory, vec![passes]);
            // Given back, and something taken that nobody sees; then something that is seen.
            memory -= 39 << 20;
            growth.look(memory, vec![leaks]);
            memory += 1 << 20;
            growth.look(memory, vec![leaks]);
        }
        let (innocent, guilty) = (bytes(&growth, passes), bytes(&growth, leaks));
        assert!(innocent < 5 << 20 && guilty > 95 << 20, "{innocent} {guilty}");
        let sum: u64 = growth.now().values().map(|grown| grown.bytes).sum();
        assert_eq!(sum, 200 << 20);
    }

    #[test]
    fn a_line_that_keeps_a_part_has_it() {
        let mut growth = Growth::default();
        let (loads, idles) = (stack(&mut growth, 1), stack(&mut growth, 2));
        let mut memory = 0;
        for _ in 0..100 {
            growth.look(memory, vec![loads]);
            memory += 30 << 20;
            growth.look(memory, vec![loads]);
            memory -= 20 << 20;
            growth.look(memory, vec![idles]);
        }
        assert!(bytes(&growth, loads) > 990 << 20, "{}", bytes(&growth, loads));
    }

    #[test]
    fn growth_that_nobody_was_seen_for_is_unknown() {
        let mut growth = Growth::default();
        growth.look(0, vec![]);
        growth.look(100, vec![]);
        assert_eq!(growth.now()[&None].bytes, 100);
        let a = stack(&mut growth, 1);
        growth.look(100, vec![a]);
        growth.interrupt();
        growth.look(300, vec![]);
        assert_eq!(growth.now()[&None].bytes, 300);
    }

    proptest::proptest! {
        #[test]
        fn the_pile_is_as_high_as_memory_above_its_lowest(
            looks in proptest::collection::vec((0_u64..1 << 40, 0_u32..5), 1..200)
        ) {
            let mut growth = Growth::default();
            let stacks: Vec<StackId> = (0..5).map(|line| stack(&mut growth, line)).collect();
            for &(memory, nth) in &looks {
                growth.look(memory, vec![stacks[nth as usize]]);
            }
            let sum: u64 = growth.now().values().map(|grown| grown.bytes).sum();
            let lowest = looks.iter().map(|look| look.0).min().unwrap();
            proptest::prop_assert_eq!(sum, looks.last().unwrap().0 - lowest);
        }

    }

    #[test]
    fn joining_loses_no_byte() {
        let mut growth = Growth::default();
        let stacks: Vec<StackId> = (0..5000).map(|line| stack(&mut growth, line)).collect();
        let mut memory = 0;
        growth.look(0, vec![]);
        for nth in 0..30_000_usize {
            memory += nth as u64 % 97 + 1;
            growth.look(memory, vec![stacks[nth * 7 % 5000]]);
            assert!(growth.layers.len() <= MOST_LAYERS);
        }
        let sum: u64 = growth.now().values().map(|grown| grown.bytes).sum();
        assert_eq!(sum, memory);
    }
}
