//! Stacks with weights: what flame graphs, folded stacks and `pprof` are made of. The stack of an object
//! is the shortest path to it from a root; that of growth is the Python stack that made memory grow.

use rustc_hash::FxHashMap;

use super::text::path;
use crate::analysis::{Held, HeldTree};
use crate::recording::Recording;

/// One line of a stack.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Frame {
    /// What is shown.
    pub name: String,
    /// Of Python stacks: the source file; else empty.
    pub file: String,
    /// Of Python stacks: the line; else 0.
    pub line: u32,
}

/// A stack, and what ends in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stack {
    /// The stack that this one goes on from.
    pub parent: Option<u32>,
    /// The number of its last frame.
    pub frame: u32,
    /// How many objects are here and not below.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Stacks, each behind the one that it goes on from.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The frames, by number.
    pub frames: Vec<Frame>,
    /// The stacks, by number.
    pub stacks: Vec<Stack>,
    /// Whether objects are counted; else only bytes are.
    pub has_objects: bool,
}

impl Profile {
    /// The objects of a heap, by the paths that keep them.
    #[must_use]
    pub fn of_heap(tree: &HeldTree<'_>) -> Self {
        let mut numbers = FxHashMap::default();
        let mut profile = Self { has_objects: true, ..Self::default() };
        for node in tree.nodes() {
            let name = match tree.held(node) {
                Held::Root(root) => path::root(&root, true),
                Held::Step(step) => path::step(&step, true),
                Held::Deeper => "… deeper".to_owned(),
            };
            let frame = profile.frame(&mut numbers, Frame { name, ..Frame::default() });
            let (parent, objects, bytes) = (node.parent, node.objects, node.bytes);
            profile.stacks.push(Stack { parent, frame, objects, bytes });
        }
        profile
    }

    /// The growth of a recording that is still there, or that was there when memory was highest, by the
    /// stacks that caused it.
    #[must_use]
    pub fn of_growth(recording: &Recording, at_peak: bool) -> Self {
        let mut numbers = FxHashMap::default();
        let mut known: FxHashMap<(Option<u32>, u32), u32> = FxHashMap::default();
        let mut profile = Self::default();
        for (frames, bytes) in recording.growth.by_stack(at_peak) {
            let mut last = None;
            for frame in frames {
                let (name, file, line) = (frame.function.clone(), frame.file.clone(), frame.line);
                let frame = profile.frame(&mut numbers, Frame { name, file, line });
                let next = number(profile.stacks.len());
                let stack = *known.entry((last, frame)).or_insert(next);
                if stack == next {
                    profile.stacks.push(Stack { parent: last, frame, objects: 0, bytes: 0 });
                }
                last = Some(stack);
            }
            if let Some(stack) = last.and_then(|last| profile.stacks.get_mut(last as usize)) {
                stack.bytes = stack.bytes.saturating_add(bytes);
            }
        }
        profile
    }

    fn frame(&mut self, numbers: &mut FxHashMap<Frame, u32>, frame: Frame) -> u32 {
        let next = number(self.frames.len());
        let number = *numbers.entry(frame.clone()).or_insert(next);
        if number == next {
            self.frames.push(frame);
        }
        number
    }

    /// Whether nothing ends in any stack.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples().next().is_none()
    }

    /// The stacks in which something ends.
    pub fn samples(&self) -> impl Iterator<Item = &Stack> {
        self.stacks.iter().filter(|stack| stack.bytes > 0 || stack.objects > 0)
    }

    /// The numbers of the frames of a stack, the last one first.
    pub fn frames_of<'p>(&'p self, stack: &'p Stack) -> impl Iterator<Item = u32> + 'p {
        let above = |stack: &&'p Stack| self.stacks.get(stack.parent? as usize);
        std::iter::successors(Some(stack), above).map(|stack| stack.frame)
    }

    /// The same profile without what is too small to be seen: a stack with less than one part in `parts`
    /// of all bytes below it is counted with the one that it goes on from.
    #[must_use]
    pub fn coarse(&self, parts: u64) -> Self {
        let mut below: Vec<u64> = self.stacks.iter().map(|stack| stack.bytes).collect();
        let numbered = || self.stacks.iter().enumerate().rev();
        for (number, stack) in numbered() {
            let bytes = below.get(number).copied().unwrap_or_default();
            if let Some(sum) = stack.parent.and_then(|parent| below.get_mut(parent as usize)) {
                *sum = sum.saturating_add(bytes);
            }
        }
        let all = self.stacks.iter().map(|stack| stack.bytes).fold(0, u64::saturating_add);
        let mut coarse = self.clone();
        for (number, stack) in numbered() {
            let is_small = below.get(number).is_some_and(|&bytes| bytes < all / parts);
            if let (true, Some(parent)) = (is_small, stack.parent) {
                let (objects, bytes) = coarse.stacks.get_mut(number).map_or((0, 0), |stack| {
                    (std::mem::take(&mut stack.objects), std::mem::take(&mut stack.bytes))
                });
                if let Some(parent) = coarse.stacks.get_mut(parent as usize) {
                    parent.objects += objects;
                    parent.bytes = parent.bytes.saturating_add(bytes);
                }
            }
        }
        coarse
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_small_to_be_seen_is_counted_with_what_holds_it() {
        let stack = |parent, bytes| Stack { parent, frame: 0, objects: 1, bytes };
        let stacks =
            vec![stack(None, 0), stack(Some(0), 900), stack(Some(0), 5), stack(Some(2), 4)];
        let profile = Profile { stacks, has_objects: true, ..Profile::default() };
        let told = |profile: &Profile| -> Vec<(u64, u64)> {
            profile.stacks.iter().map(|stack| (stack.objects, stack.bytes)).collect()
        };
        assert_eq!(told(&profile.coarse(10)), [(3, 9), (1, 900), (0, 0), (0, 0)]);
        assert_eq!(told(&profile.coarse(1000)), told(&profile));
    }
}
